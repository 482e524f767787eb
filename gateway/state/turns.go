package state

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// turnPoll is how often who waits for a turn looks whether it has come.
const turnPoll = 50 * time.Millisecond

// Turns let one at a time do something for a key, over all nodes. They suit what is seldom wanted twice at once. Safe for
// concurrent use.
type Turns struct {
	claims *Bucket[string] // The instance that has its turn.
	hold   time.Duration
}

// OpenTurns opens the turns of a name, which is that of a bucket and must not be that of another one. A turn lasts at
// most hold; one whose node has died ends some seconds after that. All nodes should open them with the same.
func OpenTurns(ctx context.Context, s *State, name string, hold time.Duration) (*Turns, error) {
	claims, err := OpenBucket[string](ctx, s, BucketOptions{Name: name, TTL: hold + opTimeout})
	if err != nil {
		return nil, err
	}
	return &Turns{claims: claims, hold: hold}, nil
}

// Do waits until it is the caller's turn for key, for as long as ctx lasts, and runs f. Its context ends when the turn
// does. The error is f's, or tells why there was no turn.
func (t *Turns) Do(ctx context.Context, key string, f func(context.Context) error) error {
	began := time.Now()
	rev, err := t.claims.Create(ctx, key, t.claims.s.Instance())
	if errors.Is(err, ErrConflict) {
		began, rev, err = t.await(ctx, key)
	}
	if err != nil {
		return err
	}
	defer func() { _ = t.claims.Delete(context.WithoutCancel(ctx), key, rev) }() // Else it lapses.
	turn, cancel := context.WithDeadline(ctx, began.Add(t.hold))                 // Before the claim lapses.
	defer cancel()
	return f(turn)
}

// await claims a turn once it is free, and returns a time before the claim.
func (t *Turns) await(ctx context.Context, key string) (began time.Time, rev uint64, err error) {
	tick := time.NewTicker(turnPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return began, 0, fail(ctx, "wait for a turn of "+t.claims.name, fmt.Errorf("%w: another node has it", ErrUnavailable))
		case <-tick.C:
		}
		began = time.Now()
		rev, err = t.claims.Create(ctx, key, t.claims.s.Instance())
		if !errors.Is(err, ErrConflict) {
			return began, rev, err
		}
	}
}
