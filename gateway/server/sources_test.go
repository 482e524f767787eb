package server_test

import (
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/auth/issuer"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/server"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

const everything = "p, role:admin, *, **, *, allow\n"

// behind returns the configuration of a source that is another gateway, with
// the credentials of its administrator.
func behind(t *testing.T, r *rig) (*config.MCP, server.Options) {
	t.Helper()
	url := r.URL() + "/dev/issuer"
	is, err := issuer.Open(issuer.Options{URL: url, KeyFile: filepath.Join(r.config.Data, "dev-issuer.pem"), Existing: true})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := is.Secret("admin")
	if err != nil {
		t.Fatal(err)
	}
	return &config.MCP{
			URL: r.URL() + "/mcp", Timeout: 30 * time.Second, Era: "auto", Sessions: "shared", MaxSessions: 64, Idle: time.Hour,
			AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
			OAuth:        &config.OAuth{ClientID: "admin", ClientSecret: "${env:SECRET}", Issuer: url, DPoP: "auto"},
		}, server.Options{Dev: &server.Dev{}, LookEnv: func(name string) (string, bool) {
			return secret, name == "SECRET"
		}}
}

// TestSourceSessions has sessions with a legacy source as the configuration
// says, and counts them.
func TestSourceSessions(t *testing.T) {
	back := start(t, map[string]gateway.Upstream{"lab": lab(t)}, withPolicy(t, everything))
	mcpSource, o := behind(t, back)
	mcpSource.Era, mcpSource.Sessions, mcpSource.MinSessions = "legacy", "principal", 2
	policy := withPolicy(t, everything+"p, role:dev, *, **, *, allow\n")
	front := startWith(t, o, func(cfg *config.Config) {
		policy(cfg)
		cfg.Sources = []config.Source{{Name: "tools", Prefix: true, Demo: true}, {Name: "behind", MCP: mcpSource}}
	})
	sessions := func() (s mcp.UpstreamStats) {
		for _, source := range front.Sources() {
			if source.Name == "behind" && source.Sessions != nil {
				s = *source.Sessions
			}
		}
		return s
	}
	poll(t, func() bool { return sessions() == mcp.UpstreamStats{Open: 3, Spare: 2, Opened: 3} })
	for _, persona := range []string{"admin", "dev", "admin"} {
		front.mcp(t, persona, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"demo.add","arguments":{"a":1,"b":2},`+
			`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`)
	}
	if diff := cmp.Diff(mcp.UpstreamStats{Open: 3, Idle: 2, Opened: 3}, sessions()); diff != "" {
		t.Errorf("sessions (-want +got):\n%s", diff)
	}
	var names []string
	for _, s := range front.Sources() {
		names = append(names, s.Name)
	}
	if diff := cmp.Diff([]string{"behind", "tools"}, names); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}

	back.stop()
	poll(t, func() bool {
		s := sessions()
		return s.Lost > 0 && s.Failed > 0 && slices.ContainsFunc(front.Sources(), func(s server.SourceStatus) bool { return s.Name == "behind" && s.Err != nil })
	})
}

// TestSourceTags has the tags of a source at everything that it offers.
func TestSourceTags(t *testing.T) {
	back := start(t, map[string]gateway.Upstream{"lab": lab(t)}, withPolicy(t, everything))
	mcpSource, o := behind(t, back)
	policy := withPolicy(t, everything)
	front := startWith(t, o, func(cfg *config.Config) {
		policy(cfg)
		cfg.Sources = append(cfg.Sources, config.Source{Name: "behind", Prefix: true, Tags: []string{"oncall", "eu"}, MCP: mcpSource})
	})
	tagged := 0
	var snap *gateway.Snapshot
	poll(t, func() bool {
		snap = front.Gateway().View(&gateway.Principal{ID: "somebody", Roles: []string{"admin"}})
		return slices.ContainsFunc(snap.Tools, func(tool *gateway.Tool) bool { return tool.Source == "behind" })
	})
	check := func(c *gateway.Capability) {
		want := []string(nil)
		if c.Source == "behind" {
			want = []string{"oncall", "eu"}
			tagged++
		}
		if diff := cmp.Diff(want, c.Tags); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.Name, diff)
		}
	}
	for _, tool := range snap.Tools {
		check(&tool.Capability)
	}
	for _, p := range snap.Prompts {
		check(&p.Capability)
	}
	for _, r := range snap.Resources {
		check(&r.Capability)
	}
	if tagged == 0 {
		t.Error("the source offers nothing")
	}
}
