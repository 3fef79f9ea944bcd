#!/bin/sh
# Runs the service beside it. SIGHUP, which Tilt sends when it has replaced the
# service, ends it and starts the new one; every other end is passed on.
service=$(dirname "$0")/service
again=1
trap 'again=1; kill -TERM "$child"' HUP
trap 'again=; kill -TERM "$child"' TERM INT
while [ "$again" ]; do
  again=
  "$service" "$@" &
  child=$!
  wait "$child"
  code=$?
  while kill -0 "$child" 2>/dev/null; do # a signal has ended the wait, not the service
    wait "$child"
    code=$?
  done
done
exit "$code"
