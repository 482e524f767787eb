package schema

import "strings"

// maxViolations bounds [Invalid], so that an answer to a hopeless value stays short.
const maxViolations = 8

// Invalid lists where and why a value does not match a schema. There is at least one violation and at most
// eight; a value may have more than are listed.
type Invalid struct {
	Violations []Violation
}

// Violation is one place in a value that does not match. Both fields are bounded and safe to show to the
// caller: values are never quoted, member names and parts of the schema are.
type Violation struct {
	Pointer string // JSON Pointer (RFC 6901) to the place; "" is the whole value
	Message string // plain words, for example "want integer, got string"
}

// Error returns the first violation in one line, with the number of the others.
func (e *Invalid) Error() string {
	if len(e.Violations) == 0 {
		return "invalid value"
	}
	v := e.Violations[0]
	var b strings.Builder
	b.WriteString("arguments")
	b.WriteString(v.Pointer)
	b.WriteString(": ")
	b.WriteString(v.Message)
	return b.String()
}
