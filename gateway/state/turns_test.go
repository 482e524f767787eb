package state

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func turns(t *testing.T, s *State, name string, hold time.Duration) *Turns {
	t.Helper()
	out, err := OpenTurns(t.Context(), s, name, hold)
	must(t, err)
	return out
}

func testTurns(t *testing.T, s *State) {
	testTurnsTaken(t, s, s)
	ctx, held := t.Context(), turns(t, s, "turns", time.Minute)
	want := errors.New("what f says")
	err := held.Do(ctx, "k", func(ctx context.Context) error {
		other := held.Do(ctx, "other", func(context.Context) error { return nil })
		short, cancel := context.WithTimeout(ctx, 2*turnPoll)
		defer cancel()
		wantErr(t, ErrUnavailable, "a turn that is taken", held.Do(short, "k", func(context.Context) error {
			t.Error("two have the same turn")
			return nil
		}))
		return errors.Join(want, other)
	})
	wantErr(t, want, "the error", err)
	brief := turns(t, s, "brief-turns", time.Millisecond)
	must(t, brief.Do(ctx, "k", func(ctx context.Context) error {
		<-ctx.Done()
		return nil
	}))
	lapsing := &Turns{claims: bucket[string](t, s, BucketOptions{Name: "lapsing-turns", TTL: minTTL}), hold: time.Minute}
	_, err = lapsing.claims.Create(ctx, "k", "a node that has died")
	must(t, err)
	late, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	must(t, lapsing.Do(late, "k", func(context.Context) error { return nil }))
}

// testTurnsTaken has many on two nodes do something for one key.
func testTurnsTaken(t *testing.T, a, b *State) {
	var busy, done atomic.Int32
	var wg sync.WaitGroup
	for _, s := range []*State{a, b} {
		mine := turns(t, s, "shared-turns", time.Minute)
		for range 3 {
			wg.Go(func() {
				err := mine.Do(t.Context(), "k", func(context.Context) error {
					if busy.Add(1) > 1 {
						t.Error("two have the same turn")
					}
					done.Add(1)
					busy.Add(-1)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if n := done.Load(); n != 6 {
		t.Errorf("%d of six had their turn", n)
	}
}
