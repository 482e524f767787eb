#!/usr/bin/env bash
# Run the official MCP conformance suite against the fixtures of `gateway dev
# --conformance` and compare the outcome with docs/conformance.md; then against
# servers that others wrote, alone and through the gateway, for
# docs/conformance-proxied.md; then its client scenarios, by conformance-client.sh.
# UPDATE=1 rewrites the documents instead.
set -euo pipefail
command -v npm >/dev/null || { echo "no npm: install Node.js" >&2; exit 1; }
npm ci --prefix conformance --no-audit --no-fund --loglevel error

work=$(mktemp -d)
go build -o "$work/gateway" ./cmd/gateway
"$work/gateway" dev --conformance --addr 127.0.0.1:0 --grpc-addr 127.0.0.1:0 --data "$work/data" >"$work/out" 2>"$work/log" &
gateway=$!
trap 'kill $gateway 2>/dev/null || true; wait $gateway 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 100); do
  url=$(sed -nE 's/^Trilith serves (http[^ ]+).*/\1/p' "$work/out")
  [ -n "$url" ] && break
  kill -0 $gateway 2>/dev/null || { cat "$work/log" >&2; exit 1; }
  sleep 0.1
done
# compare says where a document differs from what came of it now.
compare() {
  if [ -n "${UPDATE:-}" ]; then
    cp "$work/$1" "docs/$1"
  else
    diff -u "docs/$1" "$work/$1" || { echo "docs/$1 is out of date: run make conformance UPDATE=1" >&2; exit 1; }
  fi
}
node conformance/run.mjs "$url/mcp" >"$work/conformance.md"
compare conformance.md
grep -E '^\| (requirements|all)' "$work/conformance.md"

go build -o "$work/sdk" github.com/modelcontextprotocol/go-sdk/conformance/everything-server
node conformance/proxied.mjs "$work/gateway" "$work/sdk" >"$work/conformance-proxied.md"
compare conformance-proxied.md
grep -E '^\| (Go SDK|server-everything|Trilith).*\| 20' "$work/conformance-proxied.md"
./scripts/conformance-client.sh
