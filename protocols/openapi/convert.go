package openapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/trilith-gateway/trilith/internal/clip"
	"github.com/trilith-gateway/trilith/schema"
)

// A direction says whose schema is written: of what a caller sends, which lacks
// what is readOnly, or of what the service answers, which lacks what is
// writeOnly.
type direction bool

const (
	input  direction = false
	output direction = true
)

// hides returns the keyword that keeps a property out.
func (d direction) hides() string {
	if d == output {
		return "writeOnly"
	}
	return "readOnly"
}

// Bounds on a schema that is written.
const (
	maxConverted   = 512 << 10 // bytes of one, without what it refers to
	maxText        = 2 << 10   // bytes of a description in a schema
	maxValue       = 4 << 10   // bytes of a default or example
	maxPattern     = 4 << 10   // bytes of a regular expression
	maxHiddenParts = 64        // schemas within allOf that are searched for hidden properties
)

// A definition is a schema that others refer to, as it goes into $defs.
type definition struct {
	name   string
	schema []byte
	refs   []string // pointers of the definitions that it refers to, in order
	lacks  []string // what could not be written as the document has it
}

type defKey struct {
	pointer string
	dir     direction
}

// definition returns the schema at a pointer, which is there.
func (d *document) definition(key defKey) *definition {
	if def := d.defs[key]; def != nil {
		return def
	}
	raw, _ := d.at(key.pointer) // Whoever has the pointer has looked.
	w := writer{doc: d, dir: key.dir}
	w.schema(raw, nil)
	def := &definition{name: d.names[key.pointer], schema: w.out, refs: w.refs, lacks: w.lacks}
	if w.over {
		def.schema, def.refs, def.lacks = []byte("{}"), nil, []string{"the schema " + def.name + " is too long, and left open"}
	}
	d.defs[key] = def
	return def
}

// nameOf returns what the schema at a pointer is called in $defs.
func (d *document) nameOf(pointer string) string {
	if name, ok := d.names[pointer]; ok {
		return name
	}
	base := cleanName(pointer[strings.LastIndexByte(pointer, '/')+1:])
	if base == "" {
		base = "schema"
	}
	name := base
	if d.taken[name] {
		name = base + "_" + shortHash(pointer)
	}
	d.names[pointer], d.taken[name] = name, true
	return name
}

// A writer writes one schema of the document as JSON Schema 2020-12, with
// references to $defs. It keeps what the schema says and leaves out what is not
// a keyword, is not formed as its keyword asks, or means nothing to a caller.
type writer struct {
	doc   *document
	dir   direction
	out   []byte
	refs  []string
	over  bool     // it became too long
	lacks []string // what could not be written as the document has it
}

func (w *writer) lack(format string, args ...any) {
	const most = 8
	if line := fmt.Sprintf(format, args...); len(w.lacks) < most && !slices.Contains(w.lacks, line) {
		w.lacks = append(w.lacks, line)
	}
}

// schema appends a schema. Hidden names the properties that its required must
// not ask for, besides those that it hides itself.
func (w *writer) schema(raw json.RawMessage, hidden []string) {
	if w.over = w.over || len(w.out) > maxConverted; w.over {
		w.out = append(w.out, "{}"...)
		return
	}
	switch kindOf(raw) {
	case '{':
	case 'f':
		w.out = append(w.out, `{"not":{}}`...)
		return
	default:
		w.out = append(w.out, "{}"...) // Some clients cannot read true.
		return
	}
	s := readSchema(raw)
	pointer, known := w.reference(s)
	if w.doc.old && known { // What stands beside a reference in 3.0 is not there.
		s = schemaParts{"description": s["description"], "nullable": s["nullable"]}
	}
	composed := known || s["allOf"] != nil || s["oneOf"] != nil || s["anyOf"] != nil
	if composed && s["type"] == nil && w.doc.nullable(s) {
		w.out = append(w.out, `{"anyOf":[`...)
		w.object(s, pointer, hidden)
		w.out = append(w.out, `,{"type":"null"}]}`...)
		return
	}
	w.object(s, pointer, hidden)
}

// nullable reports whether a schema admits null in the way of 3.0.
func (d *document) nullable(s schemaParts) bool { return d.old && isTrue(s["nullable"]) }

// object appends a schema that is no boolean, with a reference to a pointer, ""
// for none.
func (w *writer) object(s schemaParts, pointer string, hidden []string) {
	w.out = append(w.out, '{')
	if pointer != "" {
		w.refs = append(w.refs, pointer)
		w.name("$ref")
		w.out = append(quote(w.out, "#/$defs/"+w.doc.nameOf(pointer)), ',')
	}
	w.annotations(s)
	w.assertions(s)
	budget := maxHiddenParts
	w.applicators(s, append(hidden, w.hidden(s, &budget)...))
	w.end('}')
}

// schemaParts are the keywords of a schema.
type schemaParts map[string]json.RawMessage

func readSchema(raw json.RawMessage) schemaParts {
	return maps.Collect(members(raw))
}

// reference returns the pointer that $ref leads to, if it leads anywhere.
func (w *writer) reference(s schemaParts) (string, bool) {
	ref := s["$ref"]
	if kindOf(ref) != '"' {
		if s["$dynamicRef"] != nil || s["$recursiveRef"] != nil {
			w.lack("a dynamic reference is left open")
		}
		return "", false
	}
	pointer, err := pointerOf(stringOf(ref))
	if err == nil && pointer == "" {
		err = errNoSchema
	}
	if err == nil {
		_, err = w.doc.at(pointer)
	}
	if err != nil {
		w.lack("a schema %s %v", clip.Text(stringOf(ref), 200), err)
		return "", false
	}
	return pointer, true
}

// hidden returns the properties that are left out of a schema, with those of the
// schemas that it is made of, of which it looks at no more than budget.
func (w *writer) hidden(s schemaParts, budget *int) (names []string) {
	for name, property := range members(s["properties"]) {
		if w.hides(property) {
			names = append(names, name)
		}
	}
	for part := range elements(s["allOf"]) {
		if *budget--; *budget < 0 {
			break
		}
		if target, err := w.doc.resolve(part); err == nil {
			names = append(names, w.hidden(readSchema(target), budget)...)
		}
	}
	return names
}

// hides reports whether a property is left out.
func (w *writer) hides(property json.RawMessage) bool {
	if isTrue(member(property, w.dir.hides())) {
		return true
	}
	if member(property, "$ref") == nil {
		return false
	}
	target, err := w.doc.resolve(property)
	return err == nil && isTrue(member(target, w.dir.hides()))
}

// name appends the name of a keyword or property.
func (w *writer) name(name string) { w.out = append(quote(w.out, name), ':') }

// end replaces the last comma, if there is one, with a bracket.
func (w *writer) end(bracket byte) {
	if last := len(w.out) - 1; w.out[last] == ',' {
		w.out[last] = bracket
		return
	}
	w.out = append(w.out, bracket)
}

// keep appends a keyword as it is.
func (w *writer) keep(name string, value json.RawMessage) {
	w.name(name)
	w.out = append(append(w.out, value...), ',')
}

// annotations appends what tells about values and refuses none.
func (w *writer) annotations(s schemaParts) {
	about := strings.TrimSpace(stringOf(s["description"]) + " " + discriminator(s["discriminator"]))
	for _, t := range []struct{ name, text string }{{"title", stringOf(s["title"])}, {"description", about}} {
		if t.text != "" {
			w.name(t.name)
			w.out = append(quote(w.out, clip.Text(t.text, maxText)), ',')
		}
	}
	for _, name := range []string{"format", "contentMediaType", "contentEncoding"} {
		if kindOf(s[name]) == '"' {
			w.keep(name, s[name])
		}
	}
	if f := stringOf(s["format"]); w.doc.old && (f == "byte" || f == "binary") && s["contentEncoding"] == nil {
		w.out = append(w.out, `"contentEncoding":"base64",`...)
	}
	if isTrue(s["deprecated"]) {
		w.out = append(w.out, `"deprecated":true,`...)
	}
	w.samples(s)
}

// samples appends default and examples.
func (w *writer) samples(s schemaParts) {
	if v := s["default"]; v != nil && len(v) <= maxValue {
		w.keep("default", v)
	}
	switch v := s["examples"]; {
	case kindOf(v) == '[' && len(v) <= maxValue:
		w.keep("examples", v)
	case s["example"] != nil && len(s["example"]) <= maxValue:
		w.name("examples")
		w.out = append(append(append(w.out, '['), s["example"]...), ']', ',')
	}
}

// discriminator returns what a discriminator tells, which JSON Schema has no
// keyword for.
func discriminator(raw json.RawMessage) string {
	property := stringOf(member(raw, "propertyName"))
	if property == "" {
		return ""
	}
	var values []string
	for value := range members(member(raw, "mapping")) {
		if values = append(values, value); len(values) == 32 {
			break
		}
	}
	told := "Which schema it is, " + clip.Text(property, 64) + " tells"
	if len(values) > 0 {
		told += ": " + strings.Join(values, ", ")
	}
	return told + "."
}

// checkSchema reports whether a text is a JSON Schema.
func checkSchema(text string) error {
	_, err := schema.Compile(json.RawMessage(text))
	return err
}
