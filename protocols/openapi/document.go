package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/trilith-gateway/trilith/internal/clip"
	"github.com/trilith-gateway/trilith/schema"
)

// Bounds on a document.
const (
	maxDepth  = 200        // nesting of arrays and objects
	maxTokens = 40_000_000 // of JSON
	maxHops   = 16         // references that lead to references
)

// A document is an OpenAPI document that has been checked as JSON. It is used by
// one goroutine.
type document struct {
	root json.RawMessage
	old  bool // 3.0, whose schemas are not JSON Schema 2020-12

	objects  map[string]map[string]json.RawMessage // by pointer, those that references lead through
	names    map[string]string                     // of schemas, by pointer
	taken    map[string]bool
	patterns map[string]bool // by regular expression, whether it can be held
	defs     map[defKey]*definition
}

// open reads a document, JSON or YAML, of at most so many bytes.
func open(data []byte, most int) (*document, error) {
	if len(data) > most {
		return nil, fmt.Errorf("the document is longer than %d bytes", most)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(data) {
		return nil, errors.New("the document is not valid UTF-8")
	}
	root := json.RawMessage(data)
	if i := space(data, 0); i == len(data) || data[i] != '{' {
		var err error
		if root, err = fromYAML(data, most); err != nil {
			return nil, err
		}
	}
	if err := schema.Check(root, schema.Bounds{Bytes: most, Depth: maxDepth, Tokens: maxTokens, Halves: true}); err != nil {
		return nil, fmt.Errorf("the document: %w", err)
	}
	d := &document{
		root:    root,
		objects: map[string]map[string]json.RawMessage{}, names: map[string]string{}, taken: map[string]bool{}, patterns: map[string]bool{}, defs: map[defKey]*definition{},
	}
	version := stringOf(member(root, "openapi"))
	switch {
	case strings.HasPrefix(version, "3.0"):
		d.old = true
	case strings.HasPrefix(version, "3."):
	case member(root, "swagger") != nil:
		return nil, errors.New("the document is Swagger 2.0; convert it to OpenAPI 3")
	case version != "":
		return nil, fmt.Errorf("the document is OpenAPI %s, not 3", clip.Text(version, 20))
	default:
		return nil, errors.New("the document is not an OpenAPI document: it has no member openapi")
	}
	return d, nil
}

var (
	errExternal = errors.New("refers to another document")
	errDangling = errors.New("refers to what is not there")
	errNoSchema = errors.New("refers to what is no schema")
	errCircular = errors.New("refers to itself without end")
)

// pointerOf returns the JSON pointer of a reference into this document.
func pointerOf(ref string) (string, error) {
	fragment, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return "", errExternal
	}
	if strings.Contains(fragment, "%") {
		if plain, err := url.PathUnescape(fragment); err == nil {
			fragment = plain
		}
	}
	if fragment != "" && fragment[0] != '/' {
		return "", errDangling // An anchor.
	}
	return fragment, nil
}

// at returns what a JSON pointer leads to (RFC 6901).
func (d *document) at(pointer string) (json.RawMessage, error) {
	value := d.root
	for from := 0; from < len(pointer); {
		end := len(pointer)
		if i := strings.IndexByte(pointer[from+1:], '/'); i >= 0 {
			end = from + 1 + i
		}
		token := strings.ReplaceAll(strings.ReplaceAll(pointer[from+1:end], "~1", "/"), "~0", "~")
		if value = d.step(pointer[:from], value, token); value == nil {
			return nil, errDangling
		}
		from = end
	}
	return value, nil
}

// top returns a member of the whole document.
func (d *document) top(name string) json.RawMessage { return d.step("", d.root, name) }

// step returns a member of an object, or an element of an array, that stands at
// the pointer.
func (d *document) step(pointer string, value json.RawMessage, token string) json.RawMessage {
	object := d.objects[pointer]
	if object == nil {
		object = maps.Collect(members(value))
		i := 0
		for v := range elements(value) {
			object[strconv.Itoa(i)] = v
			i++
		}
		d.objects[pointer] = object
	}
	return object[token]
}

// resolve returns a value, or what it refers to with a member $ref.
func (d *document) resolve(value json.RawMessage) (json.RawMessage, error) {
	for range maxHops {
		ref := member(value, "$ref")
		if kindOf(ref) != '"' {
			return value, nil
		}
		pointer, err := pointerOf(stringOf(ref))
		if err == nil {
			value, err = d.at(pointer)
		}
		if err != nil {
			return nil, fmt.Errorf("%s %w", clip.Text(stringOf(ref), 200), err)
		}
	}
	return nil, errCircular
}
