package server

import (
	"cmp"
	"fmt"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/guard"
	"github.com/trilith-gateway/trilith/gateway/toolset"
)

// guarded puts a source's upstream behind the guards that its configuration asks
// for. Calls take no longer than most where it says nothing of that.
func guarded(c config.Source, up gateway.Upstream, most time.Duration) (*guard.Source, error) {
	g := c.Guard
	o := guard.Options{
		Source: c.Name, Most: cmp.Or(g.Timeout, most), Trusted: trusted(c),
		Retry: retryOf(g.Retry), Breaker: breakerOf(g.Breaker), Concurrency: guard.Concurrency(g.Concurrency),
	}
	for i, t := range g.Tools {
		tools, err := toolset.NewPatterns(t.Match...)
		if err != nil {
			return nil, fmt.Errorf("guard.tools[%d]: %w", i, err)
		}
		o.Rules = append(o.Rules, guard.Rule{
			Match: tools.Match, Effect: effectOf(t.Effect), Most: t.Timeout,
			Retry: each(t.Retry, retryOf), Breaker: each(t.Breaker, breakerOf),
			Concurrency: each(t.Concurrency, func(c config.Concurrency) guard.Concurrency { return guard.Concurrency(c) }),
		})
	}
	return guard.New(up, o), nil
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

func breakerOf(c config.Breaker) guard.Breaker {
	if !c.Enabled {
		return guard.Breaker{}
	}
	return guard.Breaker{Failures: c.Failures, Window: c.Window, Open: c.Open, MaxOpen: c.MaxOpen, PerTool: c.PerTool}
}

// each returns what f makes of a value that may be nil.
func each[C, G any](c *C, f func(C) G) *G {
	if c == nil {
		return nil
	}
	g := f(*c)
	return &g
}
