package policy

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/trilith-gateway/trilith/internal/clip"
)

// The bounds of a policy.
const (
	maxBytes    = 16 << 20
	maxLine     = 8 << 10
	maxRules    = 100_000
	maxProblems = 100
	maxDepth    = 9 // role links in a row; Casbin follows no more than 10 levels
)

// A Problem is one thing that is wrong with a policy.
type Problem struct {
	File string // as the caller of Parse named it
	Line int    // from 1; 0 when the problem is with the whole file
	Col  int    // from 1, in characters
	Msg  string // what is wrong
	Hint string // how to mend it; may be empty
}

// String returns the problem as one line:
//
//	policy.csv:3:20: unknown action "cal" (use call, read, get, subscribe, complete or *)
func (p Problem) String() string {
	s := p.File + ": "
	if p.Line > 0 {
		s = fmt.Sprintf("%s:%d:%d: ", p.File, p.Line, p.Col)
	}
	s += p.Msg
	if p.Hint != "" {
		s += " (" + p.Hint + ")"
	}
	return s
}

// Problems is everything that is wrong with a policy, in the order of the
// file, at most a hundred. As an error it is never empty.
type Problems []Problem

// Error returns the problems one a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Parse reads a policy in Casbin's CSV: p lines with a subject, a domain, an
// object pattern, an action, an effect and perhaps a condition, g lines with a
// subject, a role and perhaps a domain, and comments that begin with #. The name stands for the
// file in problems and reasons. An empty policy is valid and allows nothing.
//
// The error is [Problems] with everything that is wrong. A policy is at most
// 16 MiB and 100,000 lines of rules long.
func Parse(name string, csv []byte) (*Policy, error) {
	p := &parser{
		policy: &Policy{
			name: name, version: versionOf(csv),
			rules: map[string][]*rule{}, links: map[string][]link{}, byText: map[string]*rule{}, conditions: map[string]*condition{}, linkAt: map[[2]string]int{},
		},
	}
	if len(csv) > maxBytes {
		p.problem(0, fmt.Sprintf("the policy is longer than %d MiB", maxBytes>>20), "")
		return nil, p.problems
	}
	number := 0
	for line := range bytes.Lines(bytes.TrimPrefix(csv, []byte("\ufeff"))) {
		number++
		if len(p.problems) == maxProblems {
			break
		}
		p.number, p.line = number, strings.TrimRight(string(line), "\r\n")
		p.parseLine()
	}
	p.checkLinks()
	if len(p.problems) > 0 {
		return nil, p.problems
	}
	if err := p.policy.load(); err != nil {
		return nil, err
	}
	return p.policy, nil
}

// A parser reads one policy.
type parser struct {
	policy   *Policy
	problems Problems
	compiler conditionCompiler

	number  int    // of the line
	line    string // without its end
	fields  []string
	columns []int // of the fields, in bytes from 0
}

// problem notes a problem with a field of the line.
func (p *parser) problem(field int, msg, hint string) {
	p.problemAt(p.number, p.column(field), msg, hint)
}

// column returns where the line has a field, in characters from 1.
func (p *parser) column(field int) int {
	col := 0
	if field < len(p.columns) {
		col = p.columns[field]
	}
	return utf8.RuneCountInString(p.line[:min(col, len(p.line))]) + 1
}

func (p *parser) problemAt(line, col int, msg, hint string) {
	if len(p.problems) < maxProblems {
		p.problems = append(p.problems, Problem{File: p.policy.name, Line: line, Col: col, Msg: msg, Hint: hint})
	}
}

func (p *parser) parseLine() {
	p.fields, p.columns = nil, nil
	switch {
	case len(p.line) > maxLine:
		p.problem(0, fmt.Sprintf("the line is longer than %d bytes", maxLine), "")
		return
	case !utf8.ValidString(p.line) || strings.ContainsRune(p.line, utf8.RuneError):
		p.problem(0, "the line is not valid UTF-8", "")
		return
	}
	if text := strings.TrimSpace(p.line); text == "" || strings.HasPrefix(text, "#") {
		return
	}
	if err := p.split(); err != nil {
		col := 0
		if bad, ok := errors.AsType[*csv.ParseError](err); ok {
			err, col = bad.Err, bad.Column-1
		}
		p.columns = []int{max(col, 0)}
		p.problem(0, "not CSV: "+err.Error(), `a field with a comma or a quote stands in double quotes, and quotes in it are doubled`)
		return
	}
	if i := slices.IndexFunc(p.fields, func(f string) bool { return strings.ContainsFunc(f, isControl) }); i >= 0 {
		p.problem(i, "the field has a control character", "")
		return
	}
	switch p.fields[0] {
	case "p":
		p.parseRule()
	case "g":
		p.parseLink()
	default:
		p.problem(0, fmt.Sprintf("unknown kind of line %s", quote(p.fields[0])), "a line begins with p for a rule, g for a role, or # for a comment")
	}
	if len(p.policy.order) > maxRules {
		p.problem(0, fmt.Sprintf("the policy has more than %d rules", maxRules), "")
	}
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }

// split sets the fields of the line, without the space around them, and their
// columns.
func (p *parser) split() error {
	if strings.ContainsAny(p.line, "\"\r\n") {
		return p.splitQuoted()
	}
	// Nearly all lines are plain, and a policy may have very many of them.
	n := strings.Count(p.line, ",") + 1
	p.fields, p.columns = make([]string, 0, n), make([]int, 0, n)
	at := 0
	for field := range strings.SplitSeq(p.line, ",") {
		text := strings.TrimLeftFunc(field, unicode.IsSpace)
		p.columns = append(p.columns, at+len(field)-len(text))
		p.fields = append(p.fields, strings.TrimSpace(text))
		at += len(field) + 1
	}
	return nil
}

// splitQuoted is split for a line in which something may be quoted.
func (p *parser) splitQuoted() error {
	r := csv.NewReader(strings.NewReader(p.line))
	r.TrimLeadingSpace = true
	fields, err := r.Read()
	if err != nil {
		return err
	}
	p.columns = make([]int, len(fields))
	for i := range fields {
		_, col := r.FieldPos(i)
		p.columns[i] = col - 1
		fields[i] = strings.TrimSpace(fields[i])
	}
	p.fields = fields
	return nil
}

const ruleForm = "p, subject, domain, object, action, effect, and perhaps a condition"

const (
	fieldObject    = 3
	fieldAction    = 4
	fieldEffect    = 5
	fieldCondition = 6
)

func (p *parser) parseRule() {
	f := p.fields
	if hint := p.misfit(); hint != "" {
		p.problem(min(len(f)-1, 7), fmt.Sprintf("the rule has %d fields, not 5 or 6", len(f)-1), hint)
		return
	}
	r := &rule{line: p.number, col: p.column(fieldObject)}
	copy(r.fields[:], f[1:])
	before := len(p.problems)
	p.checkSubject(1)
	if r.fields[1] = p.domain(2); r.fields[1] != "*" && strings.Contains(r.fields[1], "*") {
		p.problem(2, "domains are not patterns", "use a whole domain, or * alone for all")
	}
	p.parseObject(r)
	p.parseAction(r)
	switch f[fieldEffect] {
	case "allow":
	case "deny":
		r.deny = true
	default:
		p.problem(fieldEffect, fmt.Sprintf("unknown effect %s", quote(f[fieldEffect])), "use allow or deny")
	}
	p.parseCondition(r)
	if len(p.problems) > before || p.policy.byText[r.key()] != nil {
		return
	}
	p.policy.byText[r.key()] = r
	p.policy.rules[r.fields[0]] = append(p.policy.rules[r.fields[0]], r)
	p.policy.order = append(p.policy.order, append([]string{"p"}, r.fields[:]...))
}

// misfit says what to do about a rule with too few or too many fields, or with
// fields that a comma has cut apart; "" where the number is right.
func (p *parser) misfit() (hint string) {
	f := p.fields
	apart := len(f) > fieldCondition && strings.Contains(f[fieldObject], "{") && !strings.Contains(f[fieldObject], "}")
	switch {
	case apart:
		return "a rule is " + ruleForm + "; a field with a comma stands in double quotes"
	case len(f) == 6 || len(f) == 7:
		return ""
	case len(f) > 7:
		return "a rule is " + ruleForm + "; a condition with a comma stands in double quotes"
	case len(f) == 5 && strings.Contains(f[2], "/"):
		return "the domain is missing: p, subject, domain, object, action, effect, with * as the domain for all"
	case len(f) == 5 && parseAction(f[4]) != 0:
		return "the effect is missing: end the line with allow or deny"
	}
	return "a rule is " + ruleForm
}

// domain returns a field as a domain; an empty one is that of all.
func (p *parser) domain(field int) string {
	if field < len(p.fields) && p.fields[field] != "" {
		return p.fields[field]
	}
	return "*"
}

const subjectHint = "use user:<issuer>|<subject>, client:<issuer>|<client>, group:<name>, role:<name>, authenticated or anyone"

func (p *parser) checkSubject(field int) {
	s := p.fields[field]
	kind, name, ok := strings.Cut(s, ":")
	switch {
	case s == anyone || s == authenticated:
	case !ok || !slices.Contains([]string{"user", "client", "group", "role"}, kind):
		p.problem(field, fmt.Sprintf("unknown subject %s", quote(s)), subjectHint)
	case name == "":
		p.problem(field, fmt.Sprintf("the subject %s has no name", quote(s)), "")
	case (kind == "user" || kind == "client") && !strings.Contains(name, "|"):
		p.problem(field, fmt.Sprintf("the subject %s does not say who issued it", quote(s)), "write "+kind+":<issuer>|"+name)
	case name == "*":
		p.problem(field, "subjects are not patterns", "use anyone or authenticated")
	}
}

func (p *parser) parseObject(r *rule) {
	text := p.fields[fieldObject]
	patterns, err := parsePatterns(text)
	if err != nil {
		p.problem(fieldObject, fmt.Sprintf("object %s: %v", quote(text), err), "")
		return
	}
	r.objects = patterns
	for i := range patterns {
		if msg, hint := checkObject(&patterns[i]); msg != "" {
			p.problem(fieldObject, msg, hint)
			return
		}
	}
}

// checkObject says what is wrong with a pattern that can match nothing.
func checkObject(g *pattern) (msg, hint string) {
	if g.selects() {
		return "", ""
	}
	kind, rest, _ := strings.Cut(g.text, "/")
	switch {
	case kind == "template":
		return "templates are resources to a policy", "write resource/<source>/<URI>"
	case kind == adminKind && (!strings.ContainsAny(rest, "*?") && !isArea(rest) || strings.Contains(strings.TrimSuffix(rest, "/**"), "/")):
		return fmt.Sprintf("unknown area %s", quote(g.text)), "use admin/** or one of admin/" + strings.Join(Areas(), ", admin/")
	case kind == adminKind:
		return "", ""
	case actionsOf(kind) == nil && !strings.ContainsAny(kind, `*?\`):
		return fmt.Sprintf("unknown kind of object %s", quote(kind)), "begin with tool/, resource/, prompt/ or admin/, with ** for all capabilities, or write toolset:<name> or tag:<name>"
	case strings.Count(g.text, "/") < 2 && !strings.Contains(g.text, "**"):
		return fmt.Sprintf("object %s matches nothing", quote(g.text)), "an object has three parts, as in tool/<source>/<name>; ** stands for any number of them"
	}
	return "", ""
}

func (p *parser) parseAction(r *rule) {
	word := p.fields[fieldAction]
	r.actions = parseAction(word)
	switch {
	case r.actions == 0:
		p.problem(fieldAction, fmt.Sprintf("unknown action %s", quote(word)), "use call, read, get, subscribe, complete, list, admin or *")
		return
	case word == "*":
		return
	}
	for i := range r.objects {
		kind, _, _ := strings.Cut(r.objects[i].text, "/")
		words := actionsOf(kind)
		switch {
		case words != nil && !slices.Contains(words, word):
			p.problem(fieldAction, word+" does not apply to "+nounOf(kind), "use "+strings.Join(words[:len(words)-1], ", ")+" or "+words[len(words)-1])
			return
		case words == nil && word == "admin" && p.fields[fieldEffect] == "allow":
			p.problem(fieldAction, "admin applies to admin objects only", "write admin/** or admin/<area> as the object")
			return
		}
	}
}

// nounOf returns a kind of object as in a sentence.
func nounOf(kind string) string {
	if kind == adminKind {
		return "an admin object"
	}
	return "a " + kind
}

func quote(s string) string {
	return strconv.Quote(clip.Text(s, 64))
}
