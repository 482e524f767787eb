package schema

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/trilith-gateway/trilith/internal/clip"
)

// Bounds of [Invalid], so that an answer to a hopeless value stays short.
const (
	maxViolations   = 8
	maxPointerBytes = 256
	maxMessageBytes = 256
)

// Invalid lists where and why a value does not match a schema. There is at least one violation and there are
// at most eight; the value may have more faults than are listed.
type Invalid struct {
	Violations []Violation
}

// Violation is one place in a value that does not match. Both fields are safe to show to the caller: they
// are bounded, and hold names of members and words of the schema, but no other content of the value.
type Violation struct {
	// Pointer is the JSON Pointer (RFC 6901) to the place, "" for the whole value. Where it would be longer
	// than 256 bytes it leads to the nearest enclosing value instead.
	Pointer string
	// Message says in plain words what is wrong, for example "want integer, got string".
	Message string
}

// Error returns the first violation in one printable line, and how many more there are.
func (e *Invalid) Error() string {
	if len(e.Violations) == 0 {
		return "arguments: invalid"
	}
	v := e.Violations[0]
	line := "arguments" + printable(v.Pointer) + ": " + printable(v.Message)
	if n := len(e.Violations) - 1; n > 0 {
		line += fmt.Sprintf(" (and %d more)", n)
	}
	return line
}

// printable spells out what could break a line or hide on a terminal.
func printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		}
	}
	return b.String()
}

func escapeToken(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1")
}

func unescapeToken(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
}

func pointer(tokens []string) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteString("/" + escapeToken(t))
	}
	return b.String()
}

// reason says what a meta-schema has against a schema.
func reason(e *jsonschema.ValidationError) string {
	return clip.Text(e.ErrorKind.LocalizedString(message.NewPrinter(language.English)), 200)
}
