package auth

import (
	"maps"
	"testing"
	"time"
)

// TestTokenMatrix judges the same tokens by the rules of every kind of issuer:
// with and without resource indicators (RFC 8707), with and without a type (RFC
// 9068).
func TestTokenMatrix(t *testing.T) {
	now := time.Now().Unix()
	for _, profile := range []struct {
		name     string
		audience string // what the issuer writes into its tokens
		resource bool   // whether that is a resource of ours
		typed    bool
	}{
		{"resources and types", testAudience, true, true},
		{"resources, no types", testAudience, true, false},
		{"clients and types", "gateway", false, true},
		{"clients, no types", "gateway", false, false}, // Dex.
	} {
		i := newIDP()
		v := i.open(t, func(o *IssuerOptions) {
			o.Audiences, o.RequireType = []string{profile.audience, "svc-ci"}, profile.typed
		})
		sign := func(alg string, c, head fields) string {
			claims := fields{"aud": profile.audience}
			maps.Copy(claims, c)
			header := fields{}
			if !profile.typed {
				header["typ"] = nil
			}
			maps.Copy(header, head)
			return i.sign(alg, good(claims), header)
		}
		ok := sign("ES256", nil, nil)
		for _, c := range []struct {
			name  string
			token string
			ok    bool
		}{
			{"RS256", sign("RS256", nil, nil), true},
			{"PS256", sign("PS256", nil, nil), true},
			{"ES256", ok, true},
			{"EdDSA", sign("EdDSA", nil, nil), true},
			{"Ed25519", sign("Ed25519", nil, nil), true},
			{"type JWT", sign("ES256", nil, fields{"typ": "JWT"}), !profile.typed},
			{"no type", sign("ES256", nil, fields{"typ": nil}), !profile.typed},
			{"type at+jwt", sign("ES256", nil, fields{"typ": "at+jwt"}), true},
			{"an ID token", sign("ES256", fields{"nonce": "n"}, fields{"typ": "JWT"}), false},
			{"a logout token", sign("ES256", fields{"events": fields{}}, fields{"typ": "JWT"}), false},
			{"a DPoP proof", sign("ES256", nil, fields{"typ": "dpop+jwt"}), false},
			{"another of our audiences", sign("ES256", fields{"aud": "svc-ci"}, nil), true},
			{"audience with a slash", sign("ES256", fields{"aud": profile.audience + "/"}, nil), profile.resource},
			{"audience of another", sign("ES256", fields{"aud": "https://other.example.test/mcp"}, nil), false},
			{"another client", sign("ES256", fields{"aud": "somebody"}, nil), false},
			{"no audience", sign("ES256", fields{"aud": nil}, nil), false},
			{"issuer of another", sign("ES256", fields{"iss": "https://evil.example.test"}, nil), false},
			{"no expiry", sign("ES256", fields{"exp": nil}, nil), false},
			{"expired 10 s ago", sign("ES256", fields{"exp": now - 10}, nil), true},
			{"expired", sign("ES256", fields{"exp": now - 60}, nil), false},
			{"not before in 2 min", sign("ES256", fields{"nbf": now + 120}, nil), false},
			{"issued in 2 min", sign("ES256", fields{"iat": now + 120}, nil), false},
			{"alg none", sign("none", nil, fields{"kid": "RS256"}), false},
			{"HS256 with the public key", sign("HS256", nil, fields{"kid": "RS256"}), false},
			{"key of another algorithm", sign("ES256", nil, fields{"kid": "RS256"}), false},
			{"another key with a known id", sign("ES256", nil, fields{"sign with": "other"}), false},
			{"no kid", sign("ES256", nil, fields{"kid": nil}), false},
			{"critical extension", sign("ES256", nil, fields{"crit": []string{"x"}}), false},
			{"tampered", tamper(ok), false},
			{"bound to a key", sign("ES256", bound("ES256"), nil), false},
			{"no subject", sign("ES256", fields{"sub": nil}, nil), true},
			{"neither subject nor client", sign("ES256", fields{"sub": nil, "client_id": nil}, nil), false},
			{"no scope and no client", sign("ES256", fields{"scope": nil, "client_id": nil}, nil), true},
		} {
			if _, err := v.plain(t.Context(), c.token); (err == nil) != c.ok {
				t.Errorf("%s: %s: %v, want accepted %v", profile.name, c.name, err, c.ok)
			} else if err != nil {
				wantRefused(t, err)
			}
		}
	}
}
