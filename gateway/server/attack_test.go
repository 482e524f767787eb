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

// TestAttackDowngrade makes a call that policy forbids in every revision and
// over every transport, with headers that say what it is, that say something
// else, and without: policy is asked about what is executed, below them all.
func TestAttackDowngrade(t *testing.T) {
	r := start(t, nil, func(cfg *config.Config) {
		cfg.Toolsets = []config.Toolset{{Name: "all", Tools: []string{"**"}}}
	})
	over := func(path, session, revision, body string, more ...string) string {
		h := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
		for name, value := range map[string]string{"Mcp-Session-Id": session, "MCP-Protocol-Version": revision} {
			if value != "" {
				h.Set(name, value)
			}
		}
		for i := 0; i < len(more); i += 2 {
			h.Set(more[i], more[i+1])
		}
		_, answer := r.send(t, "guest", http.MethodPost, path, h, body)
		return answer
	}
	stateless := strings.Replace(forbidden, `"arguments"`, modernMeta+`,"arguments"`, 1)
	reached := 0 // attempts that policy has to refuse, as they are well-formed
	refused := func(what, answer string) {
		t.Helper()
		reached++
		if strings.Contains(answer, `"sum"`) || !strings.Contains(answer, `-32602`) || !strings.Contains(answer, `no tool named`) {
			t.Errorf("%s: %s", what, answer)
		}
	}
	malformed := func(what, answer, code string) {
		t.Helper()
		if strings.Contains(answer, `"sum"`) || !strings.Contains(answer, code) {
			t.Errorf("%s: %s, want %s", what, answer, code)
		}
	}

	for _, path := range []string{"/mcp", "/mcp/all"} {
		refused("2026-07-28", over(path, "", "2026-07-28", stateless, "Mcp-Method", "tools/call", "Mcp-Name", "demo.add"))
		malformed("2026-07-28 without Mcp-Method", over(path, "", "2026-07-28", stateless), "-32020")
		malformed("2026-07-28 with another Mcp-Method", over(path, "", "2026-07-28", stateless, "Mcp-Method", "tools/list", "Mcp-Name", "demo.add"), "-32020")
		malformed("2026-07-28 with another Mcp-Name", over(path, "", "2026-07-28", stateless, "Mcp-Method", "tools/call", "Mcp-Name", "demo.echo"), "-32020")
		malformed("2026-07-28 in the body alone", over(path, "", "", stateless), "-32020")
		malformed("2026-07-28 in the header alone", over(path, "", "2026-07-28", forbidden, "Mcp-Method", "tools/call", "Mcp-Name", "demo.add"), "-32602")
		malformed("an older header", over(path, "", "2025-06-18", stateless), "-32")
		malformed("no session", over(path, "", "2025-03-26", forbidden), "-32600")
		for _, revision := range []string{"2025-11-25", "2025-06-18", "2025-03-26"} {
			session := r.begin(t, path, "guest", revision)
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
		session := r.begin(t, path, "guest", "2025-03-26")
		refused("batch", over(path, session, "2025-03-26", `[{"jsonrpc":"2.0","id":6,"method":"tools/list"},`+forbidden+`]`))
		refused("batch, behind what is permitted", over(path, session, "2025-03-26",
			`[`+strings.NewReplacer("demo.add", "demo.echo", `"a":1,"b":2`, `"text":"x"`, `"id":7`, `"id":6`).Replace(forbidden)+`,`+forbidden+`]`, "Mcp-Method", "tools/list"))
	}

	stream := r.openSSE(t, "guest")
	stream.post(t, beginning("2024-11-05"))
	stream.until(t, `"protocolVersion":"2024-11-05"`)
	stream.post(t, forbidden)
	refused("2024-11-05 over HTTP+SSE", stream.until(t, `"id":7`))

	refused("2025-11-25 over a WebSocket", r.overMCPSocket(t, "guest", beginning("2025-11-25"), forbidden))
	refused("2026-07-28 over a WebSocket", r.overMCPSocket(t, "guest", stateless))
	malformed("no session over a WebSocket", r.overMCPSocket(t, "guest", forbidden), "-32")

	refusals := 0
	for _, record := range r.records(t, reached) {
		if record.Object == "tool/demo/add" {
			if record.Code != "NOT_FOUND" || record.By != "policy" {
				t.Errorf("a record of %s by %s: %+v", record.Code, record.By, record)
			}
			refusals++
		}
	}
	if refusals < reached {
		t.Errorf("%d records of refusals by policy, want %d", refusals, reached)
	}
}

// begin opens a session and returns its id.
func (r *rig) begin(t *testing.T, path, persona, revision string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL()+path, strings.NewReader(beginning(revision)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Authorization": {"Bearer " + r.token(t, persona)},
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
	return res.Header.Get("Mcp-Session-Id")
}

// An sseSession is one of the transport of 2024-11-05.
type sseSession struct {
	r        *rig
	persona  string
	endpoint string
	data     chan string
}

func (r *rig) openSSE(t *testing.T, persona string) *sseSession {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL()+"/sse", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.token(t, persona))
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	s := &sseSession{r: r, persona: persona, data: make(chan string, 64)}
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
	if code, answer := s.r.send(t, s.persona, http.MethodPost, s.endpoint, jsonHeader(), body); code != http.StatusAccepted {
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
func (r *rig) overMCPSocket(t *testing.T, persona string, messages ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, _, err := websocket.Dial(ctx, r.URL()+"/mcp", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + r.token(t, persona)}}})
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
			"/", "/livez", "/readyz", "/mcp", "/sse", "/messages", "/mcp/all", "/mcp/none", "/graphql", "/graphql/ui/", "/v1/tools", "/v1/resources",
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
