package auth

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc/codes"

	"github.com/trilith-gateway/trilith/gateway"
)

// thumbprint returns the RFC 7638 thumbprint of a key of the test.
func thumbprint(kid string) string {
	sum := must((&jose.JSONWebKey{Key: testKeys()[kid].Public()}).Thumbprint(crypto.SHA256))
	return base64.RawURLEncoding.EncodeToString(sum)
}

// prove returns a DPoP proof by the key of that name, for a POST of the token to
// /mcp, with changes; nil takes a member away.
func prove(kid, token string, claims, head fields) string {
	sum := sha256.Sum256([]byte(token))
	c := jwt.MapClaims{
		"jti": fmt.Sprint(nextID.Add(1)), "htm": "POST", "htu": testAudience, "iat": time.Now().Unix(),
		"ath": base64.RawURLEncoding.EncodeToString(sum[:]),
	}
	for k, v := range claims {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	alg := kid
	if kid == "other" {
		alg = "ES256"
	}
	t := jwt.NewWithClaims(signingMethods()[alg], c)
	t.Header["typ"], t.Header["jwk"] = "dpop+jwt", jose.JSONWebKey{Key: testKeys()[kid].Public()}
	key := any(testKeys()[kid])
	for k, v := range head {
		if t.Header[k] = v; v == nil {
			delete(t.Header, k)
		}
	}
	if t.Header["alg"] == "none" {
		t.Method, key = jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType
	}
	return must(t.SignedString(key))
}

// bound are claims of a token that is bound to a key.
func bound(kid string) fields { return fields{"cnf": fields{"jkt": thumbprint(kid)}, "jti": kid} }

func TestProofs(t *testing.T) {
	i := newIDP()
	var log attempts
	o := doorOptions(&log)
	o.Auth = i.open(t)
	d := must(NewDoor(o))
	token, free := i.sign("ES256", good(bound("ES256")), nil), i.sign("ES256", good(nil), nil)
	edwards := i.sign("ES256", good(bound("EdDSA")), nil)
	used := prove("ES256", token, nil, nil)
	now := time.Now()
	for _, c := range []struct {
		name   string
		scheme string
		token  string
		proofs []string
		reason string // "" is accepted
	}{
		{"right", "DPoP", token, []string{used}, ""},
		{"in lower case", "dpop", token, []string{prove("ES256", token, nil, nil)}, ""},
		{"Ed25519", "DPoP", edwards, []string{prove("EdDSA", edwards, nil, nil)}, ""},
		{"URL otherwise written", "DPoP", token, []string{prove("ES256", token, fields{"htu": "HTTPS://GW.example.test:443/mcp?x=1#y"}, nil)}, ""},
		{"twenty seconds ago", "DPoP", token, []string{prove("ES256", token, fields{"iat": now.Add(-20 * time.Second).Unix()}, nil)}, ""},
		{"a clock that is ahead", "DPoP", token, []string{prove("ES256", token, fields{"iat": now.Add(5 * time.Second).Unix()}, nil)}, ""},

		{"replayed", "DPoP", token, []string{used}, "used before"},
		{"none", "DPoP", token, nil, "missing"},
		{"two", "DPoP", token, []string{prove("ES256", token, nil, nil), prove("ES256", token, nil, nil)}, "more than one"},
		{"two in one header", "DPoP", token, []string{used + ", " + used}, "three parts"},
		{"long", "DPoP", token, []string{prove("ES256", token, fields{"x": strings.Repeat("x", maxProof)}, nil)}, "at most"},
		{"as a plain bearer token", "Bearer", token, nil, "without proof"},
		{"as a bearer token with a proof", "Bearer", token, []string{prove("ES256", token, nil, nil)}, "without proof"},
		{"a token that is not bound", "DPoP", free, []string{prove("ES256", free, nil, nil)}, "not bound"},
		{"by another key", "DPoP", token, []string{prove("other", token, nil, nil)}, "another key"},
		{"that names the key, but by another", "DPoP", token, []string{prove("other", token, nil, fields{"jwk": jose.JSONWebKey{Key: testKeys()["ES256"].Public()}})}, "signature"},
		{"tampered", "DPoP", token, []string{tamper(prove("ES256", token, nil, nil))}, "signature"},
		{"with the private key", "DPoP", token, []string{prove("ES256", token, nil, fields{"jwk": jose.JSONWebKey{Key: testKeys()["ES256"]}})}, "no public key"},
		{"without a key", "DPoP", token, []string{prove("ES256", token, nil, fields{"jwk": nil})}, "no public key"},
		{"with a symmetric key", "DPoP", token, []string{prove("ES256", token, nil, fields{"jwk": fields{"kty": "oct", "k": "AAAA"}})}, "no public key"},
		{"unsigned", "DPoP", token, []string{prove("ES256", token, nil, fields{"alg": "none"})}, "algorithm"},
		{"by HMAC", "DPoP", token, []string{prove("ES256", token, nil, fields{"alg": "HS256"})}, "algorithm"},
		{"of another type", "DPoP", token, []string{prove("ES256", token, nil, fields{"typ": "JWT"})}, "type"},
		{"with critical extensions", "DPoP", token, []string{prove("ES256", token, nil, fields{"crit": []string{"x"}})}, "critical"},
		{"for another method", "DPoP", token, []string{prove("ES256", token, fields{"htm": "GET"}, nil)}, "method"},
		{"for no method", "DPoP", token, []string{prove("ES256", token, fields{"htm": nil}, nil)}, "method"},
		{"for another path", "DPoP", token, []string{prove("ES256", token, fields{"htu": testResource + "/graphql"}, nil)}, "it is for"},
		{"for another host", "DPoP", token, []string{prove("ES256", token, fields{"htu": "https://evil.example/mcp"}, nil)}, "it is for"},
		{"for the host of the header", "DPoP", token, []string{prove("ES256", token, fields{"htu": "http://127.0.0.1/mcp"}, nil)}, "it is for"},
		{"by http", "DPoP", token, []string{prove("ES256", token, fields{"htu": "http://gw.example.test/mcp"}, nil)}, "it is for"},
		{"for a user", "DPoP", token, []string{prove("ES256", token, fields{"htu": "https://x@gw.example.test/mcp"}, nil)}, "it is for"},
		{"for another token", "DPoP", token, []string{prove("ES256", free, nil, nil)}, "another token"},
		{"for no token", "DPoP", token, []string{prove("ES256", token, fields{"ath": nil}, nil)}, "another token"},
		{"old", "DPoP", token, []string{prove("ES256", token, fields{"iat": now.Add(-2 * proofAge).Unix()}, nil)}, "within"},
		{"of the future", "DPoP", token, []string{prove("ES256", token, fields{"iat": now.Add(time.Minute).Unix()}, nil)}, "within"},
		{"undated", "DPoP", token, []string{prove("ES256", token, fields{"iat": nil}, nil)}, "within"},
		{"without an id", "DPoP", token, []string{prove("ES256", token, fields{"jti": nil}, nil)}, "jti"},
		{"with a long id", "DPoP", token, []string{prove("ES256", token, fields{"jti": strings.Repeat("x", maxProofID+1)}, nil)}, "jti"},
		{"with an id that is a number", "DPoP", token, []string{prove("ES256", token, fields{"jti": 1}, nil)}, "jti"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "http://127.0.0.1/mcp?q=1", nil)
			r.Header.Set("Authorization", c.scheme+" "+c.token)
			r.Header["Dpop"] = c.proofs
			w := httptest.NewRecorder()
			d.Handler(http.HandlerFunc(behind)).ServeHTTP(w, r)
			got, reports := w.Result(), log.take()
			if c.reason == "" {
				if got.StatusCode != 200 || len(reports) > 0 {
					t.Errorf("%d %s %+v", got.StatusCode, w.Body, reports)
				}
				return
			}
			if got.StatusCode != 401 || len(reports) != 1 || !strings.Contains(reports[0].Reason, c.reason) {
				t.Fatalf("%d %+v, want 401 because of %q", got.StatusCode, reports, c.reason)
			}
			challenge := strings.Join(got.Header.Values("WWW-Authenticate"), "\n")
			scheme := map[bool]string{true: "DPoP", false: "Bearer"}[c.scheme == "DPoP"]
			if !strings.HasPrefix(challenge, scheme+" resource_metadata=") || !strings.Contains(challenge, "error=") || strings.Contains(w.Body.String(), c.reason) {
				t.Errorf("challenge %s, body %s", challenge, w.Body)
			}
			if kind := `error="invalid_dpop_proof"`; strings.Contains(reports[0].Reason, "DPoP proof: ") != strings.Contains(challenge, kind) {
				t.Errorf("challenge %s for %s", challenge, reports[0].Reason)
			}
		})
	}
}

// TestProofPaths compares the URL of a proof with that of the request, which a
// proxy may have shortened.
func TestProofPaths(t *testing.T) {
	for _, c := range []struct {
		public, request, htu string
		ok                   bool
	}{
		{"https://gw.test", "/mcp", "https://gw.test/mcp", true},
		{"https://gw.test", "/", "https://gw.test", true},
		{"https://gw.test", "/a%2Fb", "https://gw.test/a%2fb", true},
		{"https://gw.test", "/a%2Fb", "https://gw.test/a/b", false},
		{"https://gw.test", "/A", "https://gw.test/a", false},
		{"https://gw.test/base", "/mcp", "https://gw.test/base/mcp", true},
		{"https://gw.test/base", "/base/mcp", "https://gw.test/base/mcp", true},
		{"https://gw.test/base", "/mcp", "https://gw.test/mcp", false},
		{"https://gw.test/base", "/basement", "https://gw.test/basement", false},
		{"https://gw.test:8443", "/mcp", "https://gw.test:8443/mcp", true},
		{"https://gw.test:8443", "/mcp", "https://gw.test/mcp", false},
		{"https://gw.test", "/mcp", "/mcp", false},
		{"https://gw.test", "/mcp", "https://gw.test/mcp/", false},
		{"https://gw.test", "/mcp", "https://gw.test\\@evil.test/mcp", false},
		{"https://gw.test", "/mcp", "", false},
	} {
		p := proofs{Proofs: new(Proofs), base: must(url.Parse(c.public))}
		u := must(url.Parse(c.request))
		if got := p.is(c.htu, &visit{path: u.Path, rawPath: u.EscapedPath()}); got != c.ok {
			t.Errorf("public URL %s, request %s, htu %s: %v", c.public, c.request, c.htu, got)
		}
	}
}

// TestNonces goes through the life of a nonce.
func TestNonces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIDP()
		var log attempts
		o := doorOptions(&log)
		v := i.open(t)
		defer v.Close()
		o.Auth, o.Proofs = v, NewProofs(&[32]byte{7})
		h := must(NewDoor(o)).Handler(http.HandlerFunc(behind))
		token := i.sign("ES256", good(bound("ES256")), nil)
		try := func(nonce any) (int, string, string) {
			r := httptest.NewRequest("POST", "http://127.0.0.1/mcp", nil)
			r.Header.Set("Authorization", "DPoP "+token)
			r.Header.Set("DPoP", prove("ES256", token, fields{"nonce": nonce}, nil))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Code, w.Header().Get("DPoP-Nonce"), w.Header().Get("WWW-Authenticate")
		}
		code, first, challenge := try(nil)
		if code != 401 || first == "" || !strings.Contains(challenge, `error="use_dpop_nonce"`) {
			t.Fatalf("without a nonce: %d %q %s", code, first, challenge)
		}
		if code, next, _ := try(first); code != 200 || next != "" {
			t.Errorf("with the nonce: %d %q", code, next)
		}
		<-time.After(nonceLife * time.Second)
		code, second, _ := try(first)
		if code != 200 || second == "" || second == first {
			t.Errorf("with the nonce before: %d %q", code, second)
		}
		if code, next, _ := try(second); code != 200 || next != "" {
			t.Errorf("with the next nonce: %d %q", code, next)
		}
		<-time.After(nonceLife * time.Second)
		if code, next, _ := try(first); code != 401 || next == "" {
			t.Errorf("with an old nonce: %d %q", code, next)
		}
		if code, _, _ := try("junk"); code != 401 {
			t.Errorf("with junk: %d", code)
		}
	})
}

// TestReplays forgets no proof that could be used again, and remembers no more
// than it may.
func TestReplays(t *testing.T) {
	var r replays
	now := time.Now()
	if err := r.add("key", "id", now); err != nil {
		t.Fatal(err)
	}
	for _, after := range []time.Duration{0, proofWindow - 1, proofWindow, 2*proofWindow - 2} {
		if err := r.add("key", "id", now.Add(after)); (err == nil) != (after >= 2*proofWindow) && after < proofWindow {
			t.Errorf("after %v: %v", after, err)
		}
		if err := r.add("other key", "id", now.Add(after)); after == 0 && err != nil {
			t.Errorf("the id with another key: %v", err)
		}
	}
	if err := r.add("key", "id", now.Add(10*proofWindow)); err != nil {
		t.Errorf("long after: %v", err)
	}
	r = replays{}
	r.add("key", "first", now)
	r.young.of["key"] = maxReplaysKey
	err := r.add("key", "next", now)
	if e := gateway.AsError(err); e == nil || e.Code != gateway.ResourceExhausted {
		t.Errorf("too many of one key: %v", err)
	}
	if err := r.add("other", "next", now); err != nil {
		t.Errorf("another key then: %v", err)
	}
	if len(r.young.ids) != 2 {
		t.Errorf("remembers %d", len(r.young.ids))
	}
}

// TestProofGRPC sends proofs in the metadata of a call.
func TestProofGRPC(t *testing.T) {
	i := newIDP()
	var log attempts
	o := doorOptions(&log)
	o.Auth = i.open(t)
	token := i.sign("ES256", good(bound("ES256")), nil)
	const method = "/grpc.testing.Test/Call"
	d := must(NewDoor(o))
	enter := func(htu string) error {
		v := visit{
			method: "POST", path: method, rawPath: method, authorization: []string{"DPoP " + token},
			proof: []string{prove("ES256", token, fields{"htu": htu}, nil)},
		}
		_, err := d.admitGRPC(context.Background(), &v, nil, "", true)
		return err
	}
	if err := enter(testResource + method); err != nil {
		t.Error(err)
	}
	if e := gateway.AsError(enter(testResource + "/other")); e == nil || codes.Code(e.Code) != codes.Unauthenticated {
		t.Errorf("for another method: %v", e)
	}
}

// FuzzProof: whatever is accepted was made for this request, and is not accepted
// with another signature.
func FuzzProof(f *testing.F) {
	const token = "token"
	v := &visit{method: "POST", path: "/mcp", rawPath: "/mcp"}
	accept := func(s string) (*proof, bool) {
		d := proofs{Proofs: new(Proofs), base: must(url.Parse(testResource))}
		p, err := parseProof([]string{s})
		if err == nil {
			_, err = d.verify(p, v, token)
		}
		return p, err == nil
	}
	for _, kid := range []string{"ES256", "EdDSA", "RS256", "other"} {
		s := prove(kid, token, nil, nil)
		if _, ok := accept(s); !ok {
			f.Fatalf("a proof by %s is refused", kid)
		}
		f.Add(s)
		f.Add(tamper(s))
	}
	f.Add("e30.e30.")
	f.Fuzz(func(t *testing.T, s string) {
		p, ok := accept(s)
		if !ok {
			return
		}
		if method := must(p.claims.text("htm")); method != "POST" || p.header.Typ != "dpop+jwt" || p.thumbprint == "" {
			t.Errorf("accepted %q", s)
		}
		if _, ok := accept(tamper(s)); ok {
			t.Errorf("accepted %q with another signature", s)
		}
	})
}

func BenchmarkProof(b *testing.B) {
	const token = "token"
	d := proofs{Proofs: new(Proofs), base: must(url.Parse(testResource))}
	v := &visit{method: "POST", path: "/mcp", rawPath: "/mcp"}
	text := []string{prove("ES256", token, nil, nil)}
	b.ReportAllocs()
	for b.Loop() {
		d.replays = replays{}
		p, err := parseProof(text)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := d.verify(p, v, token); err != nil {
			b.Fatal(err)
		}
	}
}
