package egress

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

const (
	resourceURL = "https://tools.example.com/mcp"
	issuerURL   = "https://id.example.com"
	idpURL      = "https://idp.example.com"
	theSecret   = "s3cr3t/+ value"
)

// A fakeWorld is the network that a token source sees: a resource's metadata,
// an authorization server's, and its token endpoint.
type fakeWorld struct {
	resource map[string]any
	server   map[string]any
	token    func(form url.Values, req *http.Request) (int, string)
	slow     time.Duration                                          // of the token endpoint
	idp      func(form url.Values, req *http.Request) (int, string) // the token endpoint of an identity provider

	mu    sync.Mutex
	paths []string
	forms []url.Values
}

func newWorld() *fakeWorld {
	w := &fakeWorld{
		resource: map[string]any{"resource": resourceURL, "authorization_servers": []string{issuerURL}},
		server:   map[string]any{"issuer": issuerURL, "token_endpoint": issuerURL + "/token"},
	}
	w.token = func(url.Values, *http.Request) (int, string) {
		return 200, fmt.Sprintf(`{"access_token":"token-%d","token_type":"bearer","expires_in":3600}`, w.asked())
	}
	return w
}

// asked returns how many tokens have been asked for.
func (w *fakeWorld) asked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.forms)
}

func (w *fakeWorld) RoundTrip(req *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.paths = append(w.paths, req.URL.Host+req.URL.Path)
	w.mu.Unlock()
	answer := func(status int, body string) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Request: req,
			Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1,
		}, nil
	}
	document := func(v map[string]any) (*http.Response, error) {
		data, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		return answer(200, string(data))
	}
	switch req.URL.Host + req.URL.Path {
	case "tools.example.com/.well-known/oauth-protected-resource/mcp", "tools.example.com/elsewhere":
		return document(w.resource)
	case "id.example.com/.well-known/openid-configuration":
		return document(w.server)
	case "idp.example.com/.well-known/openid-configuration":
		return document(map[string]any{"issuer": idpURL, "token_endpoint": idpURL + "/token"})
	case "idp.example.com/token":
		form, err := formOf(req)
		if err != nil {
			return nil, err
		}
		return answer(w.idp(form, req))
	case "id.example.com/token":
		form, err := formOf(req)
		if err != nil {
			return nil, err
		}
		w.mu.Lock()
		w.forms = append(w.forms, form)
		w.mu.Unlock()
		if w.slow > 0 {
			select {
			case <-time.After(w.slow):
			case <-req.Context().Done():
				return nil, context.Cause(req.Context())
			}
		}
		return answer(w.token(form, req))
	}
	return answer(404, "{}")
}

func formOf(req *http.Request) (url.Values, error) {
	data, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	return url.ParseQuery(string(data))
}

// tokensIn returns a token source in a world, and what it logs.
func tokensIn(t *testing.T, w *fakeWorld, o OAuthOptions) (*tokens, *bytes.Buffer) {
	t.Helper()
	if o.ClientID == "" {
		o.ClientID = "gateway"
	}
	if o.ClientSecret == "" && o.PrivateKey == "" && o.Assertion == nil {
		o.ClientSecret = theSecret
	}
	log := &bytes.Buffer{}
	u, err := New(Options{
		Name: "up", URL: resourceURL, OAuth: &o, Metadata: true, Timeout: 10 * time.Second, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	s := u.auth.(*tokens)
	s.http = &http.Client{Transport: w}
	return s, log
}

// challenged tells the source of an answer to a request with its token.
func challenged(t *testing.T, s *tokens, status int, header string) (bool, error) {
	t.Helper()
	value, err := s.Authorization(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	req := &http.Request{Header: http.Header{}}
	if value != "" {
		req.Header.Set("Authorization", value)
	}
	return s.Challenged(t.Context(), req, &http.Response{StatusCode: status, Header: http.Header{"Www-Authenticate": {header}}})
}

// first obtains the first token and returns it.
func first(t *testing.T, s *tokens, header string) string {
	t.Helper()
	if again, err := challenged(t, s, 401, header); err != nil || !again {
		t.Fatalf("Challenged = %v, %v", again, err)
	}
	value, err := s.Authorization(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestOAuthClientSecret(t *testing.T) {
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("gateway:s3cr3t%2F%2B+value"))
	for _, c := range []struct {
		name    string
		methods []string
		header  string
		form    url.Values
	}{
		{"unannounced", nil, basic, nil},
		{"basic", []string{"client_secret_post", "client_secret_basic"}, basic, nil},
		{"post", []string{"none", "client_secret_post"}, "", url.Values{"client_id": {"gateway"}, "client_secret": {theSecret}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			if c.methods != nil {
				w.server["token_endpoint_auth_methods_supported"] = c.methods
			}
			var header string
			w.token = func(_ url.Values, req *http.Request) (int, string) {
				header = req.Header.Get("Authorization")
				return 200, `{"access_token":"abc","token_type":"Bearer"}`
			}
			s, _ := tokensIn(t, w, OAuthOptions{})
			if got := first(t, s, `Bearer realm="x"`); got != "Bearer abc" {
				t.Errorf("Authorization = %q", got)
			}
			want := url.Values{"grant_type": {"client_credentials"}, "resource": {resourceURL}}
			maps.Copy(want, c.form)
			if diff := cmp.Diff(want, w.forms[0]); diff != "" || header != c.header {
				t.Errorf("request (-want +got):\n%s\nAuthorization: %q, want %q", diff, header, c.header)
			}
		})
	}
}

func pkcs8(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestOAuthPrivateKey(t *testing.T) {
	strong, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		key, pub  any
		supported []string
		want      jose.SignatureAlgorithm // "" fails
	}{
		{"RSA", strong, &strong.PublicKey, nil, jose.RS256},
		{"RSA-PSS", strong, &strong.PublicKey, []string{"ES256", "PS256"}, jose.PS256},
		{"P-384", curve, &curve.PublicKey, []string{"ES384"}, jose.ES384},
		{"Ed25519", edwards, public, nil, jose.EdDSA},
		{"unsupported", edwards, public, []string{"RS256"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			w.server["token_endpoint_auth_methods_supported"] = []string{"private_key_jwt"}
			if c.supported != nil {
				w.server["token_endpoint_auth_signing_alg_values_supported"] = c.supported
			}
			s, _ := tokensIn(t, w, OAuthOptions{PrivateKey: pkcs8(t, c.key), KeyID: "k1"})
			if c.want == "" {
				if _, err := challenged(t, s, 401, "Bearer"); err == nil || w.asked() != 0 {
					t.Errorf("Challenged = %v after %d requests", err, w.asked())
				}
				return
			}
			first(t, s, "Bearer")
			checkAssertion(t, w.forms[0], c.want, c.pub)
		})
	}
}

// checkAssertion verifies how a request authenticates the client.
func checkAssertion(t *testing.T, form url.Values, algorithm jose.SignatureAlgorithm, key any) {
	t.Helper()
	if form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || form.Has("client_secret") {
		t.Errorf("form %v", form)
	}
	signed, err := jose.ParseSignedCompact(form.Get("client_assertion"), []jose.SignatureAlgorithm{algorithm})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := signed.Verify(key)
	if err != nil || signed.Signatures[0].Header.KeyID != "k1" {
		t.Fatalf("Verify: %v, header %v", err, signed.Signatures[0].Header)
	}
	var claims struct {
		Iss, Sub, Aud, Jti string
		Iat, Exp           int64
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	if claims.Iss != "gateway" || claims.Sub != "gateway" || claims.Aud != issuerURL || claims.Jti == "" || claims.Exp-claims.Iat != 120 {
		t.Errorf("claims %s", payload)
	}
}

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

// TestOAuthRenewal follows a token through its life.
func TestOAuthRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s, _ := tokensIn(t, w, OAuthOptions{})
		has := func(want string) {
			t.Helper()
			got, err := s.Authorization(t.Context())
			if err != nil || got != "Bearer "+want {
				t.Errorf("Authorization = %q, %v, want %s", got, err, want)
			}
		}
		if got := first(t, s, "Bearer"); got != "Bearer token-1" {
			t.Fatal(got)
		}
		time.Sleep(58 * time.Minute)
		has("token-1")
		time.Sleep(90 * time.Second) // Within the last minute, nobody waits for the next.
		has("token-1")
		synctest.Wait()
		has("token-2")
		time.Sleep(2 * time.Hour)
		has("token-3")

		// While the issuer is away the old one serves as long as it lasts.
		w.token = func(url.Values, *http.Request) (int, string) { return 503, "" }
		time.Sleep(time.Hour - 30*time.Second)
		has("token-3")
		synctest.Wait()
		has("token-3")
		if n := w.asked(); n != 4 {
			t.Errorf("%d requests, want 4: failures are not repeated at once", n)
		}
	})
}

// TestOAuthRejected has a server that takes no token: it is asked for a new one
// now and then, not at each call.
func TestOAuthRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s, _ := tokensIn(t, w, OAuthOptions{})
		first(t, s, "Bearer")
		for range 100 {
			if again, err := challenged(t, s, 401, `Bearer error="invalid_token"`); again || err != nil {
				t.Fatalf("Challenged = %v, %v", again, err)
			}
		}
		time.Sleep(renewEvery)
		if again, err := challenged(t, s, 401, `Bearer error="invalid_token"`); !again || err != nil {
			t.Errorf("Challenged = %v, %v", again, err)
		}
		if n := w.asked(); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
	})
}

func TestOAuthSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.slow = time.Second
		s, _ := tokensIn(t, w, OAuthOptions{})
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() {
				req := &http.Request{Header: http.Header{}}
				again, err := s.Challenged(t.Context(), req, &http.Response{StatusCode: 401, Header: http.Header{}})
				if !again || err != nil {
					t.Errorf("Challenged = %v, %v", again, err)
				}
			})
		}
		// One who goes away takes nothing from the others.
		gone, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		res := &http.Response{StatusCode: 401, Header: http.Header{}}
		if _, err := s.Challenged(gone, &http.Request{Header: http.Header{}}, res); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("impatient: %v", err)
		}
		callers.Wait()
		if n := w.asked(); n != 1 {
			t.Errorf("%d requests for one token", n)
		}
	})
}

// TestOAuthBinding has a resource that names another authorization server later.
func TestOAuthBinding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s, _ := tokensIn(t, w, OAuthOptions{})
		first(t, s, `Bearer resource_metadata="https://tools.example.com/elsewhere"`)
		w.resource["authorization_servers"] = []string{"https://evil.example.com"}
		time.Sleep(renewEvery)
		if _, err := challenged(t, s, 401, "Bearer"); err == nil || !strings.Contains(err.Error(), "another authorization server") {
			t.Errorf("Challenged = %v", err)
		}
		for _, p := range w.paths {
			if strings.HasPrefix(p, "evil") {
				t.Errorf("%s was asked", p)
			}
		}
	})
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
