package mcp

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/trilith-gateway/trilith/gateway"
)

// The headers that mirror the body (transports, request metadata), in Go's
// canonical form.
const (
	headerVersion = "Mcp-Protocol-Version"
	headerMethod  = "Mcp-Method"
	headerName    = "Mcp-Name"
	headerParam   = "Mcp-Param-"
	headerSession = "Mcp-Session-Id"
)

// one returns a header's only value: "" where it is absent, and false where it
// stands more than once, so that two readers may disagree about it.
func one(h http.Header, canonical string) (string, bool) {
	switch v := h[canonical]; len(v) {
	case 0:
		return "", true
	case 1:
		return v[0], true
	default:
		return "", false
	}
}

// decodeHeader returns the text that a mirrored value stands for (transports,
// value encoding): itself, or what =?base64?…?= encodes. It reports false for
// bad base64, text that is not UTF-8, and bytes outside visible ASCII, space
// and tab.
func decodeHeader(v string) (string, bool) {
	for i := range len(v) {
		if c := v[i]; c != '\t' && (c < ' ' || c > '~') {
			return "", false
		}
	}
	const prefix, suffix = "=?base64?", "?="
	if len(v) < len(prefix)+len(suffix) || !strings.HasPrefix(v, prefix) || !strings.HasSuffix(v, suffix) {
		return v, true
	}
	text, err := base64.StdEncoding.Strict().DecodeString(v[len(prefix) : len(v)-len(suffix)])
	if err != nil || !utf8.Valid(text) {
		return "", false
	}
	return string(text), true
}

// checkMirror holds the headers of a modern POST against its body (transports,
// server validation). Name is the name or URI that the method is about, or "".
func checkMirror(h http.Header, m *message, name string) *wireError {
	method, ok := one(h, headerMethod)
	switch {
	case !ok:
		return headerMismatch("Mcp-Method stands more than once")
	case method == "":
		return headerMismatch("Mcp-Method is missing")
	case method != m.Method:
		return headerMismatch("Mcp-Method does not match the body")
	case name == "":
		return nil
	}
	v, ok := one(h, headerName)
	if !ok {
		return headerMismatch("Mcp-Name stands more than once")
	}
	if v == "" {
		return headerMismatch("Mcp-Name is missing")
	}
	if text, ok := decodeHeader(v); !ok || text != name {
		return headerMismatch("Mcp-Name does not match the body")
	}
	return nil
}

// A binding ties a parameter of a tool to the header that mirrors it.
type binding struct {
	header string // canonical, with Mcp-Param-
	path   []string
}

type bindingsKey struct{}

// bindings returns what the view's tools bind, by name. Tools without
// x-mcp-header have no entry.
func bindings(view *gateway.Snapshot) map[string][]binding {
	return view.Memo(bindingsKey{}, func(s *gateway.Snapshot) any { //nolint:forcetypeassert // the key is ours.
		all := map[string][]binding{}
		for _, t := range s.Tools {
			if input := t.Input.JSON(); strings.Contains(string(input), "x-mcp-header") {
				if b := bind(nil, nil, input); len(b) > 0 {
					all[t.Name] = b
				}
			}
		}
		return all
	}).(map[string][]binding)
}

// bind collects the bindings of a schema's properties at any depth (server,
// tools, x-mcp-header). Values that are not header names bind nothing: clients
// refuse such tools.
func bind(all []binding, path []string, schema json.RawMessage) []binding {
	o, _ := openObject(schema) // A boolean schema has no properties.
	for o.next() {
		if string(o.name) != "properties" {
			continue
		}
		props, _ := openObject(o.value) // A schema that does not compile is not registered.
		for props.next() {
			here := append(slices.Clip(path), string(props.name))
			if name := annotation(props.value); isToken(name) {
				all = append(all, binding{http.CanonicalHeaderKey(headerParam + name), here})
			}
			all = bind(all, here, props.value)
		}
	}
	return all
}

func annotation(schema json.RawMessage) string {
	o, _ := openObject(schema) // As in bind.
	for o.next() {
		if string(o.name) == "x-mcp-header" {
			name, _ := unquote(o.value) // No string is no name.
			return name
		}
	}
	return ""
}

// isToken reports whether a name can be a header's (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c > '~' || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// checkParams holds the Mcp-Param headers against a tool's arguments. An
// argument that is absent or null has no header; any other has.
func checkParams(h http.Header, bound []binding, args json.RawMessage) *wireError {
	for _, b := range bound {
		raw, ok := one(h, b.header)
		if !ok {
			return headerMismatch(b.header + " stands more than once")
		}
		_, given := h[b.header]
		value := lookup(args, b.path)
		switch {
		case isNull(value) && !given:
		case isNull(value):
			return headerMismatch(b.header + " mirrors an argument that the body does not have")
		case !given:
			return headerMismatch(b.header + " is missing")
		default:
			if text, ok := decodeHeader(raw); !ok || !mirrors(text, value) {
				return headerMismatch(b.header + " does not match the body")
			}
		}
	}
	return nil
}

// lookup returns the value at a path of member names, or nil.
func lookup(value json.RawMessage, path []string) json.RawMessage {
	for _, name := range path {
		o, _ := openObject(value) // No object has no members.
		value = nil
		for o.next() {
			if string(o.name) == name {
				value = o.value
				break
			}
		}
	}
	return value
}

// mirrors reports whether a header's text stands for a primitive value.
// Numbers compare as numbers, so 42.0 mirrors 42.
func mirrors(text string, value json.RawMessage) bool {
	switch {
	case value[0] == '"':
		s, ok := unquote(value)
		return ok && s == text
	case value[0] == '{' || value[0] == '[':
		return false
	case text == string(value):
		return true
	case value[0] == 't' || value[0] == 'f':
		return false
	}
	a, errA := strconv.ParseFloat(text, 64)
	b, errB := strconv.ParseFloat(string(value), 64)
	const safe = 1<<53 - 1 // Beyond it, different integers are one float.
	return errA == nil && errB == nil && isNumber(text) && a == b && math.Abs(a) <= safe
}
