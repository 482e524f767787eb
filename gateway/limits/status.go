package limits

import (
	"cmp"
	"slices"

	"github.com/trilith-gateway/trilith/gateway/config"
)

// A Status is how things stand on this node.
type Status struct {
	Rules     []RuleStatus
	Overrides []Override // those that have expired among them
	Revision  uint64     // of the overrides; 0 where the gate has none
	Buckets   []State    // those that are not full, the emptiest first; nil where the limiter cannot say
}

// A RuleStatus is a rule and what it has done since the gateway started or the
// rule got its name.
type RuleStatus struct {
	config.RateLimit

	Admitted, Refused int64 // tokens that it gave, calls that it refused
}

// Status returns how things stand. It is made for people, not for the road.
func (g *Gate) Status() Status {
	var s Status
	for _, r := range g.rules.Load().rules {
		s.Rules = append(s.Rules, RuleStatus{r.RateLimit, r.admitted.Load(), r.refused.Load()})
	}
	s.Overrides, s.Revision = g.o.Overrides.All()
	if l, ok := g.o.Limiter.(interface{ States() []State }); ok {
		s.Buckets = l.States()
		slices.SortFunc(s.Buckets, func(a, b State) int {
			return cmp.Or(cmp.Compare(b.Next, a.Next), cmp.Compare(a.Tokens, b.Tokens), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Key, b.Key))
		})
	}
	return s
}
