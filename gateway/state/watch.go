package state

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Event is one step of a watch.
type Event[T any] struct {
	// Entry is what changed; it is zero in a Synced event.
	Entry[T]
	// Synced says that the watch has caught up: all entries that existed when it began, or when the engine came back,
	// have been told.
	Synced bool
}

// errStop ends a watch because its consumer or its context did.
var errStop = errors.New("stop")

// Watch tells the current entries, then an event with Synced set, then every change, until ctx ends, the State is
// closed or the loop over it is left. Deletions and expiries come as entries with Deleted set. Of changes in quick
// succession, or made while the engine was away, only the last of a key is certain to be told; none is told twice. With
// replicas the first entries may come from one that lags behind; what they miss follows as changes.
//
// An error does not end the watch. ErrUnavailable: the engine is away, what was told so far may be out of date; once
// it is back the differences are told, then Synced again. ErrCorrupt: the value of the entry that comes with it, with
// Key and Revision set, does not decode.
//
// The consumer's loop body runs on the caller's goroutine; while it is busy the engine holds changes back.
func (b *Bucket[T]) Watch(ctx context.Context) iter.Seq2[Event[T], error] {
	return func(yield func(Event[T], error) bool) {
		w := &watch[T]{b: b, known: newRecency(), yield: yield}
		for {
			link := b.s.link.next()
			err := w.run(ctx, link)
			if errors.Is(err, errStop) || ctx.Err() != nil {
				return
			}
			if !w.away {
				w.away = true
				if !yield(Event[T]{}, fail(ctx, "watch "+b.name, err)) {
					return
				}
			}
			if b.s.life.Err() != nil {
				return
			}
			select { // The engine is away, or its cluster is between two leaders.
			case <-time.After(retryWait):
			case <-ctx.Done():
				return
			case <-b.s.life.Done():
			}
		}
	}
}

// watch is the state of one Watch across reconnections.
type watch[T any] struct {
	b     *Bucket[T]
	known *recency        // What the consumer was told and still exists.
	seen  map[string]bool // Keys met since the last (re)connection; nil once Synced.
	yield func(Event[T], error) bool
	away  bool // ErrUnavailable was told and no Synced since.
}

// run follows the bucket over one connection. It returns errStop, or why the connection is of no more use.
func (w *watch[T]) run(ctx context.Context, link <-chan struct{}) error {
	updates, stop, err := w.b.follow(ctx)
	if err != nil {
		return err
	}
	defer stop()
	w.seen = make(map[string]bool)
	late := time.NewTimer(startTimeout)
	defer late.Stop()
	expiry := time.NewTimer(0)
	defer expiry.Stop()
	for {
		select {
		case <-ctx.Done():
			return errStop
		case <-w.b.s.life.Done():
			return errClosed
		case <-link:
			return fmt.Errorf("%w: connection lost or renewed", ErrUnavailable)
		case <-late.C:
			return fmt.Errorf("%w: the listing stalled", ErrUnavailable)
		case <-expiry.C:
			wait, err := w.expire(ctx)
			if err != nil {
				return err
			}
			if wait > 0 {
				expiry.Reset(wait)
			}
		case e, ok := <-updates:
			if !ok {
				return fmt.Errorf("%w: the engine ended the watch", ErrUnavailable)
			}
			if err := w.handle(ctx, e); err != nil {
				return err
			}
			if late.Stop(); w.seen != nil {
				late.Reset(startTimeout)
			}
			if w.first() {
				expiry.Reset(0)
			}
		}
	}
}

// follow starts a watch of the engine. stop ends it and must be called.
func (b *Bucket[T]) follow(ctx context.Context) (_ <-chan jetstream.KeyValueEntry, stop func(), err error) {
	if b.s.life.Err() != nil {
		return nil, nil, errClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	timer := time.AfterFunc(opTimeout, cancel) // Bounds the request; the context itself lives as long as the watch.
	kw, err := b.kv.WatchAll(ctx)
	if err != nil {
		timer.Stop()
		cancel()
		return nil, nil, err
	}
	stop = func() {
		cancel()
		_ = kw.Stop() // Fails only when it has ended already.
		for range kw.Updates() {
			// The client may be blocked on the channel; it closes it once the subscription has ended.
		}
	}
	if !timer.Stop() {
		stop()
		return nil, nil, context.DeadlineExceeded
	}
	return kw.Updates(), stop, nil
}

// handle tells one change, or with a nil entry that there is nothing left of what existed when the engine began.
func (w *watch[T]) handle(ctx context.Context, e jetstream.KeyValueEntry) error {
	if e == nil {
		return w.synced(ctx)
	}
	key, err := decodeKey(e.Key())
	if err != nil {
		w.b.s.log.Warn("state bucket holds a foreign key",
			slog.String("bucket", w.b.name), slog.Uint64("revision", e.Revision()), slog.Any("cause", err))
		return nil // Nothing that a user of the bucket could do about it.
	}
	if w.seen != nil {
		w.seen[key] = true
	}
	if rev, known := w.known.revision(key); known && e.Revision() < rev {
		// A replica that lags behind told it, or the bucket was made anew. The leader knows.
		if now, err := w.b.get(ctx, key); err == nil && now.Revision != e.Revision() {
			return nil
		}
	}
	entry, err := decode[T](key, e)
	return w.tell(entry, err)
}

// tell passes an entry on unless the consumer knows it already.
func (w *watch[T]) tell(entry Entry[T], err error) error {
	rev, known := w.known.revision(entry.Key)
	switch {
	case entry.Deleted && !known, !entry.Deleted && known && rev == entry.Revision:
		return nil
	case entry.Deleted:
		w.known.remove(entry.Key)
	default:
		w.known.set(entry.Key, entry.Revision, entry.Created)
	}
	if err != nil {
		err = fmt.Errorf("state: watch %s: %w", w.b.name, err)
	}
	if !w.yield(Event[T]{Entry: entry}, err) {
		return errStop
	}
	return nil
}

// synced tells which keys vanished while the connection was away, then that the watch has caught up.
func (w *watch[T]) synced(ctx context.Context) error {
	for _, key := range w.known.keys() {
		if !w.seen[key] {
			if _, err := w.recheck(ctx, key); err != nil {
				return err
			}
		}
	}
	w.seen, w.away = nil, false
	if !w.yield(Event[T]{Synced: true}, nil) {
		return errStop
	}
	return nil
}

// first tells whether there may be an expiry to wait for where there was none before.
func (w *watch[T]) first() bool { return w.b.ttl > 0 && w.known.len() == 1 }

// expire tells which keys have outlived the bucket's time to live; the engine says nothing when it removes them. It
// returns when to look again, 0 for never. The engine's word counts, its clock may differ from ours.
func (w *watch[T]) expire(ctx context.Context) (time.Duration, error) {
	for {
		key, created, ok := w.known.oldest()
		if !ok || w.b.ttl == 0 {
			return 0, nil
		}
		if wait := time.Until(created.Add(w.b.ttl)); wait > 0 {
			return wait, nil
		}
		gone, err := w.recheck(ctx, key)
		if err != nil {
			return 0, err
		}
		if !gone {
			return retryWait, nil
		}
	}
}

// recheck asks the engine for a key and tells its end, if it has ended. A newer value comes with the updates.
func (w *watch[T]) recheck(ctx context.Context, key string) (gone bool, err error) {
	_, err = w.b.get(ctx, key)
	switch {
	case err == nil, errors.Is(err, ErrCorrupt):
		return false, nil
	case ctx.Err() != nil:
		return false, errStop
	case classify(err) == ErrNotFound: //nolint:errorlint // A sentinel as classify returns it.
		rev, _ := w.known.revision(key)
		return true, w.tell(Entry[T]{Key: key, Revision: rev, Deleted: true}, nil)
	}
	return false, err
}
