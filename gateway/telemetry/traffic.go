// Package telemetry measures what passes through the gateway: how many calls,
// through which door and to which source, how they ended and how long they
// took. It sees calls as an observer of the road does, so it can refuse none and
// keeps nothing of their content. What exceeds a limit that is only measured is
// counted beside them, as doors tell it.
package telemetry

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// Bounds of what is kept.
const (
	// MaxSeconds is how far back a [Report] can look.
	MaxSeconds = 300

	maxSeries = 4096 // pairs of a door and a source; more are counted as those of one source, Other
	maxLimits = 256  // names of limits; more are counted as one, Other
)

// Other is the source of calls beyond those that are kept apart, and the name of
// limits beyond them.
const Other = "other"

// Traffic counts calls. Make one with [NewTraffic], have it observe the road,
// and run it; without Run it counts and reports nothing. It is safe for
// concurrent use.
type Traffic struct {
	now func() time.Time

	series sync.Map // of key to *series
	count  atomic.Int64

	mu       sync.RWMutex
	last     map[key]*totals // at the second before
	exceeded map[string]uint64
	ring     [MaxSeconds]second
	filled   int           // how many seconds of ring are there
	at       int           // the next of ring
	tick     chan struct{} // closed at the end of a second
}

// A key is what calls are counted by.
type key struct{ via, source string }

// NewTraffic returns a Traffic that has seen nothing.
func NewTraffic() *Traffic {
	return &Traffic{now: time.Now, last: map[key]*totals{}, exceeded: map[string]uint64{}, tick: make(chan struct{})}
}

// Observe notes when a call begins and, in the function that it returns, how it
// ended. Calls of administration are not counted.
func (t *Traffic) Observe(ctx context.Context, call *gateway.Call) (context.Context, func(*gateway.Result, error)) {
	if call.Op == gateway.OpAdmin || call.Op == gateway.OpInspect {
		return ctx, func(*gateway.Result, error) {} // Who looks must not see themselves.
	}
	start := t.now()
	return ctx, func(res *gateway.Result, err error) {
		k := key{via: call.Via}
		if call.Target != nil {
			k.source = call.Target.Source
		}
		s := t.seriesOf(k)
		s.outcomes[outcomeOf(res, err)].Add(1)
		if call.Op != gateway.OpSubscribe { // It lasts as long as its caller wants.
			s.took[bucketOf(t.now().Sub(start))].Add(1)
		}
	}
}

// Exceed counts something that was answered although it exceeds a limit, which
// is only measured.
func (t *Traffic) Exceed(limit string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.exceeded[limit]; !known && len(t.exceeded) >= maxLimits {
		limit = Other
	}
	t.exceeded[limit]++
}

func (t *Traffic) seriesOf(k key) *series {
	if s, ok := t.series.Load(k); ok {
		return s.(*series) //nolint:forcetypeassert // It holds nothing else.
	}
	if t.count.Load() >= maxSeries {
		k.source = Other
	}
	s, known := t.series.LoadOrStore(k, &series{})
	if !known {
		t.count.Add(1)
	}
	return s.(*series) //nolint:forcetypeassert // as above.
}

// An outcome is how a call ended, as far as operators tell calls apart.
type outcome uint8

const (
	fine      outcome = iota // it was answered
	toolError                // the tool ran and failed
	refused                  // by a gate, or because of what the caller asked for
	failed                   // here or at the source
	canceled                 // by the caller

	outcomes = int(canceled) + 1
)

func outcomeOf(res *gateway.Result, err error) outcome {
	if err == nil {
		if res != nil && res.IsError {
			return toolError
		}
		return fine
	}
	switch gateway.AsError(err).Code { //nolint:exhaustive // All others are refusals.
	case gateway.Canceled:
		return canceled
	case gateway.Unknown, gateway.DeadlineExceeded, gateway.Internal, gateway.Unavailable, gateway.DataLoss:
		return failed
	default:
		return refused
	}
}

// A series counts the calls of one key since the start.
type series struct {
	outcomes [outcomes]atomic.Uint64
	took     [buckets]atomic.Uint64
}

// totals are what a series had counted at some time.
type totals struct {
	outcomes [outcomes]uint64
	took     [buckets]uint64
}

// A second is what happened in one: calls by key, and excesses by limit.
type second struct {
	calls    map[key]counts
	exceeded map[string]uint64
}

// counts are what changed in a series, without what did not.
type counts struct {
	outcomes [outcomes]uint64
	took     []bucketCount
}

type bucketCount struct {
	bucket uint16
	calls  uint32
}

// Run closes a second every second until the context ends.
func (t *Traffic) Run(ctx context.Context) {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for {
		select {
		case <-every.C:
			t.close()
		case <-ctx.Done():
			return
		}
	}
}

// close ends a second: what was counted since the last one is what it held.
func (t *Traffic) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := second{calls: map[key]counts{}, exceeded: t.exceeded}
	t.exceeded = map[string]uint64{}
	t.series.Range(func(k, v any) bool {
		name, s := k.(key), v.(*series) //nolint:forcetypeassert // It holds nothing else.
		last := t.last[name]
		if last == nil {
			last = &totals{}
			t.last[name] = last
		}
		if c, any := s.since(last); any {
			now.calls[name] = c
		}
		return true
	})
	t.ring[t.at] = now
	t.at = (t.at + 1) % MaxSeconds
	t.filled = min(t.filled+1, MaxSeconds)
	close(t.tick)
	t.tick = make(chan struct{})
}

// since returns what a series counted since last, which it brings up to date,
// and whether that is anything.
func (s *series) since(last *totals) (counts, bool) {
	var c counts
	changed := false
	for i := range s.outcomes {
		n := s.outcomes[i].Load()
		c.outcomes[i] = n - last.outcomes[i]
		last.outcomes[i] = n
		changed = changed || c.outcomes[i] > 0
	}
	for i := range s.took {
		n := s.took[i].Load()
		if more := n - last.took[i]; more > 0 {
			c.took = append(c.took, bucketCount{uint16(i), uint32(min(more, 1<<32-1))}) //nolint:gosec // There are far fewer buckets.
			last.took[i] = n
			changed = true
		}
	}
	return c, changed
}

// Ticked returns a channel that is closed at the end of the current second, when
// a report says more.
func (t *Traffic) Ticked() <-chan struct{} {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.tick
}
