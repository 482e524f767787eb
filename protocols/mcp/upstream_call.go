package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/egress"
	"github.com/trilith-gateway/trilith/schema"
)

// do sends a call under the name that the server gave its target, and returns
// the answer as it came.
func (c *client) do(ctx context.Context, by time.Time, call *gateway.Call) (*gateway.Result, error) {
	var r *outgoing
	origin := call.Target.Origin
	switch call.Op { //nolint:exhaustive // OpSubscribe does not come here.
	case gateway.OpCall:
		r = c.begin("tools/call")
		r.subject = origin
		r.body = append(quote(append(r.body, `"name":`...), origin), `,"arguments":`...)
		r.body = append(appendArgs(r.body, call.Args), ',')
		r.body, r.task = c.appendTask(ctx, r.body, call)
		r.params = c.mirror(call)
	case gateway.OpGet:
		r = c.begin("prompts/get")
		r.subject = origin
		r.body = append(quote(append(r.body, `"name":`...), origin), `,"arguments":`...)
		r.body = append(appendArgs(r.body, call.Args), ',')
	case gateway.OpRead:
		r = c.begin("resources/read")
		r.subject = call.Name
		r.body = append(quote(append(r.body, `"uri":`...), call.Name), ',')
	case gateway.OpComplete:
		if c.caps.Completions == nil && c.rev >= rev20250326 { // Before, it could not be announced.
			return &gateway.Result{Raw: json.RawMessage(`{"completion":{"values":[]}}`)}, nil
		}
		r = c.begin("completion/complete")
		r.body = appendCompletion(r.body, call)
	default:
		return nil, &gateway.Error{Code: gateway.Unimplemented, By: c.u.by, Msg: "the upstream cannot do that"}
	}
	var err error
	if r.body, err = c.appendResume(r.body, call); err != nil {
		return nil, err
	}
	r.by = by
	raw, err := c.requestFor(ctx, r, call)
	if err != nil {
		return nil, err
	}
	if r.task && isObject(lookup(raw, []string{"task"})) { // Otherwise it did without.
		return nil, legacyTask(raw, r.id)
	}
	return c.result(raw, call)
}

func appendArgs(b []byte, args json.RawMessage) []byte {
	if len(args) == 0 {
		return append(b, "{}"...)
	}
	return append(b, args...)
}

// appendCompletion appends the params of completion/complete: the reference to
// the call's target and the members that the call has.
func appendCompletion(b []byte, call *gateway.Call) []byte {
	kind, member := "ref/prompt", `","name":`
	if call.Kind == gateway.KindTemplate {
		kind, member = "ref/resource", `","uri":`
	}
	b = append(append(append(b, `"ref":{"type":"`...), kind...), member...)
	b = append(quote(b, call.Target.Origin), "},"...)
	o, _ := openObject(call.Args) // The server refuses what is missing.
	for o.next() {
		if name := string(o.name); name == "argument" || name == "context" {
			b = append(append(quote(b, name), ':'), o.value...)
			b = append(b, ',')
		}
	}
	return b
}

// result wraps an answer, or the questions that stand before it. The error is a
// begunTask where the server has begun one.
func (c *client) result(raw json.RawMessage, call *gateway.Call) (*gateway.Result, error) {
	res := &gateway.Result{Raw: raw}
	o, _ := openObject(raw) // Checked by request.
	for o.next() {
		switch string(o.name) {
		case "isError":
			if o.value[0] != 't' && o.value[0] != 'f' {
				return nil, badAnswer("isError is not a boolean")
			}
			res.IsError = o.value[0] == 't'
		case "resultType":
			kind, ok := unquote(o.value)
			if ok && (kind == "complete" || !c.modern()) {
				continue
			}
			msg := "the upstream answered in a way that the gateway does not support"
			switch kind {
			case "input_required":
				return c.input(raw, call)
			case "task":
				if call.Op == gateway.OpCall && c.caps.tasksExtension() {
					return nil, modernTask(raw)
				}
				msg = "the upstream answers with a task that it was not asked for"
			}
			return nil, &gateway.Error{Code: gateway.Unimplemented, By: c.u.by, Msg: msg}
		}
	}
	return res, nil
}

// mirror returns the headers that repeat a call's arguments (transports, custom
// headers from tool parameters). Only modern HTTP has them.
func (c *client) mirror(call *gateway.Call) []mirrored {
	if c.isProcess() || !c.modern() || call.Tool == nil || call.Tool.Input == nil {
		return nil
	}
	var bound []binding
	known := false
	if all := c.u.bound.Load(); all != nil {
		bound, known = (*all)[call.Tool.Input]
	}
	if !known {
		bound, _ = bindingsOf(call.Tool.Input) // A tool that is not listed any more, or was by another.
	}
	var headers []mirrored
	for _, b := range bound {
		value := lookup(call.Args, b.path)
		if isNull(value) || value[0] == '{' || value[0] == '[' {
			continue
		}
		text, isText := unquote(value)
		if !isText {
			text = string(value)
		}
		headers = append(headers, mirrored{b.header, encodeHeader(text)})
	}
	return headers
}

// bindingsOf returns which parameters of a tool are mirrored in headers, or why
// its definition is not valid (transports, schema extension).
func bindingsOf(input *schema.Schema) ([]binding, error) {
	raw := input.JSON()
	if !strings.Contains(string(raw), annotationKey) {
		return nil, nil
	}
	bound := bind(nil, nil, raw)
	var whole any
	if err := jsonv2.Unmarshal(raw, &whole); err != nil {
		return nil, err
	}
	reached := 0
	if err := checkAnnotations(whole, &reached); err != nil {
		return nil, err
	}
	if reached != len(bound) || reached != countAnnotations(whole) {
		return nil, fmt.Errorf("%s stands where it is not reached by properties alone, or is not a header's name", annotationKey)
	}
	seen := map[string]bool{}
	for _, b := range bound {
		if seen[b.header] {
			return nil, fmt.Errorf("%s %q stands twice", annotationKey, b.header)
		}
		seen[b.header] = true
	}
	return bound, nil
}

const annotationKey = "x-mcp-header"

// checkAnnotations counts the annotations that properties alone reach, and
// checks the types that they stand on.
func checkAnnotations(s any, reached *int) error {
	object, _ := s.(map[string]any)
	properties, _ := object["properties"].(map[string]any)
	for name, property := range properties {
		p, _ := property.(map[string]any)
		if _, annotated := p[annotationKey]; annotated {
			*reached++
			switch p["type"] {
			case "string", "integer", "boolean":
			default:
				return fmt.Errorf("property %q: %s is for strings, integers and booleans", egress.OneLine(name, 64), annotationKey)
			}
		}
		if err := checkAnnotations(p, reached); err != nil {
			return err
		}
	}
	return nil
}

// countAnnotations counts those in subschemas anywhere. Under keywords that
// hold schemas by name, names are not annotations; under those that hold
// values, nothing is.
func countAnnotations(s any) int {
	n := 0
	switch v := s.(type) {
	case []any:
		for _, item := range v {
			n += countAnnotations(item)
		}
	case map[string]any:
		for key, value := range v {
			switch key {
			case annotationKey:
				n++
			case "properties", "patternProperties", "$defs", "definitions", "dependentSchemas":
				named, _ := value.(map[string]any)
				for _, sub := range named {
					n += countAnnotations(sub)
				}
			case "const", "enum", "default", "examples":
			default:
				n += countAnnotations(value)
			}
		}
	}
	return n
}
