#!/usr/bin/env bash
# Regenerate the code and the documents that come from other files.
set -euo pipefail
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -modfile=tools/go.mod -o "$bin/" \
  google.golang.org/protobuf/cmd/protoc-gen-go \
  google.golang.org/grpc/cmd/protoc-gen-go-grpc \
  github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-grpc-gateway \
  github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-openapiv3
PATH="$bin:$PATH" go tool -modfile=tools/go.mod buf generate
go tool -modfile=tools/go.mod gqlgen generate
go test ./gateway/config -run '^TestDocuments$' -update
go test ./cmd/gateway -run '^TestGeneratedReference$' -update
go test ./gateway/server -run '^TestErrorsReference$' -update
