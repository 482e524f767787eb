package egress

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOAuthScopes(t *testing.T) {
	const stepUp = `Bearer error="insufficient_scope", scope="write"`
	for _, c := range []struct {
		name       string
		configured []string
		supported  []string
		header     string
		want       []string // scope of each request
	}{
		{"challenge", nil, []string{"a", "b"}, `Bearer scope="read"`, []string{"read", "read write"}},
		{"supported", nil, []string{"a", "b"}, `Bearer`, []string{"a b", "a b write"}},
		{"omitted", nil, nil, `Bearer`, []string{"", "write"}},
		{"configured", []string{"mine"}, []string{"a"}, `Bearer scope="read"`, []string{"mine"}},
		{"bad", nil, nil, "Bearer scope=\"\x01 \\\\\"", []string{"", "write"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			if c.supported != nil {
				w.resource["scopes_supported"] = c.supported
			}
			s, _ := tokensIn(t, w, OAuthOptions{Scopes: c.configured})
			first(t, s, c.header)
			for i := range 3 { // What did not help once is not tried again.
				again, err := challenged(t, s, 403, stepUp)
				if want := i == 0 && len(c.want) > 1; err != nil || again != want {
					t.Errorf("challenge %d: %v, %v", i, again, err)
				}
			}
			if again, err := challenged(t, s, 403, `Bearer error="invalid_token"`); again || err != nil {
				t.Errorf("another 403: %v, %v", again, err)
			}
			var got []string
			for _, f := range w.forms {
				got = append(got, f.Get("scope"))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("scopes (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOAuthRefusals has metadata that must not be followed, and token endpoints
// that do not do their part. No secret may show in what is said about it.
func TestOAuthRefusals(t *testing.T) {
	answer := func(status int, body string) func(*fakeWorld, *OAuthOptions) {
		return func(w *fakeWorld, _ *OAuthOptions) {
			w.token = func(url.Values, *http.Request) (int, string) { return status, body }
		}
	}
	for _, c := range []struct {
		name  string
		set   func(*fakeWorld, *OAuthOptions)
		want  string
		asked int
	}{
		{"resource of another host", func(w *fakeWorld, _ *OAuthOptions) { w.resource["resource"] = "https://evil.example.com/mcp" }, "another resource", 0},
		{"resource of another path", func(w *fakeWorld, _ *OAuthOptions) { w.resource["resource"] = resourceURL + "/more" }, "another resource", 0},
		{"resource that is a prefix of the text alone", func(w *fakeWorld, _ *OAuthOptions) { w.resource["resource"] = "https://tools.example.com/mc" }, "another resource", 0},
		{"resource that is not the configured one", func(_ *fakeWorld, o *OAuthOptions) { o.Resource = "https://tools.example.com" }, "another resource", 0},
		{"no authorization server", func(w *fakeWorld, _ *OAuthOptions) { delete(w.resource, "authorization_servers") }, "no authorization server", 0},
		{"issuer that is not the configured one", func(_ *fakeWorld, o *OAuthOptions) { o.Issuer = "https://other.example.com" }, "another authorization server", 0},
		{"issuer that is another", func(w *fakeWorld, _ *OAuthOptions) { w.server["issuer"] = "https://evil.example.com" }, "another issuer", 0},
		{"issuer without TLS", func(w *fakeWorld, _ *OAuthOptions) {
			w.resource["authorization_servers"] = []string{"http://id.example.com"}
		}, "must begin with https", 0},
		{"token endpoint without TLS", func(w *fakeWorld, _ *OAuthOptions) { w.server["token_endpoint"] = "http://id.example.com/token" }, "must begin with https", 0},
		{"no metadata", func(w *fakeWorld, _ *OAuthOptions) {
			w.resource["authorization_servers"] = []string{"https://nowhere.example.com"}
		}, "no metadata", 0},
		{"huge metadata", func(w *fakeWorld, _ *OAuthOptions) { w.server["x"] = strings.Repeat("x", maxMetadata) }, "too large", 0},
		{"grant", func(w *fakeWorld, _ *OAuthOptions) {
			w.server["grant_types_supported"] = []string{"authorization_code"}
		}, "does not support the grant client_credentials", 0},
		{"methods", func(w *fakeWorld, _ *OAuthOptions) {
			w.server["token_endpoint_auth_methods_supported"] = []string{"private_key_jwt"}
		}, "supports neither", 0},
		{"refused", answer(401, `{"error":"invalid_client","error_description":"`+theSecret+`"}`), "invalid_client", 1},
		{"refused with the secret", answer(400, `{"error":"`+theSecret+`"}`), "HTTP status 400", 1},
		{"redirected", answer(307, ``), "HTTP status 307", 1},
		{"huge", answer(200, `{"access_token":"`+strings.Repeat("x", maxTokenAnswer)+`"}`), "too large", 1},
		{"garbage", answer(200, `<html>`+theSecret), "cannot be read", 1},
		{"two tokens", answer(200, `{"access_token":"a","access_token":"b","token_type":"bearer"}`), "cannot be read", 1},
		{"another type", answer(200, `{"access_token":"hidden","token_type":"DPoP"}`), "not a bearer token", 1},
		{"header injection", answer(200, `{"access_token":"hidden\r\nX: y","token_type":"bearer"}`), "cannot", 1},
		{"no token", answer(200, `{"token_type":"bearer"}`), "cannot", 1},
		{"slow", func(w *fakeWorld, _ *OAuthOptions) { w.slow = time.Hour }, errTokenSlow.Error(), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, o := newWorld(), OAuthOptions{}
				c.set(w, &o)
				s, log := tokensIn(t, w, o)
				again, err := challenged(t, s, 401, "Bearer")
				if again || err == nil || !strings.Contains(err.Error(), c.want) && c.want != "cannot" {
					t.Fatalf("Challenged = %v, %v, want %q", again, err, c.want)
				}
				if _, err2 := challenged(t, s, 401, "Bearer"); !errors.Is(err2, err) || w.asked() != c.asked {
					t.Errorf("at once again: %v after %d requests, want the same and %d", err2, w.asked(), c.asked)
				}
				said := err.Error() + log.String() + fmt.Sprintf("%v %+v %#v", s.o, s.o, s.o)
				for _, secret := range []string{theSecret, "hidden", "s3cr3t"} {
					if strings.Contains(said, secret) {
						t.Errorf("a secret shows: %s", said)
					}
				}
			})
		})
	}
}

// TestOAuthTokenURL asks for a token at once, without metadata.
func TestOAuthTokenURL(t *testing.T) {
	w := newWorld()
	s, _ := tokensIn(t, w, OAuthOptions{TokenURL: issuerURL + "/token", Resource: "https://tools.example.com"})
	got, err := s.Authorization(t.Context())
	if err != nil || got != "Bearer token-1" || len(w.paths) != 1 || w.forms[0].Get("resource") != "https://tools.example.com" {
		t.Errorf("Authorization = %q, %v after %v, %v", got, err, w.paths, w.forms)
	}
}

func TestOAuthOptions(t *testing.T) {
	idToken := func(context.Context) (string, error) { return theSecret, nil }
	for name, o := range map[string]Options{
		"no client id":                 {OAuth: &OAuthOptions{ClientSecret: theSecret}},
		"no secret":                    {OAuth: &OAuthOptions{ClientID: "a"}},
		"two secrets":                  {OAuth: &OAuthOptions{ClientID: "a", ClientSecret: theSecret, PrivateKey: theSecret}},
		"bad key":                      {OAuth: &OAuthOptions{ClientID: "a", PrivateKey: theSecret}},
		"key of no kind":               {OAuth: &OAuthOptions{ClientID: "a", PrivateKey: "-----BEGIN PRIVATE KEY-----\nczNjcjN0\n-----END PRIVATE KEY-----"}},
		"key id alone":                 {OAuth: &OAuthOptions{ClientID: "a", ClientSecret: theSecret, KeyID: "k"}},
		"scope":                        {OAuth: &OAuthOptions{ClientID: "a", ClientSecret: theSecret, Scopes: []string{"a b"}}},
		"plain token URL":              {OAuth: &OAuthOptions{ClientID: "a", ClientSecret: theSecret, TokenURL: "http://id.example.com/token"}},
		"two assertions":               {OAuth: &OAuthOptions{ClientID: "a", Assertion: idToken, IdentityProvider: &IdentityProviderOptions{ClientID: "b", Issuer: idpURL, IDToken: idToken}}},
		"provider of no place":         {OAuth: &OAuthOptions{ClientID: "a", IdentityProvider: &IdentityProviderOptions{ClientID: "b", IDToken: idToken}}},
		"provider without TLS":         {OAuth: &OAuthOptions{ClientID: "a", IdentityProvider: &IdentityProviderOptions{ClientID: "b", Issuer: "http://idp.example.com", IDToken: idToken}}},
		"provider without an ID token": {OAuth: &OAuthOptions{ClientID: "a", IdentityProvider: &IdentityProviderOptions{ClientID: "b", Issuer: idpURL}}},
		"provider without an audience": {OAuth: &OAuthOptions{ClientID: "a", TokenURL: issuerURL, IdentityProvider: &IdentityProviderOptions{ClientID: "b", Issuer: idpURL, IDToken: idToken}}},
		"dpop":                         {OAuth: &OAuthOptions{ClientID: "a", ClientSecret: theSecret, DPoP: "perhaps"}},
		"plain URL":                    {URL: "http://tools.example.com", OAuth: &OAuthOptions{ClientID: "a", ClientSecret: theSecret}},
		"header":                       {Headers: http.Header{"authorization": {theSecret}}, OAuth: &OAuthOptions{ClientID: "a", ClientSecret: theSecret}},
		"two authorizers":              {OAuth: &OAuthOptions{ClientID: "a", ClientSecret: theSecret}, Authorizer: &tokens{}},
	} {
		t.Run(name, func(t *testing.T) {
			o.Name = "up"
			if o.URL == "" {
				o.URL = resourceURL
			}
			u, err := New(o)
			if err == nil {
				u.Close()
				t.Fatal("it is taken")
			}
			if strings.Contains(err.Error(), theSecret) || strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("a secret shows: %v", err)
			}
		})
	}
}

// FuzzChallenge reads WWW-Authenticate headers of every kind.
func FuzzChallenge(f *testing.F) {
	f.Add(`Bearer realm="x", error="insufficient_scope", scope="a b", resource_metadata="https://x/y"`)
	f.Add(`Basic, Bearer scope=a`)
	f.Add(`"`)
	f.Add(strings.Repeat(",", maxChallenge))
	f.Fuzz(func(t *testing.T, header string) {
		c := readChallenge(http.Header{"Www-Authenticate": {header}})
		for _, s := range c.scopes {
			if s == "" {
				t.Error("an empty scope")
			}
		}
	})
}

// FuzzToken reads answers of token endpoints: whatever is taken of one can stand
// in a header, and is of the kind that was asked for.
func FuzzToken(f *testing.F) {
	f.Add([]byte(`{"access_token":"abc","token_type":"Bearer","expires_in":3600}`), false)
	f.Add([]byte(`{"access_token":"abc","token_type":"dpop","expires_in":1e300}`), true)
	f.Add([]byte(`{"access_token":"a\r\nX: y","token_type":"bearer"}`), false)
	f.Add([]byte(`{"access_token":"é","token_type":"bearer","expires_in":-1}`), false)
	f.Fuzz(func(t *testing.T, data []byte, bound bool) {
		now := time.Now()
		token, err := readToken(data, now, bound)
		if err != nil {
			return
		}
		scheme, text, _ := strings.Cut(token.value, " ")
		if (scheme == "DPoP") != bound || token.bound != bound || !isCredential(text) {
			t.Errorf("%q gives %q", data, token.value)
		}
		if !token.expires.IsZero() && (token.expires.Before(now) || token.renew.After(token.expires)) {
			t.Errorf("%q ends %v, is renewed %v", data, token.expires, token.renew)
		}
	})
}
