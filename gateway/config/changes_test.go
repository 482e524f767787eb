package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway/config"
)

func TestChanges(t *testing.T) {
	const base = `
listen: {allowed_origins: ["https://a.example.com"]}
sources:
  - {name: a, mcp: {url: "https://a.example.com", headers: {X-A: one}, allow_private: [10.0.0.0/8]}}
  - {name: b, demo: true}
`
	for _, c := range []struct {
		name, old, updated string
		want               []string
	}{
		{"nothing", base, "# Only a comment.\n" + base, nil},
		{"order of sources", "sources: [{name: a, demo: true}, {name: b, demo: true}]", "sources: [{name: b, demo: true}, {name: a, demo: true}]", nil},
		{"same size in other units", "limits: {body_bytes: 1MiB}", "limits: {body_bytes: 1024KiB}", nil},
		{"static", "", "listen: {http: \"127.0.0.1:1\"}\ndata: /d\nlimits: {body_bytes: 4MiB, call_timeout: 2m}", []string{
			"listen.http: 127.0.0.1:8080 → 127.0.0.1:1 (needs a restart)",
			"data: /etc/trilith/data → /d (needs a restart)",
			"limits.body_bytes: 1MiB → 4MiB (needs a restart)",
			"limits.call_timeout: 1m0s → 2m0s (needs a restart)",
		}},
		{"hot and static side by side", "", "policy: {file: p.csv}\nlog: {level: debug}", []string{
			"policy.file: nothing → /etc/trilith/p.csv", "log.level: info → debug (needs a restart)",
		}},
		{"mapping added", "", "auth: {anonymous: {roles: [guest]}}", []string{"auth.anonymous: nothing → … (needs a restart)"}},
		{"list", base, strings.Replace(base, `["https://a.example.com"]`, `["https://a.example.com", "https://b.example.com"]`, 1), []string{
			"listen.allowed_origins: [https://a.example.com] → [https://a.example.com, https://b.example.com] (needs a restart)",
		}},
		{"secret", base, strings.Replace(base, "X-A: one", "X-A: two", 1), []string{
			"sources[a].mcp.headers: map[X-A:…] → map[X-A:…]",
		}},
		{"sources", base, "listen: {allowed_origins: [\"https://a.example.com\"]}\nsources: [{name: c, demo: true}, {name: b, demo: true, prefix: false}]", []string{
			"sources[a]: … → nothing", "sources[b].prefix: true → false", "sources[c]: nothing → …",
		}},
		{"text", base, strings.Replace(base, "10.0.0.0/8", "10.1.0.0/16", 1), []string{
			"sources[a].mcp.allow_private: [10.0.0.0/8] → [10.1.0.0/16]",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, change := range config.Changes(parse(t, c.old), parse(t, c.updated)) {
				got = append(got, change.String())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}
