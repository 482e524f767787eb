package gqlschema

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/99designs/gqlgen/graphql"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/vektah/gqlparser/v2/ast"
)

// maxFailures bounds what is told of one result: a list of a million wrong elements has no million errors.
const maxFailures = 25

// A Projection answers selections of one operation. It belongs to one goroutine.
type Projection struct {
	// Operation is the one that asks.
	Operation *graphql.OperationContext

	// Fail is told what of the value does not have its type, at most 25 times for each value. It may keep the path.
	Fail func(path ast.Path, message string)

	path     ast.Path
	out      []byte
	failures int
	spans    []span
	most     int  // bytes of out
	over     bool // there were more: nothing is written any more
}

// What a selection writes has as many bytes as the value it is of, times maxGrowth, and a start. Selections in
// selections that ask for the same under many names would otherwise write it thousands of times.
const (
	maxGrowth = 16
	maxStart  = 1 << 20
)

func (p *Projection) begin(path ast.Path, value []byte) {
	p.path, p.out, p.failures = path, make([]byte, 0, 256), 0
	p.most, p.over = maxStart+maxGrowth*len(value), false
}

// full reports whether nothing more may be written.
func (p *Projection) full() bool {
	p.over = p.over || len(p.out) > p.most
	return p.over
}

const tooLong = "what is selected is too long: ask for less"

// A span is where a member's value is; the zero span is nowhere.
type span struct{ from, to int }

// Result returns what a field of the plan selects of the structured result of its tool, as JSON. The value must be valid
// JSON, or nil where the result has none. What has not the declared type is null, or makes what it is in null (GraphQL,
// section 6.4.4).
func (p *Plan) Result(pr *Projection, f graphql.CollectedField, path ast.Path, value json.RawMessage) json.RawMessage {
	pr.begin(path, value)
	if len(value) == 0 {
		pr.fail("the tool returned no structured value")
		return json.RawMessage("null")
	}
	pr.value(*p.result, &selection{op: pr.Operation, set: f.Selections}, bytes.TrimSpace(value)) // The root may be null.
	if pr.full() {
		pr.path = path
		pr.fail(tooLong)
		return json.RawMessage("null")
	}
	return pr.out
}

// EventKind is a kind of event in a call.
type EventKind int

// The kinds of events, in the terms of the static schema: ToolProgress, ToolLog, the end, and ToolQuestion.
const (
	EventProgress EventKind = iota
	EventLog
	EventFinished
	EventQuestion
)

// EventValue returns what the field of a plan on Subscription selects of an event. The value is an object with the
// members of ToolProgress, of ToolLog, of ToolQuestion, or with dropped and result.
func (p *Plan) EventValue(pr *Projection, f graphql.CollectedField, path ast.Path, kind EventKind, value json.RawMessage) json.RawMessage {
	pr.begin(path, value)
	sel := &selection{op: pr.Operation, set: f.Selections}
	if !pr.object(p.events[kind], sel, value) {
		return nil
	}
	if pr.over { // What did not fit is null, so this is still JSON.
		pr.path = path
		pr.fail(tooLong)
	}
	return pr.out
}

// A selection is a set of selections, collected once for each type of object that it is asked of.
type selection struct {
	op   *graphql.OperationContext
	set  ast.SelectionSet
	typ  *Type // The first type, which most have only.
	sels []selected
	more map[*Type][]selected
}

// A selected field is what an object is asked for.
type selected struct {
	key   string // its response name, quoted, with a colon
	alias string
	field int // of the type, or -1 for __typename
	sub   *selection
}

func (s *selection) of(t *Type) []selected {
	if s.typ == t {
		return s.sels
	}
	if sels, ok := s.more[t]; ok {
		return sels
	}
	fields := graphql.CollectFields(s.op, s.set, t.satisfy)
	sels := make([]selected, len(fields))
	for i, f := range fields {
		sels[i] = selected{key: `"` + f.Alias + `":`, alias: f.Alias, field: -1}
		if n, ok := t.byName[f.Name]; ok {
			sels[i].field = n
		}
		if len(f.Selections) > 0 {
			sels[i].sub = &selection{op: s.op, set: f.Selections}
		}
	}
	if s.typ == nil {
		s.typ, s.sels = t, sels
		return sels
	}
	if s.more == nil {
		s.more = map[*Type][]selected{}
	}
	s.more[t] = sels
	return sels
}

func (p *Projection) fail(message string) {
	if p.failures++; p.failures <= maxFailures {
		p.Fail(append(ast.Path(nil), p.path...), message)
	}
}

// value writes a value as it is used. False means that it cannot be null here: what it is in must be.
func (p *Projection) value(u use, sel *selection, raw []byte) bool {
	start := len(p.out)
	if p.full() {
		return false
	}
	if len(raw) == 0 || raw[0] == 'n' {
		if u.nonNull {
			p.fail("must not be null")
			return false
		}
		p.out = append(p.out, "null"...)
		return true
	}
	if u.elem != nil && p.list(*u.elem, sel, raw) || u.elem == nil && p.named(u.typ, sel, raw) {
		return true
	}
	p.out = p.out[:start]
	if u.nonNull {
		return false
	}
	p.out = append(p.out, "null"...)
	return true
}

func (p *Projection) list(elem use, sel *selection, raw []byte) bool {
	if raw[0] != '[' {
		p.fail("is not a list")
		return false
	}
	p.out = append(p.out, '[')
	i := 0
	s := scan{text: raw}
	ok := s.elements(func(from, to int) bool {
		if i > 0 {
			p.out = append(p.out, ',')
		}
		p.path = append(p.path, ast.PathIndex(i))
		ok := p.value(elem, sel, raw[from:to])
		p.path = p.path[:len(p.path)-1]
		i++
		return ok
	})
	p.out = append(p.out, ']')
	return ok
}

func (p *Projection) named(t *Type, sel *selection, raw []byte) bool {
	switch t.kind {
	case kindObject:
		return p.object(t, sel, raw)
	case kindUnion:
		for _, m := range t.members {
			if m.admits(raw) {
				return p.object(m, sel, raw)
			}
		}
		p.fail("is of no type of " + t.name)
		return false
	case kindEnum:
		name, ok := t.toName[string(unquote(raw))]
		if !ok || raw[0] != '"' {
			p.fail("is not a value of " + t.name)
			return false
		}
		p.out = append(append(append(p.out, '"'), name...), '"')
		return true
	case kindJSON:
		p.out = append(p.out, raw...)
		return true
	}
	if raw[0] == '"' && t.kind == kindLong { // Only arguments may be written as strings.
		p.fail("is no Long")
		return false
	}
	text, err := t.scalar(raw)
	if err != nil {
		p.fail(err.Error())
		return false
	}
	p.out = append(p.out, text...)
	return true
}

// admits reports whether an object is of the type, as far as its tests tell.
func (t *Type) admits(raw []byte) bool {
	missing := len(t.required)
	failed := false
	s := scan{text: raw}
	ok := s.members(func(key []byte, from, to int) bool {
		name := unquote(key)
		for _, r := range t.required {
			if r == string(name) {
				missing--
			}
		}
		for _, test := range t.tests {
			if test.key == string(name) && !test.admits(raw[from:to]) {
				failed = true
			}
		}
		return !failed
	})
	return ok && missing == 0
}

func (t test) admits(raw []byte) bool {
	if slices.Contains(t.values, string(raw)) {
		return true
	}
	return slices.Contains(t.values, canonical(raw))
}

func (p *Projection) object(t *Type, sel *selection, raw []byte) bool {
	if raw[0] != '{' {
		p.fail("is not an object")
		return false
	}
	base := len(p.spans)
	for range t.fields {
		p.spans = append(p.spans, span{})
	}
	s := scan{text: raw}
	s.members(func(key []byte, from, to int) bool {
		if i, ok := t.byKey[string(unquote(key))]; ok {
			p.spans[base+i] = span{from, to}
		}
		return true
	})
	p.out = append(p.out, '{')
	ok := true
	for i, f := range sel.of(t) {
		if i > 0 {
			p.out = append(p.out, ',')
		}
		p.out = append(p.out, f.key...)
		if ok = p.member(t, f, raw, base); !ok {
			break
		}
	}
	p.spans = p.spans[:base]
	p.out = append(p.out, '}')
	return ok
}

// member writes the value of a selected field of an object whose members are noted from base on.
func (p *Projection) member(t *Type, f selected, raw []byte, base int) bool {
	switch {
	case p.full():
		return false
	case f.field < 0:
		p.out = strconv.AppendQuote(p.out, t.name)
		return true
	case f.field == t.rest:
		p.rest(t, raw)
		return true
	}
	at := p.spans[base+f.field]
	p.path = append(p.path, ast.PathName(f.alias))
	ok := p.value(t.fields[f.field].use, f.sub, raw[at.from:at.to])
	p.path = p.path[:len(p.path)-1]
	return ok
}

// rest writes the members of an object that are not declared.
func (p *Projection) rest(t *Type, raw []byte) {
	p.out = append(p.out, '{')
	s := scan{text: raw}
	first := true
	s.members(func(key []byte, from, to int) bool {
		if _, declared := t.byKey[string(unquote(key))]; declared {
			return true
		}
		if !first {
			p.out = append(p.out, ',')
		}
		first = false
		p.out = append(append(append(p.out, key...), ':'), raw[from:to]...)
		return true
	})
	p.out = append(p.out, '}')
}

// AppendString writes s as a JSON string.
func AppendString(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s) // What is not valid UTF-8 is replaced.
	return b
}
