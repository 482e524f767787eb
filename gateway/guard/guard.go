// Package guard protects upstreams with decorators: each is a
// [gateway.Upstream] that holds exactly one other.
package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// Deadline returns an upstream that gives up calls that take longer than most.
// The time that a call waits for answers from its caller does not count; who
// asks bounds that. Subscriptions, which last as long as their caller, and
// tasks, which bring their own deadline, are not bounded.
//
// An upstream that bounds its calls itself, by no more than most, says so with a
// method Limit. It is not bounded once more, but for calls that ask.
func Deadline(up gateway.Upstream, most time.Duration) gateway.Upstream {
	own, ok := up.(interface{ Limit() time.Duration })
	return deadline{up, most, ok && own.Limit() > 0 && own.Limit() <= most}
}

type deadline struct {
	up    gateway.Upstream
	most  time.Duration
	bound bool // it bounds calls itself
}

func (d deadline) Do(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	switch {
	case call.Op == gateway.OpSubscribe || call.Task:
		return d.up.Do(ctx, call)
	case call.Ask != nil:
		return d.patient(ctx, call)
	}
	if d.bound {
		return d.up.Do(ctx, call)
	}
	ctx, cancel := context.WithTimeout(ctx, d.most)
	defer cancel()
	return d.up.Do(ctx, call)
}

// patient is Do for a call that may ask its caller: the clock stands still
// while it does.
func (d deadline) patient(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c := &clock{left: d.most, expire: func() { cancel(context.DeadlineExceeded) }}
	c.start()
	defer c.stop()
	asking := *call
	asking.Ask = func(ctx context.Context, q gateway.Question) (json.RawMessage, error) {
		c.stop()
		defer c.start()
		return call.Ask(ctx, q)
	}
	res, err := d.up.Do(ctx, &asking)
	if err != nil && context.Cause(ctx) == context.DeadlineExceeded { //nolint:errorlint // It is this very value.
		err = context.DeadlineExceeded
	}
	return res, err
}

// A clock runs down while it is started more often than it is stopped.
type clock struct {
	expire func()

	mu      sync.Mutex
	stopped int // how many are waiting for an answer
	left    time.Duration
	since   time.Time
	timer   *time.Timer
}

func (c *clock) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		if c.stopped--; c.stopped > 0 {
			return
		}
	}
	c.since = time.Now()
	c.timer = time.AfterFunc(c.left, c.expire)
}

func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped++; c.stopped == 1 {
		c.timer.Stop()
		c.left -= time.Since(c.since)
	}
}

// Watch passes on what the guarded upstream offers, or why it cannot say.
func (d deadline) Watch(ctx context.Context) iter.Seq2[gateway.Catalog, error] {
	if w, ok := d.up.(gateway.Watcher); ok {
		return w.Watch(ctx)
	}
	return func(yield func(gateway.Catalog, error) bool) {
		yield(gateway.Catalog{}, fmt.Errorf("%T is no gateway.Watcher: it cannot say what it offers", d.up))
	}
}

// Refresh has the guarded upstream look again what it offers, if it can.
func (d deadline) Refresh() {
	if r, ok := d.up.(interface{ Refresh() }); ok {
		r.Refresh()
	}
}

// Close closes the guarded upstream, if it can be closed.
func (d deadline) Close() error {
	if c, ok := d.up.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
