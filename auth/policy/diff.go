package policy

import (
	"fmt"
	"slices"
	"strings"
)

// A RuleChange is a rule or role link that one policy has and another has not.
type RuleChange struct {
	Added bool // or else removed
	Line  int  // in the policy that has it
	Text  string
}

// String returns the change as a line of a difference.
func (c RuleChange) String() string {
	if c.Added {
		return "+ " + c.Text
	}
	return "- " + c.Text
}

// Diff returns what must be removed from and added to one policy to make
// another, rule by rule: the removed first, each in the order of its policy.
// Comments, spaces and the order of lines make no difference.
func Diff(from, to *Policy) []RuleChange {
	return slices.Concat(lacking(from, to, false), lacking(to, from, true))
}

// lacking returns what a policy has and the other has not.
func lacking(p, other *Policy, added bool) []RuleChange {
	has := make(map[string]bool, len(other.order))
	for _, f := range other.order {
		has[strings.Join(f, "\x00")] = true
	}
	var out []RuleChange
	for _, f := range p.order {
		if has[strings.Join(f, "\x00")] {
			continue
		}
		out = append(out, RuleChange{Added: added, Line: p.lineOf(f), Text: textOf(f)})
	}
	return out
}

// lineOf returns where the policy has one of its lines.
func (p *Policy) lineOf(f []string) int {
	if f[0] == "g" {
		return p.linkAt[[2]string{f[1], f[2]}]
	}
	return p.byText[strings.Join(f[1:], "\x00")].line
}

// textOf returns one of Casbin's lines as a policy has it.
func textOf(f []string) string {
	if f[len(f)-1] == "" || f[0] == "g" && f[len(f)-1] == "*" {
		f = f[:len(f)-1]
	}
	return lineOf(f[0], f[1:]...)
}

// CSV returns the policy in Casbin's CSV, one line each, without its comments.
func (p *Policy) CSV() []byte {
	var b strings.Builder
	for _, f := range p.order {
		fmt.Fprintln(&b, textOf(f))
	}
	return []byte(b.String())
}
