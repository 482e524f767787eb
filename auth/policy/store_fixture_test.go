package policy

import (
	"context"
	"errors"
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/state"
)

const adminRules = "p, role:admin, *, admin/**, *, allow\n"

func newState(t testing.TB, o state.Options) *state.State {
	t.Helper()
	s, err := state.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newStore(t testing.TB, o StoreOptions) *Store {
	t.Helper()
	return storeIn(t, newState(t, state.Options{}), o)
}

func storeIn(t testing.TB, st *state.State, o StoreOptions) *Store {
	t.Helper()
	s, err := OpenStore(t.Context(), st, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func admin() *gateway.Principal {
	p := role("admin")
	p.ID, p.Subject = "idp|user|root", "root"
	return p
}

// put activates a text.
func put(t testing.TB, s *Store, csv, checks string) Version {
	t.Helper()
	v, err := tryPut(t.Context(), s, csv, checks)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func tryPut(ctx context.Context, s *Store, csv, checks string) (Version, error) {
	d, err := s.CreateDraft(ctx, "idp|user|author", "a comment")
	if err != nil {
		return Version{}, err
	}
	if d, err = s.SaveDraft(ctx, d.ID, d.Revision, Edit{CSV: &csv, Checks: &checks}); err != nil {
		return Version{}, err
	}
	v, err := s.Activate(ctx, d.ID, d.Revision, admin())
	if err != nil {
		return v, errors.Join(err, s.DiscardDraft(ctx, d.ID, d.Revision))
	}
	return v, nil
}

func errOf[T any](_ T, err error) error { return err }
