package schema

import (
	"regexp"
)

// node is one subschema, ready to be evaluated. Nodes are immutable once compiled and form a graph: a $ref is
// an edge like any other. Rules for one type of value stand apart, so that a value meets only what can apply.
type node struct {
	reject   bool // the schema false
	types    typeSet
	wantType string
	values   []valueSet // enum and const

	ref     *node
	dynamic *dynamicRef

	object *objectRules
	array  *arrayRules
	text   *stringRules
	number *numberRules

	not                 *node
	allOf, anyOf, oneOf []*node
	cond                *condition

	unevaluatedProperties *node
	unevaluatedItems      *node

	resource *resource // set only where the schema has dynamic references
}

// valueSet is the values that enum or const allows, by their canonical forms.
type valueSet struct {
	canonical map[string]struct{}
	want      string
}

type condition struct{ when, then, otherwise *node }

type objectRules struct {
	properties map[string]property
	required   []string
	patterns   []patternProperty
	additional *node
	names      *node
	dependent  []dependency
	min, max   int // -1 where absent
}

type property struct {
	schema   *node
	required bool
}

type patternProperty struct {
	pattern *pattern
	schema  *node
}

// dependency is what the presence of a member asks for: other members, a schema, or both.
type dependency struct {
	name     string
	required []string
	schema   *node
}

type arrayRules struct {
	prefix                   []*node
	rest                     *node
	contains                 *node
	minContains, maxContains int
	containsEvaluates        bool // since 2020-12, unevaluatedItems does not see what contains has matched
	min, max                 int
	unique                   bool
}

type stringRules struct {
	min, max int
	pattern  *pattern
}

type numberRules struct {
	limits       []limit
	multipleOf   *divisor
	multipleText string
}

type limit struct {
	value  decimal
	text   string
	sign   int  // 1 for a minimum, -1 for a maximum
	strict bool // exclusive
}

// pattern is a regular expression and the number of its instructions, which bounds the time of a match.
type pattern struct {
	re     *regexp.Regexp
	source string // as the schema has it
	size   int
}

// dynamicRef is a $dynamicRef or $recursiveRef: the outermost resource on the way here that has the anchor
// decides where it leads.
type dynamicRef struct {
	anchor string
	target *node // where no resource has it
}

// resource is a schema resource with its dynamic anchors.
type resource struct {
	anchors map[string]*node
}
