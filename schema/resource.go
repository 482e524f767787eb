package schema

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// recursiveAnchor is the anchor of "$recursiveAnchor": true. No $dynamicAnchor can be called that.
const recursiveAnchor = "#"

// assignResources gives every node the resource it belongs to, with the resource's dynamic anchors. The
// compiler knows them but keeps them to itself; they follow from where a schema stands in its document.
func (tr *translator) assignResources() error {
	tr.resources = map[string]*resource{}
	for _, doc := range slices.Sorted(maps.Keys(tr.docs)) {
		if err := tr.findAnchors(doc, "", tr.docs[doc], true); err != nil {
			return err
		}
	}
	for i := 0; i < len(tr.order); i++ { // anchors can add to tr.order
		s := tr.order[i]
		doc, ptr, err := splitLocation(s.Location)
		if err != nil {
			return err
		}
		tokens := strings.Split(ptr, "/")[1:]
		base := resourcePointer(tr.docs[doc], tokens)
		key := doc + "#" + base
		r := tr.resources[key]
		if r == nil {
			r = &resource{anchors: map[string]*node{}}
			tr.resources[key] = r
		}
		tr.nodes[s].resource = r
		if ptr == base && s.RecursiveAnchor {
			r.anchors[recursiveAnchor] = tr.nodes[s]
		}
		if s.DynamicAnchor != "" {
			r.anchors[s.DynamicAnchor] = tr.nodes[s]
		}
	}
	return nil
}

// findAnchors has every schema with a dynamic anchor compiled, also those that only a dynamic reference can
// reach. isSchema tells a schema from an object whose member names are free, such as that of "properties".
func (tr *translator) findAnchors(doc, ptr string, v any, isSchema bool) error {
	switch v := v.(type) {
	case map[string]any:
		if isSchema {
			_, named := v["$dynamicAnchor"].(string)
			recursive, _ := v["$recursiveAnchor"].(bool)
			if named || recursive {
				s, err := tr.compiler.Compile(doc + "#" + (&url.URL{Fragment: ptr}).EscapedFragment())
				if err != nil {
					return plain(err)
				}
				tr.node(s)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			free := false
			if isSchema {
				switch name {
				case "const", "enum", "default", "examples":
					continue
				case "properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies":
					free = true
				}
			}
			if err := tr.findAnchors(doc, ptr+"/"+escapeToken(name), v[name], !free); err != nil {
				return err
			}
		}
	case []any:
		for i, element := range v {
			if err := tr.findAnchors(doc, ptr+"/"+strconv.Itoa(i), element, isSchema); err != nil {
				return err
			}
		}
	}
	return nil
}

// splitLocation splits the absolute location of a schema into the URL of its document and a JSON Pointer.
func splitLocation(loc string) (doc, ptr string, err error) {
	doc, fragment, _ := strings.Cut(loc, "#")
	ptr, err = url.PathUnescape(fragment)
	return doc, ptr, err
}

// resourcePointer returns the pointer to the innermost schema with a $id on the way along tokens.
func resourcePointer(v any, tokens []string) string {
	base := ""
	for i, token := range tokens {
		switch parent := v.(type) {
		case map[string]any:
			v = parent[unescapeToken(token)]
		case []any:
			n, err := strconv.Atoi(token)
			if err != nil || n < 0 || n >= len(parent) {
				return base
			}
			v = parent[n]
		default:
			return base
		}
		if obj, ok := v.(map[string]any); ok {
			if id, ok := obj["$id"].(string); ok && !strings.HasPrefix(id, "#") {
				base = "/" + strings.Join(tokens[:i+1], "/")
			}
		}
	}
	return base
}
