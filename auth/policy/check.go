package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/trilith-gateway/trilith/gateway"
)

// A Check is one expectation of a policy: who may do what. Checks are saved with
// a policy and must hold before it is put in force.
type Check struct {
	Line    int // where the checks have it, from 1
	Text    string
	Request Request
	Allowed bool // what is expected

	tags, toolsets []string
	hints          gateway.Annotations
}

// The bounds of checks.
const (
	maxCheckBytes = 1 << 20
	maxChecks     = 10_000
)

const checkForm = "a check is subjects, action, object, allow or deny, and perhaps the arguments as a JSON object"

// ParseChecks reads checks, one a line:
//
//	group:eng                  call  tool/github/list_issues  allow
//	role:clerk via:mcp         call  tool/bank/transfer       deny   {"amount": 5000}
//	role:ops tag:prod          call  tool/deploy/start        deny
//
// First stand facts: the subjects of the caller (user:, client:, group: and
// role: as in rules, nothing for a caller without any), its tenant: and scope:,
// what conditions read (via: and now:, a time in RFC 3339) and what is supposed
// of the object beyond what the registry knows (tag:, toolset: and hint:, such as
// hint:readOnlyHint=true). A caller without user: or client: is a user that no
// rule names. Empty lines and lines that begin with # are left out.
//
// The error is [Problems].
func ParseChecks(name string, text []byte) ([]Check, error) {
	var out []Check
	var problems Problems
	if len(text) > maxCheckBytes {
		return nil, Problems{{File: name, Msg: fmt.Sprintf("the checks are longer than %d MiB", maxCheckBytes>>20)}}
	}
	if !utf8.Valid(text) {
		return nil, Problems{{File: name, Msg: "the checks are not valid UTF-8"}}
	}
	number := 0
	for line := range bytes.Lines(text) {
		number++
		s := strings.TrimSpace(string(line))
		if s == "" || strings.HasPrefix(s, "#") {
			continue
		}
		c, err := parseCheck(s)
		if err == nil && len(out) == maxChecks {
			err = &checkError{fmt.Sprintf("there are more than %d checks", maxChecks), ""}
		}
		if err != nil {
			problems = append(problems, Problem{File: name, Line: number, Col: 1, Msg: err.msg, Hint: err.hint})
			if len(problems) == maxProblems || len(out) == maxChecks {
				break
			}
			continue
		}
		c.Line = number
		out = append(out, *c)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return out, nil
}

type checkError struct{ msg, hint string }

func parseCheck(s string) (*Check, *checkError) {
	c := &Check{Text: s, Request: Request{Principal: &gateway.Principal{Kind: "user"}}}
	for {
		word, rest := nextWord(s)
		if known, err := c.fact(word); err != nil {
			return nil, err
		} else if !known {
			break
		}
		s = rest
	}
	p := c.Request.Principal
	p.ID = p.Issuer + "|" + p.Kind + "|" + p.Subject
	var effect string
	c.Request.Action, s = nextWord(s)
	c.Request.Object, s = nextWord(s)
	effect, s = nextWord(s)
	if c.Request.Action == "*" || parseAction(c.Request.Action) == 0 {
		return nil, &checkError{fmt.Sprintf("%s is neither a fact nor an action", quote(c.Request.Action)), checkForm}
	}
	if effect == "" {
		return nil, &checkError{"the check is not whole", checkForm}
	}
	if kind, _, _ := strings.Cut(c.Request.Object, "/"); !slices.Contains(actionsOf(kind), c.Request.Action) {
		return nil, &checkError{fmt.Sprintf("%s does not apply to %s", c.Request.Action, quote(c.Request.Object)), ""}
	}
	if effect != "allow" && effect != "deny" {
		return nil, &checkError{fmt.Sprintf("unknown effect %s", quote(effect)), "use allow or deny"}
	}
	c.Allowed = effect == "allow"
	if s != "" {
		c.Request.Args = json.RawMessage(s)
		var members map[string]json.RawMessage
		if err := jsonv2.Unmarshal(c.Request.Args, &members); err != nil || members == nil {
			return nil, &checkError{"what follows the effect is not a JSON object", checkForm}
		}
	}
	return c, nil
}

func nextWord(s string) (word, rest string) {
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		return s[:i], strings.TrimLeft(s[i:], " \t")
	}
	return s, ""
}

// fact notes a fact, and reports whether the word is one.
func (c *Check) fact(word string) (known bool, _ *checkError) {
	p := c.Request.Principal
	kind, value, ok := strings.Cut(word, ":")
	if !ok {
		return false, nil
	}
	switch kind {
	case "user", "client":
		issuer, subject, ok := strings.Cut(value, "|")
		if !ok {
			return false, &checkError{fmt.Sprintf("%s does not say who issued it", quote(word)), "write " + kind + ":<issuer>|" + value}
		}
		p.Kind, p.Issuer, p.Subject = kind, issuer, subject
	case "group":
		p.Groups = append(p.Groups, value)
	case "role":
		p.Roles = append(p.Roles, value)
	case "scope":
		p.Scopes = append(p.Scopes, value)
	case "tenant":
		p.Tenant = value
	case "via":
		c.Request.Via = value
	case "tag":
		c.tags = append(c.tags, value)
	case "toolset":
		c.toolsets = append(c.toolsets, value)
	case "now":
		at, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return false, &checkError{fmt.Sprintf("%s is not a time", quote(value)), "write it as in now:2026-03-31T09:00:00Z"}
		}
		c.Request.Time = at
	case "hint":
		return c.hint(value)
	default:
		return false, nil
	}
	return true, nil
}

// hint notes an annotation of the tool.
func (c *Check) hint(text string) (known bool, _ *checkError) {
	name, value, _ := strings.Cut(text, "=")
	is := value == "true"
	if is || value == "false" {
		switch name {
		case "readOnlyHint":
			c.hints.ReadOnly = &is
			return true, nil
		case "destructiveHint":
			c.hints.Destructive = &is
			return true, nil
		case "idempotentHint":
			c.hints.Idempotent = &is
			return true, nil
		case "openWorldHint":
			c.hints.OpenWorld = &is
			return true, nil
		}
	}
	return false, &checkError{fmt.Sprintf("unknown hint %s", quote(text)), "use readOnlyHint, destructiveHint, idempotentHint or openWorldHint, with =true or =false"}
}

// A Failure is a check that does not hold.
type Failure struct {
	Check    Check
	Decision Decision // what the policy says instead
}

// String returns the failure in one line.
func (f Failure) String() string {
	return fmt.Sprintf("checks:%d: %s: %s", f.Check.Line, f.Check.Text, f.Decision.Reason)
}

// Run returns the checks that a policy does not hold, at most a hundred, judged
// by compiled decisions. Objects stand for what the snapshot has under their
// names; it may be empty. Checks without a time are made at now.
func (p *Policy) Run(ctx context.Context, checks []Check, s *gateway.Snapshot, sets Toolsets, now time.Time) []Failure {
	c := newCompiled(p, &sets)
	var out []Failure
	for i := range checks {
		if len(out) == maxProblems || ctx.Err() != nil {
			break
		}
		q := checks[i].question(c, s, now)
		if allowed := q.permits(ctx, func() time.Time { return now }); allowed != checks[i].Allowed {
			out = append(out, Failure{checks[i], q.decision(allowed)})
		}
	}
	return out
}

func (c *Check) question(in *compiled, s *gateway.Snapshot, now time.Time) *question {
	g := in.grantOf(c.Request.Principal)
	t := c.target(in, s)
	q := &question{grant: g, verdict: g.decide(t), target: t, request: c.Request}
	if q.request.Time.IsZero() {
		q.request.Time = now
	}
	return q
}

// target returns what the snapshot knows of the check's object, with what the
// check supposes.
func (c *Check) target(in *compiled, s *gateway.Snapshot) *target {
	t := *indexOf(s, in.sets).find(c.Request.Object, s, in.sets)
	t.assumed = c.toolsets
	if t.capability != nil && len(c.tags) > 0 {
		tagged := *t.capability
		tagged.Tags = append(slices.Clone(tagged.Tags), c.tags...)
		t.capability = &tagged
	}
	if c.hints != (gateway.Annotations{}) {
		var tool gateway.Tool
		if t.tool != nil {
			tool = *t.tool
		}
		for _, h := range []struct{ from, into **bool }{
			{&c.hints.ReadOnly, &tool.Annotations.ReadOnly},
			{&c.hints.Destructive, &tool.Annotations.Destructive},
			{&c.hints.Idempotent, &tool.Annotations.Idempotent},
			{&c.hints.OpenWorld, &tool.Annotations.OpenWorld},
		} {
			if *h.from != nil {
				*h.into = *h.from
			}
		}
		t.tool = &tool
	}
	return &t
}
