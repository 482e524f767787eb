// Package guard protects the upstreams of sources, and those who call them,
// from bad days: slow, broken, overloaded and absent services.
//
// [New] puts decorators around an upstream, each a [gateway.Upstream] that holds
// exactly one other. They stand behind the gates, so that every call has been
// decided by the policy before any of them sees it, and every call has one audit
// record however often its upstream is tried. Nothing here decides who may call.
package guard

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// Options say how the calls of a source are guarded. The zero Options guard
// nothing.
type Options struct {
	Source string // its name, for errors

	// Most is the longest time that a call may take, with everything that is
	// tried for it; 0 for any time.
	Most time.Duration

	Cache       Cache
	Retry       Retry
	Hedge       Hedge
	Breaker     Breaker
	Concurrency Concurrency

	// Road takes a call the way of every call: that is [gateway.Gateway.Do]. It is
	// for rules with a [Fallback] to another tool.
	Road func(context.Context, *gateway.Call) (*gateway.Result, error)

	// Trusted says that the annotations of the source's tools are true, so that
	// they tell which calls can be repeated.
	Trusted bool

	// Rules are for some of the source's tools. The first that matches a tool is
	// the one that holds.
	Rules []Rule
}

// A Rule says what is different for some tools of a source. What it leaves nil
// or zero is as for the source, and shared with it: only what a rule sets has
// a state of its own.
type Rule struct {
	Match  func(origin string) bool // which tools, by what the source calls them; it says the same each time
	Effect Effect                   // what the tools do; Unknown leaves it to the annotations

	Most        time.Duration
	Fallback    Fallback // no rule for all tools has one
	Cache       *Cache
	Retry       *Retry
	Hedge       *Hedge
	Breaker     *Breaker
	Concurrency *Concurrency
}

// Split divides options for a source with several endpoints: outer is for what
// chooses between them, and inner for each. A call is bounded, answered from
// memory and tried again as a whole, so that the next attempt may go elsewhere;
// what fails or is full is one endpoint.
func (o Options) Split() (outer, inner Options) {
	outer, inner = o, Options{Source: o.Source, Breaker: o.Breaker, Concurrency: o.Concurrency}
	outer.Breaker, outer.Concurrency = Breaker{}, Concurrency{}
	outer.Rules, inner.Rules = slices.Clone(o.Rules), make([]Rule, len(o.Rules))
	for i, r := range o.Rules {
		outer.Rules[i].Breaker, outer.Rules[i].Concurrency = nil, nil
		inner.Rules[i] = Rule{Match: r.Match, Breaker: r.Breaker, Concurrency: r.Concurrency}
	}
	return outer, inner
}

// A Source is a guarded upstream. It passes on what the upstream offers, and
// Refresh and Close, where the upstream has them.
type Source struct {
	o  Options
	up gateway.Upstream

	all   *lane
	rules []*lane                          // as Options.Rules
	known atomic.Pointer[map[string]*lane] // by origin, of the tools that were offered last
	count counters
}

// New returns the upstream behind its decorators.
func New(up gateway.Upstream, o Options) *Source {
	s := &Source{o: o, up: up}
	base := &lane{source: s, most: o.Most, cache: newCache(o.Cache), breakers: newBreakers(o.Breaker), wall: newWall(o.Concurrency)}
	base.retry, base.retries = o.Retry, newBudget(o.Retry.Budget)
	base.hedge, base.hedges = o.Hedge, newBudget(o.Hedge.Budget)
	for _, r := range o.Rules {
		s.rules = append(s.rules, base.with(r))
	}
	s.all = base
	for _, l := range s.lanes() {
		l.up = l.stack(up)
	}
	return s
}

// Do answers a call by way of the decorators for it.
func (s *Source) Do(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	return s.lane(call).up.Do(ctx, call)
}

func (s *Source) lanes() []*lane { return append(slices.Clone(s.rules), s.all) }

// lane returns the way of a call.
func (s *Source) lane(call *gateway.Call) *lane {
	if len(s.rules) == 0 || call.Tool == nil {
		return s.all
	}
	if known := s.known.Load(); known != nil {
		if l, ok := (*known)[call.Tool.Origin]; ok {
			return l
		}
	}
	return s.ruled(call.Tool.Origin)
}

// ruled returns the way of the calls of a tool, by the rules.
func (s *Source) ruled(origin string) *lane {
	for i, r := range s.o.Rules {
		if r.Match(origin) {
			return s.rules[i]
		}
	}
	return s.all
}

// Standby returns what answers the calls of the source while it is away, which
// refuses them: what is kept, and what stands in for it.
func (s *Source) Standby(away gateway.Upstream) gateway.Upstream {
	ways := make(map[*lane]gateway.Upstream, len(s.rules)+1)
	for _, l := range s.lanes() {
		ways[l] = l.standby(away)
	}
	return gateway.Func(func(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
		return ways[s.lane(call)].Do(ctx, call)
	})
}

// Watch passes on what the guarded upstream offers, or why it cannot say.
func (s *Source) Watch(ctx context.Context) iter.Seq2[gateway.Catalog, error] {
	w, ok := s.up.(gateway.Watcher)
	if !ok {
		return func(yield func(gateway.Catalog, error) bool) {
			yield(gateway.Catalog{}, fmt.Errorf("%T is no gateway.Watcher: it cannot say what it offers", s.up))
		}
	}
	return func(yield func(gateway.Catalog, error) bool) {
		for c, err := range w.Watch(ctx) {
			if err == nil {
				s.renew(c)
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

// renew settles the ways of the tools that the source offers now, and forgets
// those that it no longer does.
func (s *Source) renew(c gateway.Catalog) {
	known := make(map[string]*lane, len(c.Tools))
	for _, t := range c.Tools {
		known[t.Origin] = s.ruled(t.Origin)
	}
	s.known.Store(&known)
	for _, l := range s.lanes() {
		l.breakers.keep(known)
	}
}

// Refresh has the guarded upstream look again what it offers, if it can.
func (s *Source) Refresh() {
	if r, ok := s.up.(interface{ Refresh() }); ok {
		r.Refresh()
	}
}

// Close closes the guarded upstream, if it can be closed.
func (s *Source) Close() error {
	if c, ok := s.up.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
