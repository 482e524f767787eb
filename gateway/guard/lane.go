package guard

import (
	"slices"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// by is who refuses what a guard refuses.
const by = "guard"

// A lane is the way of some of a source's calls: those that one rule is for, or
// those that none is for. Lanes share what their rules do not set.
type lane struct {
	source *Source
	up     gateway.Upstream // the decorators

	effect   Effect
	most     time.Duration
	fallback Fallback
	cache    *cache
	retry    Retry
	retries  *budget
	hedge    Hedge
	hedges   *budget
	breakers *breakers
	wall     *wall
}

// with returns the lane of a rule beside l, that of the source.
func (l *lane) with(r Rule) *lane {
	way := *l
	way.effect, way.fallback = r.Effect, r.Fallback
	if r.Most > 0 {
		way.most = r.Most
	}
	if r.Cache != nil {
		way.cache = newCache(*r.Cache)
	}
	if r.Retry != nil {
		way.retry, way.retries = *r.Retry, newBudget(r.Retry.Budget)
	}
	if r.Hedge != nil {
		way.hedge, way.hedges = *r.Hedge, newBudget(r.Hedge.Budget)
	}
	if r.Breaker != nil {
		way.breakers = newBreakers(*r.Breaker)
	}
	if r.Concurrency != nil {
		way.wall = newWall(*r.Concurrency)
	}
	return &way
}

// stack puts the decorators around an upstream. What is above retry sees a call
// once; what is below it, each attempt.
func (l *lane) stack(up gateway.Upstream) gateway.Upstream {
	return around(up,
		l.withFallback, // has another answer where the others have none in time
		l.withCache,    // takes no time of the source, and knows what to say while it fails
		l.withDeadline, // bounds all attempts and the waits between them
		l.withRetry,    // may go elsewhere the next time, where the source has several endpoints
		l.withHedge,    // as one attempt
		l.withBreaker,  // sees each attempt, and refuses before a call waits for its turn
		l.withWall,     // bounds what reaches the source at once
	)
}

// standby is stack for while the source is away.
func (l *lane) standby(away gateway.Upstream) gateway.Upstream {
	return around(away,
		func(up gateway.Upstream) gateway.Upstream {
			if f, ok := l.withFallback(up).(falling); ok {
				f.away = true
				return f
			}
			return up
		},
		l.withCache,
	)
}

// around puts decorators around an upstream, the outermost first.
func around(up gateway.Upstream, decorators ...func(gateway.Upstream) gateway.Upstream) gateway.Upstream {
	for _, decorate := range slices.Backward(decorators) {
		up = decorate(up)
	}
	return up
}
