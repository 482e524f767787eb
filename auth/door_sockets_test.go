package auth

import (
	"net/http"
	"strings"
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
)

func TestSockets(t *testing.T) {
	var log attempts
	url := serve(t, must(NewDoor(doorOptions(&log))).Sockets(http.HandlerFunc(behind)))
	upgrade := []string{"Upgrade", "websocket", "Connection", "Upgrade"}
	for _, c := range []struct {
		name, method string
		change       func(*http.Request)
		status       int
		body         string
	}{
		{"a handshake without a token", "GET", head(upgrade...), 200, " "},
		{"a handshake with a token", "GET", with(upgrade...), 200, testIssuer + "|user|alice "},
		{"a handshake with a bad token", "GET", head(append(upgrade, "Authorization", "Bearer bad")...), 401, ""},
		{"a handshake by an evil origin", "GET", head(append(upgrade, "Origin", "https://evil.example")...), 403, ""},
		{"no handshake", "GET", nil, 401, ""},
		{"no handshake by its method", "POST", head(upgrade...), 401, ""},
		{"another upgrade", "GET", head("Upgrade", "h2c", "Connection", "Upgrade"), 401, ""},
	} {
		if got := ask(t, c.method, url, c.change); got.status != c.status || c.body != "" && got.body != c.body {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// TestTokenInTheProtocol: a handler behind Guard brings the token itself, as
// connection_init of graphql-transport-ws does.
func TestTokenInTheProtocol(t *testing.T) {
	var log attempts
	d := must(NewDoor(doorOptions(&log)))
	url := serve(t, d.Guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := d.Authenticate(r.Context(), r.URL.Query().Get("init"))
		if err != nil {
			http.Error(w, gateway.AsError(err).Msg, 400)
			return
		}
		behind(w, r.WithContext(With(r.Context(), p)))
	})))
	for _, c := range []struct{ token, body, reason string }{
		{"good", testIssuer + "|user|alice ", ""},
		{"bad", "invalid token\n", "no such token"},
		{"", "no credential\n", "no credential"},
		{strings.Repeat("a", maxToken+1), "invalid token\n", "at most"},
	} {
		if got := ask(t, "GET", url+"/ws?init="+c.token, nil); got.body != c.body {
			t.Errorf("%.9q: %+v", c.token, got)
		}
		r := log.take()
		if c.reason == "" && len(r) > 0 || c.reason != "" && (len(r) != 1 || r[0].Via != "token" || r[0].Path != "/ws" ||
			r[0].Remote == "" || !strings.Contains(r[0].Reason, c.reason)) {
			t.Errorf("%.9q: reported %+v", c.token, r)
		}
	}
}
