package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/gateway/config"
)

const (
	modernMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	// forbidden is a call that a guest may not make.
	forbidden = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"demo.add","arguments":{"a":1,"b":2}}}`
)

// beginning begins a session of a revision.
func beginning(revision string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"` + revision + `","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`
}

// TestAttackDowngrade makes a call that is forbidden in every revision and over
// every transport, with headers that say what it is, that say something else,
// and without: what decides is asked about what is executed, below them all.
func TestAttackDowngrade(t *testing.T) {
	t.Run("policy", func(t *testing.T) {
		r := start(t, nil, func(cfg *config.Config) { cfg.Toolsets = []config.Toolset{{Name: "some", Tools: []string{"**"}}} })
		reached := r.downgrade(t, r.token(t, "guest"), func(answer string) bool {
			return strings.Contains(answer, `-32602`) && strings.Contains(answer, `no tool named`)
		})
		refusals := 0
		for _, record := range r.records(t, reached) {
			if record.Object != "tool/demo/add" {
				continue
			}
			if refusals++; record.Code != "NOT_FOUND" || record.By != "policy" {
				t.Errorf("a record of %s by %s: %+v", record.Code, record.By, record)
			}
		}
		if refusals < reached {
			t.Errorf("%d records of refusals by policy, want %d", refusals, reached)
		}
	})
	t.Run("scopes", func(t *testing.T) {
		r, key := startScoped(t)
		r.downgrade(t, key("mcp:echo"), func(answer string) bool { return strings.Contains(answer, `"scopes":"mcp:tools.call"`) })
	})
}

// downgrade attacks with a token and returns how often the call came to where
// it is decided. Each time the answer has to be a refusal.
func (r *rig) downgrade(t *testing.T, token string, isRefusal func(answer string) bool) (reached int) {
	t.Helper()
	over := func(path, session, revision, body string, more ...string) string {
		for name, value := range map[string]string{"Mcp-Session-Id": session, "MCP-Protocol-Version": revision} {
			if value != "" {
				more = append(more, name, value)
			}
		}
		_, _, answer := r.post(t, path, token, body, more...)
		return answer
	}
	refused := func(what, answer string) {
		t.Helper()
		if reached++; strings.Contains(answer, `"sum"`) || !isRefusal(answer) {
			t.Errorf("%s: %s", what, answer)
		}
	}
	malformed := func(what, answer, code string) {
		t.Helper()
		if strings.Contains(answer, `"sum"`) || !strings.Contains(answer, code) {
			t.Errorf("%s: %s, want %s", what, answer, code)
		}
	}
	stateless := strings.Replace(forbidden, `"arguments"`, modernMeta+`,"arguments"`, 1)
	for _, path := range []string{"/mcp", "/mcp/some"} {
		refused("2026-07-28", over(path, "", "2026-07-28", stateless, "Mcp-Method", "tools/call", "Mcp-Name", "demo.add"))
		malformed("2026-07-28 without Mcp-Method", over(path, "", "2026-07-28", stateless), "-32020")
		malformed("2026-07-28 with another Mcp-Method", over(path, "", "2026-07-28", stateless, "Mcp-Method", "tools/list", "Mcp-Name", "demo.add"), "-32020")
		malformed("2026-07-28 with another Mcp-Name", over(path, "", "2026-07-28", stateless, "Mcp-Method", "tools/call", "Mcp-Name", "demo.echo"), "-32020")
		malformed("2026-07-28 in the body alone", over(path, "", "", stateless), "-32020")
		malformed("2026-07-28 in the header alone", over(path, "", "2026-07-28", forbidden, "Mcp-Method", "tools/call", "Mcp-Name", "demo.add"), "-32602")
		malformed("an older header", over(path, "", "2025-06-18", stateless), "-32")
		malformed("no session", over(path, "", "2025-03-26", forbidden), "-32600")
		for _, revision := range []string{"2025-11-25", "2025-06-18", "2025-03-26"} {
			session := r.begin(t, path, token, revision)
			refused(revision, over(path, session, revision, forbidden))
			refused(revision+" with Mcp-Method", over(path, session, revision, forbidden, "Mcp-Method", "tools/call", "Mcp-Name", "demo.add"))
			refused(revision+" with another Mcp-Method", over(path, session, revision, forbidden, "Mcp-Method", "tools/list", "Mcp-Name", "demo.echo"))
			for _, header := range []string{"2025-11-25", "2025-06-18", "2025-03-26", ""} {
				// A header that contradicts the session is refused or means nothing.
				if answer := over(path, session, header, forbidden); strings.Contains(answer, `"sum"`) {
					t.Errorf("%s as %q: %s", revision, header, answer)
				}
			}
		}
		session := r.begin(t, path, token, "2025-03-26")
		refused("batch", over(path, session, "2025-03-26", `[{"jsonrpc":"2.0","id":6,"method":"tools/list"},`+forbidden+`]`))
		refused("batch, behind what is permitted", over(path, session, "2025-03-26",
			`[`+strings.NewReplacer("demo.add", "demo.echo", `"a":1,"b":2`, `"text":"x"`, `"id":7`, `"id":6`).Replace(forbidden)+`,`+forbidden+`]`, "Mcp-Method", "tools/list"))
	}

	stream := r.openSSE(t, token)
	stream.post(t, beginning("2024-11-05"))
	stream.until(t, `"protocolVersion":"2024-11-05"`)
	stream.post(t, forbidden)
	refused("2024-11-05 over HTTP+SSE", stream.until(t, `"id":7`))

	refused("2025-11-25 over a WebSocket", r.overMCPSocket(t, token, beginning("2025-11-25"), forbidden))
	refused("2026-07-28 over a WebSocket", r.overMCPSocket(t, token, stateless))
	malformed("no session over a WebSocket", r.overMCPSocket(t, token, forbidden), "-32")
	return reached
}

// begin opens a session and returns its id.
func (r *rig) begin(t *testing.T, path, token, revision string) string {
	t.Helper()
	code, h, answer := r.post(t, path, token, beginning(revision))
	if code != http.StatusOK {
		t.Fatalf("%d %s", code, answer)
	}
	return h.Get("Mcp-Session-Id")
}

// An sseSession is one of the transport of 2024-11-05.
type sseSession struct {
	r               *rig
	token, endpoint string
	data            chan string
}

func (r *rig) openSSE(t *testing.T, token string) *sseSession {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL()+"/sse", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	s := &sseSession{r: r, token: token, data: make(chan string, 64)}
	go func() {
		defer close(s.data)
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				s.data <- data
			}
		}
	}()
	s.endpoint = next(t, s.data)
	return s
}

func (s *sseSession) post(t *testing.T, body string) {
	t.Helper()
	if code, _, answer := s.r.post(t, s.endpoint, s.token, body); code != http.StatusAccepted {
		t.Fatalf("%d %s", code, answer)
	}
}

// until returns the first message with a text in it.
func (s *sseSession) until(t *testing.T, text string) string {
	t.Helper()
	for {
		if data := next(t, s.data); data == "" || strings.Contains(data, text) {
			return data
		}
	}
}

// overMCPSocket sends messages over a WebSocket and returns the answer to the
// last.
func (r *rig) overMCPSocket(t *testing.T, token string, messages ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, _, err := websocket.Dial(ctx, r.URL()+"/mcp", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	var answer []byte
	for _, m := range messages {
		if err := c.Write(ctx, websocket.MessageText, []byte(m)); err != nil {
			t.Fatal(err)
		}
		if _, answer, err = c.Read(ctx); err != nil {
			t.Fatal(err)
		}
	}
	return string(answer)
}

// TestAttackBrowser has a web page of another origin, or one whose name was
// rebound to this machine, come to every route of every door, with a token that
// it should not have.
func TestAttackBrowser(t *testing.T) {
	r := start(t, nil, func(cfg *config.Config) {
		cfg.Toolsets = []config.Toolset{{Name: "all", Tools: []string{"**"}}}
	})
	routes := map[string][]string{
		http.MethodGet: {
			"/", "/livez", "/readyz", "/mcp", "/sse", "/messages", "/mcp/all", "/mcp/none", "/graphql", "/graphql/ui/", "/console/", "/docs/", "/v1/tools", "/v1/resources",
			"/admin/v1/sources", "/openapi.json", "/nothing", "/dev/issuer/.well-known/openid-configuration", "/dev/issuer/keys",
		},
		http.MethodPost: {
			"/mcp", "/mcp/all", "/messages", "/graphql", "/v1/tools/demo.add:call", "/v1:complete", "/nothing", "/dev/issuer/token",
		},
		http.MethodDelete:  {"/mcp", "/mcp/all", "/v1/tools", "/nothing"},
		http.MethodOptions: {"/mcp", "/sse", "/messages", "/mcp/all", "/graphql", "/v1/tools", "/openapi.json", "/dev/issuer/token"},
	}
	attacks := map[string]http.Header{
		"another origin":            {"Origin": {"https://evil.example"}},
		"no origin":                 {"Origin": {"null"}},
		"two origins":               {"Origin": {r.URL(), "https://evil.example"}},
		"an origin that looks like": {"Origin": {r.URL() + ".evil.example"}},
		"an extension":              {"Origin": {"chrome-extension://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}},
		"embedded":                  {"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"no-cors"}},
		"rebound":                   {"Host": {"evil.example"}},
		"rebound, same origin":      {"Host": {"evil.example"}, "Origin": {"http://evil.example"}},
		"rebound to a port":         {"Host": {"evil.example" + r.Addr()[strings.LastIndex(r.Addr(), ":"):]}},
		"preflight":                 {"Origin": {"https://evil.example"}, "Access-Control-Request-Method": {"POST"}},
		"rebound WebSocket":         {"Host": {"evil.example"}, "Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}},
		"WebSocket":                 {"Origin": {"https://evil.example"}, "Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}},
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	send := func(method, path string, h http.Header) (*http.Response, error) {
		req, err := http.NewRequestWithContext(t.Context(), method, r.URL()+path, strings.NewReader(`{}`))
		if err != nil {
			return nil, err
		}
		req.Header = h.Clone()
		req.Host = h.Get("Host")
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+r.token(t, "admin"))
		return client.Do(req)
	}
	for method, paths := range routes {
		for _, path := range paths {
			for name, h := range attacks {
				res, err := send(method, path, h)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				if res.StatusCode != http.StatusForbidden || res.Header.Get("Access-Control-Allow-Origin") != "" {
					t.Errorf("%s: %s %s: %s, shared with %q", name, method, path, res.Status, res.Header.Get("Access-Control-Allow-Origin"))
				}
			}
		}
	}

	// What anybody may read says the same to everybody: nothing in it comes from
	// the request.
	for _, path := range []string{"", "/mcp", "/mcp/all"} {
		var bodies []string
		for _, h := range []http.Header{{}, attacks["rebound"], attacks["another origin"]} {
			res, err := send(http.MethodGet, "/.well-known/oauth-protected-resource"+path, h)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			bodies = append(bodies, string(body))
		}
		if bodies[0] != bodies[1] || bodies[0] != bodies[2] || !strings.Contains(bodies[0], r.URL()) || strings.Contains(fmt.Sprint(bodies), "evil") {
			t.Errorf("metadata %q: %q", path, bodies)
		}
	}

	// The gRPC door, which pages can reach through a proxy for gRPC-Web.
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+r.token(t, "admin"))
	_, err := gatewayv1.NewGatewayServiceClient(r.grpc).ListTools(metadata.AppendToOutgoingContext(ctx, "origin", "https://evil.example"), &gatewayv1.ListToolsRequest{})
	if status.Code(err) != codes.PermissionDenied {
		t.Errorf("gRPC from another origin: %v", err)
	}
	rebound, err := grpc.NewClient(r.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("evil.example"))
	if err != nil {
		t.Fatal(err)
	}
	defer rebound.Close()
	ctx = metadata.AppendToOutgoingContext(ctx, "origin", "http://evil.example") // Its own name is no reason to let it in.
	if _, err := gatewayv1.NewGatewayServiceClient(rebound).ListTools(ctx, &gatewayv1.ListToolsRequest{}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("gRPC through a rebound name: %v", err)
	}
}

// TestSocketOrigins opens WebSockets from the pages of an origin that the
// configuration has in a form that no browser sends.
func TestSocketOrigins(t *testing.T) {
	r := start(t, nil, func(cfg *config.Config) {
		cfg.Listen.AllowedOrigins = []string{"HTTPS://App.example.com:443", "http://[2001:DB8::1]", "https://other.example.com:8443"}
	})
	for origin, ok := range map[string]bool{
		"https://app.example.com": true, "https://APP.example.com:443": true, "http://[2001:db8::1]": true, "http://[::1]:3000": true, "https://other.example.com:8443": true,
		"https://app.example.com:8443": false, "https://other.example.com": false, "https://evil.example": false, "http://app.example.com": false,
	} {
		for path, protocol := range map[string]string{"/graphql": "graphql-transport-ws", "/mcp": "mcp"} {
			c, res, err := websocket.Dial(t.Context(), r.URL()+path, &websocket.DialOptions{
				Subprotocols: []string{protocol}, HTTPHeader: http.Header{"Authorization": {"Bearer " + r.token(t, "dev")}, "Origin": {origin}},
			})
			if (err == nil) != ok || err != nil && (res == nil || res.StatusCode != http.StatusForbidden) {
				t.Errorf("%s at %s: %v", origin, path, err)
			}
			if err == nil {
				_ = c.CloseNow()
			}
		}
	}
}
