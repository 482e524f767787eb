package server_test

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/auth/issuer"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/server"
)

// TestSourceOAuth puts a gateway in front of a gateway that wants tokens: the
// configuration holds the credentials, and the one behind says where to use
// them.
func TestSourceOAuth(t *testing.T) {
	behind := start(t, map[string]gateway.Upstream{"lab": lab(t)}, withPolicy(t, "p, role:admin, *, **, *, allow\n"))
	is, err := issuer.Open(issuer.Options{
		URL: behind.URL() + "/dev/issuer", KeyFile: filepath.Join(behind.config.Data, "dev-issuer.pem"), Existing: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	secret, err := is.Secret("admin")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, secret, want string }{
		{"right", secret, `"structuredContent"`},
		{"wrong", "wrong", `"error"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			edit := withPolicy(t, "p, role:admin, *, **, *, allow\n")
			front := startWith(t, server.Options{Dev: &server.Dev{}, LookEnv: func(name string) (string, bool) {
				return c.secret, name == "SECRET"
			}}, func(cfg *config.Config) {
				edit(cfg)
				cfg.Sources = []config.Source{{Name: "behind", Prefix: true, MCP: &config.MCP{
					URL: behind.URL() + "/mcp", Timeout: 30 * time.Second, Era: "auto",
					AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
					OAuth:        &config.OAuth{ClientID: "admin", ClientSecret: "${env:SECRET}", Issuer: behind.URL() + "/dev/issuer"},
				}}}
			})
			_, answer := front.mcp(t, "admin", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"behind.demo.add","arguments":{"a":1,"b":2},`+
				`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`)
			if !strings.Contains(answer, c.want) {
				t.Errorf("the answer is %s, want %s in it", answer, c.want)
			}
		})
	}
}
