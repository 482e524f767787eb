package auth

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/state"
)

// openState returns a state in memory that ends with the test.
func openState(t testing.TB) *state.State {
	t.Helper()
	s := must(state.Open(t.Context(), state.Options{Name: "test", Logger: quiet()}))
	t.Cleanup(func() { s.Close() })
	return s
}

// openNode returns the keys as one node sees them.
func openNode(t testing.TB, s *state.State) *Keys {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	k := must(OpenKeys(ctx, s, KeysOptions{Secret: [32]byte{1}, Logger: quiet()}))
	t.Cleanup(func() { stop(); k.Wait() })
	return k
}

func inAnHour() time.Time { return time.Now().Add(time.Hour).UTC().Truncate(time.Second) }

func (k *Keys) try(t testing.TB, key string) (*gateway.Principal, error) {
	t.Helper()
	return k.Authenticate(t.Context(), Credential{Token: key})
}

// TestKeys follows a key through its life on two nodes.
func TestKeys(t *testing.T) {
	s := openState(t)
	one, two := openNode(t, s), openNode(t, s)
	until := inAnHour()
	key, made, err := one.Create(t.Context(), NewKey{
		Label: "CI", Subject: "ci", Tenant: "acme", Groups: []string{"bots"}, Roles: []string{"dev"}, Scopes: []string{"mcp:tools.call"},
		Expires: until, By: "config|user|root",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := &gateway.Principal{
		ID: "key|client|ci", Issuer: "key", Subject: "ci", Kind: "client", Name: "CI", Groups: []string{"bots"}, Roles: []string{"dev"},
		Scopes: []string{"mcp:tools.call"}, Tenant: "acme", Expiry: until, Credential: "key|" + made.ID, Issued: made.Created,
	}
	got, err := one.try(t, key) // At once where it was made.
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	eventually(t, "good on the other node", func() bool { _, err := two.try(t, key); return err == nil })
	if again := must(one.try(t, key)); again != got {
		t.Error("the principal of a key was made twice")
	}
	if one.Revoked(got) || two.Revoked(got) {
		t.Error("revoked from the start")
	}

	changed := two.Changed()
	if err := one.Revoke(t.Context(), made.ID, "config|user|root"); err != nil {
		t.Fatal(err)
	}
	_, err = one.try(t, key)
	wantRefused(t, err)
	<-changed
	eventually(t, "revoked on the other node", func() bool { return two.Revoked(got) })
	_, err = two.try(t, key)
	wantRefused(t, err)
	if err := one.Revoke(t.Context(), made.ID, ""); err != nil {
		t.Errorf("once more: %v", err)
	}
	if err := one.Revoke(t.Context(), "bcdfghjk", ""); !errors.Is(err, ErrNoKey) {
		t.Errorf("a key that is none: %v", err)
	}
	all := two.List()
	if len(all) != 1 || all[0].Revoked.IsZero() || all[0].RevokedBy != "config|user|root" || all[0].Label != "CI" || time.Since(all[0].Used) > time.Minute {
		t.Errorf("list %+v", all)
	}
}

// TestKeysStoreNoSecret looks at all that is kept of a key.
func TestKeysStoreNoSecret(t *testing.T) {
	s := openState(t)
	k := openNode(t, s)
	key, made, err := k.Create(t.Context(), NewKey{Label: "x", Expires: inAnHour()})
	if err != nil {
		t.Fatal(err)
	}
	raw := must(must(state.OpenBucket[jsonText](t.Context(), s, state.BucketOptions{Name: "keys", MaxValueBytes: 64 << 10})).Get(t.Context(), made.ID))
	secret := strings.Split(key, made.ID)[1][1 : 1+secretText]
	if text := string(raw.Value); !strings.Contains(text, `"label":"x"`) || strings.Contains(text, secret[:10]) {
		t.Errorf("stored: %s", text)
	}
	if made.Subject != made.ID {
		t.Errorf("subject %q of a key without", made.Subject)
	}
	// Another secret of the node, and no key is good any more.
	ctx, stop := context.WithCancel(t.Context())
	other := must(OpenKeys(ctx, s, KeysOptions{Secret: [32]byte{2}, Logger: quiet()}))
	defer other.Wait()
	defer stop()
	_, err = other.try(t, key)
	wantRefused(t, err)
}

// jsonText is a stored value as it is stored.
type jsonText []byte

func (j *jsonText) UnmarshalJSON(b []byte) error { *j = append(jsonText(nil), b...); return nil }

func TestKeysRefused(t *testing.T) {
	k := openNode(t, openState(t))
	key, made, err := k.Create(t.Context(), NewKey{Label: "x", Expires: inAnHour()})
	if err != nil {
		t.Fatal(err)
	}
	_, stranger := newKey()
	other := writeKey(made.ID, make([]byte, keySecret))
	for name, c := range map[string]Credential{
		"empty":                    {},
		"prefix":                   {Token: "gwk_"},
		"cut":                      {Token: key[:len(key)-1]},
		"longer":                   {Token: key + "A"},
		"another check":            {Token: key[:len(key)-1] + string(key[len(key)-1]^1)},
		"another secret":           {Token: other},
		"another id":               {Token: stranger},
		"a letter in another case": {Token: strings.ToUpper(key[:4]) + key[4:]},
		"with a proof":             {Token: key, Thumbprint: "x"},
	} {
		if _, err := k.Authenticate(t.Context(), c); err == nil {
			t.Errorf("%s was accepted", name)
		} else {
			wantRefused(t, err)
		}
	}
	for name, n := range map[string]NewKey{
		"no label":        {Expires: inAnHour()},
		"a long label":    {Label: strings.Repeat("x", maxLabel+1), Expires: inAnHour()},
		"no expiry":       {Label: "x"},
		"expired":         {Label: "x", Expires: time.Now().Add(-time.Second)},
		"for two years":   {Label: "x", Expires: time.Now().Add(2 * 365 * 24 * time.Hour)},
		"too many roles":  {Label: "x", Expires: inAnHour(), Roles: make([]string, maxGranted+1)},
		"an empty scope":  {Label: "x", Expires: inAnHour(), Scopes: []string{""}},
		"a bad subject":   {Label: "x", Expires: inAnHour(), Subject: "a\nb"},
		"a hidden tenant": {Label: "x", Expires: inAnHour(), Tenant: "a\u202eb"},
	} {
		if _, _, err := k.Create(t.Context(), n); err == nil {
			t.Errorf("%s was made", name)
		}
	}
}

// TestKeysEnd lets keys expire and be forgotten.
func TestKeysEnd(t *testing.T) {
	k := openNode(t, openState(t))
	soon, _, err := k.Create(t.Context(), NewKey{Label: "soon", Expires: time.Now().Add(2 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.try(t, soon); err != nil {
		t.Fatal(err)
	}
	eventually(t, "expired", func() bool { _, err := k.try(t, soon); return err != nil })
	// A year from now nothing of it is left.
	if kept, err := k.forget(t.Context(), time.Now().Add(365*24*time.Hour)); kept != 0 || err != nil {
		t.Errorf("kept %d, %v", kept, err)
	}
	eventually(t, "forgotten", func() bool { return len(k.List()) == 0 })
}

// TestKeysOfRevokedPrincipals ends all keys of a subject at once.
func TestKeysOfRevokedPrincipals(t *testing.T) {
	s := openState(t)
	ctx, stop := context.WithCancel(t.Context())
	r := must(OpenRevocations(ctx, s))
	k := must(OpenKeys(ctx, s, KeysOptions{Secret: [32]byte{1}, Revocations: r, Logger: quiet()}))
	t.Cleanup(func() { stop(); k.Wait() })
	var keys []string
	for range 2 {
		key, _, err := k.Create(t.Context(), NewKey{Label: "x", Subject: "ci", Expires: inAnHour()})
		if err != nil {
			t.Fatal(err)
		}
		must(k.try(t, key))
		keys = append(keys, key)
	}
	if err := r.Revoke(t.Context(), Revocation{Principal: "key|client|ci", Before: time.Now()}); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		eventually(t, "revoked", func() bool { _, err := k.try(t, key); return err != nil })
	}
	next, _, err := k.Create(t.Context(), NewKey{Label: "x", Subject: "ci", Expires: inAnHour()})
	if err != nil {
		t.Fatal(err)
	}
	must(k.try(t, next)) // It was made after.
}

// TestKeyUses tells other nodes when a key was used.
func TestKeyUses(t *testing.T) {
	s := openState(t)
	one, two := openNode(t, s), openNode(t, s)
	key, _, err := one.Create(t.Context(), NewKey{Label: "x", Expires: inAnHour()})
	if err != nil {
		t.Fatal(err)
	}
	if used := one.List()[0].Used; !used.IsZero() {
		t.Errorf("used at %v before it was", used)
	}
	must(one.try(t, key))
	one.writeUses(t.Context())
	eventually(t, "known elsewhere", func() bool {
		all := two.List()
		return len(all) == 1 && time.Since(all[0].Used) < time.Minute
	})
}

// TestFirstKey starts two gateways that share a state, and one of them again.
func TestFirstKey(t *testing.T) {
	s := openState(t)
	dir := t.TempDir()
	files := []string{filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "a")}
	n := NewKey{Label: "first", Roles: []string{"gateway:admin"}, Expires: inAnHour()}
	if err := os.WriteFile(files[0], []byte("left over, and open to all"), 0o644); err != nil {
		t.Fatal(err)
	}
	for i, file := range files {
		made, err := openNode(t, s).First(t.Context(), file, n)
		if err != nil || made != (i == 0) {
			t.Errorf("%d: %v %v", i, made, err)
		}
	}
	key := strings.TrimSpace(string(must(os.ReadFile(files[0]))))
	p := must(openNode(t, s).try(t, key))
	if d := cmp.Diff([]string{"gateway:admin"}, p.Roles); d != "" {
		t.Error(d)
	}
	if _, err := os.Stat(files[1]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the second file: %v", err)
	}
	if info := must(os.Stat(files[0])); runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	// At the same moment on another node, before it sees the key.
	k := openNode(t, s)
	if _, err := k.store(t.Context(), firstKey, key, n); !errors.Is(err, state.ErrConflict) {
		t.Errorf("a second first key: %v", err)
	}
	// Revoked and long gone, it is still the first one.
	if err := k.Revoke(t.Context(), firstKey, ""); err != nil {
		t.Fatal(err)
	}
	if kept, err := k.forget(t.Context(), time.Now().Add(10*365*24*time.Hour)); kept != 1 || err != nil {
		t.Errorf("kept %d, %v", kept, err)
	}
}

func TestKeyAllocations(t *testing.T) {
	k := openNode(t, openState(t))
	key, _, err := k.Create(t.Context(), NewKey{Label: "x", Expires: inAnHour()})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := k.Authenticate(ctx, Credential{Token: key}); err != nil {
			t.Fatal(err)
		}
	}); n > 6 { // What is hashed and decoded: three, and more with the race detector, under which pools forget.
		t.Errorf("a key costs %v allocations", n)
	}
}

func BenchmarkKey(b *testing.B) {
	k := openNode(b, openState(b))
	key, _, err := k.Create(b.Context(), NewKey{Label: "x", Expires: inAnHour()})
	if err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Authenticate(ctx, Credential{Token: key}); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzParseKey: whatever is taken for a key is written in its one form.
func FuzzParseKey(f *testing.F) {
	_, key := newKey()
	f.Add(key)
	f.Add("gwk_22222222_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_AAAAAA")
	f.Add("gwk_")
	f.Add(strings.Repeat("_", keyText))
	f.Fuzz(func(t *testing.T, s string) {
		id, err := parseKeyID(s)
		if err != nil {
			if id != "" {
				t.Errorf("%q: id %q with error %v", s, id, err)
			}
			return
		}
		if len(s) != keyText || len(id) != keyID || s[:len(keyPrefix)+keyID] != keyPrefix+id || strings.ContainsAny(s, "\r\n") ||
			writeKey(id, must(decodePart(s[len(keyPrefix)+keyID+1:keyText-checkText-1]))) != s {
			t.Errorf("%q has the id %q", s, id)
		}
	})
}
