package guard

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// Cache says which answers are kept for the next call that asks the same: those
// of read-only calls that are no tool errors and came without asking the caller.
// The source may say for how long an answer is good (MCP 2026-07-28, caching:
// ttlMs and cacheScope of the result, or of its _meta).
type Cache struct {
	On       bool
	TTL      time.Duration // how long an answer is good where the source does not say; 0 for not at all
	MaxTTL   time.Duration // what the source can say at most
	Stale    time.Duration // how long after that it is better than no answer, while the source fails
	Shared   bool          // whether callers share answers that the source does not call private
	Bytes    int64         // of all answers
	MaxEntry int64         // bytes of one answer, beyond which it is not kept
}

func (l *lane) withCache(up gateway.Upstream) gateway.Upstream {
	if !l.cache.p.On {
		return up
	}
	return caching{up, l, l.cache}
}

// caching is the decorator. It stands behind the gates, so that the policy has
// been asked about every call that it answers.
type caching struct {
	up    gateway.Upstream
	lane  *lane
	cache *cache
}

func (d caching) Do(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	if !whole(call) || d.lane.effectOf(call) != ReadOnly {
		return d.up.Do(ctx, call)
	}
	own, shared, ok := keys(call, d.cache.p.Shared)
	if !ok {
		return d.up.Do(ctx, call)
	}
	old := d.cache.find(call, own, shared)
	if old != nil && time.Now().Before(old.good) {
		d.cache.hits.Add(1)
		return old.result(gateway.ServedCache), nil
	}
	d.cache.misses.Add(1)
	res, err := d.fetch(ctx, call, own, shared)
	if err != nil && old != nil && ctx.Err() == nil && bad(err) && time.Now().Before(old.ends) {
		d.cache.stale.Add(1)
		return old.result(gateway.ServedStale), nil
	}
	return res, err
}

// fetch makes the call, or waits for one that asks the same and is under way.
// What comes of that one is only good if it is kept; otherwise the call is made
// after all, and nobody waits for it.
func (d caching) fetch(ctx context.Context, call *gateway.Call, own, shared key) (*gateway.Result, error) {
	if d.cache.p.TTL <= 0 { // Most likely nothing comes of waiting.
		return d.alone(ctx, call, own, shared)
	}
	for {
		f, leads := d.cache.board(shared)
		if leads {
			return d.lead(ctx, call, f, own, shared)
		}
		select {
		case <-f.landed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		switch {
		case f.entry != nil && f.entry.fits(call) && (!f.entry.private || f.own == own):
			d.cache.joined.Add(1)
			return f.entry.result(gateway.ServedCache), nil
		case !f.left:
			return d.alone(ctx, call, own, shared)
		}
	}
}

// lead makes a call for which others wait, until it is known that nothing comes
// of it for them: its caller takes long to answer a question, and the answer is
// for that caller alone.
func (d caching) lead(ctx context.Context, call *gateway.Call, f *flight, own, shared key) (*gateway.Result, error) {
	f.own = own
	defer d.cache.land(f, shared, nil, true) // After a panic another one leads.
	e, res, err := d.make(ctx, call, func() { d.cache.land(f, shared, nil, false) })
	d.cache.keep(e, own, shared)
	d.cache.land(f, shared, e, err != nil && ctx.Err() != nil)
	return res, err
}

// make makes the call and returns its answer as an entry too, where it may be
// kept. Asks is run when the caller is asked something.
func (d caching) make(ctx context.Context, call *gateway.Call, asks func()) (*entry, *gateway.Result, error) {
	var asked atomic.Bool
	quiet := call
	if call.Ask != nil {
		quiet = asking(call, func() { asked.Store(true); asks() }, func() {})
	}
	res, err := d.up.Do(ctx, quiet)
	if err != nil || res == nil || res.IsError || res.Input != nil || res.Served != "" || asked.Load() {
		return nil, res, err
	}
	raw := res.JSON()
	if len(raw) == 0 || int64(len(raw)) > d.cache.p.MaxEntry {
		return nil, res, nil
	}
	return newEntry(call, raw, d.cache.p), res, nil
}

// alone makes a call for which nobody waits.
func (d caching) alone(ctx context.Context, call *gateway.Call, own, shared key) (*gateway.Result, error) {
	e, res, err := d.make(ctx, call, func() {})
	d.cache.keep(e, own, shared)
	return res, err
}
