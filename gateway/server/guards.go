package server

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/guard"
	"github.com/trilith-gateway/trilith/gateway/toolset"
)

// guarded puts a source's upstream behind the guards that its configuration asks
// for. Calls take no longer than most where it says nothing of that.
func (s *Server) guarded(c config.Source, up gateway.Upstream, most time.Duration) (*guard.Source, error) {
	o, err := s.guardOptions(c, most)
	if err != nil {
		return nil, err
	}
	return guard.New(up, o), nil
}

// guardOptions are those of a source's guards.
func (s *Server) guardOptions(c config.Source, most time.Duration) (guard.Options, error) {
	g := c.Guard
	o := guard.Options{
		Source: c.Name, Most: cmp.Or(g.Timeout, most), Trusted: trusted(c),
		Cache: some(each(g.Cache, cacheOf)), Retry: retryOf(g.Retry), Hedge: some(each(g.Hedge, hedgeOf)),
		Breaker: breakerOf(g.Breaker), Concurrency: concurrencyOf(g.Concurrency),
		Road: func(ctx context.Context, call *gateway.Call) (*gateway.Result, error) { return s.gateway.Do(ctx, call) },
	}
	for i, t := range g.Tools {
		tools, err := toolset.NewPatterns(t.Match...)
		if err != nil {
			return o, fmt.Errorf("guard.tools[%d]: %w", i, err)
		}
		o.Rules = append(o.Rules, guard.Rule{
			Match: tools.Match, Effect: effectOf(t.Effect), Most: t.Timeout, Fallback: guard.Fallback(some(t.Fallback)),
			Cache: each(t.Cache, cacheOf), Retry: each(t.Retry, retryOf), Hedge: each(t.Hedge, hedgeOf),
			Breaker: each(t.Breaker, breakerOf), Concurrency: each(t.Concurrency, concurrencyOf),
		})
	}
	return o, nil
}

// trusted reports whether the annotations of a source's tools are true: where
// the protocol says what a tool does, rather than whoever runs the source.
func trusted(c config.Source) bool {
	switch c.Guard.TrustAnnotations {
	case "always":
		return true
	case "never":
		return false
	}
	return c.MCP == nil
}

func effectOf(text string) guard.Effect {
	switch text {
	case "read_only":
		return guard.ReadOnly
	case "idempotent":
		return guard.Idempotent
	case "changes":
		return guard.Changes
	}
	return guard.Unknown
}

func retryOf(c config.Retry) guard.Retry { return guard.Retry(c) }

func hedgeOf(c config.Hedge) guard.Hedge { return guard.Hedge(c) }

func breakerOf(c config.Breaker) guard.Breaker {
	if !c.Enabled {
		return guard.Breaker{}
	}
	return guard.Breaker{Failures: c.Failures, Window: c.Window, Open: c.Open, MaxOpen: c.MaxOpen, PerTool: c.PerTool}
}

func concurrencyOf(c config.Concurrency) guard.Concurrency {
	return guard.Concurrency{Max: c.Max, Queue: c.Queue, Wait: c.Wait, Adaptive: c.Adaptive, Min: c.Min}
}

func cacheOf(c config.Cache) guard.Cache {
	return guard.Cache{
		On: true, TTL: c.TTL, MaxTTL: c.MaxTTL, Stale: c.Stale, Shared: c.Scope == "shared",
		Bytes: int64(c.Size), MaxEntry: int64(c.MaxEntry),
	}
}

// each returns what f makes of a value that may be nil.
func each[C, G any](c *C, f func(C) G) *G {
	if c == nil {
		return nil
	}
	g := f(*c)
	return &g
}

// some returns what is there, or the zero value.
func some[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
