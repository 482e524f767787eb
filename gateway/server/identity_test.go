package server_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/server"
)

// TestRevokedWhileItRuns revokes a token long after the server was built.
func TestRevokedWhileItRuns(t *testing.T) {
	r := start(t, nil, nil)
	token := r.token(t, "dev")
	ask := func() int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL()+"/v1/tools", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	if code := ask(); code != http.StatusOK {
		t.Fatalf("the token gets %d before it is revoked", code)
	}
	claims, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var c struct{ Iss, Jti string }
	decode(t, string(claims), &c)
	if err := server.Revoke(t.Context(), r.Server, auth.Revocation{Issuer: c.Iss, Token: c.Jti}); err != nil {
		t.Fatal(err)
	}
	poll(t, func() bool { return ask() == http.StatusUnauthorized })
}

// TestNotReadyWithoutKeys starts while an issuer is away: no token of it can be
// accepted, which load balancers must know.
func TestNotReadyWithoutKeys(t *testing.T) {
	away := httptest.NewServer(http.NotFoundHandler())
	defer away.Close()
	r := start(t, nil, func(cfg *config.Config) {
		cfg.Auth.Issuers = []config.Issuer{{Name: "away", Issuer: away.URL, Audiences: []string{"gateway"}}}
	})
	code, body := r.send(t, "", http.MethodGet, "/readyz", nil, "")
	var states map[string]string
	decode(t, body, &states)
	if code != http.StatusServiceUnavailable || states["identity"] != "failing" || states["doors"] != "ok" {
		t.Errorf("%d %s", code, body)
	}
	r = start(t, nil, nil)
	if code, body := r.send(t, "", http.MethodGet, "/readyz", nil, ""); code != http.StatusOK || !strings.Contains(body, `"identity":"ok"`) {
		t.Errorf("with known keys: %d %s", code, body)
	}
}
