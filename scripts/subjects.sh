#!/usr/bin/env bash
# Build the servers that tests register as sources, each of a module of its own
# so that nothing of theirs enters go.mod, into .build/subjects. What is there
# already, of the same modules, is kept.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$PWD/.build/subjects
mkdir -p "$out"

build() { # name, package, flags
  local name=$1 package=$2 sum
  shift 2
  sum=$(cat "conformance/subjects/$name/go.sum" | sha256sum)
  [ "$(cat "$out/$name.sum" 2>/dev/null)" = "$sum" ] && return
  echo "building $name"
  (cd "conformance/subjects/$name" && go build "$@" -o "$out/$name" "$package")
  echo "$sum" > "$out/$name.sum"
}
build prometheus github.com/prometheus/prometheus/cmd/prometheus -tags remove_all_sd
build openfga github.com/openfga/openfga/cmd/openfga
build etcd go.etcd.io/etcd/server/v3

# etcd does not answer reflection, so its descriptors are made from its files.
if [ ! -s "$out/etcd.binpb" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  dir() { (cd conformance/subjects/etcd && go mod download "$1" && go list -m -f '{{.Dir}}' "$1"); }
  mkdir -p "$work/etcd/api" "$work/protoc-gen-openapiv2/options"
  api=$(dir go.etcd.io/etcd/api/v3)
  for f in mvccpb/kv authpb/auth versionpb/version etcdserverpb/rpc; do
    install -D -m 644 "$api/$f.proto" "$work/etcd/api/$f.proto"
  done
  options=$(dir github.com/grpc-ecosystem/grpc-gateway/v2)/protoc-gen-openapiv2/options
  install -m 644 "$options"/*.proto "$work/protoc-gen-openapiv2/options/"
  cp -r third_party/google "$work/google"
  printf 'version: v2\n' > "$work/buf.yaml"
  go tool -modfile=tools/go.mod buf build "$work" -o "$out/etcd.binpb"
fi
