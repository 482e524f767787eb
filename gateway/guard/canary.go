package guard

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// CanaryOptions say which share of the calls the endpoints that are a [Canary]
// get, and when that ends by itself. Zero values take the defaults named with
// each field.
type CanaryOptions struct {
	Percent int // of the calls, 0 to 100, to begin with

	// The canary is aborted when, of at least Calls calls within Window, more fail
	// than of the stable endpoints' by ErrorRate (0.05 is five in a hundred), or
	// they take Latency times as long. A call fails when the endpoint does, or
	// when its tool says that it has. Defaults are 20 calls, a minute, 0.05 and 2;
	// a negative ErrorRate or Latency never aborts.
	Calls     int
	Window    time.Duration
	ErrorRate float64
	Latency   float64

	// Board is where what is decided of the canary is kept for all nodes; nil where
	// it holds for these endpoints alone.
	Board CanaryBoard
}

// A CanaryTurn is what was decided of a canary last.
type CanaryTurn struct {
	Phase    string // one of the constants
	Percent  int    // of the calls that it gets
	Reason   string // why it was aborted; "" otherwise
	Since    time.Time
	Revision uint64 // on its board, where it grows; 0 before anything was decided
}

// A CanaryBoard keeps what is decided of one canary. It is safe for concurrent
// use.
type CanaryBoard interface {
	// Turn returns what was decided last, here or on another node, and false where
	// nothing was. It is asked for each call, and must not wait.
	Turn() (CanaryTurn, bool)
	// Decide keeps what somebody decides, whose Revision says nothing. When it
	// returns nil, Turn returns that or what was decided later.
	Decide(context.Context, CanaryTurn) error
	// Aborted keeps that the canary aborted itself, unless something was decided
	// after the turn of that Revision. It must not wait.
	Aborted(CanaryTurn)
}

func (o *CanaryOptions) setDefaults() {
	if o.Calls <= 0 {
		o.Calls = 20
	}
	if o.Window <= 0 {
		o.Window = time.Minute
	}
	if o.ErrorRate == 0 {
		o.ErrorRate = 0.05
	}
	if o.Latency == 0 {
		o.Latency = 2
	}
	o.Percent = min(max(o.Percent, 0), 100)
}

// The phases of a canary.
const (
	CanaryRunning  = "running"  // it is compared with the stable endpoints
	CanaryPromoted = "promoted" // it gets every call
	CanaryAborted  = "aborted"  // it gets none
)

// leastLatency is what a canary may take longer in any case.
const leastLatency = 5 * time.Millisecond

// A canary is how the endpoints on trial do, compared with the others.
type canary struct {
	o       CanaryOptions
	percent atomic.Int64

	adopted atomic.Uint64 // the revision of the turn; mu is held

	mu     sync.Mutex
	phase  string
	reason string
	since  time.Time
	groups [2]window // Stable, Canary
}

// CanaryShare is how one side of a canary has done within the window.
type CanaryShare struct {
	Calls, Failed int
	Latency       time.Duration // on average; 0 without calls
}

// CanaryStatus is how a canary does.
type CanaryStatus struct {
	Phase   string // one of the constants
	Percent int    // of the calls that it gets
	Reason  string // why it was aborted; "" otherwise
	Since   time.Time
	Stable  CanaryShare
	Canary  CanaryShare
}

// ErrNoCanary says that a source has no endpoint that is a canary.
var ErrNoCanary = errors.New("the source has no canary")

// ErrShare says that a share of calls is none.
var ErrShare = errors.New("a share is from 0 to 100")

func newCanary(o CanaryOptions) *canary {
	c := &canary{o: o, phase: CanaryRunning, since: time.Now()}
	c.percent.Store(int64(o.Percent))
	return c
}

// CanaryStatus returns how the canary does here; false without one.
func (e *Endpoints) CanaryStatus() (CanaryStatus, bool) {
	c := e.canary
	if c == nil {
		return CanaryStatus{}, false
	}
	c.adopt()
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	return CanaryStatus{
		Phase: c.phase, Percent: int(c.percent.Load()), Reason: c.reason, Since: c.since,
		Stable: c.groups[Stable].share(now, c.o.Window), Canary: c.groups[Canary].share(now, c.o.Window),
	}, true
}

// Shift has the canary get that share of the calls, from 0 to 100 in a hundred,
// and compares it from now on, also one that was promoted or aborted. As with
// Promote and Abort, that is kept on the board, and the error is the board's.
func (e *Endpoints) Shift(ctx context.Context, percent int) error {
	if percent < 0 || percent > 100 {
		return fmt.Errorf("%w: %d", ErrShare, percent)
	}
	return e.decide(ctx, CanaryTurn{Phase: CanaryRunning, Percent: percent})
}

// Promote has the canary get every call, for good: it is not compared any more.
func (e *Endpoints) Promote(ctx context.Context) error {
	return e.decide(ctx, CanaryTurn{Phase: CanaryPromoted, Percent: 100})
}

// Abort has the canary get no calls any more.
func (e *Endpoints) Abort(ctx context.Context, reason string) error {
	return e.decide(ctx, CanaryTurn{Phase: CanaryAborted, Reason: reason})
}

func (e *Endpoints) decide(ctx context.Context, t CanaryTurn) error {
	c := e.canary
	if c == nil {
		return ErrNoCanary
	}
	t.Since = time.Now()
	if c.o.Board == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.turn(t)
		return nil
	}
	if err := c.o.Board.Decide(ctx, t); err != nil {
		return err
	}
	c.adopt()
	return nil
}

// adopt follows what was decided, here or on another node.
func (c *canary) adopt() {
	if c.o.Board == nil {
		return
	}
	t, ok := c.o.Board.Turn()
	if !ok || t.Revision <= c.adopted.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.Revision > c.adopted.Load() {
		c.turn(t)
	}
}

// turn begins a phase, with nothing held against anybody. c.mu is held.
func (c *canary) turn(t CanaryTurn) {
	c.phase, c.reason, c.since = t.Phase, t.Reason, t.Since
	c.groups = [2]window{}
	c.percent.Store(int64(min(max(t.Percent, 0), 100)))
	c.adopted.Store(t.Revision)
}

// settle notes how a call ended. It returns why the canary is aborted, where it
// is now.
func (c *canary) settle(role Role, failed bool, took time.Duration) (why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.groups[role].add(now, c.o.Window, failed, took)
	if role != Canary || c.phase != CanaryRunning {
		return ""
	}
	stable, canary := c.groups[Stable].share(now, c.o.Window), c.groups[Canary].share(now, c.o.Window)
	if why = c.worse(stable, canary); why != "" {
		t := CanaryTurn{Phase: CanaryAborted, Reason: why, Since: now, Revision: c.adopted.Load()}
		c.turn(t)
		if c.o.Board != nil {
			c.o.Board.Aborted(t)
		}
	}
	return why
}

// worse says in what the canary does worse than it may, or "".
func (c *canary) worse(stable, canary CanaryShare) string {
	if canary.Calls < c.o.Calls {
		return ""
	}
	if rate, of := canary.rate(), stable.rate(); c.o.ErrorRate > 0 && rate > of+c.o.ErrorRate {
		return fmt.Sprintf("%.1f %% of its calls failed, and %.1f %% of the others", rate*100, of*100)
	}
	if c.o.Latency > 0 && stable.Calls >= c.o.Calls && float64(canary.Latency) > float64(stable.Latency)*c.o.Latency && canary.Latency > stable.Latency+leastLatency {
		return fmt.Sprintf("its calls took %v, and the others %v", canary.Latency.Round(time.Millisecond), stable.Latency.Round(time.Millisecond))
	}
	return ""
}

func (s CanaryShare) rate() float64 { return float64(s.Failed) / float64(max(s.Calls, 1)) }

// slots is how many parts a window has.
const slots = 10

// A window counts calls within a time, in parts that are forgotten one by one.
type window [slots]struct {
	of            int64 // which part of all time
	calls, failed int
	took          time.Duration
}

func part(now time.Time, length time.Duration) int64 {
	return now.UnixNano() / max(int64(length)/slots, 1)
}

func (w *window) add(now time.Time, length time.Duration, failed bool, took time.Duration) {
	at := part(now, length)
	s := &w[at%slots]
	if s.of != at {
		s.of, s.calls, s.failed, s.took = at, 0, 0, 0
	}
	s.calls++
	s.took += took
	if failed {
		s.failed++
	}
}

func (w *window) share(now time.Time, length time.Duration) (out CanaryShare) {
	at := part(now, length)
	var took time.Duration
	for _, s := range w {
		if s.of > at-slots && s.of <= at {
			out.Calls += s.calls
			out.Failed += s.failed
			took += s.took
		}
	}
	if out.Calls > 0 {
		out.Latency = took / time.Duration(out.Calls)
	}
	return out
}
