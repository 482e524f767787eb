package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// A Schema is a compiled, immutable JSON Schema. The zero Schema and a nil *Schema accept any value. It is
// safe for concurrent use.
type Schema struct {
	raw      json.RawMessage
	compiled *jsonschema.Schema
}

// Limits on a schema. A schema of a tool rarely has more than a few hundred subschemas.
const (
	maxSchemaBytes  = 1 << 20
	maxSchemaDepth  = 64
	maxSchemaTokens = 50_000
)

const location = "schema:///schema.json"

// Compile reads a JSON Schema. The draft is the one that "$schema" names, 2020-12 where it is absent. It
// fails if raw is not strict JSON, is larger or deeper than the package admits, is not a valid schema of its
// draft, or refers to another document, which is then named: nothing is ever fetched.
func Compile(raw json.RawMessage) (*Schema, error) {
	if err := Check(raw, Bounds{Bytes: maxSchemaBytes, Depth: maxSchemaDepth, Tokens: maxSchemaTokens}); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(refuse{})
	if err := c.AddResource(location, doc); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	s, err := c.Compile(location)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return &Schema{raw: bytes.Clone(raw), compiled: s}, nil
}

type refuse struct{}

func (refuse) Load(url string) (any, error) {
	return nil, errors.New("a schema may not refer to another document")
}

// JSON returns the schema as it was given to [Compile], byte for byte, and nil for the zero Schema. The
// caller must not change it.
func (s *Schema) JSON() json.RawMessage {
	if s == nil {
		return nil
	}
	return s.raw
}

// Validate returns nil if value matches the schema and a *[Invalid] if not. An empty value counts as {}.
func (s *Schema) Validate(value json.RawMessage) error {
	if s == nil || s.compiled == nil {
		return nil
	}
	if len(value) == 0 {
		value = json.RawMessage(`{}`)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(value))
	if err != nil {
		return &Invalid{Violations: []Violation{{Message: "not valid JSON"}}}
	}
	err = s.compiled.Validate(v)
	if err == nil {
		return nil
	}
	out := &Invalid{}
	var ve *jsonschema.ValidationError
	if errors.As(err, &ve) {
		collect(out, ve)
	}
	if len(out.Violations) == 0 {
		out.Violations = []Violation{{Message: "does not match the schema"}}
	}
	return out
}

func collect(out *Invalid, e *jsonschema.ValidationError) {
	if len(out.Violations) == maxViolations {
		return
	}
	if len(e.Causes) > 0 {
		for _, c := range e.Causes {
			collect(out, c)
		}
		return
	}
	var p strings.Builder
	for _, t := range e.InstanceLocation {
		p.WriteByte('/')
		p.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(t))
	}
	out.Violations = append(out.Violations, Violation{Pointer: p.String(), Message: describe(e.ErrorKind)})
}

func describe(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return "want " + strings.Join(k.Want, " or ") + ", got " + k.Got
	case *kind.Const, *kind.Enum:
		return "not one of the allowed values"
	case *kind.Pattern:
		return "does not match the pattern"
	case *kind.Format:
		return "not a valid " + k.Want
	}
	return k.LocalizedString(message.NewPrinter(language.English))
}
