#!/usr/bin/env bash
# Run the README's first command and then, as pasted, every call that it prints
# and every call of the README itself: each must answer 1 + 2.
set -euo pipefail
work=$(mktemp -d)
export HOME="$work/home" GOPATH="${GOPATH:-$(go env GOPATH)}" GOCACHE="${GOCACHE:-$(go env GOCACHE)}" GOFLAGS="${GOFLAGS:-}"
mkdir -p "$HOME"
go run ./cmd/gateway dev >"$work/out" 2>"$work/log" &
gateway=$!
trap 'pkill -INT -P $gateway 2>/dev/null || true; wait $gateway 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 600); do
  curl -sf http://127.0.0.1:8080/readyz >/dev/null && break
  kill -0 $gateway 2>/dev/null || { cat "$work/log" >&2; exit 1; }
  sleep 0.1
done

check() { # name, script
  bash -e "$2" >"$2.out" 2>&1 || { echo "$1: failed" >&2; cat "$2.out" >&2; exit 1; }
  n=$(grep -oE '"sum": ?3' "$2.out" | wc -l)
  m=$(grep -oE 'sum\\": ?3' "$2.out" | wc -l)
  echo "$1: $n answers"
  # The MCP and REST answers carry the sum as text as well.
  [ "$n" -ge 4 ] && [ "$m" -ge 2 ] || { cat "$2.out" >&2; exit 1; }
}
sed -n '/^export TOKEN=/,/^Tokens for/p' "$work/out" | grep -v '^Tokens for' >"$work/printed.sh"
check "printed calls" "$work/printed.sh"
awk '/^```sh$/{on=1; next} /^```$/{on=0} on' README.md >"$work/readme.sh"
check "README" "$work/readme.sh"
grep -q 'OK  Dee Developer  call tool/demo/add' "$work/readme.sh.out" || { echo "audit tail shows no record" >&2; cat "$work/readme.sh.out" >&2; exit 1; }
