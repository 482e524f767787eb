package auth

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway/state"
)

// eventually waits until the list that is in force satisfies f.
func eventually(t *testing.T, r *Revocations, f func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("still not so; revocations %+v", r.All())
		}
	}
}

func TestRevocations(t *testing.T) {
	s := must(state.Open(t.Context(), state.Options{Name: "test", Logger: quiet()}))
	defer s.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r, err := OpenRevocations(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	// Another node, which verifies.
	other, err := OpenRevocations(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	i := newIDP()
	v, err := NewOIDC(ctx, []IssuerOptions{i.options()}, OIDCOptions{Revocations: other, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()

	issued := time.Now().Add(-time.Minute).Truncate(time.Second)
	token := func(sub, jti string, iat time.Time) string {
		f := fields{"sub": sub, "jti": jti, "iat": iat.Unix()}
		if iat.IsZero() {
			f["iat"] = nil
		}
		return i.sign("ES256", good(f), nil)
	}
	ok := func(token string) bool {
		_, err := v.Authenticate(ctx, token)
		return err == nil
	}
	one, two := token("alice", "one", issued), token("alice", "two", issued)
	later, dateless, bob := token("alice", "three", issued.Add(50*time.Second)), token("alice", "four", time.Time{}), token("bob", "one-of-bob", issued)
	for _, tok := range []string{one, two, later, dateless, bob} { // All are in the cache then.
		if !ok(tok) {
			t.Fatal("a token was refused before any revocation")
		}
	}

	byToken := Revocation{Issuer: testIssuer, Token: "one", Reason: "lost laptop", By: "admin"}
	if err := r.Revoke(ctx, byToken); err != nil {
		t.Fatal(err)
	}
	eventually(t, other, func() bool { return !ok(one) })
	if _, err := v.Authenticate(ctx, one); !strings.Contains(err.Error(), "revoked") {
		t.Errorf("cause %v", err)
	} else {
		wantRefused(t, err)
	}
	if !ok(two) || !ok(bob) {
		t.Error("another token was revoked too")
	}

	alice := testIssuer + "|user|alice"
	if err := r.Revoke(ctx, Revocation{Principal: alice, Before: issued.Add(10 * time.Second)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, other, func() bool { return !ok(two) })
	if ok(dateless) {
		t.Error("a token that does not say when it was issued passed")
	}
	if !ok(later) || !ok(bob) {
		t.Error("a token issued later, or another's, was revoked too")
	}
	if err := r.Revoke(ctx, Revocation{Principal: alice}); err != nil {
		t.Fatal(err)
	}
	eventually(t, other, func() bool { return !ok(later) })

	if err := r.Restore(ctx, Revocation{Principal: alice}); err != nil {
		t.Fatal(err)
	}
	eventually(t, other, func() bool { return ok(later) && ok(two) })
	if ok(one) {
		t.Error("the token's own revocation went with its principal's")
	}

	// What has expired is forgotten at the next write.
	old := Revocation{Issuer: testIssuer, Token: "old", Until: time.Now().Add(-time.Hour)}
	if err := r.Revoke(ctx, old); err != nil {
		t.Fatal(err)
	}
	eventually(t, r, func() bool { return len(r.All()) == 2 })
	if err := r.Revoke(ctx, byToken); err != nil {
		t.Fatal(err)
	}
	eventually(t, r, func() bool { return len(r.All()) == 1 })
	if d := cmp.Diff([]Revocation{byToken}, r.All()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}

	for _, bad := range []Revocation{{}, {Token: "x"}, {Issuer: "x"}, {Token: "x", Issuer: "x", Principal: "x"}} {
		if err := r.Revoke(ctx, bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}
