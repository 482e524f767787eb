package admin_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/auth/policy"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/admin"
	"github.com/trilith-gateway/trilith/gateway/state"
)

func newState(t *testing.T) *state.State {
	t.Helper()
	st, err := state.Open(t.Context(), state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

func newEnforcer(t *testing.T, csv string) *policy.Enforcer {
	t.Helper()
	p, err := policy.Parse("test", []byte(csv))
	if err != nil {
		t.Fatal(err)
	}
	return policy.NewEnforcer(p, policy.Options{})
}

// TestKeys makes a key, lets it in, and revokes it.
func TestKeys(t *testing.T) {
	keys, err := auth.OpenKeys(t.Context(), newState(t), auth.KeysOptions{Secret: [32]byte{1}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, admin.Options{Keys: keys, Enforcer: newEnforcer(t,
		"p, role:keys, *, admin/keys, *, allow\np, client:key|named, *, tool/x/y, call, allow\ng, client:key|linked, role:keys, *\n")})
	var made struct {
		Key    struct{ ID, Subject, CreatedBy string }
		Secret string
	}
	answer := d.ask("keys.CreateKey", `{"subject":"ci","label":"builds","ttlSeconds":"3600"}`)
	if err := json.Unmarshal([]byte(answer), &made); err != nil || made.Secret == "" || made.Key.CreatedBy != "test|user|root" {
		t.Fatalf("made %s, %v", answer, err)
	}
	p, err := keys.Authenticate(t.Context(), auth.Credential{Token: made.Secret})
	if err != nil || p.Subject != "ci" {
		t.Errorf("the key lets in %v, %v", p, err)
	}
	list := d.ask("keys.ListKeys", "")
	if !strings.Contains(list, `"label":"builds"`) || strings.Contains(list, made.Secret) {
		t.Errorf("listed %s", list)
	}
	// Whoever may make keys, but not change the policy, cannot give what they do not have.
	for _, more := range []string{`"roles":["keys"]`, `"groups":["board"]`, `"tenant":"other"`} {
		if got := d.ask("keys.CreateKey", `{"subject":"x","ttlSeconds":"60",`+more+`}`); !strings.HasPrefix(got, "PERMISSION_DENIED") {
			t.Errorf("a key with %s: %s", more, got)
		}
	}
	// Nor can they speak for somebody else.
	for _, other := range []string{"ci", "named", "linked"} {
		if got := d.ask("keys.CreateKey", `{"subject":"`+other+`","ttlSeconds":"60"}`); !strings.HasPrefix(got, "PERMISSION_DENIED") {
			t.Errorf("a key that speaks for %s: %s", other, got)
		}
	}
	for _, bad := range []string{`{"subject":"x"}`, `{"subject":"x","ttlSeconds":"-1"}`, `{"subject":"x","ttlSeconds":"999999999"}`, `{"subject":"x\n","ttlSeconds":"60"}`} {
		if got := d.ask("keys.CreateKey", bad); !strings.HasPrefix(got, "INVALID_ARGUMENT") {
			t.Errorf("%s: %s", bad, got)
		}
	}
	if got := d.ask("keys.RevokeKey", `{"id":"nobody"}`); !strings.HasPrefix(got, "NOT_FOUND") {
		t.Errorf("revoking no key: %s", got)
	}
	if got := d.ask("keys.RevokeKey", `{"id":"`+made.Key.ID+`"}`); got != "{}" {
		t.Errorf("revoking: %s", got)
	}
	if _, err := keys.Authenticate(t.Context(), auth.Credential{Token: made.Secret}); err == nil {
		t.Error("a revoked key lets in")
	}
}

// TestKeyScopes makes keys by a credential that is bounded by scopes: whatever
// its policy allows, a key is bounded by some of them.
func TestKeyScopes(t *testing.T) {
	keys, err := auth.OpenKeys(t.Context(), newState(t), auth.KeysOptions{Secret: [32]byte{1}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, admin.Options{Keys: keys, Enforcer: newEnforcer(t, "p, anyone, *, admin/**, *, allow\n")})
	d.scopes = []string{"a", "b"}
	for scopes, want := range map[string]string{``: "PERMISSION_DENIED", `,"scopes":[]`: "PERMISSION_DENIED", `,"scopes":["a","c"]`: "PERMISSION_DENIED", `,"scopes":["a"]`: "{"} {
		if got := d.ask("keys.CreateKey", `{"ttlSeconds":"60","label":"x"`+scopes+`}`); !strings.HasPrefix(got, want) {
			t.Errorf("a key with %q: %s, want %s", scopes, got, want)
		}
	}
}

// TestRevokeCredentials ends what a principal has open, and what it opens.
func TestRevokeCredentials(t *testing.T) {
	revocations, err := auth.OpenRevocations(t.Context(), newState(t))
	if err != nil {
		t.Fatal(err)
	}
	var sessions gateway.Sessions
	var why *gateway.Error
	alice := &gateway.Principal{ID: "idp|user|alice", Credential: "idp|t1"}
	defer sessions.Open(gateway.Session{Via: "mcp", Principal: alice, End: func(e *gateway.Error) { why = e }}).Close()
	d := newDesk(t, admin.Options{Sessions: &sessions, Revocations: revocations})
	for _, bad := range []string{`{}`, `{"tokenId":"t1"}`, `{"principal":"a","tokenId":"t1","issuer":"idp"}`} {
		if got := d.ask("sessions.RevokeCredentials", bad); !strings.HasPrefix(got, "INVALID_ARGUMENT") || why != nil {
			t.Errorf("%s: %s", bad, got)
		}
	}
	if got := d.ask("sessions.RevokeCredentials", `{"principal":"idp|user|alice","reason":"left"}`); !strings.HasPrefix(got, "{") {
		t.Errorf("revoking: %s", got)
	}
	if !revocations.Revoked(alice) {
		t.Error("the credential is good")
	}
	if all := revocations.All(); len(all) != 1 || all[0].Reason != "left" || all[0].By != "test|user|root" {
		t.Errorf("revocations: %+v", all)
	}
}
