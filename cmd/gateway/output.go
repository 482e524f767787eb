package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"
)

func (a *app) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(a.std.out, format, args...)
	return err
}

// json writes a value, indented, with nothing else.
func (a *app) json(v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	return a.indent(b.Bytes())
}

// indent writes JSON as it is, but for white space and for how characters that
// a terminal would obey are spelt.
func (a *app) indent(raw json.RawMessage) error {
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return err
	}
	return a.printf("%s\n", safeJSON(b.Bytes()))
}

// table writes rows in columns. Cells come from sources and so from anywhere:
// control characters, which a terminal would obey, are shown as spaces.
func (a *app) table(head []string, rows [][]string) error {
	w := tabwriter.NewWriter(a.std.out, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{head}, rows...) {
		for i, cell := range row {
			row[i] = printable(cell)
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(strings.Join(row, "\t"), "\t")); err != nil {
			return err
		}
	}
	return w.Flush()
}

// printable returns s as one line without control or direction characters, cut
// to a width that fits a table.
func printable(s string) string { return cut(s, 100) }

// cut is printable with a width of its own, in characters.
func cut(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if obeyed(r) {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// obeyed tells whether a terminal may do something else with a character than
// show it.
func obeyed(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }

// safeText returns text of any number of lines, with a mark for every other
// character that a terminal would obey, and for what is not UTF-8.
func safeText(s string) string {
	return strings.Map(func(r rune) rune {
		if obeyed(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ReplaceAll(s, "\r\n", "\n"))
}

// safeJSON returns valid JSON of the same value in which every character that
// a terminal would obey is escaped. Such characters can only be in strings, but
// for white space. What is not UTF-8 is replaced, as every reader of JSON does.
func safeJSON(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for _, r := range string(raw) {
		if obeyed(r) && r != '\n' {
			out = fmt.Appendf(out, `\u%04x`, r)
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return out
}
