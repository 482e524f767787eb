package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// bubble runs f in a synctest bubble with an open issuer.
func bubble(t *testing.T, f func(t *testing.T, i *idp, v *OIDC)) {
	testKeys() // Outside, as they are shared.
	synctest.Test(t, func(t *testing.T) {
		i := newIDP()
		v := i.open(t)
		f(t, i, v)
		v.Close()
	})
}

// rotate replaces a key of the issuer.
func (i *idp) rotate(old, id string) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	i.set(func() {
		delete(i.keys, old)
		i.keys[id] = key
	})
}

func (i *idp) signBy(id string) string {
	return i.sign("EdDSA", good(nil), fields{"kid": id, "sign with": id})
}

func TestForgedTokensNeverFetch(t *testing.T) {
	bubble(t, func(t *testing.T, i *idp, v *OIDC) {
		start := i.fetched.Load()
		for n := range 1000 {
			_, err := v.plain(t.Context(), tamper(i.sign("ES256", good(fields{"jti": fmt.Sprint(n)}), nil)))
			wantRefused(t, err)
		}
		if n := i.fetched.Load() - start; n != 0 {
			t.Errorf("1000 forged tokens caused %d fetches, want none", n)
		}
	})
}

func TestUnknownKeysFetchSeldom(t *testing.T) {
	bubble(t, func(t *testing.T, i *idp, v *OIDC) {
		start := i.fetched.Load()
		var wg sync.WaitGroup
		for n := range 1000 {
			wg.Go(func() {
				_, err := v.plain(t.Context(), i.sign("ES256", good(nil), fields{"kid": fmt.Sprint("junk", n)}))
				wantRefused(t, err)
			})
		}
		wg.Wait()
		if n := i.fetched.Load() - start; n != 1 {
			t.Errorf("1000 unknown keys at once caused %d fetches, want 1", n)
		}
		for range 60 { // One each second for a minute.
			time.Sleep(time.Second)
			_, err := v.plain(t.Context(), i.sign("ES256", good(nil), fields{"kid": rand.Text()}))
			wantRefused(t, err)
		}
		if n := i.fetched.Load() - start; n > 5 {
			t.Errorf("a minute of unknown keys caused %d fetches, want at most 5", n)
		}
	})
}

func TestOneFetchForAllWhoWait(t *testing.T) {
	bubble(t, func(t *testing.T, i *idp, v *OIDC) {
		start := i.fetched.Load()
		hang := make(chan struct{})
		i.rotate("EdDSA", "new")
		i.set(func() { i.hang = hang })
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if _, err := v.plain(t.Context(), i.signBy("new")); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		i.set(func() { i.hang = nil })
		close(hang)
		wg.Wait()
		if n := i.fetched.Load() - start; n != 1 {
			t.Errorf("100 tokens at once caused %d fetches, want 1", n)
		}
	})
}

func TestKeysThatMove(t *testing.T) {
	bubble(t, func(t *testing.T, i *idp, v *OIDC) {
		i.rotate("EdDSA", "new")
		i.set(func() { i.path = "/keys/v2" })
		_, err := v.plain(t.Context(), i.signBy("new"))
		wantRefused(t, err)
		time.Sleep(retryAfter)
		if _, err := v.plain(t.Context(), i.signBy("new")); err != nil {
			t.Errorf("after the failure that showed the move: %v", err)
		}
	})
}

func TestUnknownKeyOfInvalidTokenNeverFetches(t *testing.T) {
	bubble(t, func(t *testing.T, i *idp, v *OIDC) {
		start := i.fetched.Load()
		for _, bad := range []fields{{"exp": 1}, {"aud": "other"}, {"cnf": fields{}}} {
			_, err := v.plain(t.Context(), i.sign("ES256", good(bad), fields{"kid": "junk"}))
			wantRefused(t, err)
		}
		if n := i.fetched.Load() - start; n != 0 {
			t.Errorf("tokens that could not be valid caused %d fetches", n)
		}
	})
}

func TestRotation(t *testing.T) {
	bubble(t, func(t *testing.T, i *idp, v *OIDC) {
		old := i.signBy("EdDSA")
		if _, err := v.plain(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		i.rotate("EdDSA", "new")
		if _, err := v.plain(t.Context(), i.signBy("new")); err != nil {
			t.Errorf("token by the new key: %v", err)
		}
		// The old key is gone, and with it what was verified by it.
		_, err := v.plain(t.Context(), old)
		wantRefused(t, err)
	})
}

func TestRotationIsSeenInTheBackground(t *testing.T) {
	bubble(t, func(t *testing.T, i *idp, v *OIDC) {
		old := i.sign("EdDSA", good(fields{"exp": time.Now().Add(time.Hour).Unix()}), nil)
		if _, err := v.plain(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		i.rotate("EdDSA", "new")
		time.Sleep(refreshEvery * 12 / 10)
		synctest.Wait()
		_, err := v.plain(t.Context(), old)
		wantRefused(t, err)
	})
}

func TestKnownKeysOutliveTheIssuer(t *testing.T) {
	bubble(t, func(t *testing.T, i *idp, v *OIDC) {
		i.set(func() { i.down = true })
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		if _, err := v.plain(t.Context(), i.sign("ES256", good(nil), nil)); err != nil {
			t.Errorf("token by a known key while the issuer is down: %v", err)
		}
		if err := v.Healthy(); err != nil {
			t.Error(err)
		}
	})
}

func TestFailedFetchGivesTheAllowanceBack(t *testing.T) {
	bubble(t, func(t *testing.T, i *idp, v *OIDC) {
		i.rotate("EdDSA", "new")
		i.set(func() { i.down = true })
		_, err := v.plain(t.Context(), i.signBy("new"))
		wantRefused(t, err)
		i.set(func() { i.down = false })
		time.Sleep(retryAfter)
		if _, err := v.plain(t.Context(), i.signBy("new")); err != nil {
			t.Errorf("a second after the issuer came back: %v", err)
		}
	})
}

func TestIssuerThatStartsLater(t *testing.T) {
	testKeys()
	synctest.Test(t, func(t *testing.T) {
		i := newIDP()
		i.down = true
		v := i.open(t)
		defer v.Close()
		if err := v.Healthy(); err == nil || !strings.Contains(err.Error(), "test") {
			t.Errorf("Healthy: %v, want the issuer named", err)
		}
		_, err := v.plain(t.Context(), i.sign("ES256", good(nil), nil))
		wantRefused(t, err)
		i.set(func() { i.down = false })
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, err := v.plain(t.Context(), i.sign("ES256", good(nil), nil)); err != nil {
			t.Error(err)
		}
	})
}

func TestSlowIssuer(t *testing.T) {
	bubble(t, func(t *testing.T, i *idp, v *OIDC) {
		i.set(func() { i.hang = make(chan struct{}) })
		start := time.Now()
		_, err := v.plain(t.Context(), i.sign("ES256", good(nil), fields{"kid": "junk"}))
		wantRefused(t, err)
		if d := time.Since(start); d != fetchFor {
			t.Errorf("waited %v, want %v", d, fetchFor)
		}
		// Known keys do not wait for a fetch under way.
		go v.plain(t.Context(), i.sign("ES256", good(nil), fields{"kid": "junk"}))
		start = time.Now()
		if _, err := v.plain(t.Context(), i.sign("ES256", good(nil), nil)); err != nil || time.Since(start) != 0 {
			t.Errorf("known key: %v after %v", err, time.Since(start))
		}
	})
}

func TestExpiryInTheCache(t *testing.T) {
	bubble(t, func(t *testing.T, i *idp, v *OIDC) {
		token := i.sign("ES256", good(fields{"exp": time.Now().Unix() + 60}), nil)
		p, err := v.plain(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(89 * time.Second) // The leeway is 30 s.
		again, err := v.plain(t.Context(), token)
		if err != nil || again != p {
			t.Errorf("before the expiry: %p %v, want the principal that is cached, %p", again, err, p)
		}
		time.Sleep(time.Second)
		_, err = v.plain(t.Context(), token)
		wantRefused(t, err)
	})
}

func TestBadAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*idp)
		want   string
	}{
		"metadata of another issuer": {func(i *idp) { i.iss = "https://evil.example.test" }, "did not match"},
		"no keys":                    {func(i *idp) { i.jwks = func() []byte { return []byte(`{"keys":[]}`) } }, "usable"},
		"not JSON":                   {func(i *idp) { i.jwks = func() []byte { return []byte(`<html>`) } }, "key set"},
		"too large":                  {func(i *idp) { i.jwks = func() []byte { return make([]byte, maxKeySet+1) } }, "too large"},
		"too many": {func(i *idp) {
			i.jwks = func() []byte { return []byte(`{"keys":[` + strings.Repeat(`{},`, maxKeys) + `{}]}`) }
		}, "at most"},
	} {
		i := newIDP()
		c.change(i)
		k := must(newKeySet(i.options(), quiet()))
		if _, err := k.fetch(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestParseKeys(t *testing.T) {
	jwk := func(k any, change fields) json.RawMessage {
		var m map[string]any
		raw := must(json.Marshal(jose.JSONWebKey{Key: k, KeyID: "k", Use: "sig"}))
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		for name, v := range change {
			if m[name] = v; v == nil {
				delete(m, name)
			}
		}
		return must(json.Marshal(m))
	}
	ec, rsaKey, ed := testKeys()["ES256"].Public(), testKeys()["RS256"].Public(), testKeys()["EdDSA"].Public()
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	weak := &rsa.PublicKey{N: rsaKey.(*rsa.PublicKey).N, E: 65537}
	small := *weak
	small.N = new(big.Int).Rsh(weak.N, 1024)
	for _, c := range []struct {
		name string
		jwk  json.RawMessage
		algs string // "" is left out
	}{
		{"EC", jwk(ec, nil), "[ES256]"},
		{"EC of P-384", jwk(p384.Public(), nil), "[ES384]"},
		{"RSA", jwk(rsaKey, nil), "[RS256 RS384 RS512 PS256 PS384 PS512]"},
		{"RSA for one algorithm", jwk(rsaKey, fields{"alg": "PS256"}), "[PS256]"},
		{"Ed25519", jwk(ed, nil), "[EdDSA Ed25519]"},
		{"Ed25519 by its newer name", jwk(ed, fields{"alg": "Ed25519"}), "[EdDSA Ed25519]"},
		{"no use", jwk(ec, fields{"use": nil}), "[ES256]"},
		{"key_ops verify", jwk(ec, fields{"key_ops": []string{"verify"}}), "[ES256]"},
		{"algorithm of another kind", jwk(ec, fields{"alg": "RS256"}), ""},
		{"HMAC algorithm", jwk(rsaKey, fields{"alg": "HS256"}), ""},
		{"no id", jwk(ec, fields{"kid": nil}), ""},
		{"for encryption", jwk(ec, fields{"use": "enc"}), ""},
		{"key_ops sign", jwk(ec, fields{"key_ops": []string{"sign"}}), ""},
		{"private", jwk(testKeys()["ES256"], nil), ""},
		{"symmetric", jwk([]byte("secret-secret-secret"), nil), ""},
		{"RSA of 1024 bits", jwk(&small, nil), ""},
		{"not on the curve", jwk(ec, fields{"x": base64.RawURLEncoding.EncodeToString(make([]byte, 32))}), ""},
		{"unknown kind", jwk(ec, fields{"kty": "XX"}), ""},
	} {
		set, err := parseKeys(must(json.Marshal(fields{"keys": []json.RawMessage{c.jwk}})))
		got := ""
		if err == nil {
			got = fmt.Sprint(set.byID["k"][0].algs)
		}
		if got != c.algs {
			t.Errorf("%s: %q %v, want %q", c.name, got, err, c.algs)
		}
	}
}

// TestDiscoveryOverHTTP takes the road of production: a server, discovery and
// the client that NewOIDC makes.
func TestDiscoveryOverHTTP(t *testing.T) {
	i := newIDP()
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	defer srv.Close()
	mux.HandleFunc("/tenant/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, srv.URL+"/tenant", srv.URL+"/keys")
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) { w.Write(i.keySet()) })
	v := i.open(t, func(o *IssuerOptions) { o.URL, o.Client = srv.URL+"/tenant", nil })
	if err := v.Healthy(); err != nil {
		t.Fatal(err)
	}
	if _, err := v.plain(t.Context(), i.sign("RS256", good(fields{"iss": srv.URL + "/tenant"}), nil)); err != nil {
		t.Error(err)
	}
	v.Close()
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	i := newIDP()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return
		}
		w.Write(i.keySet())
	}))
	defer srv.Close()
	v := i.open(t, func(o *IssuerOptions) { o.JWKSURL, o.Client = srv.URL+"/keys", nil })
	if v.Healthy() == nil {
		t.Error("keys were taken from where the issuer's server redirected to")
	}
	v.Close()
}
