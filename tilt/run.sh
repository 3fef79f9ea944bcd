#!/bin/sh
# Runs the service beside it. SIGHUP, which Tilt sends when it has replaced the
# service, ends it and starts the new one; every other end is passed on.
service=$(dirname "$0")/service
again=1 stop='' missed='' child=''
# A signal may come before the shell knows the child that it has just started.
forward() {
  if [ "$child" ]; then kill -TERM "$child"; else missed=1; fi
}
trap 'again=1; forward' HUP
trap 'stop=1; forward' TERM INT
while [ "$again" ] && [ -z "$stop" ]; do
  again='' child=''
  "$service" "$@" &
  child=$!
  if [ "$missed" ]; then
    missed=''
    kill -TERM "$child"
  fi
  wait "$child"
  code=$?
  while kill -0 "$child" 2>/dev/null; do # a signal has ended the wait, not the service
    wait "$child"
    code=$?
  done
  child=''
done
exit "${code:-143}"
