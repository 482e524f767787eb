package server_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc/metadata"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/server"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// An exchange is an MCP server with a tool that says on whose behalf it is
// called, and its authorization server, which issues tokens for callers.
type exchange struct {
	*httptest.Server

	mu        sync.Mutex
	seen      []string // Authorization headers at the MCP server
	revoked   []string // tokens that are not used any more
	exchanged int      // tokens that were issued for callers' tokens
}

func newExchange(t *testing.T) *exchange {
	t.Helper()
	var tools gateway.Funcs
	if err := gateway.AddTool(&tools, "whoami", "Says who calls.", func(_ context.Context, c *gateway.Call, _ struct{}) (string, error) {
		return "I am " + c.Principal.Subject, nil
	}); err != nil {
		t.Fatal(err)
	}
	registry, followed := new(gateway.Registry), make(chan error, 16)
	go registry.Follow(t.Context(), "who", &tools, gateway.Options{}, func(err error) { followed <- err })
	if err := <-followed; err != nil {
		t.Fatal(err)
	}
	road, err := gateway.New(registry, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	front := mcp.NewFrontend(road, mcp.FrontendOptions{})
	e := &exchange{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/", func(w http.ResponseWriter, r *http.Request) {
		self := "http://" + r.Host
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"resource": self + "/mcp", "authorization_servers": []string{self}, "issuer": self, "token_endpoint": self + "/token",
			"authorization_endpoint": self + "/authorize", "revocation_endpoint": self + "/revoke", "code_challenge_methods_supported": []string{"S256"},
		})
	})
	mux.HandleFunc("POST /token", e.token)
	mux.HandleFunc("POST /revoke", func(w http.ResponseWriter, r *http.Request) {
		if id, secret, ok := r.BasicAuth(); !ok || id != "gateway" || secret != "s3cr3t" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.revoked = append(e.revoked, r.FormValue("token"))
	})
	mux.HandleFunc("/mcp", func(w http.ResponseWriter, r *http.Request) {
		header := r.Header.Get("Authorization")
		e.mu.Lock()
		e.seen = append(e.seen, header)
		e.mu.Unlock()
		who, ok := strings.CutPrefix(header, "Bearer for-")
		if !ok {
			w.Header().Set("WWW-Authenticate", `Bearer`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		p := &gateway.Principal{ID: who, Subject: who}
		front.ServeHTTP(w, r.WithContext(auth.With(r.Context(), p)))
	})
	e.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		e.CloseClientConnections()
		e.Close()
		if err := front.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// token issues tokens to the gateway, and for the tokens of callers; not for
// those of "user".
func (e *exchange) token(w http.ResponseWriter, r *http.Request) {
	reply := func(status int, v map[string]any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	if id, secret, ok := r.BasicAuth(); !ok || id != "gateway" || secret != "s3cr3t" {
		reply(401, map[string]any{"error": "invalid_client"})
		return
	}
	if r.FormValue("grant_type") == "client_credentials" {
		reply(200, map[string]any{"access_token": "for-gateway", "token_type": "Bearer", "expires_in": 60})
		return
	}
	if r.FormValue("grant_type") == "authorization_code" {
		asked, who, ok := readCode(r)
		if !ok || asked.Get("client_id") != "gateway" {
			reply(400, map[string]any{"error": "invalid_grant"})
			return
		}
		reply(200, map[string]any{"access_token": "for-" + who, "token_type": "Bearer", "expires_in": 60, "refresh_token": "refresh-" + who})
		return
	}
	e.mu.Lock()
	e.exchanged++
	e.mu.Unlock()
	var claims struct{ Sub string }
	parts := strings.Split(r.FormValue("subject_token"), ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[min(1, len(parts)-1)])
	if err != nil || json.Unmarshal(payload, &claims) != nil || claims.Sub == "guest" {
		reply(400, map[string]any{"error": "invalid_grant"})
		return
	}
	reply(200, map[string]any{
		"access_token": "for-" + claims.Sub, "token_type": "Bearer", "expires_in": 60,
		"issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
	})
}

// TestTokenExchange calls a tool through every door, for several callers: each is
// known to the upstream as who they are, by a token that is exchanged once for
// each of their credentials, and no token of theirs reaches the upstream or the
// log.
func TestTokenExchange(t *testing.T) {
	for _, era := range []string{"modern", "legacy"} {
		t.Run(era, func(t *testing.T) { testTokenExchange(t, era) })
	}
}

func testTokenExchange(t *testing.T, era string) {
	e := newExchange(t)
	log := &lockedBuffer{}
	edit := withPolicy(t, "p, authenticated, *, **, *, allow\n")
	r := startWith(t, server.Options{
		Dev: &server.Dev{}, LookEnv: func(name string) (string, bool) { return "s3cr3t", name == "SECRET" },
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, func(cfg *config.Config) {
		edit(cfg)
		cfg.Auth.APIKeys = &config.APIKeys{MaxLife: time.Hour}
	})
	next := *r.config
	next.Sources = []config.Source{{Name: "who", Prefix: true, MCP: &config.MCP{
		URL: e.URL + "/mcp", Timeout: 30 * time.Second, Era: era, Sessions: "shared", MaxSessions: 8, Idle: time.Minute,
		AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		OAuth: &config.OAuth{
			ClientID: "gateway", ClientSecret: "${env:SECRET}", Issuer: e.URL,
			TokenExchange: &config.TokenExchange{Issuers: []string{r.URL() + "/dev/issuer"}},
		},
	}}}
	if err := r.Reload(t.Context(), &next); err != nil {
		t.Fatal(err)
	}
	tokens := map[string]string{}
	for _, persona := range server.Personas() {
		tokens[persona] = r.token(t, persona)
	}
	key, err := os.ReadFile(filepath.Join(r.config.Data, "first-api-key"))
	if err != nil {
		t.Fatal(err)
	}
	tokens["key"] = strings.TrimSpace(string(key))
	poll(t, func() bool {
		_, answer := r.with(t, tokens["dev"], "/v1/tools", "")
		return strings.Contains(answer, "who.whoami")
	})
	const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	doors := map[string]func(token string) string{
		"mcp": func(token string) string {
			_, answer := r.with(t, token, "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"who.whoami","arguments":{},`+meta+`}}`)
			return answer
		},
		"rest": func(token string) string {
			_, answer := r.with(t, token, "/v1/tools/who.whoami:call", `{}`)
			return answer
		},
		"graphql": func(token string) string {
			_, answer := r.with(t, token, "/graphql", `{"query":"mutation { callTool(name: \"who.whoami\") { raw } }"}`)
			return answer
		},
		"socket": func(token string) string { return r.whoSocket(t, token) },
		"grpc": func(token string) string {
			ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
			res, err := gatewayv1.NewGatewayServiceClient(r.grpc).CallTool(ctx, &gatewayv1.CallToolRequest{Name: "who.whoami"})
			return fmt.Sprint(res, err)
		},
	}
	wants := map[string]string{
		"admin": "I am admin", "dev": "I am dev", "guest": "issues no token for this caller", "key": "this call came without one",
	}
	var calls sync.WaitGroup
	for who, want := range wants {
		for door, call := range doors {
			calls.Go(func() {
				if answer := call(tokens[who]); !strings.Contains(answer, want) {
					t.Errorf("%s through %s: %s, want %q in it", who, door, answer, want)
				}
			})
		}
	}
	calls.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.exchanged != 3 {
		t.Errorf("%d tokens were exchanged, want one for each of three", e.exchanged)
	}
	for who, token := range tokens {
		for _, header := range e.seen {
			if strings.Contains(header, token) {
				t.Errorf("the upstream saw the token of %s", who)
			}
		}
		if strings.Contains(log.String(), token) || strings.Contains(log.String(), "for-"+who) {
			t.Errorf("the log shows a token of %s", who)
		}
	}
}

// with sends a request with a token: a body by POST, none by GET.
func (r *rig) with(t *testing.T, token, path, body string) (int, string) {
	t.Helper()
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	return r.send(t, "", method, path, http.Header{
		"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
		"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {"who.whoami"},
	}, body)
}

// whoSocket calls the tool over a GraphQL socket that is opened with a token of
// its own. The handshake is an admin's: whose the operations are is said later.
func (r *rig) whoSocket(t *testing.T, token string) string {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, res, err := websocket.Dial(ctx, r.URL()+"/graphql", &websocket.DialOptions{
		Subprotocols: []string{"graphql-transport-ws"}, HTTPHeader: http.Header{"Authorization": {"Bearer " + r.token(t, "admin")}},
	})
	if err != nil {
		return err.Error()
	}
	if res.Body != nil {
		_ = res.Body.Close()
	}
	defer c.CloseNow()
	for _, m := range []string{
		`{"type":"connection_init","payload":{"Authorization":"Bearer ` + token + `"}}`,
		`{"id":"1","type":"subscribe","payload":{"query":"mutation { callTool(name: \"who.whoami\") { raw } }"}}`,
	} {
		if err := c.Write(ctx, websocket.MessageText, []byte(m)); err != nil {
			return err.Error()
		}
	}
	for {
		_, m, err := c.Read(ctx)
		if err != nil {
			return err.Error()
		}
		if !strings.Contains(string(m), "connection_ack") {
			return string(m)
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
