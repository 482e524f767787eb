package openapi

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/internal/clip"
)

// Bounds on what a document becomes.
const (
	maxOperations  = 10_000   // offered
	maxDefinitions = 64 << 20 // bytes of definitions together
	maxNotes       = 10_000
	maxAbout       = 8 << 10   // bytes of a tool's description
	maxSchema      = 256 << 10 // bytes of the definitions that one schema refers to
	maxDefs        = 2_000     // of one schema
)

// definitionOf returns an operation's tool, with the notes on what of its schemas
// is not as the document has it.
func (d *document) definitionOf(o *operation, p *plan, outputs bool) (*gateway.Tool, []string, error) {
	head := quote([]byte(`{"name":`), o.name)
	if title := stringOf(member(o.raw, "summary")); title != "" {
		head = quote(append(head, `,"title":`...), clip.Text(title, 200))
	}
	about, cut := d.about(o, p)
	if about != "" {
		head = quote(append(head, `,"description":`...), about)
	}
	head = append(append(append(head, `,"annotations":`...), annotations(o.method)...), `,"inputSchema":`...)
	var lacks []string
	if cut {
		lacks = append(lacks, "its description is cut")
	}
	var tool *gateway.Tool
	var err error
	// Schemas that are too much to hold values against lose depth first, then
	// everything but the names of the arguments.
	for _, most := range []int{maxSchema, maxSchema / 8, 0, -1} {
		in, less := d.input(p, most)
		def := append(slices.Clone(head), in...)
		if outputs && most >= 0 {
			if out := d.output(o, most); out != nil {
				def = append(append(def, `,"outputSchema":`...), out...)
			}
		}
		if tool, err = gateway.ParseTool(append(def, '}')); err == nil {
			return tool, append(lacks, less...), nil
		}
		lacks = []string{clip.Text("its schema is simplified: "+err.Error(), 300)}
	}
	return nil, nil, err
}

// annotations are what the standard says of a method (RFC 9110, section 9.2).
func annotations(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return `{"readOnlyHint":true,"destructiveHint":false,"idempotentHint":true,"openWorldHint":true}`
	case http.MethodPut:
		return `{"readOnlyHint":false,"idempotentHint":true,"openWorldHint":true}`
	case http.MethodDelete:
		return `{"readOnlyHint":false,"destructiveHint":true,"idempotentHint":true,"openWorldHint":true}`
	}
	return `{"readOnlyHint":false,"idempotentHint":false,"openWorldHint":true}`
}

// about returns what a tool's description says, and whether it is cut.
func (d *document) about(o *operation, p *plan) (string, bool) {
	text := strings.TrimSpace(stringOf(member(o.raw, "description")))
	if text == "" {
		text = strings.TrimSpace(stringOf(member(o.raw, "summary")))
	}
	if text == "" {
		text = o.subject()
	}
	cut := len(text) > maxAbout
	text = clip.Text(text, maxAbout)
	if isTrue(member(o.raw, "deprecated")) {
		text += "\n\nDeprecated."
	}
	if hint := d.pagination(o, p); hint != "" {
		text += "\n\n" + hint
	}
	return text, cut
}

// pagination says how to get more of an answer than its first page, where that
// can be recognised.
func (d *document) pagination(o *operation, p *plan) string {
	var names []string
	for _, param := range p.params {
		if param.in != inQuery {
			continue
		}
		switch strings.ReplaceAll(strings.ToLower(param.name), "-", "_") {
		case "page", "page_number", "pagenumber", "page[number]", "per_page", "perpage", "page_size", "pagesize", "page[size]",
			"offset", "skip", "start", "limit", "cursor", "next_cursor", "page[cursor]", "after", "before", "starting_after",
			"page_token", "pagetoken", "next_token", "nexttoken", "marker", "continuation_token", "continue":
			names = append(names, param.arg)
		}
	}
	linked := false
	for _, response := range d.successes(o) {
		for name := range members(member(response, "headers")) {
			linked = linked || strings.EqualFold(name, "Link")
		}
	}
	switch {
	case linked && len(names) > 0:
		return "The answer comes in pages: see " + strings.Join(names, ", ") + "; the address of the next page comes with it."
	case len(names) > 1 || len(names) == 1 && names[0] != "limit" && names[0] != "start":
		return "The answer comes in pages: see " + strings.Join(names, ", ") + "."
	}
	return ""
}

// successes returns what an operation answers where it succeeds.
func (d *document) successes(o *operation) (all []json.RawMessage) {
	for status, response := range members(member(o.raw, "responses")) {
		if !strings.HasPrefix(status, "2") && status != "default" {
			continue
		}
		target, err := d.resolve(response)
		if err != nil {
			continue
		}
		if strings.HasPrefix(status, "2") {
			all = slices.Insert(all, 0, target)
		} else {
			all = append(all, target)
		}
	}
	return all
}

// input returns the input schema. Most bounds the bytes of definitions; -1 asks
// for nothing but the names of arguments.
func (d *document) input(p *plan, most int) (raw []byte, lacks []string) {
	w := &writer{doc: d, dir: input}
	w.out = append(w.out, `{"type":"object",`...)
	if len(p.params) > 0 || p.body != nil {
		w.out = append(w.out, `"properties":{`...)
		for _, param := range p.params {
			w.argument(param.arg, param.schema, param.about, param.old, most)
		}
		if p.body != nil {
			w.argument(bodyArg, p.body.inSchema(), p.body.about, false, most)
		}
		w.end('}')
		w.out = append(w.out, ',')
	}
	var required []string
	for _, param := range p.params {
		if param.required {
			required = append(required, param.arg)
		}
	}
	if p.body != nil && p.body.required {
		required = append(required, bodyArg)
	}
	if len(required) > 0 {
		w.out = append(w.out, `"required":[`...)
		for _, name := range required {
			w.out = append(quote(w.out, name), ',')
		}
		w.end(']')
		w.out = append(w.out, ',')
	}
	w.out = append(w.out, `"additionalProperties":false,`...)
	w.defs(most)
	w.end('}')
	return w.out, w.lacks
}

// inSchema returns the schema of the argument that becomes the body.
func (b *body) inSchema() json.RawMessage {
	switch b.form { //nolint:exhaustive // The others are as the document has them.
	case bodyText:
		return json.RawMessage(`{"type":"string"}`)
	case bodyBinary:
		return json.RawMessage(`{"type":"string","contentEncoding":"base64"}`)
	}
	return b.schema
}

// argument appends a property of the input schema, with the description that
// stands beside its schema.
func (w *writer) argument(name string, raw json.RawMessage, about string, old bool, most int) {
	w.name(name)
	part := writer{doc: w.doc, dir: w.dir}
	if part.schema(raw, nil); most < 0 || part.over {
		part.out, part.refs = []byte("{}"), nil
		if most >= 0 {
			w.lack("the schema of %s is too long, and left open", name)
		}
	}
	w.lacks = append(w.lacks, part.lacks...)
	w.refs = append(w.refs, part.refs...)
	head := []byte{'{'}
	if about != "" && member(part.out, "description") == nil {
		head = append(quote(append(head, `"description":`...), clip.Text(about, maxText)), ',')
	}
	if old && member(part.out, "deprecated") == nil {
		head = append(head, `"deprecated":true,`...)
	}
	w.out = append(append(w.out, head...), part.out[1:]...)
	if w.out[len(w.out)-2] == ',' {
		w.out = append(w.out[:len(w.out)-2], '}')
	}
	w.out = append(w.out, ',')
}

// defs appends $defs: what the schema refers to, and what that refers to,
// breadth first, until there are so many bytes of them. What is beyond is left
// open.
func (w *writer) defs(most int) {
	if len(w.refs) == 0 {
		return
	}
	w.name("$defs")
	w.out = append(w.out, '{')
	at, cut := len(w.out), 0
	seen := map[string]bool{}
	open := w.refs
	for len(open) > 0 {
		pointer := open[0]
		if open = open[1:]; seen[pointer] {
			continue
		}
		seen[pointer] = true
		def := w.doc.definition(defKey{pointer, w.dir})
		w.name(def.name)
		if len(w.out)-at+len(def.schema) > most || len(seen) > maxDefs {
			cut++
			w.out = append(w.out, "{},"...)
			continue
		}
		for _, lack := range def.lacks {
			w.lack("%s", lack)
		}
		w.out = append(append(w.out, def.schema...), ',')
		open = append(open, def.refs...)
	}
	if cut > 0 {
		w.lack("%d of its schemas are left open, because together they are too long", cut)
	}
	w.end('}')
	w.out = append(w.out, ',')
}

// output returns the schema of what an operation answers where that is JSON and
// an object, else nil: older clients take no other.
func (d *document) output(o *operation, most int) []byte {
	for _, response := range d.successes(o) {
		for media, content := range members(member(response, "content")) {
			raw := member(content, "schema")
			target, err := d.resolve(raw)
			if !isJSON(media) || err != nil || stringOf(member(target, "type")) != "object" || isTrue(member(target, "nullable")) {
				continue
			}
			w := &writer{doc: d, dir: output}
			if w.schema(raw, nil); w.over {
				return nil
			}
			if member(w.out, "type") == nil {
				w.out = append([]byte(`{"type":"object",`), w.out[1:]...)
			}
			w.out[len(w.out)-1] = ','
			w.defs(most)
			w.end('}')
			return w.out
		}
	}
	return nil
}

// accept returns the header Accept: the types that the operation answers with,
// JSON first, then anything.
func (d *document) accept(o *operation) string {
	var first, then []string
	for _, response := range d.successes(o) {
		for media := range members(member(response, "content")) {
			switch {
			case formOf(media) == 0 || len(first)+len(then) >= 16 || slices.Contains(first, media) || slices.Contains(then, media):
			case strings.Contains(media, "*"):
			case isJSON(media):
				first = append(first, media)
			default:
				then = append(then, media)
			}
		}
	}
	if all := append(first, then...); len(all) > 0 {
		if joined := strings.Join(all, ", "); checkHeaderValue("", []byte(joined)) == nil && len(joined) < 1<<10 {
			return joined + ", */*;q=0.1"
		}
	}
	return "application/json, */*;q=0.5"
}

// notes collects what is told of a document, up to a bound.
type notes []gateway.Note

func (n *notes) add(subject string, change gateway.NoteChange, reason string) {
	if len(*n) < maxNotes {
		*n = append(*n, gateway.Note{Subject: clip.Text(subject, 300), Change: change, Reason: clip.Text(reason, 400)})
	}
}

// planOf makes the plan of an operation, and says what it lacks.
func (d *document) planOf(o *operation, s *schemes, fixed http.Header) (p *plan, lacks []string, renamed []string, err error) {
	owned := func(in place, name string) bool {
		return s.owns(in, name) || in == inHeader && fixed.Get(name) != ""
	}
	params, lacks, err := d.parameters(o, owned)
	if err != nil {
		return nil, nil, nil, err
	}
	b, lack, err := d.body(o)
	if err != nil {
		return nil, nil, nil, err
	}
	if lack != "" {
		lacks = append(lacks, lack)
	}
	if strings.Contains(o.path, "#") {
		lacks = append(lacks, "what follows # in its path is not sent")
	}
	renamed = nameArguments(params)
	p = newPlan(o, params, b)
	p.accept = d.accept(o)
	p.secrets, _ = s.of(o)
	p.owned = owned
	return p, lacks, renamed, nil
}
