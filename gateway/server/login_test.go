package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/trilith-gateway/trilith/gateway/audit"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/server"
)

// TestLogin signs in with a browser, uses what a console uses, and signs out.
func TestLogin(t *testing.T) {
	r := start(t, nil, nil)
	b := r.tab(t)
	if code, _ := b.query(`{viewer{name}}`); code != http.StatusUnauthorized {
		t.Fatalf("before: %d", code)
	}
	if to := b.signIn("admin", "/auth/login?return=/graphql/ui/%3Fa=b"); to != "/graphql/ui/?a=b" {
		t.Errorf("signed in, and now at %q", to)
	}
	if len(b.cookies) != 1 || len(b.cookies[sessionCookie]) != 26 {
		t.Errorf("the browser keeps %v", b.cookies)
	}
	if code, got := b.query(`{viewer{name} admin{sources{name}}}`); code != http.StatusOK || !strings.Contains(got, `"Ada Admin"`) || !strings.Contains(got, `"demo"`) {
		t.Errorf("GraphQL: %d %s", code, got)
	}
	for _, path := range []string{"/v1/tools", "/admin/v1/policy", "/openapi.json"} {
		if code, got, _ := b.ask("GET", path, ""); code != http.StatusOK {
			t.Errorf("%s: %d %s", path, code, got)
		}
	}
	if code, got, _ := b.ask("POST", "/v1/tools/demo.add:call", `{"a":1,"b":2}`); code != http.StatusOK || !strings.Contains(got, `"sum":3`) {
		t.Errorf("REST: %d %s", code, got)
	}
	if code, _, _ := b.ask("POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"ping"}`); code != http.StatusUnauthorized {
		t.Errorf("MCP, which no page of the gateway's speaks: %d", code)
	}
	if code, got, _ := b.ask("GET", "/v1/tools", "", "Authorization", "Bearer x.y.z"); code != http.StatusUnauthorized {
		t.Errorf("a bad token beside a good cookie: %d %s", code, got)
	}

	stolen := b.cookies[sessionCookie]
	if code, text, _ := b.ask("POST", "/auth/logout", "", "Origin", r.URL()); code != http.StatusOK || len(b.cookies) != 0 {
		t.Fatalf("signing out: %d %s, %v", code, text, b.cookies)
	}
	b.cookies[sessionCookie] = stolen
	if code, got := b.query(`{viewer{name}}`); code != http.StatusUnauthorized || !strings.Contains(got, "sign in again") {
		t.Errorf("the cookie after the session's end: %d %s", code, got)
	}
	kinds := map[string]bool{}
	poll(t, func() bool {
		for rec, err := range audit.Tail(t.Context(), r.config.AuditDir(), 1000, false) {
			if err != nil {
				t.Fatal(err)
			}
			if rec.Type == "login" || rec.Type == "logout" {
				kinds[rec.Type+" "+rec.Principal.Name+" "+rec.Detail] = true
			}
			if text, _ := json.Marshal(rec); strings.Contains(string(text), stolen) {
				t.Errorf("a record shows the cookie: %s", text)
			}
		}
		return len(kinds) == 2
	})
	if !kinds["login Ada Admin "] || !kinds["logout Ada Admin its user has signed out"] {
		t.Errorf("on record: %v", kinds)
	}
}

// TestLoginEnds: what a session has open ends with it, whoever ends it.
func TestLoginEnds(t *testing.T) {
	r := start(t, nil, nil)
	for _, c := range []struct {
		name string
		end  func(*tab, string)
	}{
		{"signing out", func(b *tab, _ string) { b.ask("POST", "/auth/logout", "") }},
		{"an administrator", func(_ *tab, id string) {
			if code, text := r.send(t, "admin", http.MethodDelete, "/admin/v1/sessions/"+id, nil, ""); code != http.StatusOK {
				t.Errorf("ending the session: %d %s", code, text)
			}
		}},
		// Last: a revocation refuses what is issued within its own second too.
		{"a revocation", func(*tab, string) {
			if code, text := r.send(t, "admin", http.MethodPost, "/admin/v1/sessions:revoke", http.Header{"Content-Type": {"application/json"}}, `{"principal":"`+r.URL()+`/dev/issuer|user|dev"}`); code != http.StatusOK {
				t.Errorf("revoking: %d %s", code, text)
			}
		}},
	} {
		name, end := c.name, c.end
		b := r.tab(t)
		b.signIn("dev", "/auth/login")
		_, list := r.send(t, "admin", http.MethodGet, "/admin/v1/sessions", nil, "")
		var res struct {
			Sessions []struct{ ID, Kind, Via, Principal string }
		}
		if err := json.Unmarshal([]byte(list), &res); err != nil {
			t.Fatal(err)
		}
		id := ""
		for _, s := range res.Sessions {
			if s.Kind == "login" && strings.HasSuffix(s.Principal, "|user|dev") {
				id = s.ID
			}
		}
		if id == "" || strings.Contains(b.cookies[sessionCookie], id) {
			t.Fatalf("%s: the session is not listed: %s", name, list)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL()+"/graphql", strings.NewReader(`{"query":"subscription{capabilitiesChanged{__typename}}"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"text/event-stream"}, "Origin": {r.URL()}, "Cookie": {sessionCookie + "=" + b.cookies[sessionCookie]}}
		stream, err := alone(nil).Do(req)
		if err != nil || stream.StatusCode != http.StatusOK {
			t.Fatalf("%s: a stream: %v %v", name, stream, err)
		}
		secret := b.cookies[sessionCookie]
		end(b, id)
		ended := time.AfterFunc(30*time.Second, func() { _ = stream.Body.Close() })
		text, err := io.ReadAll(stream.Body)
		if !ended.Stop() || err != nil || !strings.Contains(string(text), "UNAUTHENTICATED") {
			t.Errorf("%s: the stream ended with %v: %s", name, err, text)
		}
		_ = stream.Body.Close()
		b.cookies[sessionCookie] = secret
		if code, _ := b.query(`{viewer{name}}`); code != http.StatusUnauthorized {
			t.Errorf("%s: the cookie is good for %d", name, code)
		}
	}
}

// TestAttackLogin: other pages, other browsers and made-up links come to nothing.
func TestAttackLogin(t *testing.T) {
	const friend = "https://app.example.com"
	r := start(t, nil, func(cfg *config.Config) { cfg.Listen.AllowedOrigins = []string{friend} })
	for _, to := range []string{"https://evil.example/", "//evil.example", "/\\evil.example", "\\/evil.example", "evil", "/%09/evil.example\t", "javascript:alert(1)", "/a\nb", "/" + strings.Repeat("a", 2000)} {
		if code, _, back := r.tab(t).ask("GET", "/auth/login?return="+url.QueryEscape(to), ""); code != http.StatusBadRequest || back != "" {
			t.Errorf("return to %q: %d %s", to, code, back)
		}
	}

	victim := r.tab(t)
	planted := strings.Repeat("A", 26)
	victim.cookies[sessionCookie] = planted
	victim.signIn("admin", "/auth/login")
	if victim.cookies[sessionCookie] == planted {
		t.Error("the session has the secret that was planted")
	}
	if attacker := (&tab{t, r, map[string]string{sessionCookie: planted}}); true {
		if code, _ := attacker.query(`{viewer{name}}`); code != http.StatusUnauthorized {
			t.Errorf("the planted cookie: %d", code)
		}
	}

	// Whatever another page has the browser do, with the cookie in it.
	for name, headers := range map[string][]string{
		"another site":                {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
		"another site, by a form":     {"Sec-Fetch-Site", "cross-site", "Origin", "null"},
		"another site, navigating":    {"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Origin", ""},
		"a neighbour":                 {"Sec-Fetch-Site", "same-site", "Origin", ""},
		"a friend":                    {"Sec-Fetch-Site", "same-site", "Origin", friend},
		"a friend, an old browser":    {"Sec-Fetch-Site", "", "Origin", friend},
		"a browser that says nothing": {"Sec-Fetch-Site", "", "Origin", ""},
		"another port":                {"Sec-Fetch-Site", "", "Origin", "http://127.0.0.1:1"},
		"two origins":                 {"Sec-Fetch-Site", "", "Origin", r.URL() + " " + r.URL()},
		"an image":                    {"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "no-cors", "Origin", ""},
	} {
		if code, got := victim.query(`mutation{callTool(name:"demo.add",arguments:{a:1,b:2}){structured}}`, headers...); code != http.StatusForbidden {
			t.Errorf("GraphQL from %s: %d %s", name, code, got)
		}
		for method, path := range map[string]string{"PUT": "/admin/v1/limits/overrides", "POST": "/v1/tools/demo.add:call", "DELETE": "/admin/v1/keys/x"} {
			if code, got, _ := victim.ask(method, path, `{}`, headers...); code != http.StatusForbidden {
				t.Errorf("%s %s from %s: %d %s", method, path, name, code, got)
			}
		}
		if code, _, _ := victim.ask("POST", "/auth/logout", "", headers...); name != "a browser that says nothing" && name != "an image" && code != http.StatusForbidden {
			t.Errorf("signing out from %s: %d", name, code)
		}
		if victim.cookies[sessionCookie] == "" { // No browser at all: it has no cookie of anybody.
			victim.signIn("admin", "/auth/login")
		}
	}
	if code, got, _ := victim.ask("GET", "/v1/tools", "", "Sec-Fetch-Site", "same-site", "Origin", friend); code != http.StatusForbidden {
		t.Errorf("reading from a friend's page: %d %s", code, got)
	}
	for name, headers := range map[string][]string{
		"a browser that says nothing": {"Sec-Fetch-Site", ""},
		"an image":                    {"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "no-cors"},
	} {
		for _, path := range []string{"/v1/tools", "/v1/call/demo.add?a=1&b=2"} {
			if code, got, _ := victim.ask("GET", path, "", headers...); code != http.StatusForbidden {
				t.Errorf("GET %s from %s: %d %s", path, name, code, got)
			}
		}
	}
	if code, got, _ := victim.ask("GET", "/v1/tools", "", "Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate"); code != http.StatusOK {
		t.Errorf("typed into the address bar: %d %s", code, got)
	}
	for origin, want := range map[string]string{friend: "", r.URL(): `{"type":"connection_ack"}`} {
		header := http.Header{"Origin": {origin}, "Cookie": {sessionCookie + "=" + victim.cookies[sessionCookie]}}
		ws, _, err := websocket.Dial(t.Context(), r.URL()+"/graphql", &websocket.DialOptions{HTTPHeader: header, Subprotocols: []string{"graphql-transport-ws"}})
		if err == nil {
			err = ws.Write(t.Context(), websocket.MessageText, []byte(`{"type":"connection_init"}`))
		}
		if err != nil {
			t.Fatal(err)
		}
		_, got, _ := ws.Read(t.Context())
		if string(got) != want {
			t.Errorf("a WebSocket of %s: %s", origin, got)
		}
		_ = ws.CloseNow()
	}
	two := r.tab(t)
	if code, _ := two.query(`{viewer{name}}`, "Cookie", sessionCookie+"="+planted+"; "+sessionCookie+"="+victim.cookies[sessionCookie]); code != http.StatusUnauthorized {
		t.Errorf("two cookies: %d", code)
	}

	// The way back from the issuer: in another browser, with another state, twice.
	attacker := r.tab(t)
	_, _, to := attacker.ask("GET", "/auth/login", "")
	back := attacker.authorize("guest", to)
	mine := attacker.cookies[pendingCookie]
	fresh := r.tab(t)
	if code, _, _ := fresh.ask("GET", back, "", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"); code != http.StatusForbidden || len(fresh.cookies) != 0 {
		t.Errorf("the attacker's way back in a fresh browser: %d %v", code, fresh.cookies)
	}
	before := victim.cookies[sessionCookie]
	victim.ask("GET", "/auth/login", "")
	if code, _, _ := victim.ask("GET", back, ""); code != http.StatusForbidden || victim.cookies[sessionCookie] != before {
		t.Errorf("the attacker's way back in a browser that is about to sign in: %d", code)
	}
	if code, _, _ := attacker.ask("GET", strings.Replace(back, "state=", "state=x", 1), ""); code != http.StatusForbidden {
		t.Errorf("another state: %d", code)
	}
	for _, broken := range []string{"", "x", mine[:len(mine)-4] + "AAAA"} {
		attacker.cookies[pendingCookie] = broken
		if code, _, _ := attacker.ask("GET", back, ""); code != http.StatusForbidden {
			t.Errorf("a cookie %q: %d", broken, code)
		}
	}
	attacker.cookies[pendingCookie] = mine
	if code, text, _ := attacker.ask("GET", back, ""); code != http.StatusSeeOther {
		t.Fatalf("the way back itself: %d %s", code, text)
	}
	attacker.cookies[pendingCookie] = mine
	if code, _, _ := attacker.ask("GET", back, ""); code != http.StatusForbidden {
		t.Errorf("the code, again: %d", code)
	}
	// The issuer sends codes nowhere else, and to nobody who cannot prove that they asked.
	for name, change := range map[string][2]string{
		"another place":  {url.QueryEscape("/auth/callback"), url.QueryEscape("/auth/callback/")},
		"no PKCE":        {"code_challenge_method=S256", "code_challenge_method=plain"},
		"another client": {"client_id=console", "client_id=admin"},
	} {
		if code, _, back := attacker.ask("GET", strings.Replace(to, change[0], change[1], 1), ""); code != http.StatusBadRequest || back != "" {
			t.Errorf("%s: %d %s", name, code, back)
		}
	}
	seen := 0
	poll(t, func() bool {
		seen = 0
		for _, rec := range r.records(t, 1) {
			if rec.Type == "door" && strings.Contains(rec.Detail, "/auth/callback") {
				seen++
			}
		}
		return seen >= 5
	})
}

// TestNoLogin: without an issuer for that there are no such pages, and a cookie is
// nothing.
func TestNoLogin(t *testing.T) {
	r := startWith(t, server.Options{}, func(cfg *config.Config) {
		cfg.Auth.APIKeys = &config.APIKeys{MaxLife: time.Hour}
		cfg.Sources = nil
	})
	b := r.tab(t)
	if code, _, _ := b.ask("GET", "/auth/login", ""); code != http.StatusUnauthorized {
		t.Errorf("signing in: %d", code)
	}
	b.cookies[sessionCookie] = strings.Repeat("A", 26)
	if code, got := b.query(`{viewer{name}}`); code != http.StatusUnauthorized || strings.Contains(got, "sign in again") {
		t.Errorf("a cookie: %d %s", code, got)
	}
}
