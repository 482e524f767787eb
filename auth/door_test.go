package auth

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	dev "github.com/trilith-gateway/trilith/auth/issuer"
	"github.com/trilith-gateway/trilith/gateway"
)

func TestDoorHTTP(t *testing.T) {
	var log attempts
	d := must(NewDoor(doorOptions(&log)))
	url := serve(t, d.Handler(http.HandlerFunc(behind)))
	own := strings.TrimPrefix(url, "http://")
	_, port := must2(net.SplitHostPort(own))
	const metadata = `Bearer resource_metadata="https://gw.example.test/.well-known/oauth-protected-resource/mcp", scope="mcp:tools.list"`
	for _, c := range []struct {
		name      string
		method    string
		path      string
		change    func(*http.Request)
		status    int
		challenge string
		reason    string // of the report; "" wants none
	}{
		{"a good token", "POST", "/mcp", with(), 200, "", ""},
		{"lower-case scheme", "POST", "/mcp", head("Authorization", "bearer good"), 200, "", ""},
		{"two spaces", "POST", "/mcp", head("Authorization", "BEARER  good"), 200, "", ""},
		{"credentials end here", "POST", "/mcp", with("Cookie", "a=b"), 200, "", ""},
		{"no credential", "POST", "/mcp", nil, 401, metadata, "no credential"},
		{"no credential, below an endpoint", "POST", "/mcp/dev", nil, 401, metadata, "no credential"},
		{"no credential, elsewhere", "GET", "/v1/tools", nil, 401, `Bearer resource_metadata="https://gw.example.test/.well-known/oauth-protected-resource", scope="mcp:tools.list"`, "no credential"},
		{"a name that only begins like an endpoint", "GET", "/mcpx", nil, 401, `Bearer resource_metadata="https://gw.example.test/.well-known/oauth-protected-resource", scope="mcp:tools.list"`, "no credential"},
		{"a bad token", "POST", "/mcp", head("Authorization", "Bearer bad"), 401, metadata + `, error="invalid_token"`, "invalid token: no such token"},
		{"an empty token", "POST", "/mcp", head("Authorization", "Bearer "), 401, metadata + `, error="invalid_token"`, "neither a bearer token"},
		{"an empty header", "POST", "/mcp", head("Authorization", ""), 401, metadata + `, error="invalid_token"`, "neither a bearer token"},
		{"another scheme", "POST", "/mcp", head("Authorization", "Basic Z29vZA=="), 401, metadata + `, error="invalid_token"`, "neither a bearer token"},
		{"two headers", "POST", "/mcp", with("Authorization", "Bearer good"), 400, metadata + `, error="invalid_request"`, "more than one"},
		{"two headers, the second bad", "POST", "/mcp", with("Authorization", "Bearer bad"), 400, metadata + `, error="invalid_request"`, "more than one"},
		{"two tokens in one header", "POST", "/mcp", head("Authorization", "Bearer good, Bearer good"), 401, metadata + `, error="invalid_token"`, "character"},
		{"a long token", "POST", "/mcp", head("Authorization", "Bearer "+strings.Repeat("a", maxToken+1)), 401, metadata + `, error="invalid_token"`, "at most"},
		{"a token in the query", "GET", "/mcp?access_token=good", nil, 401, metadata, "no credential"},
		{"a token in a cookie", "GET", "/mcp", head("Cookie", "access_token=good"), 401, metadata, "no credential"},
		{"a token in Proxy-Authorization", "GET", "/mcp", head("Proxy-Authorization", "Bearer good"), 401, metadata, "no credential"},

		{"allowed origin", "POST", "/mcp", with("Origin", "https://app.example.test"), 200, "", ""},
		{"allowed origin, otherwise written", "POST", "/mcp", with("Origin", "HTTPS://APP.example.test:443"), 200, "", ""},
		{"own origin", "POST", "/mcp", with("Origin", url), 200, "", ""},
		{"the public origin", "POST", "/mcp", with("Origin", testResource), 200, "", ""},
		{"another loopback origin", "POST", "/mcp", with("Origin", "http://localhost:5173"), 200, "", ""},
		{"an evil origin", "POST", "/mcp", with("Origin", "https://evil.example"), 403, "", "origin"},
		{"an evil origin, GET", "GET", "/mcp", with("Origin", "https://evil.example"), 403, "", "origin"},
		{"an evil origin, OPTIONS", "OPTIONS", "/mcp", with("Origin", "https://evil.example", "Access-Control-Request-Method", "POST"), 403, "", "origin"},
		{"an evil origin that begins like ours", "POST", "/mcp", with("Origin", "https://app.example.test.evil.example"), 403, "", "origin"},
		{"an evil origin with a user", "POST", "/mcp", with("Origin", "https://app.example.test@evil.example"), 403, "", "origin"},
		{"our origin by http", "POST", "/mcp", with("Origin", "http://app.example.test"), 403, "", "origin"},
		{"a loopback name of a stranger", "POST", "/mcp", with("Origin", "http://localhost.evil.example"), 403, "", "origin"},
		{"the origin null", "POST", "/mcp", with("Origin", "null"), 403, "", "origin"},
		{"an empty origin", "POST", "/mcp", with("Origin", ""), 403, "", "origin"},
		{"two origins", "POST", "/mcp", with("Origin", url, "Origin", url), 403, "", "origin"},
		{"embedded in an evil page", "GET", "/mcp", with("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"), 403, "", "embedded"},
		{"a link from another page", "GET", "/mcp", with("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"), 200, "", ""},
		{"from our own page", "GET", "/mcp", with("Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors"), 200, "", ""},
		{"from an allowed page of another site", "GET", "/mcp", with("Origin", "https://app.example.test", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors"), 200, "", ""},

		{"localhost", "POST", "/mcp", with("Host", "localhost:"+port), 200, "", ""},
		{"IPv6 loopback", "POST", "/mcp", with("Host", "[::1]:"+port), 200, "", ""},
		{"the public name", "POST", "/mcp", with("Host", "gw.example.test"), 200, "", ""},
		{"a rebound name", "POST", "/mcp", with("Host", "evil.example:"+port), 403, "", "host"},
		{"a rebound name with its own origin", "POST", "/mcp", with("Host", "evil.example:"+port, "Origin", "http://evil.example:"+port), 403, "", "host"},
		{"a rebound name like localhost", "POST", "/mcp", with("Host", "localhost.evil.example"), 403, "", "host"},
		{"an address that is not ours", "POST", "/mcp", with("Host", "10.0.0.1"), 403, "", "host"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ask(t, c.method, url+c.path, c.change)
			if got.status != c.status {
				t.Fatalf("%d %s, want %d", got.status, got.body, c.status)
			}
			if ch := got.header.Get("WWW-Authenticate"); ch != c.challenge {
				t.Errorf("challenge %s\nwant %s", ch, c.challenge)
			}
			reports := log.take()
			if c.status != 200 {
				path, _, _ := strings.Cut(c.path, "?")
				wantRefusal(t, got, Attempt{Via: "http", Method: c.method, Path: path, Reason: c.reason}, reports)
			} else if got.body != testIssuer+"|user|alice " || len(reports) > 0 {
				t.Errorf("behind the door: %q, reported %+v", got.body, reports)
			}
		})
	}
}

func TestPreflight(t *testing.T) {
	var log attempts
	d := must(NewDoor(doorOptions(&log)))
	url := serve(t, d.Handler(http.HandlerFunc(behind)))
	got := ask(t, "OPTIONS", url+"/mcp", head("Origin", "https://app.example.test",
		"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization, mcp-method"))
	h := got.header
	if got.status != 204 || got.body != "" || h.Get("Access-Control-Allow-Origin") != "https://app.example.test" ||
		h.Get("Access-Control-Allow-Headers") != "authorization, mcp-method" || h.Get("Access-Control-Allow-Credentials") != "" ||
		!slices.Contains(h.Values("Vary"), "Origin") {
		t.Errorf("%+v", got)
	}
	// Without a method that it asks for it is no preflight, and needs a token.
	if got := ask(t, "OPTIONS", url+"/mcp", nil); got.status != 401 {
		t.Errorf("OPTIONS without a token: %+v", got)
	}
}

func TestGuard(t *testing.T) {
	var log attempts
	d := must(NewDoor(doorOptions(&log)))
	url := serve(t, d.Guard(http.HandlerFunc(behind)))
	if got := ask(t, "GET", url, with("Cookie", "a=b")); got.status != 200 || got.body != " " {
		t.Errorf("public route: %+v, want neither principal nor credentials", got)
	}
	if r := log.take(); len(r) != 0 {
		t.Errorf("reported %+v", r)
	}
	got := ask(t, "GET", url, head("Origin", "https://evil.example"))
	if got.status != 403 {
		t.Errorf("evil origin on a public route: %+v", got)
	}
	wantRefusal(t, got, Attempt{Via: "http", Method: "GET", Path: "/", Reason: "origin"}, log.take())
}

func TestAnonymous(t *testing.T) {
	var log attempts
	o := doorOptions(&log)
	o.Anonymous = &gateway.Principal{ID: "local|anonymous|guest", Kind: "anonymous"}
	for name, a := range map[string]Authenticator{"with an issuer": o.Auth, "without": nil} {
		o.Auth = a
		url := serve(t, must(NewDoor(o)).Handler(http.HandlerFunc(behind)))
		if got := ask(t, "GET", url, nil); got.status != 200 || got.body != "local|anonymous|guest " {
			t.Errorf("%s: no credential: %+v", name, got)
		}
		// A bad credential does not fall through.
		for _, value := range []string{"Bearer bad", "Basic x", ""} {
			if got := ask(t, "GET", url, head("Authorization", value)); got.status != 401 {
				t.Errorf("%s: Authorization %q: %+v", name, value, got)
			}
		}
	}
}

func TestDoorOptionsRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*DoorOptions)
		want   string
	}{
		{"nobody could pass", func(o *DoorOptions) { o.Auth = nil }, "nobody"},
		{"no public URL", func(o *DoorOptions) { o.Resource = "" }, "public URL"},
		{"public URL with a fragment", func(o *DoorOptions) { o.Resource += "#x" }, "public URL"},
		{"public URL without a host", func(o *DoorOptions) { o.Resource = "/mcp" }, "public URL"},
		{"endpoint without a slash", func(o *DoorOptions) { o.Endpoints = []string{"mcp"} }, "endpoint"},
		{"any origin", func(o *DoorOptions) { o.Origins = []string{"*"} }, "origin"},
		{"origin with a path", func(o *DoorOptions) { o.Origins = []string{"https://a.example/"} }, "origin"},
		{"any host", func(o *DoorOptions) { o.Hosts = []string{"*"} }, "host"},
		{"no logger", func(o *DoorOptions) { o.Logger = nil }, "logger"},
	} {
		var log attempts
		o := doorOptions(&log)
		c.change(&o)
		if _, err := NewDoor(o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestUntil(t *testing.T) {
	p := alice()
	p.Expiry = time.Now()
	ctx, cancel := Until(t.Context(), p)
	defer cancel()
	<-ctx.Done()
	if e := gateway.AsError(context.Cause(ctx)); e.Code != gateway.Unauthenticated {
		t.Errorf("cause %v", e)
	}
	for _, p := range []*gateway.Principal{nil, alice()} {
		ctx, cancel := Until(t.Context(), p)
		if _, ok := ctx.Deadline(); ok {
			t.Errorf("%v has a deadline", p)
		}
		cancel()
	}
}

// TestDevelopmentIssuer: tokens of the built-in issuer take the same road.
func TestDevelopmentIssuer(t *testing.T) {
	const base = "http://127.0.0.1:8080"
	i := must(dev.Open(dev.Options{URL: base + "/dev/issuer"}))
	v, err := NewOIDC(t.Context(), []IssuerOptions{{URL: i.URL(), Audiences: []string{base}, RequireType: true, Keys: i.PublicKeys()}}, OIDCOptions{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	p, err := v.plain(t.Context(), must(i.Mint("admin", base, time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	if p.Credential == "" || p.Issued.IsZero() {
		t.Errorf("credential %q, issued %v", p.Credential, p.Issued)
	}
	p.Expiry, p.Issued, p.Credential = time.Time{}, time.Time{}, ""
	want := &gateway.Principal{
		ID: base + "/dev/issuer|user|admin", Issuer: base + "/dev/issuer", Subject: "admin", Kind: "user", Name: "Ada Admin",
		Roles: []string{"admin"}, Groups: []string{"operators"},
	}
	if d := cmp.Diff(want, p); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	_, err = v.plain(t.Context(), must(i.Mint("admin", "http://127.0.0.1:9999", time.Hour)))
	wantRefused(t, err)
}

// TestAttemptIsShort refuses a request whose method, path and credential are
// as long as a header may be: little of it reaches the audit log.
func TestAttemptIsShort(t *testing.T) {
	var got Attempt
	door, err := NewDoor(DoorOptions{
		Anonymous: &gateway.Principal{ID: "nobody"}, Logger: slog.New(slog.DiscardHandler),
		Refused: func(_ context.Context, a Attempt) { got = a },
	})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("X", 5000)
	r := httptest.NewRequestWithContext(t.Context(), long, "/"+long, nil)
	r.Header.Set("Authorization", "Bearer "+long)
	door.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
	for _, s := range []string{got.Method, got.Path, got.Reason} {
		if s == "" || len(s) > 128+len("…") {
			t.Errorf("%d bytes: %.20q", len(s), s)
		}
	}
}
