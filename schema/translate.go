package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/trilith-gateway/trilith/internal/clip"
)

// translator turns what the compiler has resolved into nodes.
type translator struct {
	compiler  *jsonschema.Compiler
	docs      map[string]any // the documents with dynamic anchors of their own, by URL
	nodes     map[*jsonschema.Schema]*node
	order     []*jsonschema.Schema
	dynamic   bool // some node has a dynamic reference
	err       error
	resources map[string]*resource // by URL and JSON Pointer
}

func (tr *translator) translate(root *jsonschema.Schema) (*node, error) {
	n := tr.node(root)
	if tr.dynamic && tr.err == nil {
		tr.err = tr.assignResources()
	}
	if tr.err != nil {
		return nil, tr.err
	}
	open, done := map[*node]bool{}, map[*node]bool{}
	for _, n := range tr.nodes {
		if n.endless(open, done) {
			return nil, errors.New("the schema refers to itself without end")
		}
	}
	return n, nil
}

func (tr *translator) fail(format string, args ...any) {
	if tr.err == nil {
		tr.err = fmt.Errorf(format, args...)
	}
}

// node returns the node of s, nil for nil. References may lead in circles, so a node is entered in the map
// before its children are made.
func (tr *translator) node(s *jsonschema.Schema) *node {
	if s == nil {
		return nil
	}
	if n := tr.nodes[s]; n != nil {
		return n
	}
	n := &node{}
	tr.nodes[s] = n
	tr.order = append(tr.order, s)
	if s.Bool != nil {
		n.reject = !*s.Bool
		return n
	}
	if s.Types != nil {
		n.types, n.wantType = tr.types(*s.Types)
	}
	if s.Const != nil {
		n.values = append(n.values, tr.valueSet([]any{*s.Const}))
	}
	if s.Enum != nil {
		n.values = append(n.values, tr.valueSet(s.Enum.Values))
	}
	n.ref, n.dynamic = tr.node(s.Ref), tr.dynamicRef(s)
	n.object = tr.object(s)
	n.array = tr.array(s)
	if s.MinLength != nil || s.MaxLength != nil || s.Pattern != nil {
		n.text = &stringRules{min: orNone(s.MinLength), max: orNone(s.MaxLength), pattern: asPattern(s.Pattern)}
	}
	n.number = tr.number(s)

	n.not = tr.node(s.Not)
	n.allOf, n.anyOf, n.oneOf = tr.list(s.AllOf), tr.list(s.AnyOf), tr.list(s.OneOf)
	if s.If != nil {
		n.cond = &condition{when: tr.node(s.If), then: tr.node(s.Then), otherwise: tr.node(s.Else)}
	}
	n.unevaluatedProperties = tr.node(s.UnevaluatedProperties)
	n.unevaluatedItems = tr.node(s.UnevaluatedItems)
	return n
}

// dynamicRef returns the dynamic reference of s, nil where it has none. One whose target has no anchor of that
// kind is an ordinary reference.
func (tr *translator) dynamicRef(s *jsonschema.Schema) *dynamicRef {
	anchor, target := "", s.RecursiveRef
	switch {
	case s.DynamicRef != nil:
		target = s.DynamicRef.Ref
		if target.DynamicAnchor == s.DynamicRef.Anchor {
			anchor = s.DynamicRef.Anchor
		}
	case target == nil:
		return nil
	case target.RecursiveAnchor:
		anchor = recursiveAnchor
	}
	tr.dynamic = tr.dynamic || anchor != ""
	return &dynamicRef{anchor: anchor, target: tr.node(target)}
}

func (tr *translator) list(schemas []*jsonschema.Schema) []*node {
	var nodes []*node
	for _, s := range schemas {
		nodes = append(nodes, tr.node(s))
	}
	return nodes
}

func (tr *translator) types(types jsonschema.Types) (typeSet, string) {
	names := types.ToStrings()
	var set typeSet
	for _, name := range names {
		set |= typeNamed(name)
	}
	return set, strings.Join(names, " or ")
}

func (tr *translator) valueSet(values []any) valueSet {
	set := valueSet{canonical: make(map[string]struct{}, len(values))}
	short := make([]string, 0, len(values))
	for _, v := range values {
		c, err := canonical(v)
		if err != nil {
			tr.fail("enum or const: %w", err)
			return set
		}
		set.canonical[c] = struct{}{}
		if text, err := json.Marshal(v); err == nil {
			short = append(short, string(text))
		}
	}
	set.want = "not one of the values that the schema allows"
	switch want := strings.Join(short, ", "); {
	case len(want) > 120:
	case len(values) == 1:
		set.want = "want " + want
	default:
		set.want = "want one of " + want
	}
	return set
}

func (tr *translator) object(s *jsonschema.Schema) *objectRules {
	r := &objectRules{
		required:   s.Required,
		additional: tr.additional(s.AdditionalProperties),
		names:      tr.node(s.PropertyNames),
		dependent:  tr.dependencies(s),
		min:        orNone(s.MinProperties),
		max:        orNone(s.MaxProperties),
	}
	if len(s.Properties)+len(s.Required) > 0 {
		r.properties = make(map[string]property, len(s.Properties))
	}
	for name, sub := range s.Properties {
		r.properties[name] = property{schema: tr.node(sub)}
	}
	slices.Sort(r.required)
	r.required = slices.Compact(r.required)
	for _, name := range r.required {
		p := r.properties[name]
		p.required = true
		r.properties[name] = p
	}
	for re, sub := range s.PatternProperties {
		r.patterns = append(r.patterns, patternProperty{pattern: asPattern(re), schema: tr.node(sub)})
	}
	slices.SortFunc(r.patterns, func(a, b patternProperty) int {
		return strings.Compare(a.pattern.source, b.pattern.source)
	})
	if r.properties == nil && r.patterns == nil && r.additional == nil && r.names == nil && r.dependent == nil &&
		r.min < 0 && r.max < 0 {
		return nil
	}
	return r
}

// dependencies gathers what the drafts have called dependencies, dependentRequired and dependentSchemas.
func (tr *translator) dependencies(s *jsonschema.Schema) []dependency {
	var all []dependency
	for name, dep := range s.Dependencies {
		switch dep := dep.(type) {
		case []string:
			all = append(all, dependency{name: name, required: dep})
		case *jsonschema.Schema:
			all = append(all, dependency{name: name, schema: tr.node(dep)})
		}
	}
	for name, required := range s.DependentRequired {
		all = append(all, dependency{name: name, required: required})
	}
	for name, sub := range s.DependentSchemas {
		all = append(all, dependency{name: name, schema: tr.node(sub)})
	}
	slices.SortStableFunc(all, func(a, b dependency) int { return strings.Compare(a.name, b.name) })
	return all
}

// additional returns the node of a keyword that is a schema or a boolean.
func (tr *translator) additional(v any) *node {
	switch v := v.(type) {
	case bool:
		return &node{reject: !v}
	case *jsonschema.Schema:
		return tr.node(v)
	}
	return nil
}

func (tr *translator) array(s *jsonschema.Schema) *arrayRules {
	r := &arrayRules{
		prefix:            tr.list(s.PrefixItems),
		rest:              tr.node(s.Items2020),
		contains:          tr.node(s.Contains),
		minContains:       1,
		maxContains:       orNone(s.MaxContains),
		containsEvaluates: s.DraftVersion >= 2020,
		min:               orNone(s.MinItems),
		max:               orNone(s.MaxItems),
		unique:            s.UniqueItems,
	}
	switch items := s.Items.(type) {
	case *jsonschema.Schema:
		r.rest = tr.node(items)
	case []*jsonschema.Schema:
		r.prefix, r.rest = tr.list(items), tr.additional(s.AdditionalItems)
	}
	if s.MinContains != nil {
		r.minContains = *s.MinContains
	}
	if r.prefix == nil && r.rest == nil && r.contains == nil && r.min < 0 && r.max < 0 && !r.unique {
		return nil
	}
	return r
}

func (tr *translator) number(s *jsonschema.Schema) *numberRules {
	r := &numberRules{}
	add := func(v *big.Rat, sign int, strict bool) {
		if v != nil {
			text := ratText(v)
			r.limits = append(r.limits, limit{value: parseDecimal([]byte(text)), text: clip.Text(text, 40), sign: sign, strict: strict})
		}
	}
	add(s.Minimum, 1, false)
	add(s.ExclusiveMinimum, 1, true)
	add(s.Maximum, -1, false)
	add(s.ExclusiveMaximum, -1, true)
	if s.MultipleOf != nil {
		text := ratText(s.MultipleOf)
		d, ok := newDivisor(parseDecimal([]byte(text)))
		if !ok {
			tr.fail("multipleOf has too many digits: %s", clip.Text(text, 40))
			return nil
		}
		r.multipleOf, r.multipleText = &d, clip.Text(text, 40)
	}
	if r.limits == nil && r.multipleOf == nil {
		return nil
	}
	return r
}

// ratText returns the decimal form of a number that was decimal in the schema, so it is exact.
func ratText(r *big.Rat) string {
	digits, _ := r.FloatPrec()
	return r.FloatString(digits)
}

func orNone(n *int) int {
	if n == nil {
		return -1
	}
	return *n
}

func asPattern(re jsonschema.Regexp) *pattern {
	p, _ := re.(*pattern) // compile installs no other engine
	return p
}

func typeNamed(name string) typeSet {
	switch name {
	case "null":
		return typeNull
	case "boolean":
		return typeBoolean
	case "integer":
		return typeInteger
	case "number":
		return typeNumber | typeInteger
	case "string":
		return typeString
	case "array":
		return typeArray
	default:
		return typeObject
	}
}

// endless reports whether evaluating n comes back to n at the same place of the value whatever the value is.
func (n *node) endless(open, done map[*node]bool) bool {
	if n == nil || done[n] {
		return false
	}
	if open[n] {
		return true
	}
	open[n] = true
	next := slices.Concat([]*node{n.ref, n.not}, n.allOf, n.anyOf, n.oneOf)
	if n.cond != nil {
		next = append(next, n.cond.when)
	}
	if n.dynamic != nil && n.dynamic.anchor == "" {
		next = append(next, n.dynamic.target)
	}
	for _, c := range next {
		if c.endless(open, done) {
			return true
		}
	}
	delete(open, n)
	done[n] = true
	return false
}
