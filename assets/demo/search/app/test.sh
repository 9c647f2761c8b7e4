#!/bin/sh
echo "indexing 200 documents"
sleep 1
echo "200 found again"
