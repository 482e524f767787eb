package server_test

import (
	"encoding/json"
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
				Name: "mirror", URL: behind.URL() + "/mcp", Era: era, Timeout: 30 * time.Second,
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
			for _, body := range []string{
				`"tools/call","params":{"name":"PREFIXdemo.add","arguments":{"a":1,"b":2}`,
				`"tools/call","params":{"name":"PREFIXlab.raw","arguments":{"n":9007199254740993}`,
				`"tools/call","params":{"name":"PREFIXdemo.count","arguments":{"to":0}`,
				`"tools/call","params":{"name":"PREFIXdemo.add","arguments":{}`,
				`"resources/read","params":{"uri":"lab://notes"`,
				`"resources/read","params":{"uri":"lab://nothing"`,
				`"prompts/get","params":{"name":"PREFIXdemo.greet","arguments":{"name":"Ada"}`,
			} {
				ask := func(r *rig, prefix string) string {
					_, answer := r.mcp(t, "admin", `{"jsonrpc":"2.0","id":1,"method":`+strings.Replace(body, "PREFIX", prefix, 1)+
						`,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`)
					return answer
				}
				if diff := cmp.Diff(ask(behind, ""), ask(front, "mirror.")); diff != "" {
					t.Errorf("%s (-behind +front):\n%s", body, diff)
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
