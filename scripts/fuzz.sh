#!/usr/bin/env bash
# Run every fuzz target of the module for the given time, one after the other.
set -euo pipefail
time=${1:?usage: fuzz.sh TIME}
grep -rlE --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u | grep -v '^./bench' | while read -r dir; do
  grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go | awk '{print $2}' | while read -r target; do
    echo "== $dir $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$dir" </dev/null
  done
done
