package gateway

import (
	"context"
	"math/rand/v2"
	"sync"
)

// runningLists is how many lists the running calls are spread over, so that
// they hardly ever wait for each other.
const runningLists = 32

// running holds the calls that have a target and have not ended.
type running [runningLists]runningList

type runningList struct {
	mu    sync.Mutex
	first *runningCall
	_     [40]byte // A cache line each.
}

// A runningCall is one element of a list.
type runningCall struct {
	call       *Call
	ctx        context.Context //nolint:containedctx // That of the call, for as long as it runs.
	end        context.CancelCauseFunc
	list       *runningList
	prev, next *runningCall
}

// add enters a resolved call and returns the context that end cancels.
func (r *running) add(ctx context.Context, call *Call) (context.Context, *runningCall) {
	c := &runningCall{call: call, list: &r[rand.Uint32N(runningLists)]} //nolint:gosec // It spreads calls and hides nothing.
	c.ctx, c.end = context.WithCancelCause(ctx)
	l := c.list
	l.mu.Lock()
	if c.next = l.first; c.next != nil {
		c.next.prev = c
	}
	l.first = c
	l.mu.Unlock()
	return c.ctx, c
}

// remove takes a call that has returned out of its list.
func (c *runningCall) remove() {
	l := c.list
	l.mu.Lock()
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		l.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	l.mu.Unlock()
	c.end(nil)
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
	ended := 0
	for i := range g.running {
		for _, c := range g.running[i].calls() {
			if err := g.refusal(c); err != nil {
				c.end(AsError(err))
				ended++
			}
		}
	}
	return ended
}

// calls returns the calls in a list, so that no gate is asked under its lock.
func (l *runningList) calls() []*runningCall {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []*runningCall
	for c := l.first; c != nil; c = c.next {
		all = append(all, c)
	}
	return all
}

// refusal returns why a running call would be refused now, or nil.
func (g *Gateway) refusal(c *runningCall) error {
	for _, gate := range g.gates {
		if _, ok := gate.(Viewer); !ok {
			continue
		}
		if err := gate.Admit(c.ctx, c.call); err != nil {
			return err
		}
	}
	return nil
}
