package graphql

import (
	"fmt"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Limits bound a document. Every one is checked in time linear in the document and before it is validated,
// because validation itself can take quadratic time. A field that is zero or negative takes its default, which
// no query of a person, of a client library or of introspection comes near to.
type Limits struct {
	Bytes          int // length of the document; default 64 KiB
	Tokens         int // default 5,000
	Depth          int // of fields in fields, fragments followed; default 20
	Nesting        int // of braces in the text; default 30
	Fields         int // in the text; default 500
	Expanded       int // fields once fragments are put in place; default 5,000
	Aliases        int // default 50
	RootFields     int // of one operation; default 30
	Directives     int // default 50
	Operations     int // default 20
	Fragments      int // default 50
	InlineFragment int // default 100
	Comparisons    int // pairs of fields that validation must compare because they share a response key; default 20,000
	Cost           int // of one operation, see cost; default 20,000

	// Measure is the limits that refuse nothing: exceeding one is counted and logged. They are named as in errors'
	// extension limit; nil is none.
	Measure map[string]bool
}

// Costs. A field costs one; the fields below a list cost as often as the list may be long; what takes the road to
// an upstream costs as much as a page of a list, and what reads the audit log as much as many.
const (
	costCall = 100
	costLog  = 5000
	maxCost  = 1 << 30
)

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		field *int
		value int
	}{
		{&l.Bytes, 64 << 10},
		{&l.Tokens, 5000},
		{&l.Depth, 20},
		{&l.Nesting, 30},
		{&l.Fields, 500},
		{&l.Expanded, 5000},
		{&l.Aliases, 50},
		{&l.RootFields, 30},
		{&l.Directives, 50},
		{&l.Operations, 20},
		{&l.Fragments, 50},
		{&l.InlineFragment, 100},
		{&l.Comparisons, 20_000},
		{&l.Cost, 20_000},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	return l
}

// A meter measures one document. The document is not validated yet: fragments may be missing, repeated or
// circular, and fields may not exist.
type meter struct {
	table      *table
	toolCost   func(string) int
	fragments  map[string]*ast.FragmentDefinition
	sizes      map[string]size // of fragments; one that is being measured has size zero, so that a circle ends
	introspect bool            // whether __schema or __type occurs
	steps      int             // selections that were looked at
	enough     int             // comparisons, after which there is no need to count

	fields, aliases, directives, inline, nesting, deepest, comparisons int
}

// size is what a selection set amounts to once fragments are put in place. Sums stop at maxCost.
type size struct{ depth, fields, roots, cost int }

// check returns an error that names the first limit which the document exceeds. It notes in the document what depends on
// who asks: the cost of each operation, and whether the schema is asked for.
func (f *Frontend) check(d *document, t *table) *gqlerror.Error {
	l, doc := f.o.Limits, d.doc
	if err := first(
		f.within(&d.exceeded, "operations", len(doc.Operations), l.Operations, "operations"),
		f.within(&d.exceeded, "fragments", len(doc.Fragments), l.Fragments, "fragments"),
	); err != nil {
		return err
	}
	m := &meter{table: t, toolCost: f.o.ToolCost, enough: l.Comparisons, fragments: map[string]*ast.FragmentDefinition{}, sizes: map[string]size{}}
	for _, fragment := range doc.Fragments {
		m.fragments[fragment.Name] = fragment
		m.directives += len(fragment.Directives)
	}
	for _, fragment := range doc.Fragments {
		m.fragment(fragment.Name)
	}
	d.costs = make(map[*ast.OperationDefinition]int, len(doc.Operations))
	for _, op := range doc.Operations {
		m.directives += len(op.Directives)
		s := m.set(op.SelectionSet, true)
		if err := first(
			f.within(&d.exceeded, "depth", s.depth, l.Depth, "levels of depth"),
			f.within(&d.exceeded, "expanded", s.fields, l.Expanded, "fields with fragments in place"),
			f.within(&d.exceeded, "root_fields", s.roots, l.RootFields, "root fields"),
		); err != nil {
			return err
		}
		d.costs[op] = s.cost
	}
	if err := first(
		f.within(&d.exceeded, "fields", m.fields, l.Fields, "fields"),
		f.within(&d.exceeded, "aliases", m.aliases, l.Aliases, "aliases"),
		f.within(&d.exceeded, "directives", m.directives, l.Directives, "directives"),
		f.within(&d.exceeded, "inline_fragments", m.inline, l.InlineFragment, "inline fragments"),
		f.within(&d.exceeded, "nesting", m.deepest, l.Nesting, "levels of nesting"),
	); err != nil {
		return err
	}
	for _, op := range doc.Operations {
		m.compare(op.SelectionSet)
	}
	for _, fragment := range doc.Fragments {
		m.compare(fragment.SelectionSet)
	}
	d.introspect, d.steps = m.introspect, m.steps
	return f.within(&d.exceeded, "comparisons", m.comparisons, l.Comparisons, "comparisons between fields of one response key")
}

// within returns the error of what is more than a limit, or adds the excess to those of the request where the limit
// is only measured.
func (f *Frontend) within(over *excesses, limit string, n, most int, what string) *gqlerror.Error {
	if n <= most {
		return nil
	}
	if f.o.Limits.Measure[limit] {
		over.add(excess{limit, n, most})
		return nil
	}
	err := fault(codeLimit, fmt.Sprintf("the document has more than %d %s", most, what))
	err.Extensions["limit"] = limit
	return err
}

func first(errs ...*gqlerror.Error) *gqlerror.Error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *meter) fragment(name string) size {
	s, done := m.sizes[name]
	if f := m.fragments[name]; f != nil && !done {
		m.sizes[name] = size{}
		s = m.set(f.SelectionSet, isRoot(f.TypeCondition))
		m.sizes[name] = s
	}
	return s
}

// isRoot reports whether a type is one that operations begin at.
func isRoot(name string) bool { return name == "Query" || name == "Mutation" || name == "Subscription" }

// set measures a selection set, which is one of an operation's own fields where root is true.
func (m *meter) set(set ast.SelectionSet, root bool) (s size) {
	m.nesting++
	m.deepest = max(m.deepest, m.nesting)
	defer func() { m.nesting-- }()
	for _, selection := range set {
		m.steps++
		var c size
		switch n := selection.(type) {
		case *ast.Field:
			c = m.field(n, root)
		case *ast.InlineFragment:
			m.inline++
			m.directives += len(n.Directives)
			c = m.set(n.SelectionSet, root || isRoot(n.TypeCondition))
		case *ast.FragmentSpread:
			m.directives += len(n.Directives)
			c = m.fragment(n.Name)
		}
		s.depth = max(s.depth, c.depth)
		s.fields = min(s.fields+c.fields, maxCost)
		s.roots = min(s.roots+c.roots, maxCost)
		s.cost = min(s.cost+c.cost, maxCost)
	}
	return s
}

func (m *meter) field(f *ast.Field, root bool) size {
	m.fields++
	m.directives += len(f.Directives)
	if f.Alias != f.Name {
		m.aliases++
	}
	below, own := m.set(f.SelectionSet, false), 1
	switch f.Name {
	case "callTool", "toolCall", "readResource", "resourceUpdated", "getPrompt", "complete":
		own = costCall
	case "answerQuestion", "policy", "policyVersion", "diffPolicy", "policyDraft", "lintPolicy", "testPolicy", "explainPolicy",
		"createPolicyDraft", "savePolicyDraft", "discardPolicyDraft", "activatePolicy", "rollbackPolicy",
		"createKey", "revokeKey", "endSession", "revokeCredentials", "auditProof", "approvePin", "rejectPin", "protoLock", "restoreProtoLock",
		"setLimitOverride", "removeLimitOverride", "endConnection", "traffic",
		"shiftCanary", "promoteCanary", "abortCanary":
		own = costCall
	case "pin", "canary":
		if len(f.Arguments) > 0 { // Those of a source have none, and come with it.
			own = costCall
		}
	case "policyDrafts", "permissions", "grantees", "keys", "sessions", "connections", "sources", "toolsets":
		own, below.cost = costCall, min(below.cost*maxPage, maxCost)
	case "policyVersions", "auditRecords", "pins", "limits", "importNotes":
		own, below.cost = costCall, min(below.cost*pageLength(f), maxCost)
	case "policyImpact", "verifyAuditLog":
		own = costLog
	case "tools", "resources", "resourceTemplates", "prompts":
		below.cost = min(below.cost*pageLength(f), maxCost)
	case "__schema", "__type":
		m.introspect = true
	default:
		// Elsewhere the name of a tool means nothing, and a cost would tell of one that is hidden.
		if to := m.table.fields[f.Name]; to != nil && root {
			own = m.costOf(to)
		}
	}
	return size{depth: below.depth + 1, fields: min(below.fields+1, maxCost), roots: 1, cost: min(below.cost+own, maxCost)}
}

// costOf is what a call of a tool or a prompt costs.
func (m *meter) costOf(to *target) int {
	if m.toolCost != nil && to.tool != nil {
		if cost := m.toolCost(to.tool.Name); cost > 0 {
			return cost
		}
	}
	return costCall
}

// pageLength is how many items the field may return at most: variables are not known yet.
func pageLength(f *ast.Field) int {
	arg := f.Arguments.ForName("first")
	switch {
	case arg == nil:
		return defaultPage
	case arg.Value.Kind == ast.IntValue:
		if n, err := strconv.Atoi(arg.Value.Raw); err == nil && n >= 0 && n <= maxPage {
			return max(n, 1)
		}
	}
	return maxPage
}

// compare adds up what validation compares: in every selection set, with fragments in place, the pairs of fields
// that share a response key (OverlappingFieldsCanBeMerged).
func (m *meter) compare(set ast.SelectionSet) {
	if m.comparisons > m.enough {
		return
	}
	keys := map[string]int{}
	m.flatten(set, keys, map[string]bool{})
	for _, n := range keys {
		m.comparisons += n * (n - 1) / 2
	}
	for _, selection := range set {
		switch n := selection.(type) {
		case *ast.Field:
			m.compare(n.SelectionSet)
		case *ast.InlineFragment:
			m.compare(n.SelectionSet)
		}
	}
}

func (m *meter) flatten(set ast.SelectionSet, keys map[string]int, seen map[string]bool) {
	for _, selection := range set {
		m.steps++
		switch n := selection.(type) {
		case *ast.Field:
			keys[n.Alias]++
			if keys[n.Alias] > 1 { // Parents that merge also merge their children.
				m.comparisons += len(n.SelectionSet) * keys[n.Alias]
			}
		case *ast.InlineFragment:
			m.flatten(n.SelectionSet, keys, seen)
		case *ast.FragmentSpread:
			if f := m.fragments[n.Name]; f != nil && !seen[n.Name] {
				seen[n.Name] = true
				m.flatten(f.SelectionSet, keys, seen)
			}
		}
	}
}

// LimitNames returns the names of all limits, for [Limits].Measure.
func LimitNames() []string {
	return []string{
		"bytes", "tokens", "depth", "nesting", "fields", "expanded", "aliases", "root_fields", "directives", "operations",
		"fragments", "inline_fragments", "comparisons", "cost",
	}
}
