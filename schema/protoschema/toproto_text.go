package protoschema

import (
	"strings"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/internal/clip"
)

// Bounds of comments, in bytes.
const (
	maxComment = 4 << 10
	maxValues  = 512
)

// describe returns what a comment says of a schema.
func describe(n *node) string {
	text := n.Description
	if text == "" {
		text = n.Title
	}
	var more []string
	if values := n.Enum; len(values) > 0 {
		more = append(more, "One of: "+list(values)+".")
	} else if n.Const != nil {
		more = append(more, "Always "+list([]jsontext.Value{n.Const})+".")
	}
	if n.Default != nil && len(n.Default) <= maxValues {
		more = append(more, "Default: "+string(n.Default)+".")
	}
	if len(more) == 0 {
		return text
	}
	if text = clean(text); text != "" {
		text += "\n\n"
	}
	return text + strings.Join(more, "\n")
}

// list returns values for a comment, as many as fit.
func list(values []jsontext.Value) string {
	var b strings.Builder
	for i, v := range values {
		if i > 0 {
			b.WriteString(", ")
		}
		if b.Len()+len(v) > maxValues {
			b.WriteString("…")
			break
		}
		b.Write(v)
	}
	return b.String()
}

// clean returns a text as a comment may have it: bounded, valid, and without
// control characters but line breaks.
func clean(text string) string {
	text = strings.ReplaceAll(clip.Text(text, maxComment), "\r\n", "\n")
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case unicode.IsControl(r) || r == '\u2028' || r == '\u2029':
			return ' '
		}
		return r
	}, text)
	return strings.TrimSpace(text)
}
