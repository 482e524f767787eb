package gqlschema

import (
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// breakCycles makes nullable what would let no value be written: input objects that require one another in a circle
// (GraphQL, section 3.10). The tool's schema still requires what it requires.
func breakCycles(b *builder, all []*Type) {
	const visiting, done = 1, 2
	state := map[*Type]int{}
	var visit func(t *Type)
	visit = func(t *Type) {
		state[t] = visiting
		for _, f := range t.fields {
			switch {
			case f.use.elem != nil || !f.use.nonNull: // An empty list, or null, ends the circle.
			case state[f.use.typ] == visiting:
				f.use.nonNull = false
				b.note("a circle of required properties: in " + t.name + ", " + f.name + " is not required by the type")
			case state[f.use.typ] == 0:
				visit(f.use.typ)
			}
		}
		state[t] = done
	}
	for _, t := range all {
		if state[t] == 0 {
			visit(t)
		}
	}
}

// reachable returns the types that fields lead to.
func reachable(fields []*field) []*Type {
	var all []*Type
	seen := map[*Type]bool{}
	var collect func(fields []*field)
	collect = func(fields []*field) {
		for _, f := range fields {
			walkLists(f.use, func(t *Type) {
				if !seen[t] {
					seen[t] = true
					all = append(all, t)
					collect(t.fields)
				}
			})
		}
	}
	collect(fields)
	return all
}

// defaults writes the defaults of fields as GraphQL does. A default that the type does not admit is left to the tool.
func defaults(b *builder, fields []*field) {
	for _, f := range fields {
		if f.fill == nil {
			continue
		}
		v, ok := literal(f.fill, f.use)
		switch {
		case ok:
			f.literal = v
		case !f.use.isJSON():
			f.fill = nil
			b.note("the default of " + f.name + " is not of its type, and left to the tool")
		}
	}
}

func walkLists(u use, f func(*Type)) {
	for u.elem != nil {
		u = *u.elem
	}
	f(u.typ)
}

// An emitter makes definitions of types that are used.
type emitter struct {
	plan *Plan
	seen map[*Type]bool
}

func (e *emitter) use(u use) { walkLists(u, e.emit) }

func (e *emitter) emit(t *Type) {
	if e.seen[t] {
		return
	}
	e.seen[t] = true
	d := &ast.Definition{Name: t.name, Description: t.description}
	switch t.kind {
	case kindEnum:
		d.Kind, d.EnumValues = ast.Enum, t.enumValues()
	case kindObject:
		d.Kind = ast.Object
		t.satisfy = []string{t.name}
	case kindInput, kindOneOf:
		d.Kind = ast.InputObject
		if t.kind == kindOneOf {
			d.Directives = ast.DirectiveList{{Name: "oneOf"}}
		}
	case kindUnion:
		d.Kind = ast.Union
	default:
		return // A scalar.
	}
	t.def = d
	e.plan.Types = append(e.plan.Types, d)
	if d.Kind == ast.InputObject || d.Kind == ast.Enum {
		e.plan.inputs[t.name] = t
	}
	e.fields(d, t)
	e.possible(d, t)
}

func (t *Type) enumValues() ast.EnumValueList {
	out := make(ast.EnumValueList, len(t.values))
	for i, v := range t.values {
		out[i] = &ast.EnumValueDefinition{Name: v.name}
		if v.name != v.value {
			out[i].Description = short(strconv.Quote(v.value))
		}
	}
	return out
}

func (e *emitter) fields(d *ast.Definition, t *Type) {
	for _, f := range t.fields {
		e.use(f.use)
		def := &ast.FieldDefinition{Name: f.name, Description: f.description, Type: f.use.ast(), DefaultValue: f.literal}
		if f.deprecated && (d.Kind != ast.InputObject || !f.use.nonNull) {
			def.Directives = deprecated()
		}
		d.Fields = append(d.Fields, def)
	}
}

// possible notes which objects the type may be, for objects and unions.
func (e *emitter) possible(d *ast.Definition, t *Type) {
	var members []*ast.Definition
	if t.kind == kindObject {
		members = []*ast.Definition{d}
	}
	for _, m := range t.members {
		e.emit(m)
		m.satisfy = append(m.satisfy, t.name)
		d.Types = append(d.Types, m.name)
		members = append(members, m.def)
	}
	if members != nil {
		e.plan.possible = append(e.plan.possible, possible{d, members})
	}
}

// events makes the types of the field on Subscription and returns the name of their union.
func (e *emitter) events() string {
	p := e.plan
	union := p.Names.Prefix + "Event"
	number, text := use{typ: floatType}, use{typ: stringType}
	must := func(u use) use { u.nonNull = true; return u }
	dropped := func() *field { return &field{name: "dropped", key: "dropped", use: must(use{typ: intType})} }
	finished := &Type{name: p.Names.Prefix + "Finished", kind: kindObject, rest: -1, description: "The end of the call."}
	finished.setFields([]*field{dropped(), {name: "result", key: "result", use: *p.result, nullable: true, description: "What the tool answered."}})
	finished.fields[0].description = "How many events of this call were left out so far because the connection did not take them in time."
	e.emit(finished)
	progress := &Type{name: "ToolProgress", kind: kindObject, rest: -1}
	progress.setFields([]*field{dropped(), {name: "progress", key: "progress", use: must(number)}, {name: "total", key: "total", use: number}, {name: "message", key: "message", use: text}})
	log := &Type{name: "ToolLog", kind: kindObject, rest: -1}
	log.setFields([]*field{dropped(), {name: "level", key: "level", use: must(text)}, {name: "logger", key: "logger", use: text}, {name: "data", key: "data", use: must(jsonUse())}})
	question := &Type{name: "ToolQuestion", kind: kindObject, rest: -1}
	question.setFields([]*field{
		dropped(),
		{name: "id", key: "id", use: must(text)},
		{name: "kind", key: "kind", use: must(text)},
		{name: "message", key: "message", use: must(text)},
		{name: "schema", key: "schema", use: jsonUse()},
		{name: "url", key: "url", use: text},
	})
	p.events = [4]*Type{progress, log, finished, question}
	finished.satisfy = []string{finished.name, union}
	for _, t := range []*Type{progress, log, question} {
		t.satisfy = []string{t.name, toolCallEvent, union}
	}
	d := &ast.Definition{Kind: ast.Union, Name: union, Types: []string{progress.name, log.name, finished.name, question.name}, Description: "Something that happened in a call of `" + p.Names.Field + "`: progress, a log line, the result or a question."}
	p.Types = append(p.Types, d)
	p.possible = append(p.possible, possible{d, []*ast.Definition{nil, nil, finished.def, nil}})
	return union
}

// literal writes a JSON value as one of a type.
func literal(raw []byte, u use) (*ast.Value, bool) {
	s := scan{text: raw}
	s.space()
	if s.at('n') {
		return &ast.Value{Kind: ast.NullValue, Raw: "null"}, !u.nonNull
	}
	if u.elem != nil {
		out := &ast.Value{Kind: ast.ListValue}
		ok := s.elements(func(from, to int) bool {
			v, ok := literal(raw[from:to], *u.elem)
			out.Children = append(out.Children, &ast.ChildValue{Value: v})
			return ok
		})
		return out, ok
	}
	t := u.typ
	switch t.kind {
	case kindEnum:
		text, _ := decodeString(raw)
		name, ok := t.toName[text]
		return &ast.Value{Kind: ast.EnumValue, Raw: name}, ok
	case kindInput:
		return t.objectLiteral(raw)
	case kindJSON:
		return freeLiteral(raw)
	case kindOneOf: // Which alternative it is, the text does not say.
		return nil, false
	}
	if _, err := t.scalar(raw); err != nil {
		return nil, false
	}
	v, ok := freeLiteral(raw)
	if ok && t.kind == kindFloat && v.Kind == ast.IntValue {
		v.Kind = ast.FloatValue
	}
	return v, ok
}

func (t *Type) objectLiteral(raw []byte) (*ast.Value, bool) {
	out := &ast.Value{Kind: ast.ObjectValue}
	given := map[string]bool{}
	s := scan{text: raw}
	ok := s.members(func(key []byte, from, to int) bool {
		i, ok := t.byKey[string(unquote(key))]
		if !ok {
			return false
		}
		f := t.fields[i]
		given[f.name] = true
		v, ok := literal(raw[from:to], f.use)
		out.Children = append(out.Children, &ast.ChildValue{Name: f.name, Value: v})
		return ok
	})
	for _, f := range t.fields {
		ok = ok && (given[f.name] || !f.use.nonNull)
	}
	return out, ok
}

// freeLiteral writes a JSON value as a literal. A member whose name is none in GraphQL has no literal.
func freeLiteral(raw []byte) (*ast.Value, bool) {
	s := scan{text: raw}
	s.space()
	switch {
	case s.at('{'):
		out := &ast.Value{Kind: ast.ObjectValue}
		ok := s.members(func(key []byte, from, to int) bool {
			name := string(unquote(key))
			v, ok := freeLiteral(raw[from:to])
			out.Children = append(out.Children, &ast.ChildValue{Name: name, Value: v})
			return ok && name == Name(name)
		})
		return out, ok
	case s.at('['):
		out := &ast.Value{Kind: ast.ListValue}
		ok := s.elements(func(from, to int) bool {
			v, ok := freeLiteral(raw[from:to])
			out.Children = append(out.Children, &ast.ChildValue{Value: v})
			return ok
		})
		return out, ok
	case s.at('"'):
		text, ok := decodeString(raw)
		return &ast.Value{Kind: ast.StringValue, Raw: text}, ok
	case s.at('t'), s.at('f'):
		return &ast.Value{Kind: ast.BooleanValue, Raw: string(raw)}, true
	case s.at('n'):
		return &ast.Value{Kind: ast.NullValue, Raw: "null"}, true
	}
	text := strings.TrimSpace(string(raw))
	if strings.ContainsAny(text, ".eE") {
		return &ast.Value{Kind: ast.FloatValue, Raw: text}, true
	}
	return &ast.Value{Kind: ast.IntValue, Raw: text}, text != ""
}
