package auth

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestChallengeBelowAPath: a public URL with a path, which the proxy in front
// may or may not take off.
func TestChallengeBelowAPath(t *testing.T) {
	var log attempts
	o := doorOptions(&log)
	o.Resource, o.Scopes = testResource+"/base", nil
	d := must(NewDoor(o))
	const root = `Bearer resource_metadata="https://gw.example.test/.well-known/oauth-protected-resource/base`
	for path, want := range map[string]string{"/": root + `"`, "/base": root + `"`, "/mcp": root + `/mcp"`, "/base/mcp": root + `/mcp"`} {
		if got := d.Challenge(path, ""); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if got := d.Challenge("/mcp", "insufficient_scope"); got != root+`/mcp", error="insufficient_scope"` {
		t.Error(got)
	}
}

// TestHosts covers listeners that are not on loopback, by the address that the
// server would put into the context.
func TestHosts(t *testing.T) {
	for _, c := range []struct {
		name, local, host, origin string
		hosts                     []string
		ok                        bool
	}{
		{"any host", "10.0.0.5", "whatever.example", "", nil, true},
		{"a listed host", "10.0.0.5", "gw.internal:8080", "", []string{"gw.internal"}, true},
		{"a listed host with its port", "10.0.0.5", "GW.internal:8080", "", []string{"gw.internal:8080"}, true},
		{"a listed host with another port", "10.0.0.5", "gw.internal:9", "", []string{"gw.internal:8080"}, false},
		{"not listed", "10.0.0.5", "evil.example", "", []string{"gw.internal"}, false},
		{"the public name need not be listed", "10.0.0.5", "gw.example.test", "", []string{"gw.internal"}, true},
		{"loopback is no exception to a list", "127.0.0.1", "localhost", "", []string{"gw.internal"}, false},
		{"no server", "", "evil.example", "", nil, false},
		{"same origin by a listed host", "10.0.0.5", "gw.internal", "https://gw.internal", []string{"gw.internal"}, true},
		{"same origin by any host", "10.0.0.5", "evil.example", "https://evil.example", nil, false},
		{"a loopback origin from afar", "10.0.0.5", "whatever.example", "http://localhost", nil, false},
	} {
		var log attempts
		o := doorOptions(&log)
		o.Hosts = c.hosts
		r := httptest.NewRequest("GET", "http://x/mcp", nil)
		r.Host = c.host
		r.Header.Set("Authorization", "Bearer good")
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		if c.local != "" {
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.ParseIP(c.local)}))
		}
		w := httptest.NewRecorder()
		must(NewDoor(o)).Handler(http.HandlerFunc(behind)).ServeHTTP(w, r)
		if want := map[bool]int{true: 200, false: 403}[c.ok]; w.Code != want {
			t.Errorf("%s: %d, want %d", c.name, w.Code, want)
		}
	}
}

func TestMetadata(t *testing.T) {
	var log attempts
	for _, c := range []struct{ resource, path, want string }{
		{testResource, "", testResource},
		{testResource + "/", "/", testResource},
		{"https://GW.example.test", "/mcp", testAudience},
		{testResource, "/graphql", testResource + "/graphql"},
		{testResource, "/other", ""},
		{testResource, "x", ""},
		{testResource + "/base", "/base/mcp", testResource + "/base/mcp"},
		{testResource + "/base", "/mcp", testResource + "/base/mcp"},
	} {
		o := doorOptions(&log)
		o.Resource = c.resource
		url := serve(t, must(NewDoor(o)).Metadata())
		got := ask(t, "GET", url+wellKnown+c.path, nil)
		if c.want == "" {
			if got.status != 404 {
				t.Errorf("%s: %+v", c.path, got)
			}
			continue
		}
		want := fmt.Sprintf(`{"resource":%q,"authorization_servers":[%q],"scopes_supported":["mcp:tools.list"],"bearer_methods_supported":["header"],"resource_name":"Trilith","dpop_signing_alg_values_supported":["ES256","ES384","ES512","EdDSA","Ed25519","PS256","RS256"]}`, c.want, testIssuer)
		if d := cmp.Diff(want, got.body); d != "" || got.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: -want +got\n%s", c.path, d)
		}
		if got := ask(t, "POST", url+wellKnown+c.path, nil); got.status != 405 {
			t.Errorf("POST: %+v", got)
		}
	}
	want := []string{testResource, testAudience}
	if d := cmp.Diff(want, Resources(testResource+"/", "/mcp")); d != "" {
		t.Error(d)
	}
}
