package guard

import (
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// A lane is the way of some of a source's calls: those that one rule is for, or
// those that none is for. Lanes share what their rules do not set.
type lane struct {
	source   *Source
	up       gateway.Upstream // the decorators
	effect   Effect
	most     time.Duration
	retry    Retry
	budget   *budget
	breakers *breakers
	bulkhead *bulkhead
}

// with returns the lane of a rule beside l, that of the source.
func (l *lane) with(r Rule) *lane {
	way := *l
	way.effect = r.Effect
	if r.Most > 0 {
		way.most = r.Most
	}
	if r.Retry != nil {
		way.retry, way.budget = *r.Retry, newBudget(*r.Retry)
	}
	if r.Breaker != nil {
		way.breakers = newBreakers(*r.Breaker)
	}
	if r.Concurrency != nil {
		way.bulkhead = newBulkhead(*r.Concurrency)
	}
	return &way
}

// stack puts the decorators around an upstream, the outermost first. What is
// outside of retry sees a call once; what is inside of it, each attempt.
//
//	deadline   bounds a call with all its attempts and the waits between them
//	retry      tries again what can be repeated; outside of any choice between
//	           endpoints, so that the next attempt may go elsewhere
//	breaker    leaves alone what fails, before a call waits for its turn
//	bulkhead   has calls wait their turn, so that one source takes not all there is
func (l *lane) stack(up gateway.Upstream) gateway.Upstream {
	for _, decorate := range []func(gateway.Upstream) gateway.Upstream{
		l.withBulkhead, l.withBreaker, l.withRetry, l.withDeadline, // The innermost is put on first.
	} {
		up = decorate(up)
	}
	return up
}
