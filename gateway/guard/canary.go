package guard

import (
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

func newCanary(o CanaryOptions) *canary {
	c := &canary{o: o, phase: CanaryRunning, since: time.Now()}
	c.percent.Store(int64(o.Percent))
	return c
}

// CanaryStatus returns how the canary does; false without one.
func (e *Endpoints) CanaryStatus() (CanaryStatus, bool) {
	c := e.canary
	if c == nil {
		return CanaryStatus{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	return CanaryStatus{
		Phase: c.phase, Percent: int(c.percent.Load()), Reason: c.reason, Since: c.since,
		Stable: c.groups[Stable].share(now, c.o.Window), Canary: c.groups[Canary].share(now, c.o.Window),
	}, true
}

// Shift has the canary get that share of the calls, from 0 to 100 in a hundred,
// and compares it from now on, also one that was promoted or aborted.
func (e *Endpoints) Shift(percent int) error {
	if percent < 0 || percent > 100 {
		return fmt.Errorf("a share is from 0 to 100, not %d", percent)
	}
	return e.turn(CanaryRunning, percent, "")
}

// Promote has the canary get every call, for good: it is not compared any more.
func (e *Endpoints) Promote() error { return e.turn(CanaryPromoted, 100, "") }

// Abort has the canary get no calls any more.
func (e *Endpoints) Abort(reason string) error { return e.turn(CanaryAborted, 0, reason) }

func (e *Endpoints) turn(phase string, percent int, reason string) error {
	if e.canary == nil {
		return ErrNoCanary
	}
	e.canary.mu.Lock()
	defer e.canary.mu.Unlock()
	e.canary.turn(phase, percent, reason)
	return nil
}

// turn begins a phase, with nothing held against anybody. c.mu is held.
func (c *canary) turn(phase string, percent int, reason string) {
	c.phase, c.reason, c.since = phase, reason, time.Now()
	c.groups = [2]window{}
	c.percent.Store(int64(percent))
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
		c.turn(CanaryAborted, 0, why)
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
