package guard

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// Retry says how often and when a call that failed is made again. Only calls
// that can be repeated are, only while the caller has been shown nothing of
// them, and only where trying again may help.
type Retry struct {
	Attempts   int           // that a call has in all; less than 2 for no retries
	Timeout    time.Duration // how long one attempt may take; 0 for as long as the call
	Backoff    time.Duration // the longest wait before the second attempt; it doubles with each
	MaxBackoff time.Duration // the longest wait before any attempt
	Budget     int           // retries in a hundred calls, beyond the first ten
}

// repeats reports whether a call may be made more than once.
func (l *lane) repeats(call *gateway.Call) bool {
	if l.retry.Attempts < 2 || !whole(call) {
		return false
	}
	e := l.effectOf(call)
	return e == ReadOnly || e == Idempotent
}

func (l *lane) withRetry(up gateway.Upstream) gateway.Upstream {
	if l.retry.Attempts < 2 {
		return up
	}
	return retrying{up, l}
}

// retrying is the decorator.
type retrying struct {
	up   gateway.Upstream
	lane *lane
}

func (d retrying) Do(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	if !d.lane.repeats(call) {
		return d.up.Do(ctx, call)
	}
	d.lane.retries.deposit()
	tried, seen := watched(call)
	for attempt := 1; ; attempt++ {
		res, err := d.attempt(ctx, tried)
		if err == nil {
			return res, nil
		}
		wait, ok := d.next(ctx, err, attempt, seen)
		if !ok {
			return nil, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, err
		}
		d.lane.source.count.retries.Add(1)
	}
}

// attempt makes the call once. The time limit of an attempt is not for calls
// that may ask their caller, who takes long.
func (d retrying) attempt(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	most := d.lane.retry.Timeout
	if most <= 0 || call.Ask != nil {
		return d.up.Do(ctx, call)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, most, errLate)
	defer cancel()
	return d.up.Do(ctx, call)
}

// next returns how long to wait before the next attempt, or that there is none.
func (d retrying) next(ctx context.Context, err error, attempt int, seen *atomic.Bool) (time.Duration, bool) {
	p := &d.lane.retry
	if attempt >= p.Attempts || ctx.Err() != nil || seen.Load() {
		return 0, false
	}
	e := gateway.AsError(err)
	if !helps(e) {
		return 0, false
	}
	wait := backoff(p, attempt)
	if e.Retry > 0 {
		if e.Retry > p.MaxBackoff {
			return 0, false
		}
		wait = e.Retry + wait/4 // Not all at the very moment.
	}
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= wait {
		return 0, false
	}
	return wait, d.lane.retries.take()
}

// helps reports whether trying again may help: the upstream is away or late, or
// has said when it has room again. What a guard refused is not tried again here,
// nor is what the caller's client or a door failed at.
func helps(e *gateway.Error) bool {
	if !fromUpstream(e) {
		return false
	}
	switch e.Code { //nolint:exhaustive // The others end the same way again.
	case gateway.Unavailable, gateway.DeadlineExceeded:
		return true
	case gateway.ResourceExhausted:
		return e.Retry > 0
	}
	return false
}

// backoff returns a wait of a random length before the attempt after the given
// one.
func backoff(p *Retry, attempt int) time.Duration {
	most := p.MaxBackoff
	if shift := attempt - 1; shift < 16 {
		most = min(p.Backoff<<shift, most)
	}
	return rand.N(max(most, 1)) //nolint:gosec // Nothing is secret about it.
}
