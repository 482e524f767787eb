package egress

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOAuthAssertion has a JWT that something else renews stand for the
// gateway.
func TestOAuthAssertion(t *testing.T) {
	w := newWorld()
	w.server["grant_types_supported"] = []string{grantBearer}
	w.server["token_endpoint_auth_methods_supported"] = []string{"none"}
	n := 0
	s, _ := tokensIn(t, w, OAuthOptions{Assertion: func(context.Context) (string, error) {
		n++
		return fmt.Sprintf("jwt-%d\n", n), nil
	}})
	if got := first(t, s, `Bearer scope="read"`); got != "Bearer token-1" {
		t.Errorf("Authorization = %q", got)
	}
	if again, err := challenged(t, s, 403, `Bearer error="insufficient_scope", scope="write"`); !again || err != nil {
		t.Errorf("Challenged = %v, %v", again, err)
	}
	for i, scope := range []string{"read", "read write"} {
		want := url.Values{
			"grant_type": {grantBearer}, "resource": {resourceURL}, "client_id": {"gateway"},
			"assertion": {fmt.Sprintf("jwt-%d", i+1)}, "scope": {scope},
		}
		if diff := cmp.Diff(want, w.forms[i]); diff != "" {
			t.Errorf("request %d (-want +got):\n%s", i, diff)
		}
	}
}

// theIDToken is as secret as the tokens that it is exchanged for.
const theIDToken = "id." + "s3cr3t"

// enterprise is a world with an identity provider.
func enterprise(exchange func(form url.Values, req *http.Request) (int, string)) (*fakeWorld, OAuthOptions) {
	w := newWorld()
	w.server["grant_types_supported"] = []string{grantBearer}
	w.idp = exchange
	return w, OAuthOptions{ClientSecret: theSecret, IdentityProvider: &IdentityProviderOptions{
		Issuer: idpURL, ClientID: "gateway-at-idp",
		IDToken: func(context.Context) (string, error) { return theIDToken, nil },
	}}
}

// TestOAuthIdentityProvider exchanges an ID token for an assertion and that for
// a token.
func TestOAuthIdentityProvider(t *testing.T) {
	var asked url.Values
	w, o := enterprise(func(form url.Values, _ *http.Request) (int, string) {
		asked = form
		return 200, `{"access_token":"jag","issued_token_type":"urn:ietf:params:oauth:token-type:id-jag","token_type":"N_A","expires_in":300}`
	})
	s, _ := tokensIn(t, w, o)
	if got := first(t, s, `Bearer scope="read"`); got != "Bearer token-1" {
		t.Errorf("Authorization = %q", got)
	}
	exchange := url.Values{
		"grant_type":           {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"requested_token_type": {"urn:ietf:params:oauth:token-type:id-jag"},
		"subject_token":        {theIDToken}, "subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"},
		"audience": {issuerURL}, "resource": {resourceURL}, "scope": {"read"}, "client_id": {"gateway-at-idp"},
	}
	if diff := cmp.Diff(exchange, asked); diff != "" {
		t.Errorf("exchange (-want +got):\n%s", diff)
	}
	grant := url.Values{"grant_type": {grantBearer}, "resource": {resourceURL}, "assertion": {"jag"}, "scope": {"read"}}
	if diff := cmp.Diff(grant, w.forms[0]); diff != "" {
		t.Errorf("grant (-want +got):\n%s", diff)
	}
}

// TestOAuthIdentityRefusals has identity providers that do not do their part:
// the authorization server of the upstream is then not asked.
func TestOAuthIdentityRefusals(t *testing.T) {
	answer := func(status int, body string) func(url.Values, *http.Request) (int, string) {
		return func(url.Values, *http.Request) (int, string) { return status, body }
	}
	for _, c := range []struct {
		name     string
		exchange func(url.Values, *http.Request) (int, string)
		set      func(*OAuthOptions)
		want     string
	}{
		{"refused", answer(400, `{"error":"invalid_grant"}`), nil, "identity provider: it refused: invalid_grant"},
		{"garbage", answer(200, `<`+theSecret), nil, "cannot be read"},
		{"another type", answer(200, `{"access_token":"x","issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}`), nil, "another type"},
		{"none", answer(200, `{"issued_token_type":"urn:ietf:params:oauth:token-type:id-jag"}`), nil, "no token"},
		{"away", nil, func(o *OAuthOptions) { o.IdentityProvider.Issuer = "https://nowhere.example.com" }, "has no metadata"},
		{"no ID token", nil, func(o *OAuthOptions) {
			o.IdentityProvider.IDToken = func(context.Context) (string, error) { return "", errors.New("no such file") }
		}, "ID token: no such file"},
		{"bad ID token", nil, func(o *OAuthOptions) {
			o.IdentityProvider.IDToken = func(context.Context) (string, error) { return theSecret, nil }
		}, "the ID token is not a token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, o := enterprise(c.exchange)
			if c.set != nil {
				c.set(&o)
			}
			s, log := tokensIn(t, w, o)
			again, err := challenged(t, s, 401, "Bearer")
			if again || err == nil || !strings.Contains(err.Error(), c.want) || w.asked() != 0 {
				t.Fatalf("Challenged = %v, %v after %d requests, want %q", again, err, w.asked(), c.want)
			}
			if said := err.Error() + log.String() + fmt.Sprintf("%v %+v", s.o, s.o); strings.Contains(said, "s3cr3t") {
				t.Errorf("a secret shows: %s", said)
			}
		})
	}
}
