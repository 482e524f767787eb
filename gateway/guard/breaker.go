package guard

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// Breaker says when a source that fails is left alone. It opens when Failures of
// the last Window outcomes are failures: calls are then refused at once. After a
// while one call at a time is let through to see whether the source is back; the
// first that succeeds closes the breaker, and one that fails opens it for twice as
// long.
type Breaker struct {
	Failures int           // that open it; 0 for no breaker
	Window   int           // outcomes that are looked at, at least Failures
	Open     time.Duration // how long it stays open the first time
	MaxOpen  time.Duration // how long it stays open at most
	PerTool  bool          // whether each tool has a breaker of its own
}

// breakers are the breakers of a lane.
type breakers struct {
	p   Breaker
	one *breaker

	mu    sync.RWMutex
	tools map[string]*breaker // by origin, where each tool has its own
	gone  uint64              // how often those that are forgotten have opened
}

func newBreakers(p Breaker) *breakers {
	p.Window = max(p.Window, p.Failures)
	return &breakers{p: p, one: newBreaker(p), tools: map[string]*breaker{}}
}

// of returns the breaker of a call.
func (b *breakers) of(call *gateway.Call) *breaker {
	if !b.p.PerTool || call.Tool == nil {
		return b.one
	}
	b.mu.RLock()
	own := b.tools[call.Tool.Origin]
	b.mu.RUnlock()
	if own != nil {
		return own
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if own = b.tools[call.Tool.Origin]; own == nil {
		own = newBreaker(b.p)
		b.tools[call.Tool.Origin] = own
	}
	return own
}

// keep forgets the breakers of tools that are not offered any more.
func (b *breakers) keep(offered map[string]*lane) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for origin, own := range b.tools {
		if _, ok := offered[origin]; !ok {
			delete(b.tools, origin)
			b.gone += own.opened.Load()
		}
	}
}

// now returns the worst state of all, and how often they have opened.
func (b *breakers) now() (breakerState, uint64) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	worst, opened := b.one.now(), b.gone+b.one.opened.Load()
	for _, own := range b.tools {
		worst = max(worst, own.now())
		opened += own.opened.Load()
	}
	return worst, opened
}

func (l *lane) withBreaker(up gateway.Upstream) gateway.Upstream {
	if l.breakers.p.Failures <= 0 {
		return up
	}
	return breaking{up, l.breakers, &l.source.count}
}

// breaking is the decorator.
type breaking struct {
	up       gateway.Upstream
	breakers *breakers
	count    *counters
}

// errOpen is the operator's cause of a refusal.
var errOpen = errors.New("the circuit breaker is open")

func (d breaking) Do(ctx context.Context, call *gateway.Call) (res *gateway.Result, err error) {
	b := d.breakers.of(call)
	p, wait, ok := b.enter(!lasting(call))
	if !ok {
		d.count.refused.Add(1)
		return nil, &gateway.Error{
			Code: gateway.Unavailable, By: by, Retry: wait, Err: errOpen,
			Msg: "the upstream has been failing and is left alone for a while",
		}
	}
	said := failure // What a panic is.
	defer func() { b.leave(p, said) }()
	if p.probe && call.Ask != nil {
		call = asking(call, func() { b.leave(p, success) }, func() {}) // Who asks is alive.
	}
	res, err = d.up.Do(ctx, call)
	said = outcomeOf(ctx, err)
	return res, err
}

// A breakerState is what a breaker does with calls.
type breakerState uint8

const (
	closed   breakerState = iota // it lets them pass
	halfOpen                     // it lets one at a time pass
	open                         // it refuses them
)

// String returns the state's name.
func (s breakerState) String() string { return [...]string{"closed", "half-open", "open"}[s] }

// A breaker refuses calls while what they go to fails.
type breaker struct {
	p      Breaker
	clean  atomic.Bool   // it is closed and no outcome of the window is a failure
	turn   atomic.Uint64 // grows with every change of state; mu is held
	opened atomic.Uint64 // how often

	mu       sync.Mutex
	state    breakerState
	outcomes []bool        // of the window, whether each was a failure; a ring
	next     int           // in outcomes
	failures int           // in outcomes
	since    time.Time     // when it closed or opened last
	wait     time.Duration // how long it is open
	probing  bool          // half-open: a call is on its way
}

// A pass lets one call through.
type pass struct {
	turn  uint64
	probe bool
}

func newBreaker(p Breaker) *breaker {
	b := &breaker{p: p, outcomes: make([]bool, p.Window)}
	b.clean.Store(true)
	return b
}

// enter returns a pass for a call, or how long it is to stay away. Only calls
// that end by themselves can be probes.
func (b *breaker) enter(canProbe bool) (pass, time.Duration, bool) {
	turn := b.turn.Load()
	if b.clean.Load() {
		return pass{turn: turn}, 0, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == open {
		if left := b.wait - time.Since(b.since); left > 0 {
			return pass{}, left, false
		}
		b.become(halfOpen)
	}
	if b.state == halfOpen {
		if b.probing || !canProbe {
			return pass{}, b.p.Open, false
		}
		b.probing = true
		return pass{b.turn.Load(), true}, 0, true
	}
	return pass{turn: b.turn.Load()}, 0, true
}

// leave notes the outcome of a call. What began before the state last changed
// says nothing about now.
func (b *breaker) leave(p pass, o outcome) {
	if b.clean.Load() && o != failure && !p.probe {
		return // It changes nothing.
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case p.turn != b.turn.Load():
	case p.probe:
		switch o {
		case success:
			b.become(closed)
		case failure:
			b.become(open)
		case neither:
			b.probing = false // The next one is the probe.
		}
	case b.state == closed && o != neither:
		b.note(o == failure)
	}
}

// note adds an outcome to the window. b.mu is held.
func (b *breaker) note(failed bool) {
	if b.outcomes[b.next] {
		b.failures--
	}
	b.outcomes[b.next] = failed
	b.next = (b.next + 1) % len(b.outcomes)
	if failed {
		b.failures++
	}
	b.clean.Store(b.failures == 0)
	if b.failures >= b.p.Failures {
		b.become(open)
	}
}

// become changes the state. b.mu is held. A breaker that opens again soon after
// it closed, or before it could, stays open for longer; nodes of a cluster do not
// look at the same moment.
func (b *breaker) become(s breakerState) {
	if s == open {
		if b.state == closed && time.Since(b.since) > b.p.MaxOpen {
			b.wait = 0
		}
		b.wait = min(max(2*b.wait, b.p.Open), b.p.MaxOpen)
		b.wait -= rand.N(b.wait/5 + 1) //nolint:gosec // Nothing is secret about it.
		b.opened.Add(1)
	}
	if s != halfOpen {
		b.since = time.Now()
	}
	clear(b.outcomes)
	b.next, b.failures, b.probing = 0, 0, false
	b.state = s
	b.turn.Add(1)
	b.clean.Store(s == closed)
}

// now returns the state. One that would let the next call through as a probe
// is half-open.
func (b *breaker) now() breakerState {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == open && time.Since(b.since) >= b.wait {
		return halfOpen
	}
	return b.state
}
