package graphql

import (
	"crypto/sha256"
	"strconv"
	"sync"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/schema/gqlschema"
)

// Bounds of the views that are kept. A view of ten thousand tools takes about 6 MB.
const (
	maxViews     = 256
	maxViewTypes = 500_000 // of all views together
)

// A view is the schema of those who may use the same tools and prompts. It is immutable but for what it remembers.
type view struct {
	id     string // no other view of this process has it
	types  *gqlschema.View
	table  *table
	weight int

	introspection introspections
}

// A target is what a field of a view stands for: a tool or a prompt.
type target struct {
	plan   *gqlschema.Plan
	tool   *gateway.Tool // nil for a prompt
	prompt *gateway.Prompt
	entry  gqlschema.Entry
}

// A table is the plans of one generation of the registry.
type table struct {
	generation uint64
	fields     map[string]*target // by the name of the field
	targets    map[any]*target    // by *gateway.Tool or *gateway.Prompt
}

// field returns the target of a field of a view, or nil for those of the static schema.
func (t *table) field(name string, def *ast.FieldDefinition) *target {
	if to := t.fields[name]; to != nil && (to.plan.Field == def || to.plan.Event == def) {
		return to
	}
	return nil
}

// views makes the views of callers and keeps those that were asked for last.
type views struct {
	gw   *gateway.Gateway
	base *ast.Schema
	own  map[string]bool // scalars of the base that the static schema has not

	tables  sync.Mutex // held while tools are compiled
	library *gqlschema.Library
	current *table

	mu     sync.Mutex
	serial int
	clock  int // counts uses
	kept   map[[32]byte]*keptView
	weight int
}

type keptView struct {
	view *view
	used int
}

func newViews(gw *gateway.Gateway, static *ast.Schema) *views {
	v := &views{
		gw: gw, base: gqlschema.Base(static, "Typed"), own: map[string]bool{}, library: gqlschema.NewLibrary(static),
		kept: map[[32]byte]*keptView{},
	}
	for _, d := range gqlschema.Scalars() {
		v.own[d.Name] = true
	}
	return v
}

// update returns the table of the registry as it is now, or a later one than the generation that is wanted.
func (v *views) update(generation uint64) *table {
	v.tables.Lock()
	defer v.tables.Unlock()
	if v.current != nil && v.current.generation >= generation {
		return v.current
	}
	all := v.gw.Whole()
	targets := make([]*target, 0, len(all.Tools)+len(all.Prompts))
	for _, t := range all.Tools {
		targets = append(targets, v.target(t, func() *target { return &target{tool: t, entry: gqlschema.Entry{Key: t, Tool: toPlannedTool(t)}} }))
	}
	for _, p := range all.Prompts {
		targets = append(targets, v.target(p, func() *target { return &target{prompt: p, entry: gqlschema.Entry{Key: p, Prompt: toPlannedPrompt(p)}} }))
	}
	entries := make([]gqlschema.Entry, len(targets))
	for i, to := range targets {
		entries[i] = to.entry
	}
	set := v.library.Update(entries)
	next := &table{generation: all.Generation, fields: make(map[string]*target, len(targets)), targets: make(map[any]*target, len(targets))}
	for _, to := range targets {
		if plan := set.Plan(to.entry.Key); to.plan != plan {
			changed := *to // The one of the last table stays as it is.
			to = &changed
			to.plan = plan
		}
		next.fields[to.plan.Names.Field], next.targets[to.entry.Key] = to, to
	}
	v.current = next
	return next
}

// target returns what the last table has for a tool or a prompt, or a new one.
func (v *views) target(key any, make func() *target) *target {
	if v.current != nil {
		if to := v.current.targets[key]; to != nil {
			return to
		}
	}
	return make()
}

func toPlannedTool(t *gateway.Tool) *gqlschema.Tool {
	return &gqlschema.Tool{Name: t.Name, Title: t.Title, Description: t.Description, Input: t.Input.JSON(), Output: t.Output.JSON()}
}

func toPlannedPrompt(p *gateway.Prompt) *gqlschema.Prompt {
	out := &gqlschema.Prompt{Name: p.Name, Title: p.Title, Description: p.Description}
	for _, a := range p.Arguments {
		out.Arguments = append(out.Arguments, gqlschema.PromptArgument{Name: a.Name, Description: a.Description, Required: a.Required})
	}
	return out
}

// viewKey is the key of what is remembered of a snapshot.
type viewKey struct{ v *views }

// of returns the view of whoever sees the snapshot. Views of the same tools and prompts are one.
func (v *views) of(s *gateway.Snapshot) *view {
	var t *table
	var parts []gqlschema.Part
	key, _ := s.Memo(viewKey{v}, func(s *gateway.Snapshot) any {
		t, parts = v.parts(s)
		return keyOf(parts)
	}).([32]byte)
	if found := v.find(key); found != nil {
		return found
	}
	if t == nil { // The key was known, but its view has been dropped since.
		t, parts = v.parts(s)
	}
	types := gqlschema.NewView(v.base, parts)
	return v.keep(key, &view{types: types, table: t, weight: types.Len() + 2*len(parts)})
}

// parts returns the plans of what a snapshot has. What has left the registry meanwhile is not among them.
func (v *views) parts(s *gateway.Snapshot) (*table, []gqlschema.Part) {
	t := v.update(s.Generation)
	parts := make([]gqlschema.Part, 0, len(s.Tools)+len(s.Prompts))
	for _, tool := range s.Tools {
		to := t.targets[tool]
		if to == nil {
			continue
		}
		root := gqlschema.Mutation
		if tool.Annotations.ReadOnly != nil && *tool.Annotations.ReadOnly {
			root = gqlschema.Query
		}
		parts = append(parts, gqlschema.Part{Plan: to.plan, Root: root})
	}
	for _, p := range s.Prompts {
		if to := t.targets[p]; to != nil {
			parts = append(parts, gqlschema.Part{Plan: to.plan})
		}
	}
	return t, parts
}

func keyOf(parts []gqlschema.Part) (key [32]byte) {
	h := sha256.New()
	for _, p := range parts {
		_, _ = h.Write(p.Plan.Sum[:]) // A hash takes everything.
		_, _ = h.Write([]byte{byte(p.Root)})
	}
	h.Sum(key[:0])
	return key
}

func (v *views) find(key [32]byte) *view {
	v.mu.Lock()
	defer v.mu.Unlock()
	k := v.kept[key]
	if k == nil {
		return nil
	}
	v.clock++
	k.used = v.clock
	return k.view
}

// keep keeps a view, or returns the one that somebody else was faster with. Those that were not used for longest make
// room.
func (v *views) keep(key [32]byte, made *view) *view {
	v.mu.Lock()
	defer v.mu.Unlock()
	if k := v.kept[key]; k != nil {
		return k.view
	}
	for len(v.kept) > 0 && (len(v.kept) >= maxViews || v.weight+made.weight > maxViewTypes) {
		v.evict()
	}
	v.serial++
	v.clock++
	made.id = strconv.Itoa(v.serial)
	v.kept[key] = &keptView{made, v.clock}
	v.weight += made.weight
	return made
}

func (v *views) evict() {
	var oldest [32]byte
	least := v.clock + 1
	for key, k := range v.kept {
		if k.used < least {
			oldest, least = key, k.used
		}
	}
	v.weight -= v.kept[oldest].view.weight
	delete(v.kept, oldest)
}

// static reports whether the generated code knows a type.
func (v *views) static(name string) bool {
	_, ok := v.base.Types[name]
	return ok && !v.own[name]
}
