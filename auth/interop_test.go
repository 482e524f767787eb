package auth

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// TestDiscoveryByGoSDK: the official client finds the issuer as the
// specification says, from the 401 to metadata that must name the very URL it
// asked (RFC 9728, section 3.3).
func TestDiscoveryByGoSDK(t *testing.T) {
	var log attempts
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	defer srv.Close()
	o := doorOptions(&log)
	o.Resource = srv.URL
	d := must(NewDoor(o))
	mux.Handle("/", d.Handler(http.HandlerFunc(behind)))
	mux.Handle(wellKnown, d.Metadata())
	mux.Handle(wellKnown+"/", d.Metadata())
	for _, path := range []string{"/mcp", "/graphql"} {
		got := ask(t, "POST", srv.URL+path, nil)
		challenges, err := oauthex.ParseWWWAuthenticate(got.header.Values("WWW-Authenticate"))
		if err != nil || len(challenges) != 1 {
			t.Fatalf("%v %v", challenges, err)
		}
		prm, err := oauthex.GetProtectedResourceMetadata(t.Context(), challenges[0].Params["resource_metadata"], srv.URL+path, srv.Client())
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if d := cmp.Diff([]string{testIssuer}, prm.AuthorizationServers); d != "" {
			t.Error(d)
		}
	}
}
