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
	last     map[any]kept
	texts    map[[32]byte]*Plan
}

// kept is a plan with the names it was compiled for.
type kept struct {
	plan  *Plan
	names Names
}

// NewLibrary returns a library for tools beside a static schema, whose names they must leave alone.
func NewLibrary(static *ast.Schema) *Library {
	l := &Library{static: static, reserved: map[string]bool{}}
	for _, root := range []*ast.Definition{static.Query, static.Mutation, static.Subscription} {
		for _, f := range root.Fields {
			l.reserved[f.Name] = true
		}
	}
	return l
}

// A Set is the plans of all entries of one moment. It is immutable.
type Set struct {
	plans  map[any]*Plan
	owners map[string]*Plan // of types
}

// Plan returns the plan of the entry with that key, or nil.
func (s *Set) Plan(key any) *Plan { return s.plans[key] }

// Input returns the input type of that name, of whichever tool, or nil.
func (s *Set) Input(name string) *Type {
	if p := s.owners[name]; p != nil {
		return p.Input(name)
	}
	return nil
}

// Update returns the plans of entries that are now. Names depend on all of them, in no order, and on nothing that was.
func (l *Library) Update(entries []Entry) *Set {
	names := l.assign(entries)
	next := &Set{plans: make(map[any]*Plan, len(entries))}
	last, texts := make(map[any]kept, len(entries)), make(map[[32]byte]*Plan, len(entries))
	plans := make([]*Plan, len(entries))
	compile := func(i int) {
		e, n := entries[i], names[i]
		k, ok := l.last[e.Key]
		if !ok || k.names != n {
			k = l.compile(e, n, texts)
		}
		plans[i], last[e.Key], texts[k.plan.Sum] = k.plan, k, k.plan
	}
	for i := range entries {
		compile(i)
	}
	for range 3 { // Twice is enough unless somebody has looked for hashes that clash.
		clashing := l.clashes(next, plans)
		for i := range clashing {
			n := names[i]
			n.Prefix = Pascal(n.Field) + "_" + hash(entries[i].name(), 8)
			if n.Prefix == names[i].Prefix {
				n.Prefix = Pascal(n.Field) + "_" + hash(entries[i].name(), 32)
			}
			names[i] = n
			compile(i)
		}
		if len(clashing) == 0 {
			break
		}
	}
	l.bound(entries, names, plans, next)
	l.last, l.texts = last, texts
	for i, e := range entries {
		next.plans[e.Key] = plans[i]
	}
	return next
}

// compile returns the plan of an entry that the last update did not have under this key and these names.
func (l *Library) compile(e Entry, n Names, texts map[[32]byte]*Plan) kept {
	if e.Tool == nil {
		p := CompilePrompt(*e.Prompt, n)
		p.Sum = e.Prompt.sum(n)
		return kept{p, n}
	}
	sum := e.Tool.sum(n)
	p := l.texts[sum]
	if p == nil {
		p = texts[sum]
	}
	if p == nil {
		p = l.plan(*e.Tool, n)
		p.Sum = sum
	}
	return kept{p, n}
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

// assign gives all entries their names. A valid name that nobody else has, or that is the entry's own, is kept; the
// others of the same name get a hash. The fields of the static schema come first.
func (l *Library) assign(entries []Entry) []Names {
	keys := make([]string, len(entries))
	for i, e := range entries {
		keys[i] = e.name()
	}
	fields := unique(keys, func(k string) string {
		if prompt, ok := strings.CutPrefix(k, promptKey); ok {
			return Name(prompt) + "_prompt"
		}
		n := Name(k)
		if l.reserved[n] {
			n += "_tool"
		}
		return n
	})
	prefixes := unique(keys, func(k string) string { return Pascal(strings.TrimPrefix(k, promptKey)) })
	out := make([]Names, len(entries))
	for i, k := range keys {
		out[i] = Names{Field: fields[k], Prefix: prefixes[k]}
	}
	return out
}

// clashes notes who has which type, and returns those entries of which one has a name that another or the static schema
// has: all of them, so that none is renamed by the order.
func (l *Library) clashes(next *Set, plans []*Plan) map[int]bool {
	total := 0
	for _, p := range plans {
		total += len(p.Types)
	}
	next.owners = make(map[string]*Plan, total)
	var clashing map[int]bool
	names := map[string]bool{}
	for i, p := range plans {
		for _, t := range p.Types {
			if other := next.owners[t.Name]; other != nil || l.static.Types[t.Name] != nil {
				names[t.Name] = true
				if clashing == nil {
					clashing = map[int]bool{}
				}
				clashing[i] = true
				continue
			}
			next.owners[t.Name] = p
		}
	}
	if clashing == nil {
		return nil
	}
	for i, p := range plans {
		if slices.ContainsFunc(p.Types, func(t *ast.Definition) bool { return names[t.Name] }) {
			clashing[i] = true
		}
	}
	return clashing
}

// bound takes the types from what is too much, and from tools whose names still clash.
func (l *Library) bound(entries []Entry, names []Names, plans []*Plan, next *Set) {
	clashing := l.clashes(next, plans)
	order := make([]int, len(entries))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(entries[a].name(), entries[b].name()) })
	total, changed := 0, false
	for _, i := range order {
		total += len(plans[i].Types)
		if entries[i].Tool == nil || total <= maxTotal && !clashing[i] {
			continue
		}
		why := "all tools together would have too many types"
		if clashing[i] {
			why = "the names of its types clash"
		}
		total -= len(plans[i].Types)
		sum := plans[i].Sum
		plans[i], changed = untyped(*entries[i].Tool, names[i], why), true
		plans[i].Sum = sha256.Sum256(append(sum[:], why...))
	}
	if changed {
		l.clashes(next, plans)
	}
}
