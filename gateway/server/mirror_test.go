package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// TestMirrorMCP puts a gateway in front of a gateway, over MCP in both eras:
// whoever asks the one in front sees the same catalog and gets the same
// answers, byte for byte, as from the one behind.
func TestMirrorMCP(t *testing.T) {
	behind := start(t, map[string]gateway.Upstream{"lab": lab(t)}, withPolicy(t, "p, role:admin, *, **, *, allow\n"))
	for _, era := range []string{"modern", "legacy"} {
		t.Run(era, func(t *testing.T) {
			up, err := mcp.NewUpstream(mcp.UpstreamOptions{
				Name: "mirror", URL: behind.URL() + "/mcp", Era: era, Timeout: 5 * time.Second,
				Headers:      http.Header{"Authorization": {"Bearer " + behind.token(t, "admin")}},
				AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
			})
			if err != nil {
				t.Fatal(err)
			}
			edit := withPolicy(t, "p, role:admin, *, **, *, allow\n")
			front := start(t, map[string]gateway.Upstream{"mirror": up}, func(cfg *config.Config) {
				edit(cfg)
				cfg.Sources = nil
			})
			a, b := behind.Gateway().View(admin), front.Gateway().View(admin)
			if diff := cmp.Diff(definitions(a, ""), definitions(b, "mirror.")); diff != "" {
				t.Errorf("catalog (-behind +front):\n%s", diff)
			}
			for _, c := range []gateway.Call{
				{Op: gateway.OpCall, Name: "demo.add", Args: json.RawMessage(`{"a":1,"b":2}`)},
				{Op: gateway.OpCall, Name: "lab.raw", Args: json.RawMessage(`{"n":9007199254740993}`)},
				{Op: gateway.OpCall, Name: "demo.count", Args: json.RawMessage(`{"to":0}`)},
				{Op: gateway.OpCall, Name: "demo.add", Args: json.RawMessage(`{}`)},
				{Op: gateway.OpRead, Name: "lab://notes"},
				{Op: gateway.OpGet, Name: "demo.greet", Args: json.RawMessage(`{"name":"Ada"}`)},
			} {
				far := c
				if c.Op != gateway.OpRead {
					far.Name = "mirror." + c.Name
				}
				if diff := cmp.Diff(outcome(t, behind, c), outcome(t, front, far)); diff != "" {
					t.Errorf("%s %s (-behind +front):\n%s", c.Op, c.Name, diff)
				}
			}
		})
	}
}

var admin = &gateway.Principal{ID: "test|user|admin", Subject: "admin", Kind: "user", Roles: []string{"admin"}}

// definitions returns what a view shows, by name, without a prefix and without
// the name itself, which the prefix has changed.
func definitions(s *gateway.Snapshot, prefix string) map[string]string {
	out := map[string]string{}
	put := func(kind, key string, def json.RawMessage) {
		out[kind+" "+key] = string(def)
	}
	for _, t := range s.Tools {
		put("tool", t.Name[len(prefix):], unprefixed(t.Definition, prefix))
	}
	for _, r := range s.Resources {
		put("resource", r.URI, r.Definition)
	}
	for _, t := range s.Templates {
		put("template", t.URITemplate, t.Definition)
	}
	for _, p := range s.Prompts {
		put("prompt", p.Name[len(prefix):], unprefixed(p.Definition, prefix))
	}
	return out
}

func unprefixed(def json.RawMessage, prefix string) json.RawMessage {
	return json.RawMessage(strings.Replace(string(def), `"name":"`+prefix, `"name":"`, 1))
}

func outcome(t *testing.T, r *rig, c gateway.Call) string {
	t.Helper()
	c.Principal = admin
	c.Via = "mcp"
	res, err := r.Gateway().Do(t.Context(), &c)
	if err != nil {
		return gateway.AsError(err).Code.String()
	}
	return fmt.Sprintf("%s %t", res.Raw, res.IsError)
}
