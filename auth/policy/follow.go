package policy

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/trilith-gateway/trilith/gateway/state"
)

// Follow yields the version in force with its policy, at once if there is one and
// whenever another comes into force, on whatever node, until the context ends.
// While the state is away it yields why, once, and goes on when it is back: the
// consumer keeps what it had. A version that this node cannot read is an error
// too.
func (s *Store) Follow(ctx context.Context) iter.Seq2[*InForce, error] {
	return func(yield func(*InForce, error) bool) {
		for e, err := range s.records.Watch(ctx) {
			if err != nil {
				if !yield(nil, err) {
					return
				}
				continue
			}
			if e.Synced || e.Deleted || e.Key != activeKey || e.Value.Active == nil {
				continue
			}
			if !s.tell(ctx, yield) {
				return
			}
		}
	}
}

// The pauses between attempts to read a version.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// tell yields the version in force. Where the state is away it yields that, and
// tries until it is back: the watch will not speak of this version again.
func (s *Store) tell(ctx context.Context, yield func(*InForce, error) bool) bool {
	for pause, told := firstPause, false; ; pause = min(2*pause, lastPause) {
		now, err := s.Load(ctx)
		away := errors.Is(err, state.ErrUnavailable)
		if (!away || !told) && !yield(now, err) {
			return false
		}
		if !away {
			return true
		}
		told = true
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return false
		}
	}
}

// InForce is a version with the policy that it is.
type InForce struct {
	Version Version
	Policy  *Policy
}

func (s *Store) load(ctx context.Context, id int64) (*InForce, error) {
	v, err := s.Version(ctx, id)
	if err != nil {
		return nil, err
	}
	p, err := Parse(versionName(id), []byte(v.CSV))
	if err != nil {
		return nil, err
	}
	return &InForce{v, p}, nil
}

// Load returns the version in force with its policy, or [ErrNotFound].
func (s *Store) Load(ctx context.Context) (*InForce, error) {
	a, _, err := s.active(ctx)
	if err != nil {
		return nil, err
	}
	return s.load(ctx, a.Version)
}
