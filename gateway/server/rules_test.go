package server_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/server"
)

const listModern = `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`

func modernHeaders(method string) []string {
	return []string{"MCP-Protocol-Version", "2026-07-28", "Mcp-Method", method}
}

// TestRulesOfTheResourceServer goes through what MCP's authorization asks of a
// server (2026-07-28, Authorization and Security Best Practices). What it asks
// of the states and sessions of requests is in the attacks.
func TestRulesOfTheResourceServer(t *testing.T) {
	r, key := startScoped(t)
	good := key("mcp:tools.call", "mcp:echo")
	wellKnown := r.URL() + "/.well-known/oauth-protected-resource"

	t.Run("metadata names the issuer, at both addresses", func(t *testing.T) {
		for path, resource := range map[string]string{"": r.URL(), "/mcp": r.URL() + "/mcp", "/mcp/some": r.URL() + "/mcp/some", "/graphql": r.URL() + "/graphql"} {
			var m struct {
				Resource string   `json:"resource"`
				Servers  []string `json:"authorization_servers"`
			}
			code, body := r.send(t, "", http.MethodGet, "/.well-known/oauth-protected-resource"+path, nil, "")
			if json.Unmarshal([]byte(body), &m) != nil || code != 200 || m.Resource != resource || !slices.Equal(m.Servers, []string{r.URL() + "/dev/issuer"}) {
				t.Errorf("%s: %d %s", path, code, body)
			}
		}
	})
	t.Run("a refusal says where it is, whatever the Host header", func(t *testing.T) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL()+"/mcp", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "localhost:1"
		code, h, _ := roundTrip(t, req)
		if want := `Bearer resource_metadata="` + wellKnown + `/mcp", scope="mcp:tools.call"`; code != 401 || h.Get("WWW-Authenticate") != want {
			t.Errorf("%d %s", code, h.Get("WWW-Authenticate"))
		}
	})
	t.Run("401, 403 and 400", func(t *testing.T) {
		for _, c := range []struct {
			key    string
			second string
			code   int
		}{{good, "", 200}, {"wrong", "", 401}, {r.token(t, "late"), "", 401}, {r.token(t, "elsewhere"), "", 401}, {good, good, 400}} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL()+"/mcp", strings.NewReader(listModern))
			if err != nil {
				t.Fatal(err)
			}
			h := append(modernHeaders("tools/list"), "Content-Type", "application/json", "Accept", "application/json, text/event-stream")
			for i := 0; i < len(h); i += 2 {
				req.Header.Set(h[i], h[i+1])
			}
			req.Header.Set("Authorization", "Bearer "+c.key)
			if c.second != "" {
				req.Header.Add("Authorization", "Bearer "+c.second)
			}
			if code, _, body := roundTrip(t, req); code != c.code {
				t.Errorf("%.10s: %d, want %d: %s", c.key, code, c.code, body)
			}
		}
	})
	t.Run("a token in the query is none", func(t *testing.T) {
		for _, path := range []string{"/mcp", "/sse", "/graphql", "/v1/tools", "/mcp/some"} {
			if code, _ := r.send(t, "", http.MethodGet, path+"?access_token="+good+"&token="+good, nil, ""); code != 401 {
				t.Errorf("%s: %d", path, code)
			}
		}
	})
	t.Run("every request is checked, in a session too", func(t *testing.T) {
		_, h, _ := r.post(t, "/mcp", good, initialize)
		id := h.Get("Mcp-Session-Id")
		if code, _, body := r.post(t, "/mcp", good, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, "Mcp-Session-Id", id); code != 200 {
			t.Fatalf("%d %s", code, body)
		}
		for who, want := range map[string]int{"wrong": 401, key("mcp:tools.call"): 404} {
			if code, _, body := r.post(t, "/mcp", who, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, "Mcp-Session-Id", id); code != want {
				t.Errorf("%d, want %d: %s", code, want, body)
			}
		}
	})
	t.Run("origins, with every method", func(t *testing.T) {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"} {
			for _, path := range []string{"/mcp", "/mcp/some", "/sse", "/messages", "/graphql", "/v1/tools", "/livez", "/nothing"} {
				h := http.Header{"Origin": {"https://evil.example"}, "Authorization": {"Bearer " + good}}
				if code, body := r.send(t, "", method, path, h, ""); code != 403 {
					t.Errorf("%s %s: %d %s", method, path, code, body)
				}
			}
		}
		if cfg := config.Default(); !loopback(t, cfg.Listen.HTTP) || !loopback(t, cfg.Listen.GRPC) {
			t.Error("by default the gateway does not listen on loopback")
		}
	})
	t.Run("headers that do not match the body", func(t *testing.T) {
		code, _, body := r.post(t, "/mcp", good, listModern, modernHeaders("tools/call")...)
		if code != 400 || !strings.Contains(body, `-32020`) {
			t.Errorf("%d %s", code, body)
		}
	})
	t.Run("lists are private", func(t *testing.T) {
		_, h, body := r.post(t, "/mcp", good, listModern, modernHeaders("tools/list")...)
		if !strings.Contains(body, `"cacheScope":"private"`) || !strings.Contains(h.Get("Cache-Control"), "no-store") {
			t.Errorf("%v %s", h, body)
		}
	})
	t.Run("arguments are checked", func(t *testing.T) {
		if code, _, body := r.post(t, "/v1/tools/demo.add:call", good, `{"a":"x","b":2}`); code != 400 {
			t.Errorf("%d %s", code, body)
		}
	})
	t.Run("stdio needs no token", func(t *testing.T) {
		if p := server.StdioPrincipal(config.Default()); p.ID != "config|user|local" || p.Scopes != nil {
			t.Errorf("%+v", p)
		}
	})
}

func loopback(t *testing.T, addr string) bool {
	t.Helper()
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// TestNothingOfTheCallerGoesUpstream records what a source gets of calls whose
// callers bring credentials of every kind.
func TestNothingOfTheCallerGoesUpstream(t *testing.T) {
	behind := start(t, nil, withPolicy(t, "p, role:dev, *, tool/demo/*, call, allow\n"))
	target, err := url.Parse(behind.URL())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var seen bytes.Buffer
	var tokens []string
	proxy := httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target) }}
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		mu.Lock()
		_ = r.Header.Write(&seen)
		seen.WriteString(r.URL.String())
		seen.Write(body)
		tokens = append(tokens, r.Header["Authorization"]...)
		mu.Unlock()
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(between.Close) // After the gateway that has streams open through it.

	own := behind.token(t, "dev")
	edit := withPolicy(t, "p, authenticated, *, tool/behind/*, call, allow\n")
	front := startWith(t, server.Options{Dev: &server.Dev{}, LookEnv: func(name string) (string, bool) { return own, name == "TOKEN" }}, func(cfg *config.Config) {
		edit(cfg)
		cfg.Limits.CallTimeout = time.Minute
		cfg.Auth.APIKeys = &config.APIKeys{Header: "X-API-Key", MaxLife: time.Hour}
		cfg.Sources = []config.Source{{Name: "behind", Prefix: true, MCP: &config.MCP{
			URL: between.URL + "/mcp", Timeout: 30 * time.Second, Era: "auto", Headers: map[string]config.Secret{"Authorization": "Bearer ${env:TOKEN}"},
			AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		}}}
	})
	text, _, err := server.Keys(front.Server).Create(t.Context(), auth.NewKey{Label: "test", Expires: time.Now().Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{"c00kie", "pr00f", "pr0xy", "1.2.3.4"}
	for _, credential := range [][2]string{{"Authorization", "Bearer " + front.token(t, "dev")}, {"X-API-Key", text}, {"Authorization", "Bearer " + text}} {
		h := http.Header{
			"Cookie": {"a=c00kie"}, "Dpop": {"pr00f"}, "Proxy-Authorization": {"pr0xy"}, "X-Forwarded-For": {"1.2.3.4"}, "Forwarded": {"for=1.2.3.4"},
			"Content-Type": {"application/json"},
		}
		h.Set(credential[0], credential[1])
		secrets = append(secrets, strings.TrimPrefix(credential[1], "Bearer "))
		if code, body := front.send(t, "", http.MethodPost, "/v1/tools/behind.demo.add:call", h, `{"a":1,"b":2}`); code != 200 {
			t.Fatalf("%d %s", code, body)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(tokens) < 3 || slices.ContainsFunc(tokens, func(s string) bool { return s != "Bearer "+own }) {
		t.Errorf("the source got the tokens %q", tokens)
	}
	for _, s := range secrets {
		if strings.Contains(seen.String(), s) {
			t.Errorf("the source got %.20q", s)
		}
	}
}
