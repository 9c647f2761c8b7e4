#!/bin/sh
echo "job: send-mail"
sleep 1
echo "job: resize-image"
sleep 1
echo "FAIL resize-image: expected 640x480, got 640x481" >&2
echo "1 of 9 failed"
exit 1
