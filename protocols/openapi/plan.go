package openapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/trilith-gateway/trilith/internal/clip"
)

// A plan is how an operation is called: all of it that its arguments do not say.
// It is never changed once made.
type plan struct {
	name    string // of the tool
	method  string
	prefix  string // scheme, host and the path of the server, without a slash at its end
	path    []part
	query   string // that the path itself has
	params  []*parameter
	byArg   map[string]*parameter
	body    *body
	accept  string
	secrets []*scheme
	owned   func(in place, name string) bool // whether something else than arguments has that place; nil where nothing has
}

// A part is a piece of a path: what is the same in each request, escaped, then a
// parameter, or nil at the end.
type part struct {
	literal string
	param   *parameter
}

// newPlan makes a plan of an operation whose parameters have their arguments.
func newPlan(o *operation, params []*parameter, b *body) *plan {
	p := &plan{
		name: o.name, method: o.method, params: params, body: b, byArg: map[string]*parameter{},
		prefix: o.server.Scheme + "://" + o.server.Host + strings.TrimRight(o.server.EscapedPath(), "/"),
	}
	for _, param := range params {
		p.byArg[param.arg] = param
	}
	path, query := splitPath(o.path)
	var fixed []string
	for pair := range strings.SplitSeq(query, "&") {
		if pair != "" && !strings.Contains(pair, "{") { // Those are parameters.
			fixed = append(fixed, pair)
		}
	}
	p.query = string(escapeBut(nil, strings.Join(fixed, "&"), func(c byte) bool { return unreserved(c) || strings.IndexByte("=&%:/?@!$'()*,;", c) >= 0 }))
	for {
		before, after, open := strings.Cut(path, "{")
		name, rest, closed := strings.Cut(after, "}")
		if !open || !closed {
			p.path = append(p.path, part{literal: escapeLiteral(path)})
			return p
		}
		for _, param := range params {
			if param.in == inPath && param.name == name {
				p.path = append(p.path, part{escapeLiteral(before), param})
			}
		}
		path = rest
	}
}

// forget drops what is a part of the document, which would be kept with it.
func (p *plan) forget() {
	for _, param := range p.params {
		param.schema = nil
	}
	if p.body != nil {
		p.body.schema = nil
	}
}

// escapeLiteral escapes what the document has in a path and URLs do not, and
// leaves what is escaped.
func escapeLiteral(s string) string {
	return string(escapeBut(nil, s, func(c byte) bool { return unreserved(c) || strings.IndexByte("/:@!$&'()*+,;=%", c) >= 0 }))
}

// A badArgument says what is wrong with the arguments of a call, to the caller.
type badArgument struct{ reason string }

func (e *badArgument) Error() string { return e.reason }

func bad(format string, args ...any) error { return &badArgument{fmt.Sprintf(format, args...)} }

// A request is what a plan makes of arguments.
type request struct {
	url    string
	header http.Header
	body   []byte // nil for none
}

// request writes the request for a call's arguments, a JSON object. Its error is
// a *badArgument.
func (p *plan) request(args json.RawMessage) (*request, error) {
	values := make(map[string]json.RawMessage, len(p.params)+1)
	for name, v := range members(args) {
		if p.byArg[name] == nil && (name != bodyArg || p.body == nil) {
			return nil, bad("unknown argument %s", clip.Text(name, 64))
		}
		if kindOf(v) != 'n' || name == bodyArg {
			values[name] = v
		}
	}
	r := &request{header: http.Header{"Accept": {p.accept}, "Accept-Encoding": {"gzip"}}}
	target, err := p.target(values, r.header)
	if err != nil {
		if _, ok := errors.AsType[*badArgument](err); !ok {
			err = bad("%v", err)
		}
		return nil, err
	}
	r.url = target
	if p.body == nil {
		return r, nil
	}
	raw, given := values[bodyArg]
	switch {
	case given:
		data, media, err := p.body.encode(raw)
		if err != nil {
			return nil, bad("%v", err)
		}
		if r.body = data; r.body == nil {
			r.body = []byte{}
		}
		r.header.Set("Content-Type", media)
	case p.body.required:
		return nil, bad("body is required")
	}
	return r, nil
}

// target returns the URL, and sets header fields.
func (p *plan) target(values map[string]json.RawMessage, header http.Header) (string, error) {
	b, err := p.appendPath(append(make([]byte, 0, 256), p.prefix...), values)
	if err != nil {
		return "", err
	}
	query, cookie := []byte(p.query), []byte(nil)
	for _, param := range p.params {
		v, ok := values[param.arg]
		switch {
		case !ok && param.required:
			return "", bad("%s is required", param.arg)
		case !ok || param.in == inPath:
			continue
		}
		if err := p.distinct(param, v); err != nil {
			return "", err
		}
		switch param.in { //nolint:exhaustive // The rest stand in cookies; those of the path have been seen to.
		case inQuery:
			query, err = param.appendQuery(query, v)
		case inHeader:
			err = param.setHeader(header, v)
		default:
			cookie, err = param.appendText(then(cookie, "; "), v, escapeAll)
		}
		if err != nil {
			return "", err
		}
	}
	query, cookie = p.authorize(query, cookie, header)
	if len(cookie) > 0 {
		header.Set("Cookie", string(cookie))
	}
	if len(query) > 0 {
		b = append(append(b, '?'), query...)
	}
	const most = 64 << 10
	if len(b) > most {
		return "", bad("the arguments make a URL longer than %d bytes", most)
	}
	return string(b), nil
}

// distinct refuses an object whose members would stand beside other parameters
// under the name of one of them, or of a credential: whoever reads the first of
// two would read the caller's.
func (p *plan) distinct(param *parameter, v json.RawMessage) error {
	if param.in != inQuery && param.in != inCookie || kindOf(v) != '{' || param.style == styleDeep || !param.shape().exploded {
		return nil
	}
	fixed, _ := url.ParseQuery(p.query) // What cannot be read has no name.
	for name := range members(v) {
		taken := p.owned != nil && p.owned(param.in, name) || param.in == inQuery && fixed.Has(name) ||
			slices.ContainsFunc(p.params, func(other *parameter) bool { return other != param && other.in == param.in && other.name == name })
		if taken {
			return bad("%s must not have a member %s", param.arg, clip.Text(name, 64))
		}
	}
	return nil
}

// authorize puts the credentials where they belong.
func (p *plan) authorize(query, cookie []byte, header http.Header) (q, c []byte) {
	for _, s := range p.secrets {
		switch s.in { //nolint:exhaustive // None stands in the path.
		case inQuery:
			query = escapeAll(append(escapeAll(then(query, "&"), s.name), '='), s.value)
		case inHeader:
			header.Set(s.name, s.value)
		default:
			cookie = append(append(append(then(cookie, "; "), s.name...), '='), s.value...)
		}
	}
	return query, cookie
}

// appendPath appends the path, and refuses one that leads elsewhere.
func (p *plan) appendPath(b []byte, values map[string]json.RawMessage) ([]byte, error) {
	from := len(b)
	for _, part := range p.path {
		b = append(b, part.literal...)
		if part.param == nil {
			continue
		}
		v, ok := values[part.param.arg]
		if !ok {
			return nil, bad("%s is required", part.param.arg)
		}
		var err error
		if b, err = part.param.appendPath(b, v); err != nil {
			return nil, err
		}
	}
	if hasDotSegment(string(b[from:])) {
		return nil, bad("a segment of the path must not be . or ..")
	}
	return b, nil
}

// then appends what stands between two things, where there is one.
func then(b []byte, separator string) []byte {
	if len(b) > 0 {
		return append(b, separator...)
	}
	return b
}

// appendText writes a parameter that is neither in the path nor in the query.
func (p *parameter) appendText(b []byte, raw json.RawMessage, esc escape) ([]byte, error) {
	if p.style == styleJSON || p.style == styleSimple && p.in == inCookie {
		text := textOf(raw)
		if p.style == styleJSON {
			text = compact(raw)
		}
		if p.in == inCookie {
			b = append(append(b, p.name...), '=')
		}
		return esc(b, text), nil
	}
	v, err := valueOf(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.arg, err)
	}
	return p.appendValue(b, v, esc), nil
}

func (p *parameter) setHeader(h http.Header, raw json.RawMessage) error {
	b, err := p.appendText(nil, raw, escapeNothing)
	if err == nil {
		err = checkHeaderValue(p.arg, b)
	}
	if err == nil {
		h.Set(p.name, strings.TrimSpace(string(b)))
	}
	return err
}
