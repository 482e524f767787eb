#!/usr/bin/env bash
# Static checks: lint, formats, skipped tests, protobuf rules, and generated files.
set -euo pipefail
tool() { go tool -modfile=tools/go.mod "$@"; }

echo "== vet"
go vet ./... && go vet -tags external ./...

echo "== golangci-lint"
# A cache of this tree alone: findings kept from another clone name files of that clone, and no exclusion fits them.
export GOLANGCI_LINT_CACHE=$PWD/.build/golangci-lint
tool golangci-lint run ./...

echo "== skipped tests"
# A test that cannot run here must fail and say what is missing.
if grep -rnE --include='*_test.go' '\b[tb]\.Skip(f|Now)?\(' .; then
  echo "tests must not skip" >&2
  exit 1
fi

echo "== buf lint"
tool buf lint

echo "== go mod tidy"
go mod tidy -diff

echo "== generated files"
# Compared in a copy, so that a check never changes the tree it checks.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z | xargs -0 tar cf - | tar xf - -C "$copy"
(cd "$copy" && git init -q . && git add -A && ./scripts/generate.sh >/dev/null && git diff --exit-code --stat) || {
  echo "generated files are out of date: run make generate" >&2
  exit 1
}
echo "all checks passed"
