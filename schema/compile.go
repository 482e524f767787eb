package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/trilith-gateway/trilith/internal/clip"
)

// Limits on a schema. Real ones are far below: the largest tools that are published have some hundred
// subschemas in a few tens of KiB.
const (
	maxSchemaBytes    = 1 << 20
	maxSchemaDepth    = 128
	maxSchemaTokens   = 100_000
	maxSubschemas     = 8192    // objects and booleans, which includes every subschema
	maxExponentDigits = 3       // of a number in a schema
	maxNumberBytes    = 1000    // of a number in a schema
	maxPatternSize    = 100_000 // instructions of all regular expressions together
)

// location is the base URI of a schema that has no $id of its own.
const location = "schema:///schema.json"

var (
	errTooLarge = errors.New("too large")
	errNoFetch  = errors.New("a schema must not refer to another document")
)

// Compile reads a JSON Schema. The draft is the one that "$schema" names, 2020-12 where it names none; 4, 6,
// 7 and 2019-09 are also known. A schema may be a boolean.
//
// It fails if raw is not strict JSON ([Check]), is not a valid schema of its draft, has a regular expression
// that Go's regexp does not know (look-around and back-references, which cannot be matched in linear time),
// refers to itself without end, is larger than the package admits (1 MiB, 128 levels, 8192 subschemas), or
// refers to another document, which the error names. Nothing is ever fetched; only the published
// meta-schemas are known.
func Compile(raw json.RawMessage) (*Schema, error) {
	s, err := compile(raw, jsonschema.Draft2020, refuse{})
	if err != nil {
		return nil, fmt.Errorf("JSON Schema: %w", err)
	}
	return s, nil
}

// refuse is the loader of the product. Tests put another in its place to serve the documents of the official
// test suite.
type refuse struct{}

func (refuse) Load(string) (any, error) { return nil, errNoFetch }

func compile(raw json.RawMessage, draft *jsonschema.Draft, loader jsonschema.URLLoader) (*Schema, error) {
	err := Check(raw, Bounds{Bytes: maxSchemaBytes, Depth: maxSchemaDepth, Tokens: maxSchemaTokens})
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	count := 0
	if err := admit(doc, &count); err != nil {
		return nil, err
	}
	patterns := 0
	docs := documents{loader: loader, loaded: map[string]any{location: doc}}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(draft)
	c.UseLoader(docs)
	c.UseRegexpEngine(func(text string) (jsonschema.Regexp, error) { return compilePattern(text, &patterns) })
	if err := c.AddResource(location, doc); err != nil {
		return nil, err
	}
	compiled, err := c.Compile(location)
	if err != nil {
		return nil, plain(err)
	}
	tr := translator{compiler: c, docs: docs.loaded, nodes: map[*jsonschema.Schema]*node{}}
	root, err := tr.translate(compiled)
	if err != nil {
		return nil, err
	}
	return &Schema{raw: bytes.Clone(raw), root: root}, nil
}

// documents remembers the documents that a loader has returned.
type documents struct {
	loader jsonschema.URLLoader
	loaded map[string]any
}

func (d documents) Load(url string) (any, error) {
	doc, err := d.loader.Load(url)
	if err == nil {
		d.loaded[url] = doc
	}
	return doc, err
}

// admit refuses what the compiler behind this package answers with a panic or with more than linear time.
func admit(v any, count *int) error {
	switch v := v.(type) {
	case map[string]any:
		if *count++; *count > maxSubschemas {
			return fmt.Errorf("more than %d subschemas", maxSubschemas)
		}
		for name, member := range v {
			if n, ok := member.(json.Number); ok && countKeyword(name) && parseDecimal([]byte(n)).exp > 18 {
				return fmt.Errorf("the number of %q is too large", name)
			}
			if err := admit(member, count); err != nil {
				return err
			}
		}
	case []any:
		for _, element := range v {
			if err := admit(element, count); err != nil {
				return err
			}
		}
	case bool:
		*count++
	case json.Number:
		return admitNumber(string(v))
	}
	return nil
}

func admitNumber(text string) error {
	e := strings.IndexAny(text, "eE")
	if len(text) > maxNumberBytes || e >= 0 && len(text)-e-2 > maxExponentDigits {
		return errors.New("a number has too many digits")
	}
	return nil
}

func countKeyword(name string) bool {
	switch name {
	case "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains":
		return true
	}
	return false
}

// compilePattern compiles a regular expression of a schema and adds its size to *total.
func compilePattern(text string, total *int) (*pattern, error) {
	expr := translatePattern(text)
	parsed, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	if *total += len(prog.Inst); *total > maxPatternSize {
		return nil, errTooLarge
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, err
	}
	return &pattern{re: re, source: text, size: len(prog.Inst)}, nil
}

// translatePattern rewrites the two escapes of ECMA-262 that Go spells differently: \uXXXX and \cX.
func translatePattern(p string) string {
	if !strings.Contains(p, `\u`) && !strings.Contains(p, `\c`) {
		return p
	}
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		switch {
		case p[i] != '\\' || i+1 == len(p):
			b.WriteByte(p[i])
		case p[i+1] == 'u' && i+6 <= len(p) && isHex(p[i+2:i+6]):
			b.WriteString(`\x{` + p[i+2:i+6] + `}`)
			i += 5
		case p[i+1] == 'c' && i+3 <= len(p) && isLetter(p[i+2]):
			fmt.Fprintf(&b, `\x{%02x}`, p[i+2]&0x1f)
			i += 2
		default:
			b.WriteString(p[i : i+2])
			i++
		}
	}
	return b.String()
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdefABCDEF") == "" }

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// MatchString reports whether s contains a match.
func (p *pattern) MatchString(s string) bool { return p.re.MatchString(s) }

// String returns the expression as the schema has it.
func (p *pattern) String() string { return p.source }

// plain says in one line what the compiler found wrong.
func plain(err error) error {
	if load, ok := errors.AsType[*jsonschema.LoadURLError](err); ok {
		return fmt.Errorf("cannot follow the reference to %s: %w", clip.Text(load.URL, 200), load.Err)
	}
	if invalid, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
		if ve, ok := errors.AsType[*jsonschema.ValidationError](invalid.Err); ok {
			for len(ve.Causes) > 0 {
				ve = ve.Causes[0]
			}
			return fmt.Errorf("not a valid schema at %q: %s", clip.Text(pointer(ve.InstanceLocation), 200), reason(ve))
		}
	}
	return fmt.Errorf("%s", clip.Text(err.Error(), 400))
}
