#!/usr/bin/env bash
# Run the official MCP conformance suite's client scenarios against the upstream
# client and compare the outcome with docs/conformance-client.md.
# UPDATE=1 rewrites the document instead.
set -euo pipefail
command -v npm >/dev/null || { echo "no npm: install Node.js" >&2; exit 1; }
[ -d conformance/node_modules ] || npm ci --prefix conformance --no-audit --no-fund --loglevel error

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go build -o "$work/client" ./conformance/client
node conformance/client.mjs "$work/client" >"$work/conformance-client.md"
if [ -n "${UPDATE:-}" ]; then
  cp "$work/conformance-client.md" docs/conformance-client.md
else
  diff -u docs/conformance-client.md "$work/conformance-client.md" ||
    { echo "docs/conformance-client.md is out of date: run make conformance UPDATE=1" >&2; exit 1; }
fi
grep -E '^\| requirements' "$work/conformance-client.md"
