package policy

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/trilith-gateway/trilith/gateway"
)

// A grant is what the rules of one set of subjects say: the compiled policy of
// every principal with these subjects in this tenant.
type grant struct {
	policy *Policy
	rules  []*rule // those that apply, in no order

	known sync.Map     // *gateway.Capability → actions: what was decided before
	count atomic.Int64 // of known
}

// maxKnown bounds how many decisions a grant keeps.
const maxKnown = 1 << 13

// decide returns what may be done with an object.
func (g *grant) decide(text string) actions {
	o := newObject(text)
	var allow, deny actions
	for _, r := range g.rules {
		if r.deny {
			if r.actions&^deny != 0 && r.matches(o) {
				deny |= r.actions
			}
		} else if r.actions&^allow != 0 && r.matches(o) {
			allow |= r.actions
		}
	}
	return allow &^ deny
}

// denying returns the first rule that denies the action on the object, or nil.
func (g *grant) denying(text string, a actions) *rule {
	o := newObject(text)
	var first *rule
	for _, r := range g.rules {
		if r.deny && r.actions&a != 0 && (first == nil || r.line < first.line) && r.matches(o) {
			first = r
		}
	}
	return first
}

// of returns what may be done with a capability.
func (g *grant) of(c *gateway.Capability) actions {
	if a, ok := g.known.Load(c); ok {
		return a.(actions) //nolint:forcetypeassert // known holds nothing else.
	}
	a := g.decide(c.Object)
	g.learn(c, a)
	return a
}

func (g *grant) learn(c *gateway.Capability, a actions) {
	if g.count.Load() >= maxKnown {
		g.known.Clear()
		g.count.Store(0)
	}
	if _, known := g.known.LoadOrStore(c, a); !known {
		g.count.Add(1)
	}
}

// view returns the part of a snapshot that the grant lets be seen.
func (g *grant) view(s *gateway.Snapshot) *gateway.Snapshot {
	may := g.compile(indexOf(s))
	return s.Filter(func(c *gateway.Capability) bool { return may[c]&action(mainOp(c.Object)) != 0 })
}

// compile decides every capability of an index, visiting for each rule only
// those whose objects begin as its patterns do.
func (g *grant) compile(x *index) map[*gateway.Capability]actions {
	allow, deny := make([]actions, len(x.entries)), make([]actions, len(x.entries))
	for _, r := range g.rules {
		into := allow
		if r.deny {
			into = deny
		}
		for _, i := range x.odd {
			if r.matches(x.entries[i].object) {
				into[i] |= r.actions
			}
		}
		for j := range r.objects {
			x.visit(&r.objects[j], func(i int) { into[i] |= r.actions })
		}
	}
	may := make(map[*gateway.Capability]actions, len(x.entries))
	for i := range x.entries {
		may[x.entries[i].capability] = allow[i] &^ deny[i]
	}
	return may
}

// An index holds the capabilities of a snapshot by their objects.
type index struct {
	entries []entry // sorted by text
	odd     []int   // those that are not in normal form, which visit leaves out
}

type entry struct {
	object
	capability *gateway.Capability
}

type indexKey struct{}

func indexOf(s *gateway.Snapshot) *index {
	return s.Memo(indexKey{}, func(s *gateway.Snapshot) any { //nolint:forcetypeassert // the key is ours.
		x := &index{}
		s.Filter(func(c *gateway.Capability) bool {
			x.entries = append(x.entries, entry{newObject(c.Object), c})
			return true
		})
		slices.SortFunc(x.entries, func(a, b entry) int { return cmp.Compare(a.text, b.text) })
		for i, e := range x.entries {
			if e.text != e.normal {
				x.odd = append(x.odd, i)
			}
		}
		return x
	}).(*index)
}

// visit calls f with every entry in normal form that a pattern matches.
func (x *index) visit(g *glob, f func(int)) {
	i, _ := slices.BinarySearchFunc(x.entries, g.prefix, func(e entry, prefix string) int { return cmp.Compare(e.text, prefix) })
	for ; i < len(x.entries) && strings.HasPrefix(x.entries[i].text, g.prefix); i++ {
		if e := &x.entries[i]; e.text == e.normal && g.match(e.text) {
			f(i)
		}
	}
}
