package schema

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/trilith-gateway/trilith/internal/clip"
)

// maxWork bounds the steps of one validation. A step takes some ten nanoseconds. Typical arguments take a few
// hundred steps, a value of four MiB with 200,000 tokens some two million. Without a bound, four lines of
// schema ({"items":{"allOf":[{"$ref":"#"},{"$ref":"#"}]}}) need 2ⁿ steps for n nested arrays.
const maxWork = 20_000_000

// maxRecursion bounds the stack: subschemas within subschemas, times values within values.
const maxRecursion = 4096

// evaluation is the state of one validation.
type evaluation struct {
	tape
	path       []segment
	scope      []*resource // the resources on the way here, outermost first
	violations []Violation
	quiet      int // above 0 only whether a value matches is of interest, not why not
	work       int // steps left
	depth      int
	spent      bool // out of steps or of stack: the outcome means nothing
	scratch    []byte
}

// segment is a step of a path: the item of a member name, or an index where name is -1.
type segment struct{ name, index int32 }

func (e *evaluation) run(root *node, text []byte) error {
	e.work = maxWork
	e.reset(text)
	if !e.numbersInRange() {
		return &Invalid{Violations: []Violation{{Message: "a number has an exponent that is out of range"}}}
	}
	ok := e.eval(root, 0, nil)
	switch {
	case e.spent:
		return &Invalid{Violations: []Violation{{Message: "too costly to validate: too large or nested too deep for its schema"}}}
	case ok:
		return nil
	}
	return &Invalid{Violations: e.violations}
}

// release forgets the value and returns the working memory.
func (e *evaluation) release() {
	if cap(e.items) > keepItems || cap(e.scratch) > keepItems {
		return
	}
	*e = evaluation{
		tape:    tape{items: e.items[:0]},
		path:    e.path[:0],
		scope:   e.scope[:0],
		scratch: e.scratch[:0],
	}
	evaluations.Put(e)
}

func (e *evaluation) numbersInRange() bool {
	for i := range e.items {
		if e.items[i].kind == typeNumber && !exponentInRange(e.raw(int32(i))) {
			return false
		}
	}
	return true
}

// spend takes n steps and reports whether there were as many left.
func (e *evaluation) spend(n int) bool {
	e.work -= n
	if e.work < 0 {
		e.spent = true
	}
	return !e.spent
}

// stop reports whether a value that is known not to match needs no further look.
func (e *evaluation) stop() bool {
	return e.quiet > 0 || e.spent || len(e.violations) >= maxViolations
}

// fail records a violation at the present place.
func (e *evaluation) fail(format string, args ...any) {
	if e.stop() {
		return
	}
	e.violations = append(e.violations, Violation{
		Pointer: e.pointer(),
		Message: clip.Text(fmt.Sprintf(format, args...), maxMessageBytes),
	})
}

func (e *evaluation) pointer() string {
	var b strings.Builder
	for _, s := range e.path {
		token := strconv.Itoa(int(s.index))
		if s.name >= 0 {
			token = escapeToken(string(e.str(s.name)))
		}
		if b.Len()+1+len(token) > maxPointerBytes {
			break
		}
		b.WriteString("/" + token)
	}
	return b.String()
}

// child evaluates n against the value i, which stands at s within the present one.
func (e *evaluation) child(n *node, i int32, s segment) bool {
	e.path = append(e.path, s)
	ok := e.eval(n, i, nil)
	e.path = e.path[:len(e.path)-1]
	return ok
}

// probe reports whether n matches, without recording why not.
func (e *evaluation) probe(n *node, i int32, m *marks) bool {
	e.quiet++
	ok := e.eval(n, i, m)
	e.quiet--
	return ok
}

// eval reports whether item i matches n. Where m is not nil and it does, eval marks the members or elements
// that n has evaluated (JSON Schema Core, section 11).
func (e *evaluation) eval(n *node, i int32, m *marks) bool {
	if n.reject {
		e.fail("not allowed here")
		return false
	}
	if !e.spend(4) {
		return false
	}
	if e.depth++; e.depth > maxRecursion {
		e.spent = true
	}
	if n.resource != nil {
		e.scope = append(e.scope, n.resource)
	}
	// What n marks counts only if all of n matches, and its own unevaluated keywords see only its own marks.
	own := m
	if m != nil || n.unevaluatedProperties != nil || n.unevaluatedItems != nil {
		own = newMarks(int(e.items[i].size))
		e.spend(len(own.bits))
	}
	ok := e.matches(n, i, own)
	if ok && m != nil {
		m.merge(own)
	}
	if n.resource != nil {
		e.scope = e.scope[:len(e.scope)-1]
	}
	e.depth--
	return ok && !e.spent
}

// matches evaluates the keywords of n, what is cheap first. It goes on after a fault, to find others, unless
// nobody wants to know them.
func (e *evaluation) matches(n *node, i int32, m *marks) bool {
	if n.types != 0 && !e.hasType(n.types, i) {
		e.fail("want %s, got %s", n.wantType, typeName(e.items[i].kind))
		return false
	}
	ok := true
	for _, keywords := range [...]func(*evaluation, *node, int32, *marks) bool{
		(*evaluation).allowed, (*evaluation).rules, (*evaluation).references,
		(*evaluation).compositions, (*evaluation).unevaluated,
	} {
		ok = keywords(e, n, i, m) && ok
		if !ok && e.stop() {
			return false
		}
	}
	return ok
}

// allowed evaluates enum and const.
func (e *evaluation) allowed(n *node, i int32, _ *marks) bool {
	for _, set := range n.values {
		if !e.in(set, i) {
			e.fail("%s", set.want)
			return false
		}
	}
	return true
}

// rules evaluates the keywords for the type of item i.
func (e *evaluation) rules(n *node, i int32, m *marks) bool {
	kind := e.items[i].kind
	switch {
	case kind == typeObject && n.object != nil:
		return e.object(n.object, i, m)
	case kind == typeArray && n.array != nil:
		return e.array(n.array, i, m)
	case kind == typeString && n.text != nil:
		return e.string(n.text, i)
	case kind == typeNumber && n.number != nil:
		return e.number(n.number, i)
	}
	return true
}

func (e *evaluation) references(n *node, i int32, m *marks) bool {
	ok := n.ref == nil || e.eval(n.ref, i, m)
	if n.dynamic != nil {
		ok = e.eval(e.resolve(n.dynamic), i, m) && ok
	}
	return ok
}

// hasType reports whether item i has one of the types.
func (e *evaluation) hasType(types typeSet, i int32) bool {
	kind := e.items[i].kind
	if types&kind != 0 {
		return true
	}
	return kind == typeNumber && types&typeInteger != 0 && parseDecimal(e.raw(i)).isInteger()
}

func (e *evaluation) in(set valueSet, i int32) bool {
	if !e.spendOn(i) {
		return false
	}
	e.scratch = e.appendCanonical(e.scratch[:0], i)
	_, ok := set.canonical[string(e.scratch)]
	return ok
}

// spendOn takes the steps for reading all of item i.
func (e *evaluation) spendOn(i int32) bool {
	it := e.items[i]
	return e.spend(1 + int(it.end-it.start)/16 + 4*int(it.next-i))
}

// resolve finds where a dynamic reference leads (JSON Schema Core, section 8.2.3.2).
func (e *evaluation) resolve(d *dynamicRef) *node {
	if d.anchor != "" {
		e.spend(len(e.scope))
		for _, r := range e.scope {
			if n := r.anchors[d.anchor]; n != nil {
				return n
			}
		}
	}
	return d.target
}

func (e *evaluation) string(r *stringRules, i int32) bool {
	s := e.str(i)
	ok := true
	if r.min >= 0 || r.max >= 0 {
		e.spend(len(s) / 16)
		n := utf8.RuneCount(s)
		if n < r.min {
			e.fail("want at least %d characters, got %d", r.min, n)
			ok = false
		}
		if r.max >= 0 && n > r.max {
			e.fail("want at most %d characters, got %d", r.max, n)
			ok = false
		}
	}
	if r.pattern != nil && !e.match(r.pattern, s) {
		e.fail("does not match the pattern %s", clip.Text(r.pattern.source, 120))
		ok = false
	}
	return ok
}

// match matches s, which takes time in proportion to the length of s times the size of the expression.
func (e *evaluation) match(p *pattern, s []byte) bool {
	return e.spend(4+len(s)*p.size/2) && p.re.Match(s)
}

func (e *evaluation) number(r *numberRules, i int32) bool {
	e.spend(int(e.items[i].end-e.items[i].start) / 16)
	d := parseDecimal(e.raw(i))
	ok := true
	for _, l := range r.limits {
		c := d.compare(l.value) * l.sign
		if c > 0 || c == 0 && !l.strict {
			continue
		}
		ok = false
		switch {
		case l.sign > 0 && l.strict:
			e.fail("want more than %s", l.text)
		case l.sign > 0:
			e.fail("want at least %s", l.text)
		case l.strict:
			e.fail("want less than %s", l.text)
		default:
			e.fail("want at most %s", l.text)
		}
	}
	if r.multipleOf != nil && !r.multipleOf.divides(d) {
		e.fail("want a multiple of %s", r.multipleText)
		ok = false
	}
	return ok
}
