package auth

import (
	"strings"
	"testing"
)

// FuzzParseHeader: whatever stands in Authorization, a token comes out of it
// only in its one form.
func FuzzParseHeader(f *testing.F) {
	for _, s := range []string{"Bearer abc", "bearer  a.b.c", "Basic x", "", "Bearer", "Bearer a, Bearer b", "Bearer\ta", "Bearer é", "DPoP abc", "dpop a b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		dpop, token, err := authorization([]string{value})
		if err != nil {
			if token != "" {
				t.Errorf("%q: token %q with error %v", value, token, err)
			}
			return
		}
		scheme, rest, _ := strings.Cut(value, " ")
		if token == "" || !strings.EqualFold(scheme, map[bool]string{false: "bearer", true: "dpop"}[dpop]) || strings.TrimLeft(rest, " ") != token || strings.ContainsAny(token, " ,\t\r\n\"") {
			t.Errorf("%q gave the token %q", value, token)
		}
		if _, _, err := authorization([]string{value, value}); err == nil {
			t.Errorf("%q twice was accepted", value)
		}
	})
}

// FuzzVerify: no token that differs from one that the issuer signed is
// accepted, and none makes the verifier panic or fetch without end.
func FuzzVerify(f *testing.F) {
	i := newIDP()
	v := i.open(f)
	signed := map[string]bool{}
	for alg := range testKeys() {
		if alg == "other" || alg == "ES384" {
			continue
		}
		token := i.sign(alg, good(nil), nil)
		signed[token] = true
		f.Add(token)
		f.Add(tamper(token))
		f.Add(strings.Replace(token, ".", "..", 1))
	}
	f.Add(i.sign("none", good(nil), nil))
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		p, err := v.plain(t.Context(), token)
		switch {
		case err == nil && !signed[token]:
			t.Errorf("forged token accepted as %s: %s", p.ID, token)
		case err != nil:
			wantRefused(t, err)
		}
	})
}
