package openapi

import (
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/trilith-gateway/trilith/internal/clip"
)

// An operation is one of the document's, as it says it.
type operation struct {
	method string // in capitals
	path   string // as the document has it, without what follows "#"
	raw    json.RawMessage
	item   json.RawMessage // the path item that it stands in
	tags   []string

	name    string  // of the tool
	renamed string  // what it would be called, where that is another name
	server  url.URL // below which the path is
}

// subject is how notes name the operation.
func (o *operation) subject() string { return o.method + " " + o.path }

// operations returns what the document's paths hold. A path item that cannot be
// read is told with an error.
func (d *document) operations() iter.Seq2[*operation, error] {
	return func(yield func(*operation, error) bool) {
		for path, item := range members(d.top("paths")) {
			if !strings.HasPrefix(path, "/") {
				if !strings.HasPrefix(path, "x-") && !yield(&operation{method: "*", path: clip.Text(path, 200)}, errNoPath) {
					return
				}
				continue
			}
			target, err := d.resolve(item)
			if err != nil {
				if !yield(&operation{method: "*", path: path}, err) {
					return
				}
				continue
			}
			for key, raw := range members(target) {
				method := strings.ToUpper(key)
				if key != strings.ToLower(key) || !isMethod(method) || kindOf(raw) != '{' {
					continue
				}
				o := &operation{method: method, path: path, raw: raw, item: target}
				for t := range elements(member(raw, "tags")) {
					o.tags = append(o.tags, stringOf(t))
				}
				if !yield(o, nil) {
					return
				}
			}
		}
	}
}

func isMethod(m string) bool {
	switch m {
	case http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete, http.MethodOptions, http.MethodHead, http.MethodPatch, http.MethodTrace:
		return true
	}
	return false
}

// nameAll gives the operations the names of their tools: the operationId, or the
// method and the path where there is none. Operations that would share a name
// all get a hash of method and path, so that none takes the name of another
// when the document changes.
func nameAll(operations []*operation) {
	count := map[string]int{}
	for _, o := range operations {
		id := stringOf(member(o.raw, "operationId"))
		o.name = cleanName(id)
		if o.name == "" {
			o.name = cleanName(strings.ToLower(o.method) + o.path)
			id = o.name
		}
		if o.name = fit(o.name, o.subject()); o.name != id {
			o.renamed = id
		}
		count[o.name]++
	}
	for _, o := range operations {
		if count[o.name] > 1 {
			o.renamed, o.name = o.name, withHash(o.name, o.subject())
		}
	}
}

// A Selection is a set of operations: those that match all of its lists that
// are not empty.
type Selection struct {
	Methods    []string // in capitals
	Tags       []string // one of the operation's, as the document has it
	Paths      []string // patterns, with * for one segment and ** for any number
	Operations []string // patterns of operationIds, with * for any text
}

func (s *Selection) empty() bool {
	return len(s.Methods)+len(s.Tags)+len(s.Paths)+len(s.Operations) == 0
}

// matches reports whether an operation is in the selection.
func (s *Selection) matches(o *operation) bool { return s.without(o) == "" }

// without returns which list the operation does not match, or "".
func (s *Selection) without(o *operation) string {
	switch {
	case len(s.Methods) > 0 && !slices.Contains(s.Methods, o.method):
		return "method"
	case len(s.Tags) > 0 && !slices.ContainsFunc(s.Tags, func(t string) bool { return slices.Contains(o.tags, t) }):
		return "tag"
	case len(s.Paths) > 0 && !matchesAny(s.Paths, o.path):
		return "path"
	case len(s.Operations) > 0 && !matchesAny(s.Operations, stringOf(member(o.raw, "operationId"))) && !matchesAny(s.Operations, o.name):
		return "operation"
	}
	return ""
}

func matchesAny(patterns []string, s string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return glob(p, s) })
}

// glob reports whether a text matches a pattern in which * stands for any text
// without a slash and ** for any text at all.
func glob(pattern, s string) bool {
	star := strings.IndexByte(pattern, '*')
	if star < 0 {
		return pattern == s
	}
	rest, ok := strings.CutPrefix(s, pattern[:star])
	if !ok {
		return false
	}
	deep := strings.HasPrefix(pattern[star:], "**")
	after := strings.TrimLeft(pattern[star:], "*")
	for i := 0; i <= len(rest); i++ {
		if glob(after, rest[i:]) {
			return true
		}
		if i < len(rest) && rest[i] == '/' && !deep {
			return false
		}
	}
	return false
}

var errNoPath = errors.New("a path must begin with a slash")
