package schema

import (
	"encoding/json"
	"fmt"
	"sync"
)

// A Schema is a compiled, immutable JSON Schema. The zero Schema and a nil *Schema accept any value. It is
// safe for concurrent use.
type Schema struct {
	raw  json.RawMessage
	root *node
}

// JSON returns the schema as it was given to [Compile], byte for byte, and nil for the zero Schema. The
// caller must not change it.
func (s *Schema) JSON() json.RawMessage {
	if s == nil {
		return nil
	}
	return s.raw
}

// Limits on a value that is validated. They bound what Validate needs of memory and stack; what a caller may
// send is for [Check] to say, with narrower bounds.
const (
	maxValueBytes  = 64 << 20
	maxValueDepth  = 256
	maxValueTokens = 4_000_000
)

// keepItems bounds the working memory that is kept for the next value.
const keepItems = 4096

// evaluations holds working memory between calls of [Schema.Validate]. Nothing of a value stays in it.
var evaluations = sync.Pool{New: func() any { return new(evaluation) }} //nolint:gochecknoglobals // a pool is shared or useless

// Validate returns nil if value matches the schema and an *[Invalid] if not. An empty value counts as {}. A
// value that is not strict JSON does not match, whatever the schema, except the zero Schema.
//
// Numbers are compared exactly, of whatever size. The work is bounded (a few hundred milliseconds at the
// very most): a value that is too costly to validate is refused, with a violation that says so. "format" and
// the content keywords are annotations in every draft and refuse nothing.
func (s *Schema) Validate(value json.RawMessage) error {
	if s == nil || s.root == nil {
		return nil
	}
	if len(value) == 0 {
		value = json.RawMessage(`{}`)
	}
	err := Check(value, Bounds{Bytes: maxValueBytes, Depth: maxValueDepth, Tokens: maxValueTokens})
	if err != nil {
		return &Invalid{Violations: []Violation{{Message: err.Error()}}}
	}
	return s.ValidateChecked(value)
}

// ValidateChecked is Validate for a value that has passed [Check], within whatever bounds. Of one that has not,
// the outcome means nothing, and it may panic.
func (s *Schema) ValidateChecked(value json.RawMessage) error {
	switch {
	case s == nil || s.root == nil:
		return nil
	case len(value) == 0:
		value = json.RawMessage(`{}`)
	case len(value) > maxValueBytes:
		return &Invalid{Violations: []Violation{{Message: fmt.Sprintf("longer than %d bytes", maxValueBytes)}}}
	}
	e, _ := evaluations.Get().(*evaluation)
	err := e.run(s.root, value)
	e.release()
	return err
}
