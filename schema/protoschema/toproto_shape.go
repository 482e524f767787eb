package protoschema

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// shape fills in the hash of each definition: of its type, with those of all
// that it reaches, and without texts and bounds on values. Equal hashes under
// one name mean one message, whichever schema they come from.
//
// Definitions that reach each other are hashed as one, so the work is linear.
// Root is the message of the document itself, which they may reach too.
func (d *document) shape(root string) {
	var refs []string
	for name := range d.root.Defs {
		refs = append(refs, "#/$defs/"+name)
	}
	for name := range d.root.Definitions {
		refs = append(refs, "#/definitions/"+name)
	}
	slices.Sort(refs)
	index := make(map[string]int, len(refs))
	for i, ref := range refs {
		index[ref] = i
	}
	own := make([]string, len(refs))
	reached := make([][]int, len(refs))
	for i, ref := range refs {
		w := shapeWriter{root: root}
		w.write(d.definition(ref), 0)
		own[i] = w.text.String()
		for _, to := range slices.Sorted(maps.Keys(w.refs)) {
			if j, ok := index[canonical(to)]; ok {
				reached[i] = append(reached[i], j)
			}
		}
	}
	d.shapes = make(map[string]string, len(refs))
	hashes := make([]string, len(refs))
	for _, group := range components(len(refs), reached) {
		slices.Sort(group)
		h := sha256.New()
		for _, i := range group {
			_, _ = fmt.Fprintf(h, "%q %s\n", refs[i], own[i])
			for _, j := range reached[i] {
				if hashes[j] != "" {
					_, _ = io.WriteString(h, hashes[j])
				}
			}
		}
		sum := h.Sum(nil)
		for _, i := range group {
			hashes[i] = base64.RawURLEncoding.EncodeToString(sum[:12])
		}
	}
	for i, ref := range refs {
		d.shapes[ref] = hashes[i]
	}
}

// definition returns the definition with a reference that [canonical] made.
func (d *document) definition(ref string) *node {
	if name, ok := strings.CutPrefix(ref, "#/$defs/"); ok {
		return d.root.Defs[name]
	}
	return d.root.Definitions[strings.TrimPrefix(ref, "#/definitions/")]
}

// canonical returns a reference to a definition without escapes.
func canonical(ref string) string {
	i := strings.LastIndexByte(ref, '/')
	return ref[:i+1] + unescape(ref[i+1:])
}

// A shapeWriter writes what of a schema decides about its type, and notes what
// it refers to.
type shapeWriter struct {
	text strings.Builder
	refs map[string]bool
	root string
}

func (w *shapeWriter) write(n *node, depth int) {
	switch {
	case n == nil:
		w.text.WriteByte('-')
		return
	case n.always || n.never || n.tuple || depth > 2*maxNesting:
		w.text.WriteByte('?')
		return
	}
	if n.Ref != "" {
		if w.refs == nil {
			w.refs = map[string]bool{}
		}
		w.refs[n.Ref] = true
		_, _ = fmt.Fprintf(&w.text, "(%q)", n.Ref)
		if n.Ref == "#" {
			w.text.WriteString(w.root)
		}
	}
	values := 0 // Bits by the kinds of values.
	for _, v := range n.Enum {
		values |= kindBit(byte(v.Kind()))
	}
	if n.Const != nil {
		values |= kindBit(byte(n.Const.Kind()))
	}
	_, _ = fmt.Fprintf(&w.text, "{%q %q %q %q %d %d %d %t", n.ID, n.Types, n.Format, n.Encoding, values, len(n.Patterns), len(n.PrefixItems), n.DynamicRef != "")
	required := setOf(n.Required)
	for _, name := range slices.Sorted(maps.Keys(n.Properties)) {
		_, _ = fmt.Fprintf(&w.text, " %q%t:", name, required[name])
		w.write(n.Properties[name], depth+1)
	}
	for _, one := range []*node{n.Additional, n.Items} {
		w.write(one, depth+1)
	}
	for _, all := range [][]*node{n.OneOf, n.AnyOf, n.AllOf} {
		w.text.WriteByte('|')
		for _, one := range all {
			w.write(one, depth+1)
		}
	}
	w.text.WriteByte('}')
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return set
}

func kindBit(kind byte) int {
	switch kind {
	case '"':
		return 1
	case 'n':
		return 2
	}
	return 4
}

// components returns the strongly connected components of a graph, each after
// all that it reaches (Tarjan's algorithm).
func components(n int, edges [][]int) [][]int {
	t := &tarjan{edges: edges, index: make([]int, n), low: make([]int, n), on: make([]bool, n)}
	for v := range n {
		if t.index[v] == 0 {
			t.visit(v)
		}
	}
	return t.out
}

type tarjan struct {
	edges      [][]int
	index, low []int
	on         []bool
	stack      []int
	next       int
	out        [][]int
}

func (t *tarjan) visit(v int) {
	t.next++
	t.index[v], t.low[v] = t.next, t.next
	t.stack, t.on[v] = append(t.stack, v), true
	for _, w := range t.edges[v] {
		if t.index[w] == 0 {
			t.visit(w)
			t.low[v] = min(t.low[v], t.low[w])
		} else if t.on[w] {
			t.low[v] = min(t.low[v], t.index[w])
		}
	}
	if t.low[v] != t.index[v] {
		return
	}
	var group []int
	for {
		w := t.stack[len(t.stack)-1]
		t.stack, t.on[w] = t.stack[:len(t.stack)-1], false
		group = append(group, w)
		if w == v {
			break
		}
	}
	t.out = append(t.out, group)
}
