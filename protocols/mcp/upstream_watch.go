package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"log/slog"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/pause"
)

const (
	settleTime = 100 * time.Millisecond // changes of lists come in bursts
	// refreshEvery is how often a server behind HTTP is listed anew, since it
	// may have been replaced without a word.
	refreshEvery = 5 * time.Minute
)

// Watch connects and yields what the server offers, again whenever that changes,
// and an error whenever the connection is lost or cannot be made; it then tries
// again by itself. A definition that is not valid is left out and logged. The
// sequence ends with the context or with Close.
func (u *Upstream) Watch(ctx context.Context) iter.Seq2[gateway.Catalog, error] {
	return func(yield func(gateway.Catalog, error) bool) {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		defer context.AfterFunc(u.ctx, stop)() // The upstream's own life.
		u.mu.Lock()
		if u.watched = true; u.shared.isOpen() {
			u.fill() // Or else once it is known whether there are sessions.
		}
		u.mu.Unlock()
		for {
			served, err := u.serve(ctx, yield)
			if ctx.Err() != nil || errors.Is(err, errStopped) {
				return
			}
			if served && errors.Is(err, errSessionEnded) {
				continue // A new session is not worth a word.
			}
			if !yield(gateway.Catalog{}, err) || u.await(ctx) != nil {
				return
			}
		}
	}
}

var errStopped = errors.New("nobody reads the sequence any more")

// await waits until the next attempt to connect is due.
func (u *Upstream) await(ctx context.Context) error {
	u.mu.Lock()
	l := u.shared
	if l.conn != nil && l.conn.ctx.Err() != nil {
		l.lost(l.conn)
	}
	wait := time.Until(l.retryAt)
	if l.conn != nil {
		wait = 0
	}
	u.mu.Unlock()
	return pause.For(ctx, wait)
}

// serve yields the catalogs of one connection and returns why it ended, and
// whether it ever yielded one.
func (u *Upstream) serve(ctx context.Context, yield func(gateway.Catalog, error) bool) (served bool, err error) {
	c, err := u.shared.client(ctx, time.Time{})
	if err != nil {
		return false, err
	}
	defer func() {
		if err != nil && ctx.Err() == nil && !errors.Is(err, errStopped) {
			c.cancel(err) // Whoever needs it connects anew.
		}
	}()
	changes, stop := context.WithCancel(ctx)
	defer stop()
	if err := c.hear(changes); err != nil {
		return false, err
	}
	var last gateway.Catalog
	for {
		began := time.Now()
		catalog, err := u.list(ctx, c)
		if err != nil {
			return served, err
		}
		if !served || !sameCatalog(last, catalog) {
			if !yield(catalog, nil) {
				return true, errStopped
			}
			last, served = catalog, true
		}
		if err := c.untilChanged(ctx, began); err != nil {
			return served, err
		}
	}
}

// Refresh has a server elsewhere list its capabilities again soon, for who has
// heard from another that they changed. A program that the upstream started
// itself has no other listener.
func (u *Upstream) Refresh() {
	u.mu.Lock()
	c := u.shared.conn
	u.mu.Unlock()
	if c == nil || c.isProcess() {
		return
	}
	select {
	case c.changes <- struct{}{}:
	default: // It is about to.
	}
}

// untilChanged returns nil when it is time to list again, or why there is
// nothing more to list.
func (c *client) untilChanged(ctx context.Context, listed time.Time) error {
	refresh := time.NewTimer(refreshEvery)
	defer refresh.Stop()
	due := refresh.C
	if c.isProcess() {
		due = nil
	}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.ctx.Done():
			return context.Cause(c.ctx) // The connection's own life.
		case <-due:
			return nil
		case <-c.changes:
			err := pause.For(ctx, max(settleTime, c.u.o.listEvery-time.Since(listed)))
			select {
			case <-c.changes: // The same burst.
			default:
			}
			return err
		case <-c.doubts:
			if err := c.ping(ctx); err != nil {
				return err
			}
		}
	}
}

// hear begins to listen for changes of the lists, where the server tells them.
func (c *client) hear(ctx context.Context) error {
	tools := c.caps.Tools != nil && c.caps.Tools.ListChanged
	prompts := c.caps.Prompts != nil && c.caps.Prompts.ListChanged
	resources := c.caps.Resources != nil && c.caps.Resources.ListChanged
	if !tools && !prompts && !resources {
		return nil
	}
	if !c.modern() {
		timed, cancel := context.WithTimeoutCause(ctx, c.u.o.Timeout, errUpstreamSlow)
		defer cancel()
		return c.stand(timed)
	}
	filter, err := json.Marshal(struct {
		Tools     bool `json:"toolsListChanged,omitempty"`
		Prompts   bool `json:"promptsListChanged,omitempty"`
		Resources bool `json:"resourcesListChanged,omitempty"`
	}{tools, prompts, resources})
	if err != nil {
		return err
	}
	first := make(chan struct{})
	if !c.spawn(func() { c.hearLists(ctx, filter, first) }) {
		return &lostError{context.Cause(c.ctx)}
	}
	t := time.NewTimer(c.u.o.Timeout)
	defer t.Stop()
	select {
	case <-first:
	case <-t.C: // Nothing is missed for ever: lists are refreshed.
	case <-ctx.Done():
	}
	return context.Cause(ctx)
}

// hearLists keeps a subscription to the lists open. It closes first when it is
// open, or will not be soon.
func (c *client) hearLists(ctx context.Context, filter []byte, first chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	ready := first
	for wait := firstRetry; ; wait = min(2*wait, longRetry) {
		opened := time.Now()
		l := &listening{params: filter, ready: ready}
		one, end := context.WithCancel(ctx)
		c.mu.Lock()
		c.rehear = end
		c.mu.Unlock()
		err := c.listen(one, l)
		anew := one.Err() != nil
		end()
		l.once.Do(func() { close(ready) })
		if ctx.Err() != nil {
			return
		}
		if !anew {
			c.doubtful(err)
		}
		if e, ok := errors.AsType[*rpcError](err); ok && (e.code == codeMethodNotFound || e.code == codeInvalidParams) {
			c.u.o.Logger.WarnContext(ctx, "the server announces changes but does not tell them", slog.String("source", c.u.o.Name), slog.Any("error", err))
			return
		}
		if time.Since(opened) >= stableAfter {
			wait = firstRetry
		}
		if pause.For(ctx, wait) != nil {
			return
		}
		ready = make(chan struct{})
		signal(c.changes) // Something may have been missed.
	}
}
