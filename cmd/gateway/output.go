package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"unicode"
)

func (a *app) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(a.std.out, format, args...)
	return err
}

// json writes a value, indented, with nothing else.
func (a *app) json(v any) error {
	e := json.NewEncoder(a.std.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
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
func printable(s string) string {
	const most = 100
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
