package policy

import (
	"sync"
	"sync/atomic"

	"github.com/trilith-gateway/trilith/gateway"
)

// A grant is what the rules of one set of subjects say: the compiled policy of
// every principal with these subjects in this tenant.
type grant struct {
	policy *Policy
	rules  []*rule // those that apply, in no order

	known sync.Map     // *gateway.Capability → *verdict: what was decided before
	count atomic.Int64 // of known
}

// maxKnown bounds how many decisions a grant keeps.
const maxKnown = 1 << 13

// A verdict is what a grant says of an object. It is never changed.
type verdict struct {
	may   actions // allowed, whatever the conditions come to
	maybe actions // decided by conditions, in each call
	allow actions // allowed by a rule without a condition
	rules []*rule // those with a condition that are about the object
	by    []*rule // those without a condition that allow something which none before them does
}

// A tally adds up the rules about an object.
type tally struct {
	allow, deny       actions // of rules without a condition
	mayAllow, mayDeny actions // of rules with one
}

func (t *tally) add(r *rule) {
	switch {
	case r.cond == nil && r.deny:
		t.deny |= r.actions
	case r.cond == nil:
		t.allow |= r.actions
	case r.deny:
		t.mayDeny |= r.actions
	default:
		t.mayAllow |= r.actions
	}
}

// settled reports whether a rule would change nothing.
func (t *tally) settled(r *rule) bool {
	switch {
	case r.actions&^t.deny == 0:
		return true
	case r.cond == nil && !r.deny:
		return r.actions&^t.allow == 0
	}
	return false
}

// verdict returns what the rules come to for an object with that main action.
func (t *tally) verdict(main gateway.Op) verdict {
	allow, deny := t.allow.implied(main), t.deny.implied(main)
	mayAllow, mayDeny := t.mayAllow.implied(main), t.mayDeny.implied(main)
	may := allow &^ deny &^ mayDeny
	return verdict{may: may, maybe: (allow | mayAllow) &^ deny &^ may, allow: allow}
}

// lists reports whether the object is in lists: what conditions may allow is.
func (v *verdict) lists() bool { return (v.may|v.maybe)&actList != 0 }

// decide returns what may be done with an object.
func (g *grant) decide(t *target) *verdict {
	var sum tally
	var rules, by []*rule
	for _, r := range g.rules {
		if sum.settled(r) || !r.matches(t) {
			continue
		}
		switch {
		case r.cond != nil:
			rules = append(rules, r)
		case !r.deny:
			by = append(by, r)
		}
		sum.add(r)
	}
	v := sum.verdict(mainOp(t.text))
	v.by = by
	if v.maybe != 0 {
		v.rules = rules
	}
	return &v
}

// holds reports whether the conditions let an action be taken that the verdict
// leaves to them.
func (v *verdict) holds(a actions, s *scene) bool {
	for _, r := range v.rules {
		if r.deny && r.actions&a != 0 && s.holds(r.cond, true) {
			return false
		}
	}
	if v.allow&a != 0 {
		return true
	}
	for _, r := range v.rules {
		if !r.deny && r.actions&a != 0 && s.holds(r.cond, false) {
			return true
		}
	}
	return false
}

// allowedBy returns the rule by which the verdict allows an action on an object
// with that main action, or nil where none without a condition does.
func (v *verdict) allowedBy(a actions, main gateway.Op) *rule {
	for _, r := range v.by {
		if r.actions.implied(main)&a != 0 {
			return r
		}
	}
	return nil
}

// of returns what may be done with a capability.
func (g *grant) of(c *gateway.Capability, t *target) *verdict {
	if v, ok := g.known.Load(c); ok {
		return v.(*verdict) //nolint:forcetypeassert // known holds nothing else.
	}
	v := g.decide(t)
	g.learn(c, v)
	return v
}

func (g *grant) learn(c *gateway.Capability, v *verdict) {
	if g.count.Load() >= maxKnown {
		g.known.Clear()
		g.count.Store(0)
	}
	if _, known := g.known.LoadOrStore(c, v); !known {
		g.count.Add(1)
	}
}

// view returns the part of a snapshot that the grant lets be seen.
func (g *grant) view(s *gateway.Snapshot, sets *Toolsets) *gateway.Snapshot {
	x := indexOf(s, sets)
	sums := g.compile(x)
	asked := 0
	return s.Filter(func(c *gateway.Capability) bool {
		v := sums[x.order[asked]].verdict(mainOf(c.Kind))
		asked++
		return v.lists()
	})
}

// compile adds up the rules about every capability of an index, visiting for
// each rule only those whose objects begin as its patterns do.
func (g *grant) compile(x *index) []tally {
	sums := make([]tally, len(x.entries))
	for _, r := range g.rules {
		for _, i := range x.odd {
			if r.matches(&x.entries[i]) {
				sums[i].add(r)
			}
		}
		for j := range r.objects {
			x.visit(&r.objects[j], r.deny, func(i int) bool {
				sums[i].add(r)
				return true
			})
		}
	}
	return sums
}
