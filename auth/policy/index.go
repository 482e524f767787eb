package policy

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/trilith-gateway/trilith/gateway"
)

// An index holds the capabilities of a snapshot by their objects, under one set
// of toolsets.
type index struct {
	entries []target // sorted by text
	odd     []int    // those that are not in normal form, which visit leaves out
	order   []int    // where each capability is, as [gateway.Snapshot.Filter] asks for them
	members sync.Map // a toolset or tag → func() []int
}

// indexKey names an index in its snapshot's memo.
type indexKey struct{ *Toolsets }

func indexOf(s *gateway.Snapshot, sets *Toolsets) *index {
	return s.Memo(indexKey{sets}, func(s *gateway.Snapshot) any { //nolint:forcetypeassert // the key is ours.
		x := &index{}
		asked := map[*gateway.Capability]int{}
		s.Filter(func(c *gateway.Capability) bool {
			asked[c] = len(asked)
			x.entries = append(x.entries, target{object: newObject(c.Object), capability: c, tool: toolOf(s, c), sets: *sets})
			return true
		})
		slices.SortFunc(x.entries, func(a, b target) int { return cmp.Compare(a.text, b.text) })
		x.order = make([]int, len(x.entries))
		for i := range x.entries {
			x.order[asked[x.entries[i].capability]] = i
			if x.entries[i].text != x.entries[i].normal {
				x.odd = append(x.odd, i)
			}
		}
		return x
	}).(*index)
}

func toolOf(s *gateway.Snapshot, c *gateway.Capability) *gateway.Tool {
	if c.Kind != gateway.KindTool {
		return nil
	}
	return s.Tool(c.Name)
}

// visit calls f with every entry in normal form that a pattern matches, until it
// returns false.
func (x *index) visit(p *pattern, deny bool, f func(int) bool) {
	if p.selects() {
		for _, i := range x.selected(p, deny) {
			if !f(i) {
				return
			}
		}
		return
	}
	for i := x.from(p.prefix); i < len(x.entries) && strings.HasPrefix(x.entries[i].text, p.prefix); i++ {
		if e := &x.entries[i]; e.text == e.normal && p.match(e.text) && !f(i) {
			return
		}
	}
}

// from returns where the objects begin that have the prefix.
func (x *index) from(prefix string) int {
	i, _ := slices.BinarySearchFunc(x.entries, prefix, func(e target, prefix string) int { return cmp.Compare(e.text, prefix) })
	return i
}

// selected returns the entries in normal form that a toolset or tag has. It
// finds them once.
func (x *index) selected(p *pattern, deny bool) []int {
	type key struct {
		text string
		deny bool
	}
	f, ok := x.members.Load(key{p.text, deny})
	if !ok {
		f, _ = x.members.LoadOrStore(key{p.text, deny}, sync.OnceValue(func() []int {
			var out []int
			for i := range x.entries {
				if e := &x.entries[i]; e.text == e.normal && p.is(e, deny) {
					out = append(out, i)
				}
			}
			return out
		}))
	}
	return f.(func() []int)() //nolint:forcetypeassert // members holds nothing else.
}

// find returns what is known of an object: the capability that the snapshot has
// under that name, a template that describes it, or only what its name says.
func (x *index) find(text string, s *gateway.Snapshot, sets *Toolsets) *target {
	if i := x.from(text); i < len(x.entries) && x.entries[i].text == text {
		return &x.entries[i]
	}
	t := &target{object: newObject(text), capability: makeUp(text), sets: *sets}
	if t.capability == nil || t.capability.Kind != gateway.KindResource {
		return t
	}
	for _, template := range s.Templates {
		if template.Source == t.capability.Source && template.Matches(t.capability.Origin) {
			t.capability = &template.Capability
			break
		}
	}
	return t
}
