package guard

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/adaptivelimiter"

	"github.com/trilith-gateway/trilith/gateway"
)

// adaptive is a bulkhead that finds its own size: it grows while more calls at
// once do not make each take longer, and shrinks when they do.
type adaptive struct {
	p        Concurrency
	limiter  adaptivelimiter.AdaptiveLimiter[any]
	queued   atomic.Int64
	rejected atomic.Uint64
}

func newAdaptive(p Concurrency) *adaptive {
	least := uint(max(p.Min, 1))
	most := max(uint(p.Max), least)
	builder := adaptivelimiter.NewBuilder[any]().
		WithLimits(least, most, min(max(least, 20), most)).
		WithRecentWindow(250*time.Millisecond, 30*time.Second, 20). // It looks four times a second where there are calls,
		WithBaselineWindow(60)                                      // and remembers for longer how it was, so as not to get used to an overload.
	return &adaptive{p: p, limiter: builder.Build()}
}

// adapting is the decorator, as [walled] is for a fixed number.
type adapting struct {
	up   gateway.Upstream
	wall *adaptive
}

func (d adapting) Do(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	if lasting(call) {
		return d.up.Do(ctx, call)
	}
	permit, err := d.wall.enter(ctx)
	if err != nil {
		return nil, err
	}
	var once sync.Once
	said := neither
	defer once.Do(func() {
		if said == success {
			permit.Record()
			return
		}
		permit.Drop() // How long it took says nothing of how long calls take.
	})
	if call.Ask != nil { // One that has asked takes as long as its caller, and counts no more.
		call = asking(call, func() { once.Do(permit.Drop) }, func() {})
	}
	res, err := d.up.Do(ctx, call)
	said = outcomeOf(ctx, err)
	return res, err
}

// enter is that of [bulkhead].
func (a *adaptive) enter(ctx context.Context) (adaptivelimiter.Permit, error) {
	if permit, ok := a.limiter.TryAcquirePermit(); ok {
		return permit, nil
	}
	defer a.queued.Add(-1)
	if a.queued.Add(1) > int64(a.p.Queue) || a.p.Wait <= 0 {
		a.rejected.Add(1)
		return nil, a.p.refuse(errFull)
	}
	permit, err := a.limiter.AcquirePermitWithMaxWait(ctx, a.p.Wait)
	if errors.Is(err, adaptivelimiter.ErrExceeded) {
		a.rejected.Add(1)
		return nil, a.p.refuse(errWaited)
	}
	return permit, err
}
