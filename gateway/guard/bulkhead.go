package guard

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// Concurrency bounds the calls that a source has at once, so that one that is
// slow takes no more than its share of the gateway.
type Concurrency struct {
	Max      int           // calls that run at once; 0 for any number
	Queue    int           // calls that wait for their turn, beyond which they are refused
	Wait     time.Duration // how long one waits at most
	Adaptive bool          // whether the number is found between Min and Max, by how long calls take
	Min      int
}

// A wall is the bound of a lane: one of the two, or none.
type wall struct {
	fixed *bulkhead
	found *adaptive
}

func newWall(p Concurrency) *wall {
	switch {
	case p.Max <= 0:
		return &wall{}
	case p.Adaptive:
		return &wall{found: newAdaptive(p)}
	}
	return &wall{fixed: &bulkhead{p: p}}
}

func (l *lane) withWall(up gateway.Upstream) gateway.Upstream {
	switch {
	case l.wall.fixed != nil:
		return walled{up, l.wall.fixed}
	case l.wall.found != nil:
		return adapting{up, l.wall.found}
	}
	return up
}

// walled is the decorator. Subscriptions and tasks have no place in it, as they
// would keep it, and neither has a call while its caller is asked something.
type walled struct {
	up   gateway.Upstream
	wall *bulkhead
}

func (d walled) Do(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	if lasting(call) {
		return d.up.Do(ctx, call)
	}
	if err := d.wall.enter(ctx); err != nil {
		return nil, err
	}
	defer d.wall.leave()
	if call.Ask != nil {
		call = asking(call, d.wall.leave, d.wall.reenter)
	}
	return d.up.Do(ctx, call)
}

// The operator's causes of refusals.
var (
	errFull   = errors.New("the queue of calls that wait for the source is full")
	errWaited = errors.New("the call has waited for its turn for as long as it may")
)

// A bulkhead lets some calls run and has others wait, in their order.
type bulkhead struct {
	p Concurrency

	mu       sync.Mutex
	running  int
	queue    list.List // of chan struct{}, closed when it is the call's turn
	rejected uint64
}

// enter waits until a call may run. The error is a refusal, or the context's.
func (b *bulkhead) enter(ctx context.Context) error {
	b.mu.Lock()
	switch {
	case b.running < b.p.Max && b.queue.Len() == 0:
		b.running++
		b.mu.Unlock()
		return nil
	case b.queue.Len() >= b.p.Queue || b.p.Wait <= 0:
		b.rejected++
		b.mu.Unlock()
		return b.p.refuse(errFull)
	}
	turn := make(chan struct{})
	place := b.queue.PushBack(turn)
	b.mu.Unlock()
	timer := time.NewTimer(b.p.Wait)
	defer timer.Stop()
	select {
	case <-turn:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-turn: // It came at the last moment. A call that has ended finds out by itself.
		return nil
	default:
	}
	b.queue.Remove(place)
	if err := ctx.Err(); err != nil {
		return err
	}
	b.rejected++
	return b.p.refuse(errWaited)
}

func (p *Concurrency) refuse(cause error) error {
	return &gateway.Error{
		Code: gateway.ResourceExhausted, By: by, Retry: max(p.Wait, time.Second), Err: cause,
		Msg: "the upstream has too many calls at once",
	}
}

// leave ends the run of a call.
func (b *bulkhead) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pass()
}

// pass gives up a place to who waits longest. b.mu is held.
func (b *bulkhead) pass() {
	if first := b.queue.Front(); first != nil && b.running <= b.p.Max {
		close(b.queue.Remove(first).(chan struct{})) //nolint:forcetypeassert // The queue holds nothing else.
		return
	}
	b.running--
}

// reenter takes a place for a call that has had one, at once: there may be
// more than Max for a while, and then others wait for longer.
func (b *bulkhead) reenter() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running++
}

// size is how full something is.
type size struct {
	running, queued, limit int
	rejected               uint64
}

// now returns how full the wall is.
func (w *wall) now() size {
	switch {
	case w.fixed != nil:
		b := w.fixed
		b.mu.Lock()
		defer b.mu.Unlock()
		return size{b.running, b.queue.Len(), b.p.Max, b.rejected}
	case w.found != nil:
		a := w.found
		return size{a.limiter.Inflight(), int(a.queued.Load()), a.limiter.Limit(), a.rejected.Load()}
	}
	return size{}
}
