package guard

import (
	"bytes"
	"container/list"
	"encoding/json"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// A cache holds answers, those used last, within its bytes.
type cache struct {
	p Cache

	mu      sync.Mutex
	entries map[key]*list.Element // of *kept
	order   list.List             // the one used last is in front
	bytes   int64
	flights map[key]*flight

	hits, misses, stale, joined atomic.Uint64
}

// kept is an entry in its place.
type kept struct {
	key   key
	entry *entry
}

// entryBytes is what an entry takes beside its answer, about.
const entryBytes = 512

// A flight is a call that is under way, for which others wait that ask the same.
type flight struct {
	landed chan struct{}
	own    key // of its caller

	// Set when it has landed.
	entry *entry // nil where its answer is not kept
	left  bool   // its caller did not wait for the answer
}

func newCache(p Cache) *cache {
	return &cache{p: p, entries: map[key]*list.Element{}, flights: map[key]*flight{}}
}

// find returns the entry of a call, or nil. One that was made for another
// definition of what is called is none.
func (c *cache) find(call *gateway.Call, own, shared key) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range [...]key{own, shared} {
		place, ok := c.entries[k]
		if !ok {
			continue
		}
		e := place.Value.(*kept).entry //nolint:forcetypeassert // The list holds nothing else.
		if e.fits(call) && time.Now().Before(e.ends) {
			c.order.MoveToFront(place)
			return e
		}
		c.drop(place)
	}
	return nil
}

// keep puts an entry in, if there is one, and those that were not used for
// longest out.
func (c *cache) keep(e *entry, own, shared key) {
	if e == nil {
		return
	}
	k := shared
	if e.private {
		k = own
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.entries[k]; ok {
		c.drop(old)
	}
	c.entries[k] = c.order.PushFront(&kept{k, e})
	c.bytes += e.size()
	for c.bytes > c.p.Bytes {
		c.drop(c.order.Back())
	}
}

// drop takes an entry out. c.mu is held.
func (c *cache) drop(place *list.Element) {
	k := c.order.Remove(place).(*kept) //nolint:forcetypeassert // As in find.
	delete(c.entries, k.key)
	c.bytes -= k.entry.size()
}

// board returns the flight for a key, and whether it is the caller's to make.
func (c *cache) board(k key) (*flight, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok := c.flights[k]; ok {
		return f, false
	}
	f := &flight{landed: make(chan struct{})}
	c.flights[k] = f
	return f, true
}

// land ends a flight, once: what is said of it later says nothing.
func (c *cache) land(f *flight, k key, e *entry, left bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flights[k] != f {
		return
	}
	delete(c.flights, k)
	f.entry, f.left = e, left
	close(f.landed)
}

// held returns how many answers there are, and their bytes.
func (c *cache) held() (int, int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries), c.bytes
}

// An entry is an answer that is kept. It is never changed.
type entry struct {
	definition json.RawMessage // of what was called
	raw        json.RawMessage
	ttl        [2]int    // where the value of ttlMs is in raw; 0, 0 for nowhere
	good       time.Time // until when it is an answer
	ends       time.Time // until when it is better than none
	private    bool      // it is for its caller alone
}

// newEntry returns the entry of an answer, or nil where it is good for no time
// at all.
func newEntry(call *gateway.Call, raw json.RawMessage, p Cache) *entry {
	e := &entry{definition: call.Target.Definition, raw: bytes.Clone(raw), private: !p.Shared}
	lasts := p.TTL
	h := hintsOf(e.raw)
	if h.said {
		lasts, e.ttl = min(h.ttl, p.MaxTTL), h.at
	}
	if lasts <= 0 {
		return nil
	}
	e.private = e.private || h.private
	e.good = time.Now().Add(lasts)
	e.ends = e.good.Add(p.Stale)
	return e
}

// fits reports whether the answer is one of what the call asks for: the
// definition has not changed since.
func (e *entry) fits(call *gateway.Call) bool {
	return bytes.Equal(e.definition, call.Target.Definition)
}

// size is what the entry holds on to: the definition may be one that the source
// does not have any more.
func (e *entry) size() int64 { return int64(len(e.raw)+len(e.definition)) + entryBytes }

// result returns the answer. What it says of how long it is good, which clients
// go by, is what is left of that.
func (e *entry) result(served string) *gateway.Result {
	raw := e.raw
	if e.ttl[1] > 0 {
		left := max(time.Until(e.good).Milliseconds(), 0)
		raw = make(json.RawMessage, 0, len(e.raw))
		raw = append(raw, e.raw[:e.ttl[0]]...)
		raw = strconv.AppendInt(raw, left, 10)
		raw = append(raw, e.raw[e.ttl[1]:]...)
	}
	return &gateway.Result{Raw: raw, Served: served}
}
