package gateway

import "context"

// A runningCall is a call that was admitted and has not ended.
type runningCall struct {
	call *Call
	ctx  context.Context //nolint:containedctx // That of the call, for as long as it runs.
	end  context.CancelCauseFunc
}

// enter notes that a call runs, until its entry is removed, and returns the
// context by which Recheck ends it.
func (g *Gateway) enter(ctx context.Context, call *Call) (context.Context, *entry[runningCall]) {
	ctx, end := context.WithCancelCause(ctx)
	return ctx, g.running.add(runningCall{call, ctx, end})
}

// leave notes that a call has ended.
func leave(e *entry[runningCall]) {
	e.remove()
	e.value.end(nil)
}

// Recheck asks the gates that are a [Viewer] about every running call again and
// ends those that they refuse now, with their refusal. It is for changes that
// take rights away: a policy that was replaced, a credential that was revoked.
// It returns how many calls it ended.
//
// Calls that begin meanwhile are decided by the gates as they are. Recheck may
// be called by several goroutines at once; the gates must have the new state
// before it is called.
func (g *Gateway) Recheck() int {
	g.rechecks.Add(1)
	ended := 0
	g.running.each(func(c *runningCall) {
		again := *c.call // Gates may note in a call what they decided.
		if err := g.refusal(c.ctx, &again); err != nil {
			c.end(AsError(err))
			ended++
		}
	})
	return ended
}

// refusal returns why an admitted call would be refused now, or nil.
func (g *Gateway) refusal(ctx context.Context, call *Call) error {
	for _, gate := range g.gates {
		if _, ok := gate.(Viewer); !ok {
			continue
		}
		if err := gate.Admit(ctx, call); err != nil {
			return err
		}
	}
	return nil
}
