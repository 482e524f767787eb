package auth

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

func TestTokens(t *testing.T) {
	i := newIDP()
	v := i.open(t)
	now := time.Now().Unix()
	claims := func(alg, name string, value any) string { return i.sign(alg, good(fields{name: value}), nil) }
	head := func(alg string, h fields) string { return i.sign(alg, good(nil), h) }
	ok := head("RS256", nil)
	part := func(n int, f func(string) string) string {
		parts := strings.Split(ok, ".")
		parts[n] = f(parts[n])
		return strings.Join(parts, ".")
	}
	raw := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for _, c := range []struct {
		name, token, cause string // "" is accepted
	}{
		{"RS256", ok, ""},
		{"PS256", head("PS256", nil), ""},
		{"ES256", head("ES256", nil), ""},
		{"EdDSA", head("EdDSA", nil), ""},
		{"Ed25519, the name of RFC 9864", head("Ed25519", nil), ""},
		{"type application/at+jwt", head("ES256", fields{"typ": "application/AT+JWT"}), ""},
		{"audience with a trailing slash", claims("ES256", "aud", testAudience+"/"), ""},
		{"audience in capitals", claims("ES256", "aud", "HTTPS://GW.example.test/mcp"), ""},
		{"one audience of several", claims("ES256", "aud", []string{"other", testAudience}), ""},
		{"expired 10 s ago, within the leeway", claims("ES256", "exp", now-10), ""},
		{"dates with fractions", claims("ES256", "exp", float64(now)+60.5), ""},
		{"no iat", claims("ES256", "iat", nil), ""},

		{"alg none", head("none", fields{"kid": "RS256"}), `algorithm "none"`},
		{"alg None", head("none", fields{"alg": "None"}), `algorithm "None"`},
		{"HS256 with the public key", head("HS256", fields{"kid": "RS256"}), `algorithm "HS256"`},
		{"algorithm not allowed", head("RS384", nil), `algorithm "RS384"`},
		{"ES256 with the id of an RSA key", head("ES256", fields{"kid": "RS256"}), "not for this algorithm"},
		{"RS256 with the id of an EC key", head("RS256", fields{"kid": "ES256"}), "not for this algorithm"},
		{"another key with a known id", head("ES256", fields{"sign with": "other"}), "signature"},
		{"no kid", head("RS256", fields{"kid": nil}), "no key id"},
		{"kid is no string", head("RS256", fields{"kid": 7}), "header"},
		{"type JWT, as of an ID token", head("RS256", fields{"typ": "JWT"}), "not at+jwt"},
		{"no type", head("RS256", fields{"typ": nil}), "not at+jwt"},
		{"critical extension", head("RS256", fields{"crit": []string{"x"}, "x": 1}), "critical"},
		{"critical is null", head("RS256", fields{"crit": []string(nil)}), "critical"},
		{"audience of another", claims("RS256", "aud", "https://other.example.test/mcp"), "audience"},
		{"audience with our name as a prefix", claims("RS256", "aud", testAudience+"x"), "audience"},
		{"no audience", claims("RS256", "aud", nil), "audience"},
		{"audience is an object", claims("RS256", "aud", fields{"a": testAudience}), "aud"},
		{"issuer of another", claims("RS256", "iss", "https://evil.example.test"), "not configured"},
		{"issuer with a trailing slash", claims("RS256", "iss", testIssuer+"/"), "not configured"},
		{"no issuer", claims("RS256", "iss", nil), "not configured"},
		{"issuer is a list", claims("RS256", "iss", []string{testIssuer}), "iss"},
		{"no expiry", claims("RS256", "exp", nil), "never expires"},
		{"expiry is null", i.sign("RS256", good(fields{"exp": (*int)(nil)}), nil), "exp"},
		{"expiry is a string", claims("RS256", "exp", "9999999999"), "exp"},
		{"expiry beyond all dates", claims("RS256", "exp", 1e300), "exp"},
		{"expired", claims("RS256", "exp", now-60), "expired"},
		{"not before in 2 min", claims("RS256", "nbf", now+120), "nbf"},
		{"issued in 2 min", claims("RS256", "iat", now+120), "iat"},
		{"bound to a DPoP key", claims("RS256", "cnf", fields{"jkt": "x"}), "bound"},
		{"bound to a certificate", claims("RS256", "cnf", fields{"x5t#S256": "x"}), "bound"},
		{"bound to null", i.sign("RS256", good(fields{"cnf": (*int)(nil)}), nil), "bound"},
		{"neither subject nor client", i.sign("RS256", good(fields{"sub": nil, "client_id": nil}), nil), "neither"},
		{"subject is a number", claims("RS256", "sub", 7), "sub"},
		{"subject with a line break", claims("RS256", "sub", "alice\nlevel=INFO"), "do not print"},
		{"subject that reads backwards", claims("RS256", "sub", "\u202enimda"), "do not print"},
		{"subject of 600 bytes", claims("RS256", "sub", strings.Repeat("a", 600)), "too long"},
		{"groups are numbers", claims("RS256", "groups", []int{1}), "groups"},
		{"two tenants", claims("RS256", "tenant", []string{"a", "b"}), "tenant"},
		{"tampered signature", tamper(ok), "signature"},
		{"no signature", ok[:strings.LastIndexByte(ok, '.')+1], "signature"},
		{"tampered claims", part(1, func(s string) string { return raw(strings.Replace(string(must(decodePart(s))), "alice", "admin", 1)) }), "signature"},
		{"a second sub", part(1, func(s string) string {
			return raw(strings.Replace(string(must(decodePart(s))), `"sub"`, `"sub":"admin","sub"`, 1))
		}), "duplicate"},
		{"a second alg", part(0, func(s string) string {
			return raw(strings.Replace(string(must(decodePart(s))), `"alg"`, `"alg":"none","alg"`, 1))
		}), "duplicate"},
		{"signature in another form of base64", loose(ok), "signature"},
		{"padded signature", ok + "==", "signature"},
		{"line break in the signature", ok[:len(ok)-4] + "\n" + ok[len(ok)-4:], "line break"},
		{"too long", claims("RS256", "pad", strings.Repeat("x", maxToken)), "at most"},
		{"encrypted token", ok + ".a.b", "three parts"},
		{"two parts", "a.b", "three parts"},
		{"not JSON", raw("{") + "." + raw("{}") + ".", "header"},
		{"header is a list", raw("[]") + "." + raw("{}") + ".", "header"},
		{"claims are null", raw(`{"alg":"RS256","kid":"RS256","typ":"at+jwt"}`) + "." + raw("null") + ".", "not configured"},
		{"empty", "", "three parts"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := v.plain(t.Context(), c.token)
			if c.cause == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if p != nil {
				t.Fatalf("accepted as %s", p.ID)
			}
			wantRefused(t, err)
			if err != nil && !strings.Contains(err.Error(), c.cause) {
				t.Errorf("cause %v, want %q", err, c.cause)
			}
		})
	}
}

// loose changes the bits of a token's last character that stand for nothing.
func loose(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(token) - 1
	return token[:last] + string(alphabet[strings.IndexByte(alphabet, token[last])^1])
}

func TestTokensWithoutType(t *testing.T) {
	i := newIDP()
	v := i.open(t, func(o *IssuerOptions) { o.RequireType = false })
	for _, c := range []struct {
		name   string
		claims fields
		head   fields
		ok     bool
	}{
		{"at+jwt", nil, nil, true},
		{"JWT", nil, fields{"typ": "JWT"}, true},
		{"none", nil, fields{"typ": nil}, true},
		{"Keycloak's access token", fields{"typ": "Bearer"}, fields{"typ": "JWT"}, true},
		{"Cognito's access token", fields{"token_use": "access"}, fields{"typ": nil}, true},
		{"ID token with a nonce", fields{"nonce": "n"}, fields{"typ": "JWT"}, false},
		{"ID token with at_hash", fields{"at_hash": "n"}, fields{"typ": "JWT"}, false},
		{"Keycloak's ID token", fields{"typ": "ID"}, fields{"typ": "JWT"}, false},
		{"Cognito's ID token", fields{"token_use": "id"}, fields{"typ": nil}, false},
		{"logout token", fields{"events": fields{}}, fields{"typ": nil}, false},
		{"logout token by type", nil, fields{"typ": "logout+jwt"}, false},
		{"DPoP proof", nil, fields{"typ": "dpop+jwt"}, false},
		{"ID-JAG", nil, fields{"typ": "oauth-id-jag+jwt"}, false},
	} {
		if _, err := v.plain(t.Context(), i.sign("ES256", good(c.claims), c.head)); (err == nil) != c.ok {
			t.Errorf("%s: %v, want accepted %v", c.name, err, c.ok)
		}
	}
}

func TestPrincipal(t *testing.T) {
	i := newIDP()
	v := i.open(t, func(o *IssuerOptions) { o.RolesClaim = "realm_access.roles" })
	exp := time.Now().Add(time.Hour).Truncate(time.Second)
	issued := exp.Add(-2 * time.Hour)
	base := gateway.Principal{
		ID: testIssuer + "|user|alice", Issuer: testIssuer, Subject: "alice", Kind: "user", Name: "Alice",
		Groups: []string{"eng"}, Scopes: []string{"mcp:tools.list", "mcp:tools.call"}, Tenant: "acme", Expiry: exp.Add(30 * time.Second),
		Credential: testIssuer + "|j1", Session: "s1", Issued: issued,
	}
	for _, c := range []struct {
		name   string
		claims fields
		want   func(*gateway.Principal)
	}{
		{"user", nil, func(*gateway.Principal) {}},
		{"user without a name", fields{"name": nil}, func(p *gateway.Principal) { p.Name = "alice" }},
		{"user with a name on two lines", fields{"name": "Ali\nce"}, func(p *gateway.Principal) { p.Name = "alice" }},
		{"client: no subject", fields{"sub": nil, "name": nil}, func(p *gateway.Principal) {
			p.ID, p.Subject, p.Kind, p.Name = testIssuer+"|client|cli", "cli", "client", "cli"
		}},
		{"client: subject is the client", fields{"sub": "cli"}, func(p *gateway.Principal) {
			p.ID, p.Subject, p.Kind = testIssuer+"|client|cli", "cli", "client"
		}},
		{"client by azp", fields{"sub": "svc", "client_id": nil, "azp": "svc"}, func(p *gateway.Principal) {
			p.ID, p.Subject, p.Kind = testIssuer+"|client|svc", "svc", "client"
		}},
		{"nested roles", fields{"realm_access": fields{"roles": []string{"r1", "r2"}}}, func(p *gateway.Principal) {
			p.Roles = []string{"r1", "r2"}
		}},
		{"claim with a dot in its name", fields{"realm_access.roles": "r1"}, func(p *gateway.Principal) { p.Roles = []string{"r1"} }},
		{"no scope claim", fields{"scope": nil}, func(p *gateway.Principal) { p.Scopes = nil }},
		{"empty scope", fields{"scope": ""}, func(p *gateway.Principal) { p.Scopes = []string{} }},
		{"scopes of Okta", fields{"scope": nil, "scp": []string{"a", "b"}}, func(p *gateway.Principal) { p.Scopes = []string{"a", "b"} }},
		{"no groups and no tenant", fields{"groups": nil, "tenant": nil}, func(p *gateway.Principal) { p.Groups, p.Tenant = nil, "" }},
	} {
		claims := good(c.claims)
		claims["exp"], claims["iat"], claims["sid"] = exp.Unix(), issued.Unix(), "s1"
		got, err := v.plain(t.Context(), i.sign("ES256", claims, nil))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		want := base
		c.want(&want)
		if d := cmp.Diff(&want, got); d != "" {
			t.Errorf("%s: -want +got\n%s", c.name, d)
		}
	}
}

func TestOptionsRefused(t *testing.T) {
	good := newIDP().options()
	for _, c := range []struct {
		name   string
		change func(*IssuerOptions)
		want   string
	}{
		{"no audience", func(o *IssuerOptions) { o.Audiences = nil }, "no audience"},
		{"empty audience", func(o *IssuerOptions) { o.Audiences = []string{""} }, "no audience"},
		{"no issuer", func(o *IssuerOptions) { o.URL = "" }, "not a URL"},
		{"http issuer", func(o *IssuerOptions) { o.URL = "http://idp.example.test" }, "not https"},
		{"http keys", func(o *IssuerOptions) { o.JWKSURL = "http://idp.example.test/keys" }, "not https"},
		{"HMAC", func(o *IssuerOptions) { o.Algorithms = []string{"HS256"} }, "HS256"},
		{"none", func(o *IssuerOptions) { o.Algorithms = []string{"none"} }, "none"},
		{"large leeway", func(o *IssuerOptions) { o.Leeway = time.Hour }, "leeway"},
		{"issuer with a bar", func(o *IssuerOptions) { o.URL = "https://idp.example.test/a|b" }, "|"},
		{"fixed keys that are none", func(o *IssuerOptions) { o.Keys = []byte(`{"keys":[]}`) }, "usable key"},
	} {
		o := good
		c.change(&o)
		if _, err := NewOIDC(t.Context(), []IssuerOptions{o}, OIDCOptions{Logger: quiet()}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := NewOIDC(t.Context(), nil, OIDCOptions{Logger: quiet()}); err == nil {
		t.Error("no issuer at all was accepted")
	}
	if _, err := NewOIDC(t.Context(), []IssuerOptions{good, good}, OIDCOptions{Logger: quiet()}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("the same issuer twice: %v", err)
	}
}

// TestRequireScope tells a token without scopes from one that none bound.
func TestRequireScope(t *testing.T) {
	i := newIDP()
	v := i.open(t, func(o *IssuerOptions) { o.RequireScope = true })
	for name, c := range map[string]struct {
		claims fields
		want   []string
	}{
		"no claim": {fields{"scope": nil}, []string{}}, "empty": {fields{"scope": ""}, []string{}}, "one": {fields{"scope": "a"}, []string{"a"}},
	} {
		if d := cmp.Diff(c.want, must(v.plain(t.Context(), i.sign("ES256", good(c.claims), nil))).Scopes); d != "" {
			t.Errorf("%s: -want +got\n%s", name, d)
		}
	}
}
