package guard

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// Hedge says when a read-only call that takes long is made once more beside the
// first, so that the faster of the two answers. A call of which the caller has
// been shown anything is not.
type Hedge struct {
	After  time.Duration // how long the first, and each after it, has before the next begins; 0 for no hedging
	Max    int           // calls beside the first
	Budget int           // calls beside the first in a hundred calls, beyond the first ten
}

func (l *lane) withHedge(up gateway.Upstream) gateway.Upstream {
	if l.hedge.After <= 0 || l.hedge.Max < 1 {
		return up
	}
	return hedging{up, l}
}

// hedging is the decorator.
type hedging struct {
	up   gateway.Upstream
	lane *lane
}

// errOutrun is why the slower of two calls ends.
var errOutrun = errors.New("another attempt was faster")

// an answer is how one of several calls ended.
type answer struct {
	res *gateway.Result
	err error
}

// Do returns when every call that it made has returned, as no call may use what
// is its caller's for longer.
func (d hedging) Do(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	if !whole(call) || d.lane.effectOf(call) != ReadOnly {
		return d.up.Do(ctx, call)
	}
	d.lane.hedges.deposit()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(errOutrun)
	first, seen := watched(call)
	answers := make(chan answer, 1+d.lane.hedge.Max)
	begin := func(c *gateway.Call) {
		go func() {
			var a answer
			defer func() {
				if p := recover(); p != nil {
					a = answer{err: fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
				}
				answers <- a
			}()
			a.res, a.err = d.up.Do(ctx, c)
		}()
	}
	begin(first)
	running, begun := 1, 0
	var best *answer
	timer := time.NewTimer(d.lane.hedge.After)
	defer timer.Stop()
	for running > 0 {
		select {
		case a := <-answers:
			running--
			if best == nil || best.err != nil && a.err == nil { // The first result, or else the first failure.
				best = &a
			}
			if best.err == nil {
				cancel(errOutrun)
			}
		case <-timer.C:
			if seen.Load() || ctx.Err() != nil || !d.lane.hedges.take() {
				continue
			}
			beside := *call
			beside.Progress, beside.Log, beside.Ask, beside.Detach, beside.Capabilities = nil, nil, nil, nil, nil
			begin(&beside)
			d.lane.source.count.hedges.Add(1)
			running++
			if begun++; begun < d.lane.hedge.Max {
				timer.Reset(d.lane.hedge.After)
			}
		}
	}
	return best.res, best.err
}
