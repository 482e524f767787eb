package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway/audit"
	"github.com/trilith-gateway/trilith/gateway/config"
)

// TestLimitedLists: lists count in every door, a refused one is told in the door's
// terms, and leaves one record that says so.
func TestLimitedLists(t *testing.T) {
	r := start(t, nil, func(cfg *config.Config) {
		cfg.Limits.Rates = []config.RateLimit{{
			Name: "looks", Per: "principal", Match: config.RateMatch{Actions: []string{"list"}}, Rate: config.Rate{Calls: 1, Per: 24 * time.Hour},
		}}
	})
	if got := r.playREST(t, "dev", "GET /v1/tools"); !strings.HasPrefix(got, "200") {
		t.Fatalf("the first list: %s", got)
	}
	for door, got := range map[string]string{
		"rest":    r.playREST(t, "dev", "GET /v1/prompts"),
		"grpc":    r.playGRPC(t, "dev", "ListTools\n{}"),
		"graphql": r.playGraphQL(t, "dev", "{tools{nodes{name}}}"),
		"mcp":     r.playMCP(t, "dev", `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`),
	} {
		want := map[string]string{"rest": "429", "grpc": "RetryInfo", "graphql": `"retryAfterMs":863`, "mcp": `"retryAfterMs":863`}[door]
		if !strings.Contains(got, want) || !strings.Contains(got, "rate limit") || strings.Contains(got, "demo.echo") {
			t.Errorf("%s: %s", door, got)
		}
	}
	// What describes capabilities is a list of them, too.
	if got := r.playREST(t, "dev", "GET /openapi.json"); !strings.HasPrefix(got, "429") {
		t.Errorf("the OpenAPI document: %s", got[:min(len(got), 200)])
	}
	if got := r.playGraphQL(t, "dev", "{__schema{types{name}}}"); !strings.Contains(got, "rate limit") || strings.Contains(got, "DemoEcho") {
		t.Errorf("introspection: %s", got[:min(len(got), 200)])
	}
	if got := r.playREST(t, "dev", "POST /v1/tools/demo.echo:call\n{\"text\":\"hi\"}"); !strings.HasPrefix(got, "200") {
		t.Errorf("a call, which the rule does not count: %s", got)
	}
	if got := r.playREST(t, "admin", "GET /v1/tools"); !strings.HasPrefix(got, "200") {
		t.Errorf("somebody else's list: %s", got)
	}
	seen := map[string]int{}
	poll(t, func() bool {
		clear(seen)
		n := 0
		for rec, err := range audit.Tail(t.Context(), r.config.AuditDir(), 1000, false) {
			if err != nil {
				t.Fatal(err)
			}
			if rec.Code == "RESOURCE_EXHAUSTED" {
				seen[fmt.Sprint(rec.Type, " ", rec.Via, " ", rec.By, " ", rec.Rule, " ", rec.Count)]++
				n++
			}
		}
		return n >= 6
	})
	for door, want := range map[string]int{"rest": 2, "grpc": 1, "graphql": 2, "mcp": 1} {
		if seen["list "+door+" limits looks 0"] != want {
			t.Errorf("records of %s: %v", door, seen)
		}
	}
}

// TestLimitOverrides: an administrator throttles somebody and lets somebody else
// pass, at once, in every door; administration itself is never throttled.
func TestLimitOverrides(t *testing.T) {
	r := start(t, nil, func(cfg *config.Config) {
		cfg.Limits.Rates = []config.RateLimit{{Name: "all", Per: "global", Rate: config.Rate{Calls: 3, Per: 24 * time.Hour}}}
	})
	const call = "POST /v1/tools/demo.add:call\n{\"a\":1,\"b\":2}"
	for _, want := range []string{"200", "200", "200", "429"} {
		if got := r.playREST(t, "dev", call); !strings.HasPrefix(got, want) {
			t.Errorf("a call: %s, want %s", got, want)
		}
	}
	h := http.Header{"Content-Type": {"application/json"}}
	if code, body := r.send(t, "admin", http.MethodPut, "/admin/v1/limits/overrides", h, `{"per":"global","unlimited":true,"ttlSeconds":"60"}`); code != http.StatusOK {
		t.Fatalf("lifting the limit: %d %s", code, body)
	}
	for range 5 {
		if got := r.playGraphQL(t, "dev", `mutation{callTool(name:"demo.add",arguments:{a:1,b:2}){structured}}`); !strings.Contains(got, `"sum":3`) {
			t.Errorf("without a limit: %s", got)
		}
	}
	if code, body := r.send(t, "admin", http.MethodPut, "/admin/v1/limits/overrides", h, `{"per":"tool","key":"demo.add","rate":"1/d","ttlSeconds":"60"}`); code != http.StatusOK {
		t.Fatalf("throttling a tool: %d %s", code, body)
	}
	for _, want := range []string{"OK", "ResourceExhausted"} {
		if got := r.playGRPC(t, "dev", "CallTool\n{\"name\":\"demo.add\",\"argumentsJson\":\"{\\\"a\\\":1,\\\"b\\\":2}\"}"); !strings.HasPrefix(got, want) {
			t.Errorf("a throttled tool: %s, want %s", got, want)
		}
	}
	if got := r.playREST(t, "dev", "POST /v1/tools/demo.echo:call\n{\"text\":\"hi\"}"); !strings.HasPrefix(got, "200") {
		t.Errorf("another tool: %s", got)
	}
	if code, body := r.send(t, "admin", http.MethodDelete, "/admin/v1/limits/overrides?per=global", nil, ""); code != http.StatusOK {
		t.Fatalf("removing: %d %s", code, body)
	}
	if got := r.playREST(t, "dev", "POST /v1/tools/demo.echo:call\n{\"text\":\"hi\"}"); !strings.HasPrefix(got, "429") {
		t.Errorf("after the override is gone: %s", got)
	}
	if code, _ := r.send(t, "dev", http.MethodGet, "/admin/v1/limits", nil, ""); code != http.StatusForbidden {
		t.Errorf("limits shown to a developer: %d", code)
	}
	next := *r.config
	next.Limits.Rates = nil
	if err := r.Reload(t.Context(), &next); err != nil {
		t.Fatal(err)
	}
	if got := r.playREST(t, "dev", "POST /v1/tools/demo.echo:call\n{\"text\":\"hi\"}"); !strings.HasPrefix(got, "200") {
		t.Errorf("after a reload without rules: %s", got)
	}
}

// TestMeasuredLimits: what exceeds a limit of GraphQL that is only measured is
// counted where an administrator sees it.
func TestMeasuredLimits(t *testing.T) {
	r := start(t, nil, func(cfg *config.Config) { cfg.GraphQL.Limits.Measure = []string{"aliases"} })
	for range 2 {
		if got := r.playGraphQL(t, "dev", "{viewer{"+strings.Repeat("a:id ", 51)+"}}"); !strings.Contains(got, `"a":`) {
			t.Fatal(got)
		}
	}
	poll(t, func() bool {
		return strings.Contains(r.playREST(t, "admin", "GET /admin/v1/traffic?seconds=300"), `"exceeded":[{"limit":"aliases","count":2}]`)
	})
}
