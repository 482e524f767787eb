package guard

import (
	"context"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// withDeadline bounds the time that a call takes. The time that it waits for
// answers from its caller does not count; who asks bounds that. Subscriptions,
// which last as long as their caller, and tasks, which bring their own deadline,
// are not bounded.
//
// An upstream that bounds its calls itself, by no more, says so with a method
// Limit. It is not bounded once more, but for calls that ask or that may be made
// several times.
func (l *lane) withDeadline(up gateway.Upstream) gateway.Upstream {
	if l.most <= 0 {
		return up
	}
	own, ok := l.source.up.(interface{ Limit() time.Duration })
	return deadline{up, l, ok && own.Limit() > 0 && own.Limit() <= l.most}
}

type deadline struct {
	up    gateway.Upstream
	lane  *lane
	bound bool // the source bounds each attempt itself
}

func (d deadline) Do(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	switch {
	case lasting(call):
		return d.up.Do(ctx, call)
	case call.Ask != nil:
		return d.patient(ctx, call)
	case d.bound && !d.lane.repeats(call):
		return d.up.Do(ctx, call)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, d.lane.most, errLate)
	defer cancel()
	return d.up.Do(ctx, call)
}

// patient is Do for a call that may ask its caller: the clock stands still
// while it does.
func (d deadline) patient(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c := &clock{left: d.lane.most, expire: func() { cancel(errLate) }}
	c.start()
	defer c.end()
	res, err := d.up.Do(ctx, asking(call, c.stop, c.start))
	if err != nil && context.Cause(ctx) == errLate { //nolint:errorlint // It is this very value.
		err = context.DeadlineExceeded
	}
	return res, err
}

// A clock runs down while it is started. It is stopped and started in turns
// until it ends.
type clock struct {
	expire func()

	mu    sync.Mutex
	left  time.Duration
	since time.Time
	timer *time.Timer
	ended bool
}

func (c *clock) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.since = time.Now()
	c.timer = time.AfterFunc(c.left, c.expire)
}

func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer.Stop() {
		c.left -= time.Since(c.since)
	}
}

func (c *clock) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer.Stop()
	c.ended = true
}
