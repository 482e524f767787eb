package auth

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/state"
)

// eventually waits until f is so.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("still not so: %s", what)
		}
	}
}

// newRevocations returns the revocations of two nodes, and a verifier and its
// issuer on the second.
func newRevocations(t *testing.T) (r *Revocations, i *idp, v *OIDC) {
	t.Helper()
	s := must(state.Open(t.Context(), state.Options{Name: "test", Logger: quiet()}))
	t.Cleanup(func() { s.Close() })
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	r = must(OpenRevocations(ctx, s))
	i = newIDP()
	v = must(NewOIDC(ctx, []IssuerOptions{i.options()}, OIDCOptions{Revocations: must(OpenRevocations(ctx, s)), Logger: quiet()}))
	t.Cleanup(func() { v.Close() })
	return r, i, v
}

func TestRevocations(t *testing.T) {
	r, i, v := newRevocations(t)
	alice := testIssuer + "|user|alice"
	issued := time.Now().Add(-time.Minute).Truncate(time.Second)
	tokens := map[string]string{}
	for name, f := range map[string]fields{
		"one":      {"jti": "one", "iat": issued.Unix()},
		"two":      {"jti": "two", "iat": issued.Unix()},
		"later":    {"jti": "later", "iat": issued.Add(50 * time.Second).Unix()},
		"dateless": {"jti": "dateless", "iat": nil},
		"nameless": {"jti": nil, "iat": issued.Unix()},
		"session":  {"jti": "session", "iat": issued.Unix(), "sid": "s1", "sub": "carol"},
		"bob":      {"jti": "bob", "iat": issued.Unix(), "sub": "bob"},
		"client":   {"jti": "client", "iat": issued.Unix(), "sub": "alice", "client_id": "alice"},
	} {
		tokens[name] = i.sign("ES256", good(f), nil)
	}
	valid := func() string {
		var ok []string
		for name, token := range tokens {
			if _, err := v.plain(t.Context(), token); err == nil {
				ok = append(ok, name)
			} else {
				wantRefused(t, err)
			}
		}
		slices.Sort(ok)
		return strings.Join(ok, " ")
	}
	for _, step := range []struct {
		name  string
		do    func(context.Context, Revocation) error
		what  Revocation
		valid string
	}{
		{"one token", r.Revoke, Revocation{Issuer: testIssuer, Token: "one"}, "bob client dateless later nameless session two"},
		{"a token of another issuer", r.Revoke, Revocation{Issuer: "https://other.example", Token: "two"}, "bob client dateless later nameless session two"},
		{"what alice was issued before", r.Revoke, Revocation{Principal: alice, Before: issued.Add(10 * time.Second)}, "bob client later session"},
		{"a session of another issuer", r.Revoke, Revocation{Issuer: "https://other.example", Session: "s1"}, "bob client later session"},
		{"a session", r.Revoke, Revocation{Issuer: testIssuer, Session: "s1"}, "bob client later"},
		{"the session is restored", r.Restore, Revocation{Issuer: testIssuer, Session: "s1"}, "bob client later session"},
		{"all of alice", r.Revoke, Revocation{Principal: alice}, "bob client session"},
		{"alice is restored", r.Restore, Revocation{Principal: alice}, "bob client dateless later nameless session two"},
		{"one is restored", r.Restore, Revocation{Issuer: testIssuer, Token: "one"}, "bob client dateless later nameless one session two"},
	} {
		valid() // All are in the cache now.
		if err := step.do(t.Context(), step.what); err != nil {
			t.Fatal(err)
		}
		eventually(t, step.name+": valid "+step.valid, func() bool { return valid() == step.valid })
	}
}

func TestRevocationsAreForgotten(t *testing.T) {
	r, _, _ := newRevocations(t)
	one := Revocation{Issuer: testIssuer, Token: "one", Until: time.Now().Add(time.Hour).UTC(), Reason: "lost laptop", By: "admin"}
	old := Revocation{Issuer: testIssuer, Token: "old", Until: time.Now().Add(-time.Hour)}
	for n, v := range []Revocation{old, one} {
		if err := r.Revoke(t.Context(), v); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			eventually(t, "the old one", func() bool { return len(r.All()) == 1 })
		}
	}
	eventually(t, "only the new one", func() bool { return cmp.Equal(r.All(), []Revocation{one}) })
	for _, bad := range []Revocation{{}, {Session: "x"}, {Issuer: "x", Session: "x", Token: "x"}, {Issuer: "x", Session: "x", Before: time.Now()}, {Token: "x"}, {Issuer: "x"}, {Token: "x", Issuer: "x", Principal: "x"}} {
		if err := r.Revoke(t.Context(), bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

// TestRevokedPrincipals tells who holds a stream open when to look again.
func TestRevokedPrincipals(t *testing.T) {
	r, i, v := newRevocations(t)
	p := must(v.plain(t.Context(), i.sign("ES256", good(nil), nil)))
	var watch Revoker = r
	changed := watch.Changed()
	if watch.Revoked(p) || watch.Revoked(nil) || watch.Revoked(&gateway.Principal{ID: "config|user|local"}) {
		t.Error("revoked from the start")
	}
	if err := r.Revoke(t.Context(), Revocation{Principal: p.ID, Before: p.Issued.Add(time.Second)}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	case <-time.After(10 * time.Second):
		t.Fatal("nobody is told")
	}
	eventually(t, "revoked", func() bool { return watch.Revoked(p) })
	if (*Revocations)(nil).Revoked(p) || (*Revocations)(nil).Changed() != nil {
		t.Error("no revocations revoke")
	}
}
