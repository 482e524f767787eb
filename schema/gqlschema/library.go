package gqlschema

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// maxTotal bounds the types of all tools together. Tools beyond it, in the order of their names, are not typed.
const maxTotal = 400_000

// An Entry is a tool or a prompt of which a library makes a plan.
type Entry struct {
	// Key tells entries apart. One with the key of an earlier call is the same, down to its schemas: with a pointer to
	// what does not change, nothing is compared or compiled again.
	Key any

	Tool   *Tool // this or Prompt
	Prompt *Prompt
}

func (e Entry) name() string {
	if e.Tool != nil {
		return e.Tool.Name
	}
	return promptKey + e.Prompt.Name
}

// promptKey stands before the names of prompts, so that a tool of that name is another entry.
const promptKey = "\x00"

// A Library keeps plans, so that each is compiled once for each revision of its tool. It belongs to one goroutine.
type Library struct {
	static   *ast.Schema
	reserved map[string]bool // fields of the static root types
	last     map[any]*kept
	texts    map[[32]byte]*Plan // the plans of the last update, by what they are made of
	owned    map[string]int32   // how many plans have a type of that name
	total    int                // types of all plans
	settled  bool               // whether the last update had no clash, and was within bounds
}

// kept is a plan with the names it was compiled for, and those that its entry wants. It is never changed.
type kept struct {
	plan          *Plan
	names, wanted Names
}

// NewLibrary returns a library for tools beside a static schema, whose names they must leave alone.
func NewLibrary(static *ast.Schema) *Library {
	l := &Library{static: static, reserved: map[string]bool{}, owned: map[string]int32{}}
	for _, root := range []*ast.Definition{static.Query, static.Mutation, static.Subscription} {
		for _, f := range root.Fields {
			l.reserved[f.Name] = true
		}
	}
	return l
}

// A Set is the plans of all entries of one moment. It is immutable.
type Set struct {
	plans map[any]*kept
}

// Plan returns the plan of the entry with that key, or nil.
func (s *Set) Plan(key any) *Plan {
	if k := s.plans[key]; k != nil {
		return k.plan
	}
	return nil
}

// Update returns the plans of entries that are now. Names depend on all of them, in no order, and on nothing that was.
func (l *Library) Update(entries []Entry) *Set {
	wanted, names := l.assign(entries)
	plans := make([]*Plan, len(entries))
	last := make(map[any]*kept, len(entries))
	tried := make([]*Plan, 0, len(entries)) // also under names that turn out to clash
	compile := func(i int) {
		e := entries[i]
		k := l.last[e.Key]
		if k == nil || k.names != names[i] || k.wanted != wanted[i] {
			k = &kept{plan: l.compile(e, names[i]), names: names[i], wanted: wanted[i]}
		}
		plans[i], last[e.Key] = k.plan, k
		tried = append(tried, k.plan)
	}
	for i := range entries {
		compile(i)
	}
	if !l.settled || !l.settle(last) {
		l.untangle(entries, names, plans, compile)
		l.bound(entries, names, plans)
		for i, e := range entries {
			if k := last[e.Key]; k.plan != plans[i] {
				last[e.Key] = &kept{plan: plans[i], wanted: k.wanted} // Without names, so that it is tried again.
			}
		}
		l.count(plans)
		l.texts = make(map[[32]byte]*Plan, len(tried))
		for _, p := range tried {
			l.texts[p.Sum] = p
		}
	}
	l.last = last
	return &Set{plans: last}
}

// settle takes account of what has changed since the last update. It reports false where a name clashes now or there are
// too many types: then everything is looked at anew.
func (l *Library) settle(now map[any]*kept) bool {
	fine := true
	account := func(p *Plan, n int32) {
		l.total += len(p.Types) * int(n)
		for _, t := range p.Types {
			l.owned[t.Name] += n
			switch {
			case l.owned[t.Name] == 0:
				delete(l.owned, t.Name)
			case n > 0 && (l.owned[t.Name] > 1 || l.static.Types[t.Name] != nil):
				fine = false
			}
		}
	}
	for key, old := range l.last {
		if k := now[key]; k == nil || k.plan != old.plan {
			account(old.plan, -1)
			delete(l.texts, old.plan.Sum)
		}
	}
	for key, k := range now {
		if old := l.last[key]; old == nil || old.plan != k.plan {
			account(k.plan, 1)
			l.texts[k.plan.Sum] = k.plan
		}
	}
	return fine && l.total <= maxTotal
}

// count counts all types.
func (l *Library) count(plans []*Plan) {
	l.total = 0
	l.owned = make(map[string]int32, len(l.owned))
	for _, p := range plans {
		l.total += len(p.Types)
		for _, t := range p.Types {
			l.owned[t.Name]++
		}
	}
}

// untangle gives other names to types that clash.
func (l *Library) untangle(entries []Entry, names []Names, plans []*Plan, compile func(i int)) {
	l.settled = true
	for range 3 { // Twice is enough unless somebody has looked for hashes that clash.
		clashing := l.clashes(plans)
		if len(clashing) == 0 {
			return
		}
		l.settled = false
		for i := range clashing {
			n := names[i]
			n.Prefix = Pascal(n.Field) + "_" + hash(entries[i].name(), 8)
			if n.Prefix == names[i].Prefix {
				n.Prefix = Pascal(n.Field) + "_" + hash(entries[i].name(), 32)
			}
			names[i] = n
			compile(i)
		}
	}
}

// compile returns the plan of an entry that the last update did not have under this key and these names.
func (l *Library) compile(e Entry, n Names) *Plan {
	if e.Tool == nil {
		p := CompilePrompt(*e.Prompt, n)
		p.Sum = e.Prompt.sum(n)
		return p
	}
	sum := e.Tool.sum(n)
	p := l.texts[sum]
	if p == nil {
		p = l.plan(*e.Tool, n)
		p.Sum = sum
	}
	return p
}

// plan compiles a tool and looks at the outcome as somebody would who does not trust this package.
func (l *Library) plan(t Tool, n Names) *Plan {
	p := Compile(t, n)
	if problem := p.verify(l.static); problem != "" {
		p = untyped(t, n, "the types would not be valid ("+problem+")")
	}
	for _, poss := range p.possible {
		for i, m := range poss.members {
			if m == nil {
				poss.members[i] = l.static.Types[poss.of.Types[i]]
			}
		}
	}
	return p
}

// untyped is the plan of a tool whose schemas are not looked at.
func untyped(t Tool, n Names, why string) *Plan {
	p := Compile(Tool{Name: t.Name, Title: t.Title, Description: t.Description}, n)
	p.Notes = []Note{{At: "tool", Reason: "is not typed: " + why}}
	return p
}

// sum is a hash of everything that a plan is made of.
func (t *Tool) sum(n Names) [32]byte {
	return sum("tool", n.Field, n.Prefix, t.Name, t.Title, t.Description, string(t.Input), string(t.Output))
}

func (p *Prompt) sum(n Names) [32]byte {
	parts := []string{"prompt", n.Field, n.Prefix, p.Name, p.Title, p.Description}
	for _, a := range p.Arguments {
		parts = append(parts, a.Name, a.Description, strconv.FormatBool(a.Required))
	}
	return sum(parts...)
}

func sum(parts ...string) (out [32]byte) {
	h := sha256.New()
	for _, part := range parts {
		var length [8]byte
		binary.LittleEndian.PutUint64(length[:], uint64(len(part)))
		_, _ = h.Write(length[:]) // A hash takes everything.
		_, _ = h.Write([]byte(part))
	}
	h.Sum(out[:0])
	return out
}

// wants returns the names that an entry would have if it were alone.
func (l *Library) wants(e Entry) Names {
	if k, ok := l.last[e.Key]; ok {
		return k.wanted
	}
	if e.Prompt != nil {
		return Names{Field: Name(e.Prompt.Name) + "_prompt", Prefix: Pascal(e.Prompt.Name)}
	}
	n := Names{Field: Name(e.Tool.Name), Prefix: Pascal(e.Tool.Name)}
	if l.reserved[n.Field] {
		n.Field += "_tool"
	}
	return n
}

// assign gives all entries their names. A valid name that nobody else has, or that is the entry's own, is kept; the
// others of the same name get a hash. The fields of the static schema come first.
func (l *Library) assign(entries []Entry) (wanted, names []Names) {
	wanted = make([]Names, len(entries))
	fields, prefixes := make(map[string]bool, len(entries)), make(map[string]bool, len(entries))
	clash := false
	for i, e := range entries {
		n := l.wants(e)
		wanted[i] = n
		clash = clash || fields[n.Field] || prefixes[n.Prefix]
		fields[n.Field], prefixes[n.Prefix] = true, true
	}
	if !clash {
		return wanted, slices.Clone(wanted)
	}
	keys, byKey := make([]string, len(entries)), make(map[string]Names, len(entries))
	for i, e := range entries {
		keys[i] = e.name()
		byKey[keys[i]] = wanted[i]
	}
	f := unique(keys, func(k string) string { return byKey[k].Field })
	p := unique(keys, func(k string) string { return byKey[k].Prefix })
	names = make([]Names, len(entries))
	for i, k := range keys {
		names[i] = Names{Field: f[k], Prefix: p[k]}
	}
	return wanted, names
}

// clashes returns the entries of which a type has the name that one of another, or of the static schema, has: all of
// them, so that none is renamed by the order.
func (l *Library) clashes(plans []*Plan) map[int]bool {
	l.count(plans)
	var clashing map[int]bool
	for i, p := range plans {
		if !slices.ContainsFunc(p.Types, func(t *ast.Definition) bool { return l.owned[t.Name] > 1 || l.static.Types[t.Name] != nil }) {
			continue
		}
		if clashing == nil {
			clashing = map[int]bool{}
		}
		clashing[i] = true
	}
	return clashing
}

// bound takes the types from what is too much, and from tools whose names still clash.
func (l *Library) bound(entries []Entry, names []Names, plans []*Plan) {
	clashing := l.clashes(plans)
	if len(clashing) == 0 && l.total <= maxTotal {
		return
	}
	l.settled = false
	order := make([]int, len(entries))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(entries[a].name(), entries[b].name()) })
	total := 0
	for _, i := range order {
		if entries[i].Tool == nil {
			continue
		}
		if total += len(plans[i].Types); total <= maxTotal && !clashing[i] {
			continue
		}
		why := "all tools together would have too many types"
		if clashing[i] {
			why = "the names of its types clash"
		}
		total -= len(plans[i].Types)
		sum := plans[i].Sum
		plans[i] = untyped(*entries[i].Tool, names[i], why)
		plans[i].Sum = sha256.Sum256(append(sum[:], why...))
	}
}
