package limits

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"
)

const (
	// DefaultBuckets is how many buckets a table keeps at most: some 20 MB of
	// them, and their keys.
	DefaultBuckets = 1 << 17

	maxKey  = 256 // bytes of a key that is kept as it is
	looks   = 8   // how many buckets are looked at to find one to give up
	inPlace = 16  // buckets of a call for which nothing is allocated
)

// A Table is the [Limiter] of one node: buckets in memory, as many as are not
// full, up to a bound. A full bucket need not be remembered. Once there are as
// many as there may be, each new one takes the place of that which, of some, is
// full soonest. Make it with [NewTable].
//
// It follows the generic cell rate algorithm (ITU-T I.371): of a bucket only the
// time at which it is full again is kept.
type Table struct {
	most  int
	epoch time.Time

	mu    sync.Mutex
	index map[id]int32
	slots []slot
	hand  int // where to look for a bucket to give up
}

// id names a bucket: by the hash of its limit's name, and by whose it is.
type id struct {
	limit uint64
	key   string
}

// A slot is a bucket.
type slot struct {
	id
	limit *Limit        // as it was when a token was taken
	full  time.Duration // after the table's epoch
}

// NewTable returns an empty table of at most so many buckets, [DefaultBuckets]
// for 0.
func NewTable(most int) *Table {
	return &Table{most: cmp.Or(most, DefaultBuckets), epoch: time.Now(), index: map[id]int32{}}
}

// Take is that of [Limiter]. It never fails.
func (t *Table) Take(_ context.Context, buckets []Bucket) (wait time.Duration, which int, _ error) {
	now := time.Since(t.epoch)
	var small [inPlace]place
	places := small[:0]
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range buckets {
		b := &buckets[i]
		p := place{id: id{b.hash, short(b.Key)}, limit: b.Limit, slot: -1}
		if at, ok := t.index[p.id]; ok {
			p.slot = at
			p.debt = min(max(0, t.slots[at].full-now), b.capacity()) // The rule may have been changed.
		}
		if w := p.debt + b.Interval - b.capacity(); w > wait {
			wait, which = w, i
		}
		places = append(places, p)
	}
	if wait > 0 {
		return wait, which, nil
	}
	for i := range places { // New ones come last: they may take the place of others.
		if p := &places[i]; p.slot >= 0 {
			t.slots[p.slot].limit, t.slots[p.slot].full = p.limit, now+p.debt+p.limit.Interval
		}
	}
	for i := range places {
		if p := &places[i]; p.slot < 0 {
			t.add(slot{p.id, p.limit, now + p.limit.Interval}, now)
		}
	}
	return 0, 0, nil
}

// A place is where a bucket is, and what it lacks until it is full.
type place struct {
	id
	limit *Limit
	slot  int32 // -1 where it is full
	debt  time.Duration
}

// capacity is how long an empty bucket takes to fill.
func (l *Limit) capacity() time.Duration { return l.Interval * time.Duration(l.Burst) }

// short returns a key of bounded length.
func short(key string) string {
	if len(key) <= maxKey {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// add keeps a bucket, in the place of another where one of some is full or there
// is no room.
func (t *Table) add(s slot, now time.Duration) {
	if at, ok := t.index[s.id]; ok { // The call names it twice.
		t.slots[at] = s
		return
	}
	at := -1
	for range min(looks, len(t.slots)) {
		t.hand = (t.hand + 1) % len(t.slots)
		if at < 0 || t.slots[t.hand].full < t.slots[at].full {
			at = t.hand
		}
	}
	if at < 0 || t.slots[at].full > now && len(t.slots) < t.most {
		t.index[s.id] = int32(len(t.slots)) //nolint:gosec // It is bounded.
		t.slots = append(t.slots, s)
		return
	}
	delete(t.index, t.slots[at].id)
	t.index[s.id] = int32(at)
	t.slots[at] = s
}

// A State is a bucket that is not full.
type State struct {
	Bucket // a long key is its hash

	Tokens int64         // whole tokens in it
	Full   time.Duration // until it is full
	Next   time.Duration // until there is a token; 0 where there is one
}

// States returns the buckets that are not full, in no order.
func (t *Table) States() []State {
	t.mu.Lock()
	now := time.Since(t.epoch)
	slots := append([]slot(nil), t.slots...) // Some milliseconds at most, for all else waits.
	t.mu.Unlock()
	var out []State
	for _, s := range slots {
		debt := s.full - now
		if debt <= 0 {
			continue
		}
		state := State{Bucket: Bucket{s.limit, s.key}, Full: debt}
		if room := s.limit.capacity() - debt; room >= s.limit.Interval {
			state.Tokens = int64(room / s.limit.Interval)
		} else {
			state.Next = s.limit.Interval - room
		}
		out = append(out, state)
	}
	return out
}
