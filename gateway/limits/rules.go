package limits

import (
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/toolset"
)

const (
	maxRules = 64      // the bits of a set of rules
	maxKnown = 1 << 13 // capabilities whose rules are remembered

	opList = gateway.Op(0) // stands for a list, which is no operation
)

// A ruleSet is the rules of one configuration. But for what it remembers it is
// never changed.
type ruleSet struct {
	rules []rule
	lists uint64 // the rules that count lists

	known sync.Map     // *gateway.Capability → *[opCount]uint64: the rules that are about it
	count atomic.Int64 // of known
}

const opCount = int(gateway.OpSubscribe) + 1

// A rule is one rule with what its calls have in common.
type rule struct {
	config.RateLimit

	per      Per
	limit    *Limit
	tools    *toolset.Toolset
	ops      [opCount]bool
	admitted *atomic.Int64
	refused  *atomic.Int64
}

// newRuleSet returns rules that were checked with the configuration, or says
// which of them make no sense. Rules that the old set had go on counting.
func newRuleSet(rules []config.RateLimit, old *ruleSet) (*ruleSet, error) {
	if len(rules) > maxRules {
		return nil, fmt.Errorf("%d rules of rates, at most %d", len(rules), maxRules)
	}
	set := &ruleSet{}
	for i, c := range rules {
		per, ok := ParsePer(c.Per)
		if !ok {
			return nil, fmt.Errorf("rule %q: %q has no buckets", c.Name, c.Per)
		}
		if c.Rate.Calls <= 0 || c.Rate.Per <= 0 {
			return nil, fmt.Errorf("rule %q has no rate", c.Name)
		}
		r := rule{RateLimit: c, per: per, limit: newLimit(c.Name, per, c.Rate, c.Burst, i), admitted: new(atomic.Int64), refused: new(atomic.Int64)}
		if old != nil {
			if at := slices.IndexFunc(old.rules, func(o rule) bool { return o.Name == c.Name }); at >= 0 {
				r.admitted, r.refused = old.rules[at].admitted, old.rules[at].refused
			}
		}
		if len(c.Match.Tools) > 0 {
			var err error
			if r.tools, err = toolset.New(toolset.Options{Name: c.Name, Tools: c.Match.Tools}); err != nil {
				return nil, err
			}
		}
		r.actions()
		if r.ops[opList] {
			set.lists |= 1 << i
		}
		set.rules = append(set.rules, r)
	}
	return set, nil
}

// actions sets which operations the rule counts.
func (r *rule) actions() {
	aboutTools := r.per == PerTool || r.tools != nil
	for op := range r.ops {
		name := gateway.Op(op).String()
		if gateway.Op(op) == opList {
			name = "list"
		}
		r.ops[op] = len(r.Match.Actions) == 0 || slices.Contains(r.Match.Actions, name)
	}
	if aboutTools || r.per == PerSource || len(r.Match.Sources) > 0 {
		r.ops[opList] = false
	}
}

// newLimit returns the limit of a rule, which has that index, or of an override,
// which has -1.
func newLimit(rule string, per Per, rate config.Rate, burst, index int) *Limit {
	if burst <= 0 {
		burst = rate.Calls
	}
	l := &Limit{Rule: rule, Per: per, Interval: rate.Per / time.Duration(rate.Calls), Burst: int64(burst), index: index}
	// More than a year's tokens are never used up, and the product is an int64.
	l.Burst = min(l.Burst, max(1, int64(365*24*time.Hour/l.Interval)))
	h := fnv.New64a()
	name := per.String() + " " + rule
	if index < 0 {
		name = per.String() // No rule can be called like that.
	}
	_, _ = h.Write([]byte(name)) // It never fails.
	l.hash = h.Sum64()
	return l
}

// about returns the rules that count an operation on a capability, whoever asks.
func (s *ruleSet) about(c *gateway.Capability, op gateway.Op) uint64 {
	if known, ok := s.known.Load(c); ok {
		return known.(*[opCount]uint64)[op] //nolint:forcetypeassert // known holds nothing else.
	}
	sets := new([opCount]uint64)
	for i := range s.rules {
		r := &s.rules[i]
		if len(r.Match.Sources) > 0 && !slices.Contains(r.Match.Sources, c.Source) ||
			r.tools != nil && (c.Kind != gateway.KindTool || !r.tools.Selects(c)) ||
			r.per == PerTool && c.Kind != gateway.KindTool {
			continue
		}
		for op := range sets {
			if r.ops[op] && gateway.Op(op) != opList {
				sets[op] |= 1 << i
			}
		}
	}
	if s.count.Add(1) > maxKnown { // Of registries that are no longer, among others.
		s.known.Clear()
		s.count.Store(1)
	}
	s.known.Store(c, sets)
	return sets[op]
}
