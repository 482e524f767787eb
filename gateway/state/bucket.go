package state

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// DefaultMaxValueBytes is the bound of a value when BucketOptions name none.
	DefaultMaxValueBytes = 1 << 20
	// MaxHistory is the most revisions a bucket keeps of a key.
	MaxHistory = 64
	// headerBytes is room for the headers that the engine counts as part of a value.
	headerBytes = 1 << 10
	// prefix keeps the gateway's buckets apart from others in the same NATS account.
	prefix = "trilith_"
	// minTTL is the shortest time to live that NATS accepts.
	minTTL = 100 * time.Millisecond
)

// BucketOptions describe a bucket. All nodes should open it with the same; the last one to open wins.
type BucketOptions struct {
	// Name is 1 to 32 lower-case letters, digits, '-' and '_'.
	Name string
	// TTL ends every value so long after it was last written, at least 100 ms. 0 keeps values for good. For a lease,
	// let its holder Update the key well within TTL.
	TTL time.Duration
	// History is how many revisions of a key are kept, 0 means 1, at most MaxHistory.
	History int
	// MaxValueBytes bounds an encoded value, 0 means DefaultMaxValueBytes. It cannot exceed max_payload of the server:
	// 8 MiB embedded, 1 MiB by default elsewhere, where headers of some 100 bytes count too.
	MaxValueBytes int
	// Async acknowledges a write before it is synced to disk: some 15 times faster, and a power cut may cost ten
	// seconds of writes. It takes effect when the embedded engine creates the bucket, and nowhere else.
	Async bool
}

// Entry is a value with its place in time.
type Entry[T any] struct {
	Key   string
	Value T
	// Revision grows with every write to the bucket, so it also orders entries of different keys. Never 0.
	Revision uint64
	// Created is when this revision was written, by the clock of the engine.
	Created time.Time
	// Deleted marks the end of a key, in events and histories; Value is then zero.
	Deleted bool
}

// Bucket keeps JSON values of type T. Keys are any strings of 1 to MaxKeyBytes bytes. Requests are bounded by five
// seconds or the caller's context, whichever ends first. Safe for concurrent use.
type Bucket[T any] struct {
	s        *State
	name     string
	ttl      time.Duration
	maxValue int
	kv       jetstream.KeyValue
}

// OpenBucket creates the bucket when it is missing and adjusts its limits when they differ. While a cluster has no
// leader it retries until ctx ends, at most 30 seconds, and fails with ErrUnavailable then.
func OpenBucket[T any](ctx context.Context, s *State, o BucketOptions) (*Bucket[T], error) {
	op := fmt.Sprintf("open bucket %.40q", o.Name)
	if err := s.check(&o); err != nil {
		return nil, fail(ctx, op, err)
	}
	b := &Bucket[T]{s: s, name: o.Name, ttl: o.TTL, maxValue: o.MaxValueBytes}
	err := s.retry(ctx, op, func(ctx context.Context) error {
		if _, err := s.ensureStream(ctx, s.streamConfig(o)); err != nil {
			return err
		}
		var err error
		b.kv, err = s.js.KeyValue(ctx, prefix+o.Name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// check fills in defaults and refuses what cannot work.
func (s *State) check(o *BucketOptions) error {
	if err := checkName(o.Name); err != nil {
		return err
	}
	if o.History == 0 {
		o.History = 1
	}
	if o.History < 0 || o.History > MaxHistory {
		return fmt.Errorf("%w: History %d, at most %d", ErrInvalid, o.History, MaxHistory)
	}
	if o.TTL < 0 || o.TTL > 0 && o.TTL < minTTL {
		return fmt.Errorf("%w: TTL %v, at least %v", ErrInvalid, o.TTL, minTTL)
	}
	if o.MaxValueBytes == 0 {
		o.MaxValueBytes = DefaultMaxValueBytes
	}
	if limit := s.nc.MaxPayload(); o.MaxValueBytes < 0 || int64(o.MaxValueBytes) > limit {
		return fmt.Errorf("%w: MaxValueBytes %d, the server's max_payload is %d", ErrInvalid, o.MaxValueBytes, limit)
	}
	return nil
}

// streamConfig lays a bucket out as NATS key-value buckets are, so that the nats command can inspect it.
func (s *State) streamConfig(o BucketOptions) jetstream.StreamConfig {
	cfg := jetstream.StreamConfig{
		Name:              "KV_" + prefix + o.Name,
		Subjects:          []string{"$KV." + prefix + o.Name + ".>"},
		MaxMsgsPerSubject: int64(o.History),
		MaxAge:            o.TTL,
		MaxMsgSize:        int32(o.MaxValueBytes + headerBytes), //nolint:gosec // At most max_payload, an int32.
		MaxBytes:          -1,
		Discard:           jetstream.DiscardNew,
		AllowRollup:       true,
		DenyDelete:        true,
	}
	s.place(&cfg, o.Async)
	return cfg
}

// Get returns the current entry, or ErrNotFound.
func (b *Bucket[T]) Get(ctx context.Context, key string) (Entry[T], error) {
	e, err := b.get(ctx, key)
	if err != nil {
		return Entry[T]{}, fail(ctx, "get from "+b.name, err)
	}
	return e, nil
}

func (b *Bucket[T]) get(ctx context.Context, key string) (Entry[T], error) {
	enc, err := encodeKey(key)
	if err != nil {
		return Entry[T]{}, err
	}
	ctx, done, err := b.s.begin(ctx)
	if err != nil {
		return Entry[T]{}, err
	}
	defer done()
	e, err := b.kv.Get(ctx, enc)
	if err != nil {
		return Entry[T]{}, err
	}
	return decode[T](key, e)
}

// Put writes the value whatever was there and returns its revision.
func (b *Bucket[T]) Put(ctx context.Context, key string, v T) (uint64, error) {
	return b.write(ctx, "put", key, v, b.kv.Put)
}

// Create writes the value if the key has none, otherwise it fails with ErrConflict.
func (b *Bucket[T]) Create(ctx context.Context, key string, v T) (uint64, error) {
	return b.write(ctx, "create", key, v, func(ctx context.Context, enc string, data []byte) (uint64, error) {
		return b.kv.Create(ctx, enc, data)
	})
}

// Update writes the value if the key's revision is still rev, otherwise, or when the key has no value, it fails with
// ErrConflict. Of several concurrent updates from one revision exactly one succeeds; only while a replicated bucket
// changes its leader NATS does not promise that.
func (b *Bucket[T]) Update(ctx context.Context, key string, v T, rev uint64) (uint64, error) {
	return b.write(ctx, "update", key, v, func(ctx context.Context, enc string, data []byte) (uint64, error) {
		if rev == 0 { // To the engine 0 means "has never been written", which is what Create is for.
			return 0, fmt.Errorf("%w: no entry has revision 0", ErrConflict)
		}
		return b.kv.Update(ctx, enc, data, rev)
	})
}

// write is what Put, Create and Update share.
func (b *Bucket[T]) write(ctx context.Context, op, key string, v T,
	store func(context.Context, string, []byte) (uint64, error),
) (uint64, error) {
	rev, err := func() (uint64, error) {
		enc, err := encodeKey(key)
		if err != nil {
			return 0, err
		}
		data, err := json.Marshal(v)
		if err != nil {
			return 0, fmt.Errorf("%w: encode value: %w", ErrInvalid, err)
		}
		if len(data) > b.maxValue {
			return 0, fmt.Errorf("%w: value of %d bytes, at most %d", ErrTooLarge, len(data), b.maxValue)
		}
		ctx, done, err := b.s.begin(ctx)
		if err != nil {
			return 0, err
		}
		defer done()
		return store(ctx, enc, data)
	}()
	if err != nil {
		return 0, fail(ctx, op+" into "+b.name, err)
	}
	return rev, nil
}

// Delete ends the key if its revision is still rev, otherwise it fails with ErrConflict. With rev 0 it ends the key
// whatever is there, and deleting what does not exist succeeds. The engine keeps a marker of some hundred bytes for
// each deleted key until TTL, so a bucket whose keys come and go needs a TTL.
func (b *Bucket[T]) Delete(ctx context.Context, key string, rev uint64) error {
	err := func() error {
		enc, err := encodeKey(key)
		if err != nil {
			return err
		}
		ctx, done, err := b.s.begin(ctx)
		if err != nil {
			return err
		}
		defer done()
		if rev == 0 {
			return b.kv.Delete(ctx, enc)
		}
		return b.kv.Delete(ctx, enc, jetstream.LastRevision(rev))
	}()
	if err != nil {
		return fail(ctx, "delete from "+b.name, err)
	}
	return nil
}

// All returns the current entries, sorted by key. It reads the whole bucket. With replicas it may miss the writes of the
// last moment, which Get never does.
func (b *Bucket[T]) All(ctx context.Context) ([]Entry[T], error) {
	opCtx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	all := make(map[string]Entry[T])
	for ev, err := range b.Watch(opCtx) {
		switch {
		case err != nil:
			return nil, fail(ctx, "list "+b.name, err)
		case ev.Synced:
			return sorted(maps.Values(all)), nil
		case ev.Deleted: // Deleted or changed while the listing was under way.
			delete(all, ev.Key)
		default:
			all[ev.Key] = ev.Entry
		}
	}
	return nil, fail(ctx, "list "+b.name, context.Cause(opCtx))
}

func sorted[T any](entries iter.Seq[Entry[T]]) []Entry[T] {
	return slices.SortedFunc(entries, func(x, y Entry[T]) int { return strings.Compare(x.Key, y.Key) })
}

// History returns the kept revisions of a key, oldest first, deletions included; ErrNotFound when there are none. With
// replicas it may miss the writes of the last moment.
func (b *Bucket[T]) History(ctx context.Context, key string) ([]Entry[T], error) {
	entries, err := func() ([]Entry[T], error) {
		enc, err := encodeKey(key)
		if err != nil {
			return nil, err
		}
		ctx, done, err := b.s.begin(ctx)
		if err != nil {
			return nil, err
		}
		defer done()
		revs, err := b.kv.History(ctx, enc)
		if err != nil {
			return nil, err
		}
		out := make([]Entry[T], len(revs))
		for i, e := range revs {
			if out[i], err = decode[T](key, e); err != nil {
				return nil, err
			}
		}
		return out, nil
	}()
	if err != nil {
		return nil, fail(ctx, "history of "+b.name, err)
	}
	return entries, nil
}

// decode turns an entry of the engine into ours. On ErrCorrupt everything but Value is set.
func decode[T any](key string, e jetstream.KeyValueEntry) (Entry[T], error) {
	out := Entry[T]{Key: key, Revision: e.Revision(), Created: e.Created()}
	if e.Operation() != jetstream.KeyValuePut {
		out.Deleted = true
		return out, nil
	}
	if err := json.Unmarshal(e.Value(), &out.Value); err != nil {
		var zero T
		out.Value = zero
		return out, fmt.Errorf("%w: revision %d: %w", ErrCorrupt, out.Revision, err)
	}
	return out, nil
}
