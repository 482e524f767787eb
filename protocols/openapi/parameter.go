package openapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/trilith-gateway/trilith/internal/clip"
)

// A place is where a parameter stands in a request.
type place uint8

const (
	inPath place = iota + 1
	inQuery
	inHeader
	inCookie
)

func (p place) String() string { return [...]string{"", "path", "query", "header", "cookie"}[p] }

// placeNamed returns the place with a name, 0 for none.
func placeNamed(name string) place {
	return map[string]place{"path": inPath, "query": inQuery, "header": inHeader, "cookie": inCookie}[name]
}

// A style says how a value is written (OpenAPI 3.1, Parameter Object, style
// values). A text of JSON is styleJSON, by the parameter's content.
type style uint8

const (
	styleSimple style = iota + 1
	styleLabel
	styleMatrix
	styleForm
	styleSpace
	stylePipe
	styleDeep
	styleJSON
)

// A parameter is one value of a request that stands outside its body.
type parameter struct {
	arg      string // of the arguments
	name     string // in the request
	in       place
	style    style
	explode  bool
	reserved bool // characters that URLs reserve are written as they are
	required bool

	schema json.RawMessage // as the document has it, or nil
	about  string          // what the document says it is for
	old    bool            // deprecated
}

// maxParameters bounds the parameters of one operation.
const maxParameters = 2_000

// parameters returns those of an operation and of the path item that it is in,
// without those that the standard says to ignore, and what could not be taken.
// It fails where the operation cannot be called without one that is not there.
func (d *document) parameters(o *operation, reserved func(place, string) bool) (all []*parameter, lacks []string, err error) {
	byKey := map[string]int{}
	for _, list := range []json.RawMessage{member(o.item, "parameters"), member(o.raw, "parameters")} {
		for raw := range elements(list) {
			target, err := d.resolve(raw)
			if err != nil {
				lacks = append(lacks, fmt.Sprintf("a parameter %v", err))
				continue
			}
			p, lack := readParameter(target)
			if lack != "" {
				lacks = append(lacks, lack)
			}
			if p == nil || reserved(p.in, p.name) {
				continue
			}
			key := p.in.String() + " " + p.name
			if i, ok := byKey[key]; ok { // Its own takes the place of the path's.
				all[i] = p
				continue
			}
			if byKey[key] = len(all); len(all) == maxParameters {
				return nil, nil, fmt.Errorf("more than %d parameters", maxParameters)
			}
			all = append(all, p)
		}
	}
	path, query := splitPath(o.path)
	for i, p := range all {
		if key := queryKey(query, p.name); p.in == inPath && key != "" {
			moved := *p
			moved.name, moved.in, moved.style, moved.explode = key, inQuery, styleForm, true
			all[i] = &moved
		}
	}
	all, more := matchPath(all, pathNames(path))
	return all, append(lacks, more...), nil
}

// splitPath returns a path and the query that some documents put behind it,
// without a fragment, which is never sent.
func splitPath(s string) (path, query string) {
	s, _, _ = strings.Cut(s, "#")
	path, query, _ = strings.Cut(s, "?")
	return path, query
}

// queryKey returns the key that has a template for its value in the query of a
// path, as in ?page={number}, or "".
func queryKey(query, name string) string {
	for pair := range strings.SplitSeq(query, "&") {
		if key, value, _ := strings.Cut(pair, "="); value == "{"+name+"}" {
			return key
		}
	}
	return ""
}

// matchPath makes the parameters in the path those that the path has.
func matchPath(all []*parameter, names []string) (matched []*parameter, lacks []string) {
	for _, p := range all {
		if p.in == inPath && !slices.Contains(names, p.name) {
			lacks = append(lacks, fmt.Sprintf("the path has no place for its parameter %s", clip.Text(p.name, 64)))
			continue
		}
		matched = append(matched, p)
	}
	for _, name := range names {
		if !slices.ContainsFunc(matched, func(p *parameter) bool { return p.in == inPath && p.name == name }) {
			matched = append(matched, &parameter{name: name, in: inPath, style: styleSimple, required: true, schema: json.RawMessage(`{"type":"string"}`)})
			lacks = append(lacks, fmt.Sprintf("the parameter %s of the path is not described, and taken for a string", clip.Text(name, 64)))
		}
	}
	return matched, lacks
}

// pathNames returns the names of a path's templates, each once.
func pathNames(path string) (names []string) {
	for {
		_, after, open := strings.Cut(path, "{")
		name, rest, closed := strings.Cut(after, "}")
		if !open || !closed {
			return names
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		path = rest
	}
}

// readParameter reads a Parameter Object; lack says why there is none, or what of
// it is not taken. Parameters to be ignored are nil without a word.
func readParameter(raw json.RawMessage) (p *parameter, lack string) {
	p = &parameter{name: stringOf(member(raw, "name")), about: stringOf(member(raw, "description"))}
	p.in = placeNamed(stringOf(member(raw, "in")))
	switch {
	case p.name == "" || p.in == 0:
		return nil, "a parameter without a name or a place"
	case p.in == inHeader && ignoredHeader(p.name):
		return nil, ""
	case p.in == inHeader && !isToken(p.name), p.in == inCookie && !isToken(p.name):
		return nil, fmt.Sprintf("the %s %s has no valid name", p.in, clip.Text(p.name, 64))
	}
	p.required = isTrue(member(raw, "required")) || p.in == inPath
	p.old = isTrue(member(raw, "deprecated"))
	p.schema = member(raw, "schema")
	for name, content := range members(member(raw, "content")) {
		p.schema = member(content, "schema")
		p.style = styleSimple // A text as it is.
		if isJSON(name) {
			p.style = styleJSON
		}
		return p, ""
	}
	return p, p.setStyle(raw)
}

// setStyle reads style, explode and allowReserved.
func (p *parameter) setStyle(raw json.RawMessage) (lack string) {
	name := stringOf(member(raw, "style"))
	if p.style = styleNamed(name, p.in); p.style == 0 {
		if p.style = styleForm; p.in == inPath || p.in == inHeader {
			p.style = styleSimple
		}
		if name != "" {
			lack = fmt.Sprintf("the style %s is not one for the %s, and not used for %s", clip.Text(name, 32), p.in, clip.Text(p.name, 64))
		}
	}
	p.explode = p.style == styleForm
	if e := member(raw, "explode"); e != nil {
		p.explode = isTrue(e)
	}
	// GitHub's documents have a word of their own for paths of several segments.
	p.reserved = isTrue(member(raw, "allowReserved")) || p.in == inPath && isTrue(member(raw, "x-multi-segment"))
	return lack
}

// styleNamed returns the style with a name, 0 for none that goes with the place.
func styleNamed(name string, in place) style {
	switch in {
	case inPath:
		return map[string]style{"simple": styleSimple, "label": styleLabel, "matrix": styleMatrix}[name]
	case inQuery:
		return map[string]style{"form": styleForm, "spaceDelimited": styleSpace, "pipeDelimited": stylePipe, "deepObject": styleDeep}[name]
	case inHeader:
		return map[string]style{"simple": styleSimple}[name]
	case inCookie:
		return map[string]style{"form": styleForm}[name]
	}
	return 0
}

// ignoredHeader reports whether a header is none that an operation may ask for:
// those that the standard gives another place, and those that belong to the
// connection or say who asks.
func ignoredHeader(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Accept", "Content-Type", "Authorization", "Accept-Encoding", "Connection", "Content-Encoding", "Content-Length", "Cookie", "Expect",
		"Forwarded", "Host", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto":
		return true
	}
	return false
}

// isToken reports whether a text is a token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// bodyArg is the argument that is the body of the request.
const bodyArg = "body"

// nameArguments gives the parameters the names of arguments: their own, with
// "_" for characters that names may not have. A name that several have, or that
// the body's is, is followed by the place, as in "id_query"; only one in the path
// keeps it. So a name changes only when its own parameter does, or one of the
// same name comes or goes.
func nameArguments(all []*parameter) (renamed []string) {
	count := map[string]int{bodyArg: 1}
	path := map[string]bool{bodyArg: true}
	for _, p := range all {
		if p.arg = cleanArgument(p.name); p.arg == "" {
			p.arg = "parameter"
		}
		count[p.arg]++
		path[p.arg] = path[p.arg] || p.in == inPath
	}
	taken := map[string]bool{bodyArg: true}
	for _, p := range all {
		plain := p.arg
		if count[plain] > 1 && (p.in != inPath || plain == bodyArg) {
			p.arg = plain + "_" + p.in.String()
		}
		p.arg = fit(p.arg, p.in.String()+" "+p.name)
		if taken[p.arg] {
			p.arg = withHash(p.arg, p.in.String()+" "+p.name)
		}
		taken[p.arg] = true
		if p.arg != p.name {
			renamed = append(renamed, fmt.Sprintf("the %s %s is the argument %s", p.in, clip.Text(p.name, 64), p.arg))
		}
	}
	return renamed
}

// cleanArgument is cleanName with dots, and "_" where it begins or ends with it.
func cleanArgument(s string) string {
	plain := s != ""
	for i := range len(s) {
		c := s[i]
		plain = plain && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.')
	}
	if plain {
		return s
	}
	return cleanName(s)
}
