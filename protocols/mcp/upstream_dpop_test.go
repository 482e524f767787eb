package mcp_test

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway/gatewaytest"
	"github.com/trilith-gateway/trilith/protocols/egress"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// A dpopServer protects an MCP server by tokens that are bound to a key, and
// issues them. It asks for nonces, and for another after every third request.
type dpopServer struct {
	t         *testing.T
	behind    http.Handler
	challenge string // of the MCP server
	required  bool   // as the metadata says
	bearer    bool   // the token endpoint does not know better

	mu    sync.Mutex
	seen  map[string]bool // jti
	nonce int
	good  int // requests in a row
	keys  map[string]string
}

// proof checks the proof of a request and returns the thumbprint of its key. It
// reports false where the proof lacks the nonce.
func (s *dpopServer) proof(r *http.Request, token string) (thumbprint string, fresh bool) {
	s.t.Helper()
	signed, err := jose.ParseSignedCompact(r.Header.Get("DPoP"), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil || len(r.Header.Values("DPoP")) != 1 {
		s.t.Errorf("%s %s: %v: %q", r.Method, r.URL.Path, err, r.Header.Values("DPoP"))
		return "", true
	}
	h := signed.Signatures[0].Protected
	payload, err := signed.Verify(h.JSONWebKey)
	if err != nil || h.ExtraHeaders["typ"] != "dpop+jwt" || !h.JSONWebKey.IsPublic() {
		s.t.Errorf("verify: %v, header %+v", err, h)
	}
	var c struct {
		Jti, Htm, Htu, Ath, Nonce string
		Iat                       int64
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		s.t.Error(err)
	}
	ath := ""
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		ath = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	if c.Htm != r.Method || c.Htu != "http://"+r.Host+r.URL.Path || c.Ath != ath || time.Since(time.Unix(c.Iat, 0)).Abs() > time.Minute {
		s.t.Errorf("%s %s has the proof %s", r.Method, r.URL, payload)
	}
	sum, err := h.JSONWebKey.Thumbprint(crypto.SHA256)
	if err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[c.Jti] {
		s.t.Errorf("the proof %s came twice", c.Jti)
	}
	s.seen[c.Jti] = true
	if s.good++; s.good%3 == 0 {
		s.nonce++
	}
	return base64.RawURLEncoding.EncodeToString(sum), c.Nonce == fmt.Sprint("n", s.nonce)
}

func (s *dpopServer) refuse(w http.ResponseWriter, status int, challenge, body string) {
	s.mu.Lock()
	w.Header().Set("DPoP-Nonce", fmt.Sprint("n", s.nonce))
	s.mu.Unlock()
	if challenge != "" {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

func (s *dpopServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	self := "http://" + r.Host
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/.well-known/oauth-protected-resource/mcp":
		_ = json.NewEncoder(w).Encode(map[string]any{
			"resource": self + "/mcp", "authorization_servers": []string{self}, "dpop_bound_access_tokens_required": s.required,
		})
	case "/.well-known/oauth-authorization-server":
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": self, "token_endpoint": self + "/token", "dpop_signing_alg_values_supported": []string{"RS256", "ES256"},
		})
	case "/token":
		thumbprint, fresh := s.proof(r, "")
		if !fresh {
			s.refuse(w, http.StatusBadRequest, "", `{"error":"use_dpop_nonce"}`)
			return
		}
		s.mu.Lock()
		token := fmt.Sprint("t", len(s.keys))
		s.keys[token] = thumbprint
		s.mu.Unlock()
		kind := "DPoP"
		if s.bearer {
			kind = "Bearer"
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": kind})
	case "/mcp":
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "DPoP ")
		if !ok {
			s.refuse(w, http.StatusUnauthorized, s.challenge, `{}`)
			return
		}
		thumbprint, fresh := s.proof(r, token)
		s.mu.Lock()
		key := s.keys[token]
		s.mu.Unlock()
		switch {
		case key == "" || key != thumbprint:
			s.t.Errorf("token %q has the key %q, and the proof %q", token, key, thumbprint)
		case !fresh:
			s.refuse(w, http.StatusUnauthorized, `Bearer realm="a", DPoP error="use_dpop_nonce"`, `{}`)
		default:
			s.behind.ServeHTTP(w, r.WithContext(auth.With(r.Context(), gatewaytest.Caller())))
		}
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// TestUpstreamDPoP calls tools of a server that wants tokens bound to a key,
// and proofs with its nonce.
func TestUpstreamDPoP(t *testing.T) {
	for _, c := range []struct {
		name, dpop, challenge string
		required, bearer      bool
		want                  string // in the error
	}{
		{name: "demanded by the challenge", challenge: `DPoP algs="PS256 ES256"`},
		{name: "demanded by the metadata", challenge: `Bearer`, required: true},
		{name: "offered", challenge: `Bearer realm="a", DPoP`},
		{name: "always", dpop: "always", challenge: `Bearer`},
		{name: "not bound", challenge: `DPoP`, bearer: true, want: "not bound to the gateway's key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := fixtureFrontend(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			s := &dpopServer{
				t: t, behind: f, challenge: c.challenge, required: c.required, bearer: c.bearer,
				seen: map[string]bool{}, keys: map[string]string{},
			}
			u := openUpstream(t, mcp.UpstreamOptions{
				URL: serve(t, s) + "/mcp", OAuth: &egress.OAuthOptions{ClientID: "gateway", ClientSecret: "s3cr3t", DPoP: c.dpop},
			})
			for range 8 {
				_, err := u.Do(t.Context(), toolCall("echo", `{"text":"hi"}`))
				if c.want != "" && err != nil && strings.Contains(err.Error(), c.want) {
					continue
				}
				if err != nil || c.want != "" {
					t.Fatalf("call: %v, want %q", err, c.want)
				}
			}
		})
	}
}
