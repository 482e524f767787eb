package guard

import (
	"bytes"
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// Bounds on copies: how many wait, how many run at once, and for how long.
const (
	maxCopies  = 64
	copiers    = 4
	copyWithin = 30 * time.Second
)

// A copied call is one for an endpoint that is a Mirror.
type copied struct {
	ctx  context.Context //nolint:containedctx // Its values, such as whose credential it is.
	call *gateway.Call
	to   *endpoint
}

// mirror copies a call to every Mirror, if it may be made twice, and returns
// the name of the last one, "" for none. It never waits.
func (e *Endpoints) mirror(ctx context.Context, call *gateway.Call) (name string) {
	for _, p := range e.all {
		if p.Role != Mirror || !e.repeatable(call) || !p.can(call) || !p.present() {
			continue
		}
		c := &gateway.Call{
			Op: call.Op, Kind: call.Kind, Name: call.Name, Args: bytes.Clone(call.Args), Meta: bytes.Clone(call.Meta),
			Principal: call.Principal, Via: call.Via, Object: call.Object, Target: call.Target, Tool: call.Tool, Policy: call.Policy,
		}
		select {
		case e.copies <- copied{context.WithoutCancel(ctx), c, p}:
			name = p.Name
		default:
			e.dropped.Add(1)
		}
	}
	return name
}

// repeatable reports whether a call may be made at a Mirror too.
func (e *Endpoints) repeatable(call *gateway.Call) bool {
	if !whole(call) {
		return false
	}
	if call.Op != gateway.OpCall {
		return call.Op == gateway.OpRead || call.Op == gateway.OpGet
	}
	if e.o.MirrorAll {
		return true
	}
	return e.o.Trusted && call.Tool != nil && call.Tool.Annotations.ReadOnly != nil && *call.Tool.Annotations.ReadOnly
}

// copier makes copied calls, one after another, until the context ends.
func (e *Endpoints) copier(ctx context.Context) {
	for {
		select {
		case c := <-e.copies:
			e.copy(ctx, c)
		case <-ctx.Done():
			return
		}
	}
}

func (e *Endpoints) copy(ctx context.Context, c copied) {
	within, cancel := context.WithTimeoutCause(c.ctx, copyWithin, errLate)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	c.to.running.Add(1)
	c.to.calls.Add(1)
	start := time.Now()
	err := c.do(within) //nolint:contextcheck // It has what the caller's had, and ends with ctx.
	c.to.running.Add(-1)
	c.to.latency.add(time.Since(start))
	if outcomeOf(within, err) == failure { //nolint:contextcheck // as above.
		c.to.failed.Add(1)
	}
}

// do makes the call. A panic is a failure of the mirror, as it is on the road.
func (c copied) do(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	_, err = c.to.Up.Do(ctx, c.call)
	return err
}
