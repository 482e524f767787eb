package policy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	yamlparser "github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The keys of a rule and of a role link, in the order of the fields of Casbin's
// lines.
var (
	ruleKeys = [...]string{"subject", "tenant", "object", "action", "effect", "when"} //nolint:gochecknoglobals // never changed.
	linkKeys = [...]string{"subject", "role", "tenant"}                               //nolint:gochecknoglobals // never changed.
)

// YAML returns a policy and its checks as YAML: lists of rules, of roles and of
// checks. Comments of the policy are left out. The error is [Problems].
func (t Text) YAML() ([]byte, error) {
	p, err := Parse("policy", []byte(t.CSV))
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for _, part := range []struct {
		kind, key string
		keys      []string
	}{{"p", "rules", ruleKeys[:]}, {"g", "roles", linkKeys[:]}} {
		head := part.key + ":\n"
		for _, f := range p.order {
			if f[0] != part.kind {
				continue
			}
			b.WriteString(head)
			head = ""
			writeEntry(&b, part.keys, f[1:])
		}
	}
	if checks := strings.TrimSuffix(t.Checks, "\n"); checks != "" {
		b.WriteString("checks:\n")
		for line := range strings.SplitSeq(checks, "\n") {
			fmt.Fprintf(&b, "  - %s\n", scalar(line))
		}
	}
	return []byte(b.String()), nil
}

func writeEntry(b *strings.Builder, keys, fields []string) {
	dash := "- "
	for i, key := range keys {
		if fields[i] == "" || key == "tenant" && fields[i] == "*" {
			continue
		}
		fmt.Fprintf(b, "  %s%s: %s\n", dash, key, scalar(fields[i]))
		dash = "  "
	}
}

// plainScalar is what no reader of YAML takes for anything but text.
var plainScalar = regexp.MustCompile(`^(allow|deny|call|read|get|subscribe|complete|list|admin|anyone|authenticated)$`)

// scalar returns a text in YAML: as it is where that is safe, otherwise as a
// string of JSON, which YAML 1.2 has in common.
func scalar(s string) string {
	if plainScalar.MatchString(s) {
		return s
	}
	quoted, err := jsontext.AppendQuote(nil, s)
	if err != nil { // Invalid UTF-8, which no policy has, is replaced.
		return string(quoted)
	}
	return string(quoted)
}

// ParseYAML reads a policy and its checks as [Text.YAML] writes them:
//
//	rules:
//	  - subject: "group:eng"
//	    tenant: acme            # left out: for all
//	    object: "tool/github/*"
//	    action: call
//	    effect: allow
//	    when: "args.n < 5"      # left out: always
//	roles:
//	  - subject: "group:leads"
//	    role: "role:admin"
//	checks:
//	  - "group:eng tenant:acme call tool/github/x allow {\"n\": 1}"
//
// It must be plain: anchors, aliases, tags and several documents are refused.
// What the rules say is checked as [Parse] and [ParseChecks] do. The error is
// [Problems] with the places in the YAML.
func ParseYAML(name string, data []byte) (Document, error) {
	var y yamlReader
	root, problem := y.parse(data)
	if problem == nil {
		problem = y.read(root)
	}
	if problem != nil {
		problem.File = name
		return Document{}, Problems{*problem}
	}
	doc := y.doc
	doc.CSV, doc.Checks = y.csv.String(), y.checks.String()
	_, err := Parse(name, []byte(doc.CSV))
	if err = placed(err, doc.RulePlace); err != nil {
		return Document{}, err
	}
	_, err = ParseChecks(name, []byte(doc.Checks))
	if err = placed(err, doc.CheckPlace); err != nil {
		return Document{}, err
	}
	return doc, nil
}

// A Document is a policy that was read from YAML, and where its lines stand
// there. The zero value is an empty one.
type Document struct {
	Text

	// HasChecks says that the document has the key checks, be it with none. One
	// without leaves the checks of a policy as they are.
	HasChecks bool

	rules, checks []*token.Position // of the entries that the lines of Text come from
}

// RulePlace returns the line and the column in the YAML of the rule or role
// link on a line of the CSV, and CheckPlace those of a check; all count from 1.
// Of a line that is not there the line itself and column 1 are returned.
func (d *Document) RulePlace(line int) (yamlLine, column int) { return place(d.rules, line) }

// CheckPlace is described at [Document.RulePlace].
func (d *Document) CheckPlace(line int) (yamlLine, column int) { return place(d.checks, line) }

func place(entries []*token.Position, line int) (yamlLine, column int) {
	if line < 1 || line > len(entries) {
		return line, 1
	}
	return entries[line-1].Line, entries[line-1].Column
}

// placed returns problems with their places in the YAML.
func placed(err error, place func(line int) (yamlLine, column int)) error {
	problems, ok := errors.AsType[Problems](err)
	if !ok {
		return err
	}
	for i := range problems {
		if p := &problems[i]; p.Line > 0 {
			p.Line, p.Col = place(p.Line)
		}
	}
	return problems
}

// A yamlReader reads one document.
type yamlReader struct {
	doc         Document
	csv, checks strings.Builder
}

// The bounds of a document that is worth parsing.
const (
	maxYAMLDepth  = 8
	maxYAMLIndent = 100
	maxYAMLKeys   = 20 // of a mapping
)

func problemAt(t *token.Token, msg, hint string) *Problem {
	p := &Problem{Line: 1, Col: 1, Msg: msg, Hint: hint}
	if t != nil && t.Position != nil {
		p.Line, p.Col = t.Position.Line, t.Position.Column
	}
	return p
}

// parse returns the one value of a document, nil for an empty one.
func (y *yamlReader) parse(data []byte) (_ ast.Node, problem *Problem) {
	if len(data) > maxBytes {
		return nil, &Problem{Msg: fmt.Sprintf("the YAML is longer than %d MiB", maxBytes>>20)}
	}
	tokens := lexer.Tokenize(string(data))
	if problem := checkTokens(tokens); problem != nil {
		return nil, problem
	}
	defer func() {
		if recover() != nil { // The parser's, so that no text ends the gateway.
			problem = problemAt(nil, "not valid YAML: the parser cannot read it", "")
		}
	}()
	file, err := yamlparser.Parse(tokens, 0)
	if err != nil {
		if e, ok := errors.AsType[yaml.Error](err); ok {
			return nil, problemAt(e.GetToken(), "not valid YAML: "+e.GetMessage(), "")
		}
		return nil, problemAt(nil, "not valid YAML: "+err.Error(), "")
	}
	if len(file.Docs) == 0 {
		return nil, nil
	}
	if len(file.Docs) > 1 {
		return nil, problemAt(nil, "more than one YAML document", "")
	}
	return file.Docs[0].Body, nil
}

// checkTokens refuses what is costly to parse, or makes one value stand for
// another.
func checkTokens(tokens token.Tokens) *Problem {
	depth := 0
	for _, t := range tokens {
		switch t.Type { //nolint:exhaustive // all others are harmless.
		case token.AnchorType, token.AliasType, token.MergeKeyType, token.TagType, token.DirectiveType, token.MappingKeyType:
			return problemAt(t, "anchors, aliases, tags, directives and complex keys are not supported", "use plain YAML")
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType, token.MappingValueType:
			if t.Position.Column > maxYAMLIndent && depth == 0 {
				return problemAt(t, "nested too deep", "")
			}
		}
		if depth > maxYAMLDepth {
			return problemAt(t, "nested too deep", "")
		}
	}
	return nil
}

// read turns the document into lines.
func (y *yamlReader) read(root ast.Node) *Problem {
	parts, problem := entriesOf(root)
	if problem != nil {
		return problem
	}
	for _, e := range parts {
		if !slices.Contains([]string{"rules", "roles", "checks"}, e.key.Value) {
			return problemAt(e.key, "unknown key "+quote(e.key.Value), "use rules, roles and checks")
		}
	}
	for _, e := range parts {
		y.doc.HasChecks = y.doc.HasChecks || e.key.Value == "checks"
		if problem := y.readList(e.key.Value, e.value); problem != nil {
			return problem
		}
	}
	return nil
}

func (y *yamlReader) readList(key string, list ast.Node) *Problem {
	if _, null := list.(*ast.NullNode); null || list == nil {
		return nil
	}
	seq, ok := list.(*ast.SequenceNode)
	if !ok {
		return problemAt(list.GetToken(), key+" is not a list", "")
	}
	for _, v := range seq.Values {
		var problem *Problem
		switch key {
		case "rules":
			problem = y.readEntry("p", ruleKeys[:], v)
		case "roles":
			problem = y.readEntry("g", linkKeys[:], v)
		default:
			problem = y.readCheck(v)
		}
		if problem != nil {
			return problem
		}
	}
	return nil
}

func (y *yamlReader) readCheck(v ast.Node) *Problem {
	text, problem := textIn(v)
	if problem != nil {
		return problem
	}
	if strings.ContainsAny(text, "\r\n") {
		return problemAt(v.GetToken(), "a check is one line", "")
	}
	if y.checks.Len()+len(text) > maxCheckBytes {
		return problemAt(v.GetToken(), fmt.Sprintf("the checks are longer than %d MiB", maxCheckBytes>>20), "")
	}
	y.checks.WriteString(text + "\n")
	y.doc.checks = append(y.doc.checks, v.GetToken().Position)
	return nil
}

// readEntry turns a mapping into a line of Casbin's CSV.
func (y *yamlReader) readEntry(kind string, keys []string, v ast.Node) *Problem {
	members, problem := entriesOf(v)
	if problem != nil {
		return problem
	}
	if len(members) == 0 {
		return problemAt(nil, "an entry is empty", "")
	}
	fields := make([]string, len(keys))
	for _, e := range members {
		key := e.key.Value
		i := slices.Index(keys, key)
		if i < 0 {
			return problemAt(e.key, "unknown key "+quote(key), "use "+strings.Join(keys, ", "))
		}
		if fields[i], problem = textIn(e.value); problem != nil {
			return problem
		}
		if strings.ContainsFunc(fields[i], isControl) {
			return problemAt(e.key, key+" has a control character", "")
		}
	}
	if i := slices.Index(keys, "tenant"); fields[i] == "" {
		fields[i] = "*"
	}
	if kind == "p" && fields[len(fields)-1] == "" {
		fields = fields[:len(fields)-1]
	}
	line := lineOf(kind, fields...)
	if y.csv.Len()+len(line) > maxBytes {
		return problemAt(members[0].key, fmt.Sprintf("the policy is longer than %d MiB", maxBytes>>20), "")
	}
	y.csv.WriteString(line + "\n")
	y.doc.rules = append(y.doc.rules, members[0].key.Position)
	return nil
}

// A yamlEntry is a member of a mapping.
type yamlEntry struct {
	key   *token.Token
	value ast.Node
}

// entriesOf returns the members of a mapping in their order; none for an empty
// value.
func entriesOf(n ast.Node) ([]yamlEntry, *Problem) {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case nil, *ast.NullNode, *ast.CommentGroupNode:
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		return nil, problemAt(n.GetToken(), "not a mapping", "write key: value")
	}
	out := make([]yamlEntry, 0, len(values))
	for _, v := range values {
		key := v.Key.GetToken()
		if slices.ContainsFunc(out, func(e yamlEntry) bool { return e.key.Value == key.Value }) {
			return nil, problemAt(key, "the key "+quote(key.Value)+" is there twice", "")
		}
		if len(out) == maxYAMLKeys {
			return nil, problemAt(key, "too many keys", "")
		}
		out = append(out, yamlEntry{key, v.Value})
	}
	return out, nil
}

// textIn returns a scalar as it is written; "" for an empty one.
func textIn(n ast.Node) (string, *Problem) {
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return "", nil
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode:
		return n.GetToken().Value, nil
	}
	return "", problemAt(n.GetToken(), "not a text", "put it in double quotes")
}
