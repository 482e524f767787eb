package audit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Filter says which records are wanted: those that every field that is set
// matches. The zero Filter matches all. In the fields that are patterns, `*`
// stands for any text, slashes too, and `?` for one character; a text without
// them matches itself alone.
type Filter struct {
	Who    string    // pattern; the ID or the name of the principal, or the actor of an event
	Tenant string    // the principal's tenant
	What   string    // pattern; the object, such as "tool/crm/*", or where there is none the name
	Types  []string  // "call", "list", "log.gap", …; any of them
	Ops    []string  // "call", "read", …; any of them
	Via    []string  // doors; any of them
	Codes  []string  // "OK", "PERMISSION_DENIED", …; any of them
	By     string    // pattern; who refused
	Rule   string    // pattern; the rule that decided
	Policy string    // the version of the policy
	Source string    // the source of the object
	Login  string    // the session of a browser that the call was made in
	From   time.Time // the first moment that matches; zero is the beginning
	Until  time.Time // the first moment after From that no longer does; zero is the end
	Trace  string    // identifier of a trace
	ID     string    // identifier of a call: its record, its intent, and the calls that it made
}

// The bounds of a filter.
const (
	maxPattern = 512 // bytes of a pattern or a text
	maxAny     = 32  // texts in a list
	maxStars   = 8   // of a pattern, as each makes the match dearer
)

// Check says what is wrong with a filter: a text or a list is too long, or a
// pattern has more than eight stars.
func (f *Filter) Check() error {
	for _, s := range []string{f.Who, f.Tenant, f.What, f.By, f.Rule, f.Policy, f.Source, f.Login, f.Trace, f.ID} {
		switch {
		case len(s) > maxPattern:
			return fmt.Errorf("a text of the filter is longer than %d bytes", maxPattern)
		case strings.Count(s, "*") > maxStars:
			return fmt.Errorf("a pattern of the filter has more than %d stars", maxStars)
		}
	}
	for _, list := range [][]string{f.Types, f.Ops, f.Via, f.Codes} {
		if len(list) > maxAny || slices.ContainsFunc(list, func(s string) bool { return len(s) > maxPattern }) {
			return fmt.Errorf("a list of the filter has more than %d texts, or one of more than %d bytes", maxAny, maxPattern)
		}
	}
	if !f.From.IsZero() && !f.Until.IsZero() && f.Until.Before(f.From) {
		return errors.New("the filter ends before it begins")
	}
	return nil
}

// Match reports whether a record is wanted.
func (f *Filter) Match(r *Record) bool {
	return matches(f.Who, r.Principal.ID, r.Principal.Name, r.Actor) && matches(f.What, r.what()) && matches(f.By, r.By) && matches(f.Rule, r.Rule) &&
		equals(f.Tenant, r.Principal.Tenant) && equals(f.Policy, r.Policy) && equals(f.Login, r.Principal.Login) &&
		equals(f.Source, sourceOf(r.Object)) && equals(f.Trace, r.Trace) && equals(f.ID, r.ID, r.Parent) &&
		among(f.Types, r.Type) && among(f.Ops, r.Op) && among(f.Via, r.Via) && among(f.Codes, r.Code) &&
		f.during(r.Time)
}

// sourceOf returns the source of an object, or "".
func sourceOf(object string) string {
	kind, rest, _ := strings.Cut(object, "/")
	source, _, ok := strings.Cut(rest, "/")
	if !ok || !slices.Contains(sourced, kind) {
		return ""
	}
	return source
}

// sourced are the kinds of objects that belong to a source.
var sourced = []string{"tool", "resource", "prompt"} //nolint:gochecknoglobals // a constant list.

// during reports whether a time is one that is wanted.
func (f *Filter) during(t time.Time) bool {
	return (f.From.IsZero() || !t.Before(f.From)) && (f.Until.IsZero() || t.Before(f.Until))
}

// matches reports whether there is no pattern or one of the texts matches it.
func matches(pattern string, texts ...string) bool {
	return pattern == "" || slices.ContainsFunc(texts, func(s string) bool { return match(pattern, s) })
}

// equals reports whether nothing is wanted or one of the texts is that.
func equals(want string, texts ...string) bool { return want == "" || slices.Contains(texts, want) }

// what returns what a record is about.
func (r *Record) what() string {
	if r.Object != "" {
		return r.Object
	}
	return r.Name
}

func among(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }

// match reports whether a text matches a pattern. It never looks back further
// than the last star.
func match(pattern, text string) bool {
	p, t := 0, 0
	star, from := -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, t
			p++
		case p < len(pattern) && pattern[p] == '?':
			p++
			for t++; t < len(text) && text[t]&0xC0 == 0x80; t++ { // One character, not one byte.
			}
		case p < len(pattern) && pattern[p] == text[t]:
			p, t = p+1, t+1
		case star >= 0:
			p = star + 1
			from++
			t = from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// A condition is one of SQL with its arguments.
type condition struct {
	text string
	args []any
}

func (c *condition) and(text string, args ...any) {
	if c.text != "" {
		c.text += " AND "
	}
	c.text, c.args = c.text+text, append(c.args, args...)
}

// either adds a condition that any of the columns is a value, and returns an
// alternative for each column: the index of that finds what it lets through.
func (c *condition) either(value string, columns ...string) []condition {
	var out []condition
	var values []any
	for _, column := range columns {
		out = append(out, condition{equality(column), []any{value}})
		values = append(values, value)
	}
	c.and("("+strings.Join(columns, " = ? OR ")+" = ?)", values...)
	return out
}

// equality returns a condition that a column is a value that is not empty. The index
// of the column has no others, and is used only where that is said.
func equality(column string) string { return column + " = ? AND " + column + " != ''" }

// where returns the filter as a condition of SQL, and ways to narrow it, of
// which each record that matches has at least one; nil where there is none that
// an index helps with.
func (f *Filter) where() (c condition, ways []condition) {
	add := c.and
	switch {
	case f.Who == "":
	case plain(f.Who):
		ways = c.either(f.Who, "who", "name", "actor")
	default:
		p := glob(f.Who)
		add("(who GLOB ? OR name GLOB ? OR actor GLOB ?)", p, p, p)
	}
	pattern := func(column, value string) {
		switch {
		case value == "":
		case plain(value):
			add(equality(column), value)
		default:
			add(column+" GLOB ?", glob(value))
		}
	}
	pattern("what", f.What)
	pattern("by", f.By)
	pattern("rule", f.Rule)
	equal := func(column, value string) {
		if value != "" {
			add(equality(column), value)
		}
	}
	equal("tenant", f.Tenant)
	equal("policy", f.Policy)
	equal("login", f.Login)
	equal("trace", f.Trace)
	list := func(column string, values []string) {
		if len(values) == 0 {
			return
		}
		var args []any
		for _, v := range values {
			args = append(args, v)
		}
		add(column+" IN (?"+strings.Repeat(",?", len(values)-1)+")", args...)
	}
	list("type", f.Types)
	list("op", f.Ops)
	list("via", f.Via)
	list("code", f.Codes)
	if len(f.Codes) > 0 && !slices.ContainsFunc(f.Codes, func(code string) bool { return code == "" || code == "OK" }) {
		add("code NOT IN ('', 'OK')")
	}
	if !f.From.IsZero() {
		add("time >= ?", f.From.UnixNano())
	}
	if !f.Until.IsZero() {
		add("time < ?", f.Until.UnixNano())
	}
	if f.Source != "" {
		source := literal(f.Source)
		add("(what GLOB ? OR what GLOB ? OR what GLOB ?)", "tool/"+source+"/*", "resource/"+source+"/*", "prompt/"+source+"/*")
	}
	if f.ID != "" {
		ways = c.either(f.ID, "id", "parent")
	}
	return c, ways
}

func plain(pattern string) bool { return !strings.ContainsAny(pattern, "*?") }

// literal returns a text as SQLite's GLOB has it.
func literal(text string) string {
	return strings.NewReplacer("[", "[[]", "*", "[*]", "?", "[?]").Replace(text)
}

// glob returns a pattern as SQLite's GLOB has it.
func glob(pattern string) string { return strings.ReplaceAll(pattern, "[", "[[]") }
