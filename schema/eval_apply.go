package schema

import "github.com/trilith-gateway/trilith/internal/clip"

// marks says which members of an object or elements of an array have been evaluated.
type marks struct{ bits []uint64 }

func newMarks(n int) *marks { return &marks{bits: make([]uint64, (n+63)/64)} }

func (m *marks) set(i int32) {
	if m != nil {
		m.bits[i/64] |= 1 << (i % 64)
	}
}

func (m *marks) has(i int32) bool { return m.bits[i/64]&(1<<(i%64)) != 0 }

func (m *marks) merge(o *marks) {
	for i, w := range o.bits {
		m.bits[i] |= w
	}
}

func (e *evaluation) object(r *objectRules, i int32, m *marks) bool {
	size := e.items[i].size
	ok := true
	if int(size) < r.min {
		e.fail("want at least %d members, got %d", r.min, size)
		ok = false
	}
	if r.max >= 0 && int(size) > r.max {
		e.fail("want at most %d members, got %d", r.max, size)
		ok = false
	}
	required := 0
	for k, at := int32(0), i+1; k < size; k, at = k+1, e.items[at+1].next {
		if !ok && e.stop() {
			return false
		}
		name := e.str(at)
		if !e.spend(2 + len(name)/16) {
			return false
		}
		p := r.properties[string(name)]
		if p.required {
			required++
		}
		evaluated, matches := e.member(r, p.schema, name, at)
		if evaluated {
			m.set(k)
		}
		ok = ok && matches
		if r.names != nil && !e.nameMatches(r.names, at) {
			ok = false
		}
	}
	if required < len(r.required) {
		e.missing(i, r.required, "")
		ok = false
	}
	return e.dependencies(r, i, m) && ok
}

// member evaluates properties, patternProperties and additionalProperties for the member at. property is the
// schema that properties has for it, nil where there is none.
func (e *evaluation) member(r *objectRules, property *node, name []byte, at int32) (evaluated, ok bool) {
	here := segment{name: at}
	ok = true
	if property != nil {
		evaluated = true
		ok = e.child(property, at+1, here)
	}
	for _, pp := range r.patterns {
		if e.match(pp.pattern, name) {
			evaluated = true
			ok = e.child(pp.schema, at+1, here) && ok
		}
	}
	if !evaluated && r.additional != nil {
		return true, e.child(r.additional, at+1, here)
	}
	return evaluated, ok
}

// nameMatches evaluates propertyNames. The item of a name is a string like any other.
func (e *evaluation) nameMatches(n *node, at int32) bool {
	if e.quiet > 0 {
		return e.eval(n, at, nil)
	}
	if e.probe(n, at, nil) {
		return true
	}
	e.path = append(e.path, segment{name: at})
	e.fail("no member may be called so")
	e.path = e.path[:len(e.path)-1]
	return false
}

// missing records which of the required members object i lacks, and reports whether it lacks one.
func (e *evaluation) missing(i int32, required []string, because string) bool {
	lacks := false
	for _, name := range required {
		if e.find(i, name) >= 0 {
			continue
		}
		lacks = true
		if e.stop() {
			return true
		}
		if because == "" {
			e.fail("the member %q is missing", clip.Text(name, 80))
		} else {
			e.fail("the member %q is missing, which %q asks for", clip.Text(name, 80), clip.Text(because, 80))
		}
	}
	return lacks
}

// find returns the item of the member name, -1 where there is none.
func (e *evaluation) find(i int32, name string) int32 {
	size := e.items[i].size
	e.spend(int(size))
	for k, at := int32(0), i+1; k < size && !e.spent; k, at = k+1, e.items[at+1].next {
		if string(e.str(at)) == name {
			return at
		}
	}
	return -1
}

func (e *evaluation) dependencies(r *objectRules, i int32, m *marks) bool {
	ok := true
	for _, d := range r.dependent {
		if !ok && e.stop() {
			return false
		}
		if e.find(i, d.name) < 0 {
			continue
		}
		if e.missing(i, d.required, d.name) {
			ok = false
		}
		if d.schema != nil && !e.eval(d.schema, i, m) {
			ok = false
		}
	}
	return ok
}

func (e *evaluation) array(r *arrayRules, i int32, m *marks) bool {
	size := e.items[i].size
	ok := true
	if int(size) < r.min {
		e.fail("want at least %d items, got %d", r.min, size)
		ok = false
	}
	if r.max >= 0 && int(size) > r.max {
		e.fail("want at most %d items, got %d", r.max, size)
		ok = false
	}
	if r.unique && !e.unique(i) {
		ok = false
	}
	for k, at := int32(0), i+1; k < size; k, at = k+1, e.items[at].next {
		if !ok && e.stop() || !e.spend(1) {
			return false
		}
		element := r.rest
		if int(k) < len(r.prefix) {
			element = r.prefix[k]
		}
		if element != nil {
			ok = e.child(element, at, segment{name: -1, index: k}) && ok
			m.set(k)
		}
	}
	return (r.contains == nil || e.contains(r, i, m)) && ok
}

// contains evaluates contains, minContains and maxContains.
func (e *evaluation) contains(r *arrayRules, i int32, m *marks) bool {
	size, got := e.items[i].size, 0
	for k, at := int32(0), i+1; k < size && e.spend(1); k, at = k+1, e.items[at].next {
		if e.probe(r.contains, at, nil) {
			got++
			if r.containsEvaluates {
				m.set(k)
			}
		}
	}
	switch {
	case got < r.minContains:
		e.fail("want at least %d items of the kind that it must contain, got %d", r.minContains, got)
	case r.maxContains >= 0 && got > r.maxContains:
		e.fail("want at most %d items of the kind that it must contain, got %d", r.maxContains, got)
	default:
		return true
	}
	return false
}

// unique compares canonical forms, which takes time in proportion to the array where comparing each item
// with each other takes its square.
func (e *evaluation) unique(i int32) bool {
	size := e.items[i].size
	if size < 2 || !e.spendOn(i) {
		return true
	}
	seen := make(map[string]int32, size)
	for k, at := int32(0), i+1; k < size; k, at = k+1, e.items[at].next {
		e.scratch = e.appendCanonical(e.scratch[:0], at)
		if first, dup := seen[string(e.scratch)]; dup {
			e.fail("items %d and %d are equal", first, k)
			return false
		}
		seen[string(e.scratch)] = k
	}
	return true
}

// compositions evaluates the keywords that apply subschemas to the same value.
func (e *evaluation) compositions(n *node, i int32, m *marks) bool {
	ok := true
	if n.not != nil && e.probe(n.not, i, nil) {
		e.fail("is of a form that is excluded")
		ok = false
	}
	for _, sub := range n.allOf {
		if !ok && e.stop() {
			return false
		}
		ok = e.eval(sub, i, m) && ok
	}
	ok = (n.anyOf == nil || e.anyOf(n.anyOf, i, m)) && ok
	ok = (n.oneOf == nil || e.oneOf(n.oneOf, i, m)) && ok
	return (n.cond == nil || e.condition(n.cond, i, m)) && ok
}

func (e *evaluation) anyOf(forms []*node, i int32, m *marks) bool {
	matched := false
	for _, sub := range forms {
		if e.probe(sub, i, m) {
			if m == nil {
				return true
			}
			matched = true // but the others may evaluate more
		}
	}
	if !matched {
		e.explain(forms, i)
	}
	return matched
}

func (e *evaluation) oneOf(forms []*node, i int32, m *marks) bool {
	matched := false
	for _, sub := range forms {
		if !e.probe(sub, i, m) {
			continue
		}
		if matched {
			e.fail("matches more than one of %d forms that exclude each other", len(forms))
			return false
		}
		matched = true
	}
	if !matched {
		e.explain(forms, i)
	}
	return matched
}

func (e *evaluation) condition(c *condition, i int32, m *marks) bool {
	next := c.otherwise
	if e.probe(c.when, i, m) {
		next = c.then
	}
	return next == nil || e.eval(next, i, m)
}

// explain says why none of the forms matches. Often only one is for values of this type, as with null beside
// an object; then its violations say most.
func (e *evaluation) explain(forms []*node, i int32) {
	if e.stop() {
		return
	}
	var only *node
	fitting := 0
	for _, f := range forms {
		target := f
		for range maxForwards {
			if target.ref == nil || target.types != 0 {
				break
			}
			target = target.ref
		}
		if !target.reject && (target.types == 0 || e.hasType(target.types, i)) {
			only = f
			fitting++
		}
	}
	before := len(e.violations)
	if fitting == 1 {
		e.eval(only, i, nil)
	}
	if len(e.violations) == before {
		e.fail("matches none of the %d forms that the schema allows", len(forms))
	}
}

// maxForwards bounds how many references explain follows to find the type of a form.
const maxForwards = 8

// unevaluated evaluates the members or elements that nothing before has evaluated.
func (e *evaluation) unevaluated(n *node, i int32, m *marks) bool {
	it := e.items[i]
	sub, members := n.unevaluatedItems, int32(0)
	switch {
	case it.kind == typeObject:
		sub, members = n.unevaluatedProperties, 1
	case it.kind != typeArray:
		return true
	}
	if sub == nil {
		return true
	}
	ok := true
	for k, at := int32(0), i+1; k < it.size; k, at = k+1, e.items[at+members].next {
		if !ok && e.stop() || !e.spend(1) {
			return false
		}
		if m.has(k) {
			continue
		}
		m.set(k)
		here := segment{name: -1, index: k}
		if members == 1 {
			here = segment{name: at}
		}
		ok = e.child(sub, at+members, here) && ok
	}
	return ok
}
