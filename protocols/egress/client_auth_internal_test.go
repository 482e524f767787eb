package egress

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/url"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

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
