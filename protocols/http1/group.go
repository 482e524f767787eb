package http1

import (
	"context"
	"sync"
)

// A Group is requests that end together with a context that outlasts them, such
// as that of a session. It costs each of them less than a context of its own
// would.
type Group struct {
	ctx context.Context //nolint:containedctx // see above.

	mu    sync.Mutex
	first *conn // of those that carry one of the requests
	ended bool
}

// NewGroup returns a group that ends with ctx. Its requests then fail with the
// context's cause.
func NewGroup(ctx context.Context) *Group {
	g := &Group{ctx: ctx}
	context.AfterFunc(ctx, g.end)
	return g
}

func (g *Group) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
	for cn := g.first; cn != nil; cn = cn.next {
		cn.close()
	}
}

// cause returns why the group has ended, or nil.
func (g *Group) cause() error {
	if g == nil || g.ctx.Err() == nil {
		return nil
	}
	return context.Cause(g.ctx)
}

// also calls end when the group ends, until stop is called.
func (g *Group) also(end context.CancelCauseFunc) (stop func() bool) {
	if g == nil {
		return func() bool { return true }
	}
	return context.AfterFunc(g.ctx, func() { end(context.Cause(g.ctx)) })
}

// join adds a connection, until it leaves, and closes it where the group has
// ended.
func (g *Group) join(cn *conn) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		cn.close()
	}
	cn.group = g
	if cn.next = g.first; cn.next != nil {
		cn.next.prev = cn
	}
	g.first = cn
}

// leave takes the connection out of its group and reports whether that has not
// closed it.
func (cn *conn) leave() bool {
	g := cn.group
	if g == nil {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if cn.prev != nil {
		cn.prev.next = cn.next
	} else {
		g.first = cn.next
	}
	if cn.next != nil {
		cn.next.prev = cn.prev
	}
	cn.group, cn.prev, cn.next = nil, nil, nil
	return !g.ended
}
