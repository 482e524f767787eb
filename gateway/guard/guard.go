// Package guard protects upstreams with decorators: each is a
// [gateway.Upstream] that holds exactly one other.
package guard

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// Deadline returns an upstream that gives up calls that take longer than most.
// Subscriptions, which last as long as their caller, are not bounded.
func Deadline(up gateway.Upstream, most time.Duration) gateway.Upstream {
	return deadline{up, most}
}

type deadline struct {
	up   gateway.Upstream
	most time.Duration
}

func (d deadline) Do(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	if call.Op == gateway.OpSubscribe {
		return d.up.Do(ctx, call)
	}
	ctx, cancel := context.WithTimeout(ctx, d.most)
	defer cancel()
	return d.up.Do(ctx, call)
}

// Watch passes on what the guarded upstream offers, if it can say.
func (d deadline) Watch(ctx context.Context) iter.Seq2[gateway.Catalog, error] {
	if w, ok := d.up.(gateway.Watcher); ok {
		return w.Watch(ctx)
	}
	return func(func(gateway.Catalog, error) bool) {}
}

// Close closes the guarded upstream, if it can be closed.
func (d deadline) Close() error {
	if c, ok := d.up.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
