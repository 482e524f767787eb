package mcp_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"code.dny.dev/ssrf"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway/gatewaytest"
	"github.com/trilith-gateway/trilith/protocols/egress"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// protect demands a token of those who come to h, and more scope of those who
// call a tool. It is its own authorization server.
func protect(h http.Handler, granted *atomic.Int64) http.Handler {
	mux := http.NewServeMux()
	reply := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("GET /.well-known/oauth-protected-resource", func(w http.ResponseWriter, r *http.Request) {
		self := "http://" + r.Host
		reply(w, map[string]any{"resource": self + "/mcp", "authorization_servers": []string{self}})
	})
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", func(w http.ResponseWriter, r *http.Request) {
		self := "http://" + r.Host
		reply(w, map[string]any{"issuer": self, "token_endpoint": self + "/token"})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		if id, secret, ok := r.BasicAuth(); !ok || id != "gateway" || secret != "s3cr3t" || r.FormValue("resource") != "http://"+r.Host+"/mcp" {
			w.WriteHeader(http.StatusUnauthorized)
			reply(w, map[string]any{"error": "invalid_client"})
			return
		}
		granted.Add(1)
		reply(w, map[string]any{"access_token": "t." + strings.ReplaceAll(r.FormValue("scope"), " ", "."), "token_type": "Bearer", "expires_in": 60})
	})
	mux.HandleFunc("/mcp", func(w http.ResponseWriter, r *http.Request) {
		challenge := fmt.Sprintf(`Bearer resource_metadata="http://%s/.well-known/oauth-protected-resource"`, r.Host)
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer t.")
		switch {
		case !ok:
			w.Header().Set("WWW-Authenticate", challenge+`, scope="list"`)
			w.WriteHeader(http.StatusUnauthorized)
		case r.Header.Get("Mcp-Method") == "tools/call" && token != "list.call":
			w.Header().Set("WWW-Authenticate", challenge+`, error="insufficient_scope", scope="call"`)
			w.WriteHeader(http.StatusForbidden)
		default:
			h.ServeHTTP(w, r)
		}
	})
	return mux
}

// TestUpstreamOAuth calls a tool of a server that demands a token, and later
// one with more scope.
func TestUpstreamOAuth(t *testing.T) {
	f, err := fixtureFrontend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	var granted atomic.Int64
	address := serve(t, protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.ServeHTTP(w, r.WithContext(auth.With(r.Context(), gatewaytest.Caller())))
	}), &granted)) + "/mcp"
	for range 2 { // Each has its own token.
		u := openUpstream(t, mcp.UpstreamOptions{URL: address, OAuth: &egress.OAuthOptions{ClientID: "gateway", ClientSecret: "s3cr3t"}})
		for range 3 {
			if _, err := u.Do(t.Context(), toolCall("echo", `{"text":"hi"}`)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := granted.Load(); n != 4 {
		t.Errorf("%d tokens were granted, want 4: two for each", n)
	}

	wrong := openUpstream(t, mcp.UpstreamOptions{URL: address, OAuth: &egress.OAuthOptions{ClientID: "gateway", ClientSecret: "wrong"}})
	_, err = wrong.Do(t.Context(), toolCall("echo", `{"text":"hi"}`))
	if err == nil || !strings.Contains(err.Error(), "the gateway may not use the upstream") {
		t.Errorf("with a wrong secret: %v", err)
	}
	far := openUpstream(t, mcp.UpstreamOptions{
		URL: address, AllowPrivate: loopback(),
		OAuth: &egress.OAuthOptions{ClientID: "gateway", ClientSecret: "s3cr3t", TokenURL: "https://10.1.2.3/token"},
	})
	if _, err = far.Do(t.Context(), toolCall("echo", `{}`)); !errors.Is(err, ssrf.ErrProhibitedIP) {
		t.Errorf("a token endpoint on a private network: %v", err)
	}
}
