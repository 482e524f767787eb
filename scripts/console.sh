#!/usr/bin/env bash
# The console, from its sources: formats, lint and types; unit tests; that gateway/console/dist is what they build;
# then the page in Chromium against a real gateway. Pictures of every page are left in .build/console-pictures.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

command -v "${CHROMIUM:=/usr/bin/chromium}" >/dev/null || { echo "chromium is missing: apt-get install chromium" >&2; exit 1; }
export CHROMIUM

cd gateway/console/web
npm ci --ignore-scripts --no-audit --no-fund
npm run check
npm test

echo "== the build is that of the sources"
committed=$(mktemp -d)
trap 'rm -rf "$committed"' EXIT
cp -r ../dist "$committed"
npm run build
diff -r "$committed/dist" ../dist || {
  echo "gateway/console/dist is out of date: cd gateway/console/web && npm ci && npm run build, and commit it" >&2
  exit 1
}

echo "== end to end"
(cd "$root" && go build -o .build/gateway ./cmd/gateway &&
  go build -modfile=tools/go.mod -o .build/grpcurl github.com/fullstorydev/grpcurl/cmd/grpcurl)
TRILITH_GATEWAY="$root/.build/gateway" TRILITH_GRPCURL="$root/.build/grpcurl" TRILITH_PICTURES="$root/.build/console-pictures" npm run e2e
