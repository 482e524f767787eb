package config

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds on the file. They are checked on bytes and tokens, before the parser:
// its stack grows with depth, its memory with the length of keys, and its time
// with the square of the number of keys in a mapping.
const (
	maxFile   = 1 << 20 // bytes
	maxDepth  = 32      // levels of mappings and lists
	maxIndent = 256     // columns before a key or list entry
	maxKey    = 256     // bytes of a key
	maxKeys   = 10_000  // keys in the file
)

// kind says what a node holds.
type kind string

const (
	null    kind = "nothing"
	text    kind = "a string"
	number  kind = "a number"
	boolean kind = "true or false"
	mapping kind = "a mapping"
	list    kind = "a list"
)

// node is a YAML value without what a configuration has no use for: anchors,
// tags, comments and styles.
type node struct {
	position

	kind    kind
	text    string // of a scalar, as written without quotes
	entries []entry
	items   []*node
}

// entry is a key of a mapping and its value.
type entry struct {
	position

	key   string
	value *node
}

// syntaxError is a problem of YAML itself, which ends the reading.
type syntaxError struct {
	position

	msg, hint string
}

// Error returns the message without the place.
func (e *syntaxError) Error() string { return e.msg }

// at returns the place of a token.
func at(t *token.Token) position {
	if t == nil || t.Position == nil {
		return position{1, 1}
	}
	return position{t.Position.Line, t.Position.Column}
}

// readYAML parses one document. The node of an empty document has kind null.
func readYAML(data []byte) (*node, *syntaxError) {
	tokens := lexer.Tokenize(string(data))
	if err := checkTokens(tokens); err != nil {
		return nil, err
	}
	file, err := parse(tokens)
	if err != nil {
		syntax := &syntaxError{position{1, 1}, "not valid YAML: " + err.Error(), ""}
		if e, ok := errors.AsType[yaml.Error](err); ok {
			syntax.position, syntax.msg = at(e.GetToken()), "not valid YAML: "+e.GetMessage()
		}
		return nil, syntax
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return &node{position: position{1, 1}, kind: null}, nil
	}
	return convert(file.Docs[0].Body, 0)
}

// parse calls the parser. A panic of the parser becomes an error, so that a bad
// edit cannot end a gateway that watches its file.
func parse(tokens token.Tokens) (file *ast.File, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the parser cannot read it")
		}
	}()
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// checkTokens refuses what would be costly or unsafe to parse: deep nesting, long
// or many keys, and YAML that makes one value stand for another.
func checkTokens(tokens token.Tokens) *syntaxError {
	flow, keys := 0, 0
	content := false // whether the document has begun
	for _, t := range tokens {
		switch t.Type { //nolint:exhaustive // All other tokens are harmless.
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			return &syntaxError{at(t), "anchors, aliases and merge keys are not supported", "write the value out"}
		case token.TagType, token.DirectiveType, token.MappingKeyType:
			return &syntaxError{at(t), "tags, directives and complex keys are not supported", "use plain YAML"}
		case token.DocumentHeaderType, token.DocumentEndType:
			if content {
				return &syntaxError{at(t), "more than one YAML document", "keep everything in one document, without --- and ..."}
			}
		case token.MappingValueType:
			keys++
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		}
		content = content || t.Type != token.CommentType
		if keys > maxKeys {
			return &syntaxError{at(t), fmt.Sprintf("more than %d keys", maxKeys), ""}
		}
		if flow > maxDepth {
			return tooDeep(at(t))
		}
		if err := checkIndent(t, flow); err != nil {
			return err
		}
	}
	return nil
}

// checkIndent bounds keys, and with the indent of keys and list entries the
// depth of what is nested without brackets.
func checkIndent(t *token.Token, flow int) *syntaxError {
	start := t
	switch t.Type { //nolint:exhaustive // Only these two begin a level.
	case token.MappingValueType:
		if t.Prev == nil {
			return nil
		}
		start = t.Prev
		if len(start.Value) > maxKey {
			return &syntaxError{at(start), fmt.Sprintf("a key is longer than %d bytes", maxKey), ""}
		}
	case token.SequenceEntryType:
	default:
		return nil
	}
	if flow == 0 && at(start).col > maxIndent {
		return tooDeep(at(start))
	}
	return nil
}

func tooDeep(at position) *syntaxError {
	return &syntaxError{at, fmt.Sprintf("nested deeper than %d levels", maxDepth), ""}
}

// convert turns a parsed value into a node.
func convert(n ast.Node, depth int) (*node, *syntaxError) {
	if n == nil {
		return &node{position: position{1, 1}, kind: null}, nil
	}
	out := &node{position: at(n.GetToken())}
	if depth > maxDepth {
		return nil, tooDeep(out.position)
	}
	switch n := n.(type) {
	case *ast.NullNode:
		out.kind = null
	case *ast.StringNode:
		out.kind, out.text = text, n.Value
	case *ast.LiteralNode:
		out.kind, out.text = text, n.Value.Value
	case *ast.BoolNode:
		out.kind, out.text = boolean, n.Token.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		out.kind, out.text = number, n.GetToken().Value
	case *ast.SequenceNode:
		out.kind = list
		for _, v := range n.Values {
			item, err := convert(v, depth+1)
			if err != nil {
				return nil, err
			}
			out.items = append(out.items, item)
		}
	case *ast.MappingNode:
		return out, out.addEntries(n.Values, depth)
	case *ast.MappingValueNode:
		return out, out.addEntries([]*ast.MappingValueNode{n}, depth)
	default:
		return nil, &syntaxError{out.position, "not a mapping, list or plain value", "use plain YAML"}
	}
	return out, nil
}

// addEntries makes n a mapping of values.
func (n *node) addEntries(values []*ast.MappingValueNode, depth int) *syntaxError {
	n.kind = mapping
	for i, v := range values {
		key := v.Key.GetToken()
		if i == 0 {
			n.position = at(key)
		}
		value, err := convert(v.Value, depth+1)
		if err != nil {
			return err
		}
		n.entries = append(n.entries, entry{position: at(key), key: key.Value, value: value})
	}
	return nil
}
