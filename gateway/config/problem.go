package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxProblems bounds how many problems are reported for one file.
const maxProblems = 100

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	File string // as the caller named it
	Line int    // from 1; 0 when the problem has no place, as in a missing file
	Col  int    // from 1, in characters
	Path string // such as sources[0].mcp.url; empty at the top level
	Msg  string // what is wrong
	Hint string // how to mend it; may be empty
}

// String returns the problem as one line:
//
//	gateway.yaml:12:5: sources[0].mcp: unknown key "ulr" (did you mean "url"?)
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, p.Col)
		}
		b.WriteString(": ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Msg)
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	return b.String()
}

// Problems is everything that is wrong with a configuration, in the order of
// the file. It holds at most about a hundred. As an error it is never empty.
type Problems []Problem

// Error returns the problems one a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// err returns ps as an error, or nil when there is none.
func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// position is a place in the file.
type position struct{ line, col int }

// report collects the problems of one file and knows where every path stands.
type report struct {
	file    string
	found   Problems
	dropped int
	at      map[string]position // of values, by path
	bad     map[string]bool     // paths whose value could not be read
}

// addAt records a problem at a place.
func (r *report) addAt(at position, path, msg, hint string) {
	if len(r.found) == maxProblems {
		r.dropped++
		return
	}
	r.found = append(r.found, Problem{File: r.file, Line: at.line, Col: at.col, Path: path, Msg: msg, Hint: hint})
}

// add records a problem with the value at path. It stands where the value
// stands or, when the value is missing, where what should hold it stands. A
// value that could not be read has its problem already, so add says nothing.
func (r *report) add(path, msg, hint string) {
	if r.bad[path] {
		return
	}
	at, ok := r.at[path]
	for p := path; !ok && p != ""; at, ok = r.at[p] {
		p = parentPath(p)
	}
	r.addAt(at, path, msg, hint)
}

// has tells whether the file has a value at path.
func (r *report) has(path string) bool {
	_, ok := r.at[path]
	return ok
}

// problems returns what was found, in the order of the file.
func (r *report) problems() Problems {
	slices.SortStableFunc(r.found, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	if r.dropped > 0 {
		r.found = append(r.found, Problem{File: r.file, Msg: fmt.Sprintf("%d more problems are not shown", r.dropped)})
	}
	return r.found
}

// joinPath returns the path of key in what stands at path.
func joinPath(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// parentPath returns the path of what holds the value at path.
func parentPath(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}

// show returns text for a message, quoted and shortened.
func show(text string) string {
	const most = 60
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "…"
	}
	return fmt.Sprintf("%q", text)
}
