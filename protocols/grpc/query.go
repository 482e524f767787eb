package grpc

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"sync"
	"unicode/utf8"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/gateway"
)

// A query is how the arguments of a tool that only reads stand in the query of a
// GET: each property of its input schema by its own name, a list as the same
// name several times.
type query struct {
	names    []string // sorted
	by       map[string]parameter
	required []string
}

// A parameter is one property.
type parameter struct {
	kind   string // "string", "number", "integer" or "boolean"
	list   bool   // of them
	schema jsontext.Value
}

// queryMostNames bounds the properties of a tool that can be called by GET.
const queryMostNames = 64

// queriesKey is under what a snapshot has the queries of its tools.
type queriesKey struct{}

// queryOf returns the query of a tool of a snapshot, or nil where it has none:
// where it does more than read, or a property is neither a scalar nor a list of
// scalars.
func queryOf(s *gateway.Snapshot, t *gateway.Tool) *query {
	known := s.Memo(queriesKey{}, func(*gateway.Snapshot) any { return new(sync.Map) }).(*sync.Map) //nolint:forcetypeassert // As built.
	if q, ok := known.Load(t); ok {
		return q.(*query) //nolint:forcetypeassert // As stored.
	}
	q := newQuery(t)
	known.Store(t, q)
	return q
}

func newQuery(t *gateway.Tool) *query {
	if t.Annotations.ReadOnly == nil || !*t.Annotations.ReadOnly {
		return nil
	}
	var input struct {
		Properties map[string]jsontext.Value `json:"properties"`
		Required   []string                  `json:"required"`
		Ref        string                    `json:"$ref"`
	}
	if t.Input != nil && jsonv2.Unmarshal(t.Input.JSON(), &input) != nil {
		return nil
	}
	if input.Ref != "" || len(input.Properties) > queryMostNames {
		return nil
	}
	q := &query{names: slices.Sorted(maps.Keys(input.Properties)), by: map[string]parameter{}, required: input.Required}
	for name, s := range input.Properties {
		p, ok := newParameter(s)
		if !ok || name == "" {
			return nil
		}
		q.by[name] = p
	}
	for _, name := range q.required {
		if _, ok := q.by[name]; !ok {
			return nil
		}
	}
	return q
}

// newParameter reads the schema of a property.
func newParameter(s jsontext.Value) (p parameter, ok bool) {
	p.schema = s
	kind, items := typeOf(s)
	if p.list = kind == "array"; p.list {
		kind, _ = typeOf(items)
	}
	p.kind = kind
	switch kind {
	case "string", "number", "integer", "boolean":
		return p, true
	}
	return p, false
}

// typeOf returns the type of a schema, null left out, and the schema of its
// items. It is "" where the schema does not say, or says several.
func typeOf(s jsontext.Value) (kind string, items jsontext.Value) {
	var head struct {
		Type  jsontext.Value `json:"type"`
		Items jsontext.Value `json:"items"`
	}
	if s.Kind() != '{' || jsonv2.Unmarshal(s, &head) != nil {
		return "", nil
	}
	var one string
	if jsonv2.Unmarshal(head.Type, &one) == nil {
		return one, head.Items
	}
	var several []string
	if jsonv2.Unmarshal(head.Type, &several) != nil {
		return "", nil
	}
	several = slices.DeleteFunc(several, func(t string) bool { return t == "null" })
	if len(several) != 1 {
		return "", nil
	}
	return several[0], head.Items
}

var errNotText = errors.New("a query parameter is not UTF-8")

// arguments returns those that a query has, as a JSON object. They are still to
// be validated.
func (q *query) arguments(values url.Values) ([]byte, error) {
	b := []byte{'{'}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		p, ok := q.by[name]
		given := values[name]
		switch {
		case !ok:
			return nil, fmt.Errorf("unknown query parameter %q", clip(name, 64))
		case len(given) > 1 && !p.list:
			return nil, fmt.Errorf("query parameter %s is given more than once", clip(name, 64))
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b, _ = jsontext.AppendQuote(b, name) // It is that of a property.
		b = append(b, ':')
		if p.list {
			b = append(b, '[')
		}
		for i, text := range given {
			if i > 0 {
				b = append(b, ',')
			}
			var err error
			if b, err = p.append(b, text); err != nil {
				return nil, fmt.Errorf("query parameter %s: %w", clip(name, 64), err)
			}
		}
		if p.list {
			b = append(b, ']')
		}
	}
	return append(b, '}'), nil
}

// append appends a value as JSON.
func (p parameter) append(b []byte, text string) ([]byte, error) {
	switch p.kind {
	case "string":
		if !utf8.ValidString(text) {
			return nil, errNotText
		}
		return jsontext.AppendQuote(b, text)
	case "boolean":
		if text != "true" && text != "false" {
			return nil, errors.New("it is neither true nor false")
		}
	default:
		if v := jsontext.Value(text); !v.IsValid() || v.Kind() != '0' {
			return nil, errors.New("it is not a number")
		}
	}
	return append(b, text...), nil
}
