package pin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxFindings bounds what is reported of one definition.
const maxFindings = 8

// Hidden returns where a definition has text that a person does not see and a
// model reads: control characters, zero-width and direction characters, other
// characters that do not print, and HTML comments; such as "description has
// U+200B". It looks at every string, also in schemas. It changes nothing: a
// definition is forwarded as it is, or not at all.
func Hidden(def json.RawMessage) []string {
	if !suspicious(def) {
		return nil
	}
	var found []string
	d := jsontext.NewDecoder(bytes.NewReader(def), jsontext.AllowInvalidUTF8(true))
	for len(found) < maxFindings {
		t, err := d.ReadToken()
		if err != nil {
			break // Its end; a definition is valid JSON.
		}
		if t.Kind() != '"' {
			continue
		}
		if what := hiddenIn(t.String()); what != "" {
			found = append(found, place(string(d.StackPointer()))+" has "+what)
		}
	}
	return found
}

// suspicious reports whether Hidden could find anything, without decoding.
func suspicious(def []byte) bool {
	for i, b := range def {
		if b >= utf8.RuneSelf || b == '\\' && i+1 < len(def) && strings.IndexByte("ubf", def[i+1]) >= 0 {
			return true
		}
	}
	return bytes.Contains(def, []byte("<!--"))
}

// hiddenIn names the first thing in a text that is not seen, or "".
func hiddenIn(s string) string {
	all := []rune(s)
	for i, r := range all {
		if invisible(r) && !joins(all, i) {
			return fmt.Sprintf("U+%04X", r)
		}
	}
	if strings.Contains(s, "<!--") {
		return "an HTML comment"
	}
	return ""
}

// invisible tells whether a character does not print, or does something to how
// others do. The console's page shows the same ones (testdata/invisible.json).
func invisible(r rune) bool {
	switch r {
	case '\n', '\r', '\t', '\ufe0f': // The last one makes emoji of symbols.
		return false
	case '\u2800': // A symbol that prints as nothing.
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// joins tells whether the character at i is one that joins its neighbours into
// an emoji.
func joins(all []rune, i int) bool {
	const joiner, asEmoji = '\u200d', '\ufe0f'
	if all[i] != joiner || i == 0 || i == len(all)-1 {
		return false
	}
	return (all[i-1] == asEmoji || unicode.In(all[i-1], unicode.So, unicode.Sk)) && unicode.Is(unicode.So, all[i+1])
}

// place turns a JSON pointer into what people write, such as
// "inputSchema.properties.city".
func place(pointer string) string {
	p := strings.ReplaceAll(strings.TrimPrefix(pointer, "/"), "/", ".")
	return visible(strings.ReplaceAll(strings.ReplaceAll(p, "~1", "/"), "~0", "~"), 120)
}

// visible returns text on one line, every character that is not seen spelt out,
// and cut to so many bytes.
func visible(s string, most int) string {
	var b strings.Builder
	for _, r := range s {
		if b.Len() >= most {
			return b.String() + "…"
		}
		if invisible(r) || unicode.IsControl(r) {
			fmt.Fprintf(&b, `\u{%04x}`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// text returns a JSON value for people: compact, what is not seen spelt out.
func text(v jsontext.Value) string {
	var s string
	if v.Kind() == '"' && jsonv2.Unmarshal(v, &s, jsontext.AllowInvalidUTF8(true)) == nil {
		return visible(s, maxText)
	}
	out := v.Clone()
	_ = out.Compact() // What cannot be is shown as it is.
	return visible(string(out), maxText)
}
