package gateway

import (
	"cmp"
	"slices"
	"sync"
)

// A Snapshot is a set of capabilities at one moment: the whole registry, or
// the view of one principal. It is immutable; its slices are sorted by name
// or URI and must not be changed.
type Snapshot struct {
	Generation uint64 // grows with every snapshot of a registry; a view has that of the snapshot it was made from
	Tools      []*Tool
	Resources  []*Resource
	Templates  []*Template
	Prompts    []*Prompt

	tools     map[string]*Tool
	resources map[string]*Resource
	prompts   map[string]*Prompt
	upstreams map[string]Upstream // by source
	away      *Snapshot           // what withdrawn sources offered: resolved, never listed
	memo      sync.Map            // key → func() any
}

var emptySnapshot = newSnapshot(0, Catalog{}, nil) //nolint:gochecknoglobals // immutable.

func newSnapshot(gen uint64, c Catalog, upstreams map[string]Upstream) *Snapshot {
	s := &Snapshot{
		Generation: gen, Tools: c.Tools, Resources: c.Resources, Templates: c.Templates, Prompts: c.Prompts,
		upstreams: upstreams,
		tools:     make(map[string]*Tool, len(c.Tools)),
		resources: make(map[string]*Resource, len(c.Resources)),
		prompts:   make(map[string]*Prompt, len(c.Prompts)),
	}
	slices.SortFunc(s.Tools, func(a, b *Tool) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Resources, func(a, b *Resource) int { return cmp.Compare(a.URI, b.URI) })
	slices.SortFunc(s.Templates, func(a, b *Template) int { return cmp.Compare(a.URITemplate, b.URITemplate) })
	slices.SortFunc(s.Prompts, func(a, b *Prompt) int { return cmp.Compare(a.Name, b.Name) })
	for _, t := range s.Tools {
		s.tools[t.Name] = t
	}
	for _, r := range s.Resources {
		s.resources[r.URI] = r
	}
	for _, p := range s.Prompts {
		s.prompts[p.Name] = p
	}
	return s
}

// Tool returns the tool of that name, or nil.
func (s *Snapshot) Tool(name string) *Tool { return s.tools[name] }

// Resource returns the resource of that URI, or nil. A resource that only a
// template describes is not found here.
func (s *Snapshot) Resource(uri string) *Resource { return s.resources[uri] }

// Prompt returns the prompt of that name, or nil.
func (s *Snapshot) Prompt(name string) *Prompt { return s.prompts[name] }

// Template returns the template of that URI template, or nil.
func (s *Snapshot) Template(uriTemplate string) *Template {
	i, ok := slices.BinarySearchFunc(s.Templates, uriTemplate, func(t *Template, u string) int { return cmp.Compare(t.URITemplate, u) })
	if !ok {
		return nil
	}
	return s.Templates[i]
}

// Filter returns the snapshot that holds only what keep accepts. It asks once
// for each capability and returns s itself where everything is kept.
func (s *Snapshot) Filter(keep func(*Capability) bool) *Snapshot {
	c := Catalog{
		Tools:     kept(s.Tools, func(t *Tool) bool { return keep(&t.Capability) }),
		Resources: kept(s.Resources, func(r *Resource) bool { return keep(&r.Capability) }),
		Templates: kept(s.Templates, func(t *Template) bool { return keep(&t.Capability) }),
		Prompts:   kept(s.Prompts, func(p *Prompt) bool { return keep(&p.Capability) }),
	}
	if len(c.Tools) == len(s.Tools) && len(c.Resources) == len(s.Resources) &&
		len(c.Templates) == len(s.Templates) && len(c.Prompts) == len(s.Prompts) {
		return s
	}
	return newSnapshot(s.Generation, c, nil)
}

func kept[T any](all []T, keep func(T) bool) []T {
	out := make([]T, 0, len(all))
	for _, v := range all {
		if keep(v) {
			out = append(out, v)
		}
	}
	return out
}

// Memo returns what build made of this snapshot the first time that it was
// asked for under key: a place for doors to keep what they derive from a
// snapshot, such as a marshalled list, for just as long as it is true. Keys
// are values of the caller's own types, few for each snapshot.
func (s *Snapshot) Memo(key any, build func(*Snapshot) any) any {
	f, ok := s.memo.Load(key)
	if !ok {
		f, _ = s.memo.LoadOrStore(key, sync.OnceValue(func() any { return build(s) }))
	}
	return f.(func() any)() //nolint:forcetypeassert // memo holds nothing else.
}

// SameTools reports whether both snapshots list the same definitions of tools.
// A definition that was replaced counts as different even when its bytes are
// equal only where its source attached anew.
func (s *Snapshot) SameTools(o *Snapshot) bool {
	return slices.EqualFunc(s.Tools, o.Tools, func(a, b *Tool) bool { return same(&a.Capability, &b.Capability) })
}

// SameResources is SameTools for resources and templates.
func (s *Snapshot) SameResources(o *Snapshot) bool {
	return slices.EqualFunc(s.Resources, o.Resources, func(a, b *Resource) bool { return same(&a.Capability, &b.Capability) }) &&
		slices.EqualFunc(s.Templates, o.Templates, func(a, b *Template) bool { return same(&a.Capability, &b.Capability) })
}

// SamePrompts is SameTools for prompts.
func (s *Snapshot) SamePrompts(o *Snapshot) bool {
	return slices.EqualFunc(s.Prompts, o.Prompts, func(a, b *Prompt) bool { return same(&a.Capability, &b.Capability) })
}

func same(a, b *Capability) bool {
	return a == b || a.Source == b.Source && string(a.Definition) == string(b.Definition)
}

// resolve finds what a call asks for, sets the call's target, and returns the
// upstream that answers. A resource's URI is looked up as listed first, then
// in the templates, in their order.
func (s *Snapshot) resolve(call *Call) (Upstream, error) {
	if c := s.find(call); c != nil {
		call.target(c)
		return s.upstreams[c.Source], nil
	}
	if s.away != nil {
		return s.away.resolve(call)
	}
	return nil, NotFoundError(call, "registry", nil)
}

// templateOf returns the first template that the URI can have come from, or
// nil. URIs that no registry would list are not looked at.
func (s *Snapshot) templateOf(uri string) *Template {
	if len(uri) > maxURI {
		return nil
	}
	for _, t := range s.Templates {
		if t.Matches(uri) {
			return t
		}
	}
	return nil
}

// target sets what the call is about.
func (call *Call) target(c *Capability) {
	call.Target, call.Object = c, c.Object
	if c.Kind == KindTemplate && call.Op != OpComplete {
		call.Object = KindResource.String() + "/" + c.Source + "/" + call.Name
	}
}

// find returns the capability that the call names, or nil, and sets the
// call's Kind and Tool.
func (s *Snapshot) find(call *Call) *Capability {
	switch call.Op {
	case OpCall, OpInspect, OpAdmin:
		call.Kind = KindTool
		if t := s.tools[call.Name]; t != nil && t.administers() == (call.Op != OpCall) {
			call.Tool = t
			if call.Op != OpCall {
				call.Op = t.adminOp()
			}
			return &t.Capability
		}
	case OpRead, OpSubscribe:
		call.Kind = KindResource
		if r := s.resources[call.Name]; r != nil {
			return &r.Capability
		}
		if t := s.templateOf(call.Name); t != nil {
			return &t.Capability
		}
	case OpGet:
		call.Kind = KindPrompt
		if p := s.prompts[call.Name]; p != nil {
			return &p.Capability
		}
	case OpComplete:
		if call.Kind == KindTemplate {
			if t := s.Template(call.Name); t != nil {
				return &t.Capability
			}
			return nil
		}
		call.Kind = KindPrompt
		if p := s.prompts[call.Name]; p != nil {
			return &p.Capability
		}
	}
	return nil
}

// NotFoundError returns the refusal of a call whose target does not exist, or
// must look as if it did not: both read the same for the caller. By says who
// refused and cause says why, for the operator.
func NotFoundError(call *Call, by string, cause error) *Error {
	return &Error{Code: NotFound, By: by, Msg: "no " + call.Kind.String() + " named " + quoteName(call.Name), Err: cause}
}
