package config_test

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/trilith-gateway/trilith/gateway/config"
)

// parse returns a configuration that must be valid.
func parse(t *testing.T, data string) *config.Config {
	t.Helper()
	c, problems := config.Parse("/etc/trilith/gateway.yaml", []byte(data))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return c
}

func TestDefault(t *testing.T) {
	want := &config.Config{
		Listen: config.Listen{HTTP: "127.0.0.1:8080", GRPC: "127.0.0.1:9090"},
		Data:   "data",
		State:  config.State{Replicas: 1},
		Auth:   config.Auth{Stdio: config.Principal{Subject: "local"}},
		Audit: config.Audit{
			SegmentBytes: 64 << 20, RedactArguments: true,
			Modes: config.AuditModes{Call: "wal", Read: "wal", List: "async"},
		},
		Limits: config.Limits{
			BodyBytes: 1 << 20, JSONDepth: 64, JSONTokens: 100_000, CallTimeout: time.Minute,
			SessionsPerPrincipal: 100, StreamsPerPrincipal: 100,
		},
		GraphQL: config.GraphQLDoor{
			Introspection: []string{"*"}, Timeout: 5 * time.Minute, Response: 32 << 20,
			Limits: config.GraphQLLimits{Mode: "enforce", Cost: 20_000}, Documents: config.GraphQLDocuments{Mode: "off"},
		},
		GRPC: config.GRPC{Typed: true, Reflection: "authenticated"},
		Log:  config.Log{Level: slog.LevelInfo, Format: "text"},
	}
	if diff := cmp.Diff(want, config.Default()); diff != "" {
		t.Errorf("Default() (-want +got):\n%s", diff)
	}
}

func TestParse(t *testing.T) {
	guard := config.Guard{
		TrustAnnotations: "auto",
		Retry:            config.Retry{Attempts: 3, Backoff: 100 * time.Millisecond, MaxBackoff: 2 * time.Second, Budget: 20},
		Breaker:          config.Breaker{Enabled: true, Failures: 8, Window: 10, Open: time.Second, MaxOpen: 30 * time.Second},
		Concurrency:      config.Concurrency{Max: 1024, Min: 4, Queue: 1024, Wait: time.Second},
	}
	c := parse(t, `
data: var
auth:
  issuers:
    - {name: corp, issuer: "https://id.example.com", audiences: [a, b], leeway: 1m30s}
  anonymous: {groups: [guests]}
audit: {dir: ../audit, segment_bytes: 2 MiB}
sources:
  - name: web
    pin: require
    mcp:
      url: https://tools.example.com/mcp
      headers: {authorization: "Bearer ${env:TOKEN}", x-key: "${file:key.txt}"}
      allow_private: [10.0.0.0/8]
  - {name: run, prefix: false, mcp: {command: bin/run, args: ["", a]}}
log: {level: debug}
`)
	want := config.Default()
	want.Data = "/etc/trilith/var"
	want.Auth.Issuers = []config.Issuer{{
		Name: "corp", Issuer: "https://id.example.com", Audiences: []string{"a", "b"},
		Algorithms: []string{"RS256", "PS256", "ES256", "EdDSA", "Ed25519"}, Leeway: 90 * time.Second,
		GroupsClaim: "groups", RolesClaim: "roles", TenantClaim: "tenant", RequireScope: true, RequireTyp: true,
	}}
	want.Auth.Anonymous = &config.Principal{Subject: "anonymous", Groups: []string{"guests"}}
	want.Audit.Dir, want.Audit.SegmentBytes = "/etc/audit", 2<<20
	want.Sources = []config.Source{
		{Name: "web", Prefix: true, MaxTools: 2000, Pin: "require", Guard: guard, Balance: config.DefaultBalance(), MCP: &config.MCP{
			URL: "https://tools.example.com/mcp", Timeout: 30 * time.Second, Era: "auto", Sessions: "shared", MaxSessions: 64, Idle: 5 * time.Minute,
			Headers: map[string]config.Secret{
				"Authorization": "Bearer ${env:TOKEN}", "X-Key": "${file:/etc/trilith/key.txt}",
			},
			AllowPrivate: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		}},
		{Name: "run", MaxTools: 2000, Pin: "off", Guard: guard, Balance: config.DefaultBalance(), MCP: &config.MCP{
			Command: "/etc/trilith/bin/run", Args: []string{"", "a"}, Dir: "/etc/trilith",
			Timeout: 30 * time.Second, Era: "auto", Sessions: "shared", MaxSessions: 64, Idle: 5 * time.Minute,
		}},
	}
	want.Log.Level = slog.LevelDebug
	if diff := cmp.Diff(want, c, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
	if got := c.StateDir(); got != "/etc/trilith/var/state" {
		t.Errorf("StateDir() = %s", got)
	}
	if a, b := c.AuditDir(), config.Default().AuditDir(); a != "/etc/audit" || b != "data/audit" {
		t.Errorf("AuditDir() = %s, by default %s", a, b)
	}
}

// TestHugeFiles gives files that are costly to parse without bounds. Each must
// be refused, with few problems.
func TestHugeFiles(t *testing.T) {
	const size = 1 << 20
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	var keys, staircase strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&keys, "key%d: 1\n", i)
	}
	for i := range 1000 {
		fmt.Fprintf(&staircase, "%sa:\n", strings.Repeat(" ", i))
	}
	for name, data := range map[string]string{
		"too long":     fill("# comment\n") + strings.Repeat("#", 100),
		"keys":         keys.String(),
		"same keys":    fill("a: 1\n"),
		"brackets":     fill("["),
		"braces":       fill("{a: "),
		"dashes":       fill("- "),
		"questions":    fill("? "),
		"colons":       fill("a: "),
		"staircase":    staircase.String(),
		"long key":     strings.Repeat("k", size/2) + ":\n" + strings.Repeat(" a: 1\n", 1000),
		"quoted key":   `"` + strings.Repeat("k", size/2) + "\": 1\n",
		"open quote":   `"` + fill("x "),
		"items":        "sources:\n" + strings.Repeat("- a\n", 200_000),
		"unknown item": "sources:\n" + strings.Repeat("- {b: 1}\n", 900),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			c, problems := config.Parse("gateway.yaml", []byte(data))
			if c != nil || len(problems) == 0 || len(problems) > 101 {
				t.Fatalf("%d problems, configuration %v", len(problems), c)
			}
			t.Logf("%s: %s", time.Since(start).Round(time.Millisecond), problems[len(problems)-1])
			for _, p := range problems {
				if len(p.String()) > 500 {
					t.Errorf("a problem of %d bytes", len(p.String()))
				}
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "listen:\n  http: 127.0.0.1:1\n", "sources: [{name: a, demo: true}]", "a: b: c", "- - -", "{[",
		"sources:\n- name: a\n  mcp: {url: 'https://a', headers: {A: '${env:B}'}}\n", "limits: {call_timeout: 3s}",
		"data: |\n  x\n", "\"\\u0000\": 1", "? a\n: b", "&a *a", "!!x y", "%YAML 1.2\n---\n", "a: >-\n", "\t", "\ufeffa: 1",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, problems := config.Parse("gateway.yaml", data)
		if (c == nil) != (len(problems) > 0) {
			t.Fatalf("configuration %v with problems %v", c, problems)
		}
		if c != nil && len(config.Changes(c, c)) != 0 {
			t.Fatal("a configuration differs from itself")
		}
		for _, p := range problems {
			if p.Msg == "" || p.Line < 0 || p.Line > len(data)+1 {
				t.Fatalf("bad problem %+v", p)
			}
		}
	})
}
