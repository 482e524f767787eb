// Package canary keeps what is decided of the canaries of sources, so that it
// holds on all nodes and after a restart: which share of the calls one gets, that
// it was promoted, and that it was aborted, by an administrator or by itself.
//
// What it is not: it compares nothing and routes nothing, which package guard
// does on each node.
package canary

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trilith-gateway/trilith/gateway/guard"
	"github.com/trilith-gateway/trilith/gateway/state"
)

const (
	maxRecord = 8 << 10
	retries   = 5                // of keeping that a canary aborted itself, while the state is away
	pause     = 2 * time.Second  // before the next
	patience  = 10 * time.Second // for each
)

// A record is what was decided last of a source's canary.
type record struct {
	Of      string    `json:"of"` // the configuration that it was decided of
	Phase   string    `json:"phase"`
	Percent int       `json:"percent"`
	Reason  string    `json:"reason,omitempty"`
	Since   time.Time `json:"since"`
}

// Canaries are what is decided of all canaries, shared by all nodes and mirrored
// in memory. While the shared state is away the last that is known holds. They are
// safe for concurrent use.
type Canaries struct {
	bucket *state.Bucket[record]
	mirror *state.Mirror[record]
	log    *slog.Logger
	life   context.Context                     //nolint:containedctx // What goes on in the background ends with it.
	all    atomic.Pointer[map[string]decision] // by source
	build  sync.Mutex                          // held by rebuild

	mu     sync.Mutex
	closed bool
	tasks  sync.WaitGroup
}

// A decision is a record in the terms of package guard.
type decision struct {
	of   string
	turn guard.CanaryTurn
}

// Open returns the canaries kept in s. It follows changes until ctx ends; when
// that has ended, Close them.
func Open(ctx context.Context, s *state.State, log *slog.Logger) (*Canaries, error) {
	b, err := state.OpenBucket[record](ctx, s, state.BucketOptions{Name: "canaries", MaxValueBytes: maxRecord})
	if err != nil {
		return nil, err
	}
	m, err := b.Mirror(ctx)
	if err != nil {
		return nil, err
	}
	c := &Canaries{bucket: b, mirror: m, log: log, life: ctx}
	changed := m.Changed()
	c.rebuild()
	c.tasks.Go(func() { c.follow(changed) })
	return c, nil
}

// Close waits for what was begun, once the context of Open has ended.
func (c *Canaries) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.tasks.Wait()
	return nil
}

func (c *Canaries) follow(changed <-chan struct{}) {
	for {
		select {
		case <-c.life.Done():
			return
		case <-changed:
		}
		changed = c.mirror.Changed()
		c.rebuild()
	}
}

func (c *Canaries) rebuild() {
	c.build.Lock()
	defer c.build.Unlock()
	all := map[string]decision{}
	for _, e := range c.mirror.All() {
		r := e.Value
		all[e.Key] = decision{r.Of, guard.CanaryTurn{Phase: r.Phase, Percent: r.Percent, Reason: r.Reason, Since: r.Since, Revision: e.Revision}}
	}
	c.all.Store(&all)
}

// Board returns where what is decided of a source's canary is kept. Of names the
// source's configuration: with another one it begins anew.
func (c *Canaries) Board(source, of string) guard.CanaryBoard { return &board{c, source, of} }

// A board is the one of a source.
type board struct {
	c      *Canaries
	source string
	of     string
}

// Turn implements [guard.CanaryBoard].
func (b *board) Turn() (guard.CanaryTurn, bool) {
	t, ok := (*b.c.all.Load())[b.source]
	return t.turn, ok && t.of == b.of
}

func (b *board) record(t guard.CanaryTurn) record {
	return record{Of: b.of, Phase: t.Phase, Percent: t.Percent, Reason: t.Reason, Since: t.Since.UTC()}
}

// Decide implements [guard.CanaryBoard]. When it returns nil the turn is durable
// and known on this node; on the others it is moments later.
func (b *board) Decide(ctx context.Context, t guard.CanaryTurn) error {
	revision, err := b.c.bucket.Put(ctx, b.source, b.record(t))
	if err != nil {
		return err
	}
	for {
		changed := b.c.mirror.Changed()
		if e, ok := b.c.mirror.Get(b.source); ok && e.Revision >= revision {
			b.c.rebuild()
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Aborted implements [guard.CanaryBoard].
func (b *board) Aborted(t guard.CanaryTurn) {
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	if !b.c.closed {
		b.c.tasks.Go(func() { b.aborted(t) })
	}
}

// aborted keeps that a canary aborted itself, unless somebody has decided
// otherwise since what this node went by.
func (b *board) aborted(t guard.CanaryTurn) {
	for try := range retries {
		err := b.keep(t)
		if err == nil || errors.Is(err, state.ErrConflict) {
			return
		}
		b.c.log.WarnContext(b.c.life, "that a canary is aborted is not known to the other nodes", slog.String("source", b.source), slog.Any("cause", err))
		timer := time.NewTimer(pause << try)
		select {
		case <-timer.C:
		case <-b.c.life.Done():
			timer.Stop()
			return
		}
	}
}

func (b *board) keep(t guard.CanaryTurn) error {
	ctx, cancel := context.WithTimeout(b.c.life, patience)
	defer cancel()
	now, err := b.c.bucket.Get(ctx, b.source)
	switch {
	case errors.Is(err, state.ErrNotFound):
		_, err = b.c.bucket.Create(ctx, b.source, b.record(t))
	case err != nil:
	case now.Value.Of == b.of && now.Revision != t.Revision:
		return state.ErrConflict
	default:
		_, err = b.c.bucket.Update(ctx, b.source, b.record(t), now.Revision)
	}
	return err
}
