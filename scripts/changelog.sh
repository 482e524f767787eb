#!/usr/bin/env bash
# Move what stands in changes/ into CHANGELOG.md as the given version.
set -euo pipefail
version=${1:-}
[[ $version =~ ^v?[0-9]+\.[0-9]+ ]] || { echo "usage: changelog.sh VERSION" >&2; exit 2; }
shopt -s nullglob
files=(changes/*.md)
[ ${#files[@]} -gt 0 ] || { echo "nothing in changes/" >&2; exit 1; }
entry=$(
  echo "## $version ($(date -u +%F))"
  for heading in Added Changed Fixed Removed Security; do
    body=$(awk -v h="### $heading" '/^### /{on=($0==h); next} on && NF' "${files[@]}")
    [ -z "$body" ] || printf '\n### %s\n\n%s\n' "$heading" "$body"
  done
)
awk -v entry="$entry" '/^No version has been released yet\./{next} !done && /^## /{print entry "\n"; done=1} {print} END{if(!done) print entry}' CHANGELOG.md >CHANGELOG.new
mv CHANGELOG.new CHANGELOG.md
rm "${files[@]}"
