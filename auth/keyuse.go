package auth

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/trilith-gateway/trilith/gateway/state"
)

const (
	noteEvery = time.Minute      // uses are written down
	coarse    = 10 * time.Minute // a use so soon after the last one is not
)

// A use is when a key was last used on this node.
type use struct{ at atomic.Int64 } // Unix seconds; 0 is never

// note records a use. It writes only when the second has changed, so that nodes
// with many cores do not fight over it.
func (u *use) note(now time.Time) {
	if s := now.Unix(); u.at.Load() != s {
		u.at.Store(s)
	}
}

// uses are when keys were last used on any node.
type uses struct {
	bucket *state.Bucket[int64] // id → Unix seconds
	mirror *state.Mirror[int64]
}

func openUses(ctx context.Context, s *state.State) (*uses, error) {
	b, err := state.OpenBucket[int64](ctx, s, state.BucketOptions{Name: "key-uses", MaxValueBytes: 1 << 10, Async: true})
	if err != nil {
		return nil, err
	}
	m, err := b.Mirror(ctx)
	return &uses{b, m}, err
}

func (u *uses) forget(ctx context.Context, id string) {
	_ = u.bucket.Delete(ctx, id, 0) // It says when; nothing depends on it.
}

// used returns when a key was last used, here or elsewhere.
func (k *Keys) used(id string) time.Time {
	var last int64
	if e, ok := k.uses.mirror.Get(id); ok {
		last = e.Value
	}
	if v, ok := k.held.Load(id); ok {
		last = max(last, v.(*heldKey).use.at.Load()) //nolint:forcetypeassert // held holds nothing else.
	}
	if last == 0 {
		return time.Time{}
	}
	return time.Unix(last, 0).UTC()
}

// noteUses writes down when keys were used, until ctx ends.
func (k *Keys) noteUses(ctx context.Context) {
	tick := time.NewTicker(noteEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			k.writeUses(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// writeUses writes down the uses that the others do not know of.
func (k *Keys) writeUses(ctx context.Context) {
	k.held.Range(func(key, v any) bool {
		id, at := key.(string), v.(*heldKey).use.at.Load() //nolint:forcetypeassert // held holds nothing else.
		e, ok := k.uses.mirror.Get(id)
		if at == 0 || ok && at < e.Value+int64(coarse/time.Second) {
			return true
		}
		if _, err := k.uses.bucket.Put(ctx, id, at); err != nil {
			if ctx.Err() == nil {
				k.o.Logger.WarnContext(ctx, "uses of API keys are not written down", slog.Any("cause", err))
			}
			return false // Next time.
		}
		return true
	})
}
