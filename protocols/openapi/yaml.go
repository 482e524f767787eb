package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/trilith-gateway/trilith/internal/clip"
)

// maxYAMLMarks bounds the characters of a YAML text that can begin a value, and
// so the memory that its tree takes: some 200 bytes for each.
const maxYAMLMarks = 3_000_000

// fromYAML returns a YAML document as JSON of at most so many bytes. Aliases are
// written out, which the bounds on bytes and depth end where they multiply.
func fromYAML(data []byte, most int) (json.RawMessage, error) {
	marks := 0
	for _, c := range data {
		switch c {
		case '\n', ',', ':', '[', '{', '-', '?':
			marks++
		}
	}
	if marks > maxYAMLMarks {
		return nil, errors.New("the YAML document has too many values; give it as JSON")
	}
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return nil, fmt.Errorf("the document is not valid YAML: %s", clip.Text(err.Error(), 200))
	}
	if root.Kind == 0 {
		return nil, errors.New("the document is empty")
	}
	w := yamlWriter{most: most}
	if err := w.value(&root, 0); err != nil {
		return nil, fmt.Errorf("the YAML document: %w", err)
	}
	return w.out, nil
}

type yamlWriter struct {
	out   []byte
	most  int
	steps int // nodes visited; merging visits some without writing them
}

// visit counts a node and says when it is one too many.
func (w *yamlWriter) visit(n *yaml.Node, depth int) error {
	w.steps++
	switch {
	case depth > maxDepth:
		return fmt.Errorf("line %d: nested deeper than %d levels", n.Line, maxDepth)
	case len(w.out) > w.most, w.steps > 2*maxYAMLMarks:
		return fmt.Errorf("line %d: longer than %d bytes with its aliases written out", n.Line, w.most)
	}
	return nil
}

func (w *yamlWriter) value(n *yaml.Node, depth int) error {
	if err := w.visit(n, depth); err != nil {
		return err
	}
	switch n.Kind { //nolint:exhaustive // What is left is a scalar.
	case yaml.DocumentNode:
		return w.value(n.Content[0], depth)
	case yaml.AliasNode:
		return w.value(n.Alias, depth+1)
	case yaml.SequenceNode:
		w.out = append(w.out, '[')
		for i, e := range n.Content {
			if i > 0 {
				w.out = append(w.out, ',')
			}
			if err := w.value(e, depth+1); err != nil {
				return err
			}
		}
		w.out = append(w.out, ']')
		return nil
	case yaml.MappingNode:
		w.out = append(w.out, '{')
		if err := w.mapping(n, depth, map[string]bool{}); err != nil {
			return err
		}
		w.out = append(bytes.TrimSuffix(w.out, []byte{','}), '}')
		return nil
	default:
		return w.scalar(n)
	}
}

// mapping writes the members of a mapping, each with a comma after it, then
// those that it merges from others and does not have (the merge key, <<).
func (w *yamlWriter) mapping(n *yaml.Node, depth int, has map[string]bool) error {
	if err := w.visit(n, depth); err != nil {
		return err
	}
	var merged []*yaml.Node
	own := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		for hops := 0; key.Kind == yaml.AliasNode && hops < maxDepth; hops++ {
			key = key.Alias
		}
		switch {
		case key.Kind != yaml.ScalarNode:
			return fmt.Errorf("line %d: a key that is not a scalar", key.Line)
		case key.ShortTag() == "!!merge":
			merged = append(merged, value)
			continue
		case own[key.Value]:
			return fmt.Errorf("line %d: the key %s is there twice", key.Line, strconv.Quote(clip.Text(key.Value, 80)))
		}
		if own[key.Value] = true; has[key.Value] {
			continue
		}
		has[key.Value] = true
		w.out = append(quote(w.out, key.Value), ':')
		if err := w.value(value, depth+1); err != nil {
			return err
		}
		w.out = append(w.out, ',')
	}
	for _, m := range merged {
		if err := w.merge(m, depth+1, has); err != nil {
			return err
		}
	}
	return nil
}

func (w *yamlWriter) merge(n *yaml.Node, depth int, has map[string]bool) error {
	if err := w.visit(n, depth); err != nil {
		return err
	}
	switch n.Kind { //nolint:exhaustive // No others can be merged.
	case yaml.AliasNode:
		return w.merge(n.Alias, depth+1, has)
	case yaml.MappingNode:
		return w.mapping(n, depth, has)
	case yaml.SequenceNode:
		for _, e := range n.Content {
			if err := w.merge(e, depth+1, has); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("line %d: only mappings can be merged", n.Line)
}

func (w *yamlWriter) scalar(n *yaml.Node) error {
	switch n.ShortTag() {
	case "!!null":
		w.out = append(w.out, "null"...)
	case "!!bool":
		w.out = strconv.AppendBool(w.out, strings.EqualFold(n.Value, "true"))
	case "!!int", "!!float":
		if isNumber(n.Value) {
			w.out = append(w.out, n.Value...)
			return nil
		}
		var i int64
		var f float64
		switch {
		case n.ShortTag() == "!!int" && n.Decode(&i) == nil:
			w.out = strconv.AppendInt(w.out, i, 10)
		case n.Decode(&f) == nil && !math.IsNaN(f) && !math.IsInf(f, 0):
			w.out = strconv.AppendFloat(w.out, f, 'g', -1, 64)
		default:
			w.out = quote(w.out, n.Value)
		}
	default:
		w.out = quote(w.out, n.Value)
	}
	return nil
}

// isNumber reports whether a text is a number of JSON's.
func isNumber(s string) bool {
	return s != "" && (s[0] == '-' || s[0] >= '0' && s[0] <= '9') && json.Valid([]byte(s))
}
