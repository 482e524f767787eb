package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"github.com/trilith-gateway/trilith/gateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testIssuer   = "https://idp.example.test"
	testResource = "https://gw.example.test"
	testAudience = testResource + "/mcp"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// testKeys are made once: RSA keys take their time.
var testKeys = sync.OnceValue(func() map[string]crypto.Signer {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return map[string]crypto.Signer{
		"RS256": must(rsa.GenerateKey(rand.Reader, 2048)),
		"ES256": must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		"other": must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		"ES384": must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		"EdDSA": ed,
	}
})

// An idp is an identity provider in memory: an http.RoundTripper that serves
// metadata and keys, so that it works in a synctest bubble.
type idp struct {
	mu      sync.Mutex
	keys    map[string]crypto.Signer // by kid
	down    bool
	iss     string
	path    string        // of the key set
	jwks    func() []byte // nil serves keys
	hang    chan struct{} // not nil: answers wait until it is closed
	fetched atomic.Int64  // requests for keys
}

func newIDP() *idp { return &idp{keys: maps.Clone(testKeys()), iss: testIssuer, path: "/keys"} }

func (i *idp) set(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

func (i *idp) keySet() []byte {
	var set jose.JSONWebKeySet
	for kid, k := range i.keys {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Public(), KeyID: kid, Use: "sig"})
	}
	return must(json.Marshal(set))
}

func (i *idp) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path != "/.well-known/openid-configuration" {
		i.fetched.Add(1)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if hang := i.hang; hang != nil {
		i.mu.Unlock()
		select {
		case <-hang:
		case <-r.Context().Done():
		}
		i.mu.Lock()
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
	}
	var body []byte
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		body = must(json.Marshal(map[string]string{"issuer": i.iss, "jwks_uri": testIssuer + i.path}))
	case i.path:
		body = i.keySet()
		if i.jwks != nil {
			body = i.jwks()
		}
	}
	if i.down {
		return nil, errors.New("connection refused")
	}
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", Request: r, ContentLength: -1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)),
	}, nil
}

func (i *idp) options() IssuerOptions {
	return IssuerOptions{
		Name: "test", URL: testIssuer, Audiences: []string{testAudience}, Leeway: 30 * time.Second, RequireType: true,
		Client: &http.Client{Transport: i},
	}
}

func (i *idp) open(t testing.TB, change ...func(*IssuerOptions)) *OIDC {
	t.Helper()
	o := i.options()
	for _, f := range change {
		f(&o)
	}
	v, err := NewOIDC(t.Context(), []IssuerOptions{o}, OIDCOptions{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

type fields map[string]any

// good are the claims of a valid token, with changes; nil takes a claim away.
func good(changes fields) jwt.MapClaims {
	now := time.Now().Unix()
	c := jwt.MapClaims{
		"iss": testIssuer, "sub": "alice", "aud": testAudience, "exp": now + 3600, "iat": now, "client_id": "cli", "jti": "j1",
		"scope": "mcp:tools.list mcp:tools.call", "groups": []string{"eng"}, "roles": []string{"dev"}, "tenant": "acme", "name": "Alice",
	}
	for k, v := range changes {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

// sign returns a token; the key's id is the algorithm's name unless the header
// says otherwise.
func (i *idp) sign(alg string, c jwt.Claims, head fields) string {
	kid := fold(alg)
	method := signingMethods()[alg]
	var key any
	i.set(func() { key = i.keys[kid] })
	switch alg {
	case "none":
		method, key = jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType
	case "HS256": // The classic confusion: HMAC with the public key.
		der := must(x509.MarshalPKIXPublicKey(testKeys()["RS256"].Public()))
		method, key = jwt.SigningMethodHS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}
	if kid == "PS256" || kid == "RS384" {
		kid, key = "RS256", testKeys()["RS256"]
	}
	t := jwt.NewWithClaims(method, c)
	t.Header["alg"], t.Header["kid"], t.Header["typ"] = alg, kid, "at+jwt"
	for k, v := range head {
		if t.Header[k] = v; v == nil {
			delete(t.Header, k)
		}
	}
	if by, ok := head["sign with"].(string); ok {
		delete(t.Header, "sign with")
		key = i.keys[by]
	}
	return must(t.SignedString(key))
}

// tamper changes the signature of a token.
func tamper(token string) string {
	at := strings.LastIndexByte(token, '.') + 5
	c := byte('A')
	if token[at] == c {
		c = 'B'
	}
	return token[:at] + string(c) + token[at+1:]
}

// wantRefused fails unless err is the refusal of a credential that tells the
// caller nothing.
func wantRefused(t testing.TB, err error) {
	t.Helper()
	var e *gateway.Error
	if !errors.As(err, &e) || e.Code != gateway.Unauthenticated || e.Msg != "invalid token" || e.Err == nil {
		t.Errorf("error %v, want UNAUTHENTICATED: invalid token, with a cause", err)
	}
}

// plain authenticates a plain bearer token.
func (v *OIDC) plain(ctx context.Context, token string) (*gateway.Principal, error) {
	return v.Authenticate(ctx, Credential{Token: token})
}

// nextID numbers what must not be the same twice.
var nextID atomic.Int64
