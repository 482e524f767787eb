package state

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
)

// Mirror is a copy of a bucket in memory, kept current by a watch. Reads never touch the engine, and Get takes no lock;
// while the engine is away they answer with the last state known. Safe for concurrent use.
type Mirror[T any] struct {
	b       *Bucket[T]
	entries sync.Map // Of key to Entry[T].
	changed pulse
	ended   atomic.Uint64
	done    chan struct{} // Closed when the watch has ended.

	mu      sync.Mutex
	away    error
	corrupt map[string]error // Keys whose newest value does not decode.
}

// Mirror starts a copy of the bucket and waits until it is complete, at most 30 seconds. It is kept current until ctx
// ends or the State is closed.
func (b *Bucket[T]) Mirror(ctx context.Context) (*Mirror[T], error) {
	op := "mirror " + b.name
	if !b.s.enter() {
		return nil, fail(ctx, op, errClosed)
	}
	m := &Mirror[T]{b: b, done: make(chan struct{}), corrupt: make(map[string]error)}
	live, cancel := context.WithCancel(ctx)
	ready := make(chan struct{})
	go func() {
		defer b.s.busy.Done()
		defer cancel()
		m.follow(live, ready)
	}()
	late, stop := context.WithTimeout(live, startTimeout)
	defer stop()
	select {
	case <-ready:
		return m, nil
	case <-m.done:
	case <-late.Done():
	}
	cancel()
	<-m.done
	return nil, fail(ctx, op, fmt.Errorf("%w: no complete copy: %w", ErrUnavailable, m.Err()))
}

// follow applies the bucket's events until the watch ends; it closes ready at the first Synced.
func (m *Mirror[T]) follow(ctx context.Context, ready chan<- struct{}) {
	defer close(m.done)
	for ev, err := range m.b.Watch(ctx) {
		m.apply(ev, err)
		if ev.Synced && ready != nil {
			close(ready)
			ready = nil
		}
		m.changed.beat()
	}
	m.mu.Lock()
	if m.away == nil {
		m.away = fmt.Errorf("state: mirror %s: %w", m.b.name, errClosed)
	}
	m.mu.Unlock()
	m.changed.beat()
}

func (m *Mirror[T]) apply(ev Event[T], err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case errors.Is(err, ErrCorrupt):
		m.b.s.log.Error("state mirror keeps an older value", slog.Any("cause", err))
		m.corrupt[ev.Key] = err
	case err != nil:
		m.away = err
	case ev.Synced:
		m.away = nil
	case ev.Deleted:
		delete(m.corrupt, ev.Key)
		m.entries.Delete(ev.Key)
		m.ended.Add(1)
	default:
		delete(m.corrupt, ev.Key)
		m.entries.Store(ev.Key, ev.Entry)
	}
}

// Get returns the entry of a key, and whether there is one.
func (m *Mirror[T]) Get(key string) (Entry[T], bool) {
	v, ok := m.entries.Load(key)
	if !ok {
		return Entry[T]{}, false
	}
	return v.(Entry[T]), true //nolint:forcetypeassert // apply stores nothing else.
}

// All returns the entries sorted by key. It copies them: on the road of a call, keep what you derive from it and look
// again when Changed says so. Changes made during the call may be in the result or not.
func (m *Mirror[T]) All() []Entry[T] {
	return sorted(func(yield func(Entry[T]) bool) {
		m.entries.Range(func(_, v any) bool {
			return yield(v.(Entry[T])) //nolint:forcetypeassert // apply stores nothing else.
		})
	})
}

// Changed returns a channel that is closed at the next change of an entry or of Err. Take it before reading, so that
// no change is missed between the reading and the wait.
func (m *Mirror[T]) Changed() <-chan struct{} { return m.changed.next() }

// Ended returns how often an entry has ended so far: by deletion or by time. Who looks at it when Changed says so misses
// no end, however short the life of the entry was.
func (m *Mirror[T]) Ended() uint64 { return m.ended.Load() }

// Err tells why the copy may be out of date: ErrUnavailable while the engine is away or once the mirror has ended,
// ErrCorrupt while the newest value of some key does not decode. A user who must fail closed asks it; nil means
// current.
func (m *Mirror[T]) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away != nil {
		return m.away
	}
	for _, err := range m.corrupt {
		return err
	}
	return nil
}
