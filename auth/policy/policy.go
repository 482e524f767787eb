// Package policy decides who may use which capability: the [gateway.Gate] and
// [gateway.Viewer] that every call and every list passes.
//
// A [Policy] is a Casbin policy in CSV. Casbin is the engine of record and
// answers [Enforcer.Decide]; calls are decided from sets that are compiled from
// the same rules for each set of subjects, and tests hold the two against each
// other. Nothing is cached beyond the policy that it was decided by.
//
// A rule may have a condition in CEL over the caller, the arguments and the
// time. Only such rules are looked at again for each call, and arguments are
// decoded only where one reads them.
//
//	Parse ─ Policy ─┬ NewEnforcer ─ Enforcer ─ Admit, View, Check   decide
//	                │                        ─ Decide, Explain      say why
//	                │                        ─ Effective, WhoCan    say who may do what
//	                │                        ─ Impact               replay recorded calls
//	                ├ Run, Lint, Diff, CheckLockout                 judge a policy before it is in force
//	OpenStore ─ Store ─ drafts, versions, Activate, Rollback, Follow
//
// The package does not say who the caller is; package auth does. It records
// nothing and ends no calls: whoever puts a policy in force does. docs/policy.md
// is the guide for those who write policies.
package policy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/casbin/casbin/v2"

	"github.com/trilith-gateway/trilith/gateway"
)

// The subjects that principals have without being given them.
const (
	anyone        = "anyone"        // every principal
	authenticated = "authenticated" // every principal but the anonymous one
)

// A Policy is a set of rules and role links. It is immutable and safe for
// concurrent use.
type Policy struct {
	name    string
	version string
	rules   map[string][]*rule // by subject, in the order of the file
	links   map[string][]link  // by subject
	byText  map[string]*rule   // by Casbin's fields
	casbin  *casbin.Enforcer

	order      [][]string            // Casbin's lines, without duplicates
	linkAt     map[[2]string]int     // the first line with a subject and a role
	conditions map[string]*condition // by text
}

// A rule is a p line.
type rule struct {
	fields  [6]string // subject, domain, object, action, effect, condition: what Casbin holds
	line    int       // where the file has it
	col     int       // where the line has the object, in characters from 1
	objects []pattern
	actions actions
	deny    bool
	cond    *condition // nil where the rule always applies

	said atomic.Pointer[string] // what text returns, once it has
}

// text is String, made once: it goes into the record of every call. It is ""
// for nil.
func (r *rule) text() string {
	if r == nil {
		return ""
	}
	if t := r.said.Load(); t != nil {
		return *t
	}
	t := r.String()
	r.said.Store(&t)
	return t
}

// String returns the rule as a line of a policy.
func (r *rule) String() string {
	fields := r.fields[:]
	if r.cond == nil {
		fields = fields[:5]
	}
	return lineOf("p", fields...)
}

// lineOf returns a line of a policy, with quotes around the fields that need
// them.
func lineOf(kind string, fields ...string) string {
	var b strings.Builder
	b.WriteString(kind)
	for _, f := range fields {
		b.WriteString(", ")
		if strings.ContainsAny(f, `,"`) {
			f = `"` + strings.ReplaceAll(f, `"`, `""`) + `"`
		}
		b.WriteString(f)
	}
	return b.String()
}

func (r *rule) key() string { return strings.Join(r.fields[:], "\x00") }

// A link is a g line: whoever has the subject has the role.
type link struct{ role, domain string }

// Version returns the first 16 hex digits of the SHA-256 of the policy's text.
func (p *Policy) Version() string { return p.version }

// Rules returns how many different rules the policy has.
func (p *Policy) Rules() int { return len(p.byText) }

// Names reports whether a rule or a link is about a subject, such as
// "client:key|ci", itself.
func (p *Policy) Names(subject string) bool {
	return len(p.rules[subject]) > 0 || len(p.links[subject]) > 0
}

// Unknown returns a problem for each rule that names a toolset which is none of
// these. Such a rule allows nothing, or denies everything.
func (p *Policy) Unknown(sets Toolsets) Problems {
	var out Problems
	for _, r := range p.inOrder() {
		for i := range r.objects {
			name := r.objects[i].toolset
			if _, ok := sets[name]; ok || name == "" || len(out) == maxProblems {
				continue
			}
			hint := "the configuration has no toolsets"
			if len(sets) > 0 {
				hint = "the configuration has " + strings.Join(slices.Sorted(maps.Keys(sets)), ", ")
			}
			out = append(out, Problem{File: p.name, Line: r.line, Col: r.col, Msg: fmt.Sprintf("no toolset is named %s", quote(name)), Hint: hint})
		}
	}
	return out
}

// inOrder returns the rules in the order of the file.
func (p *Policy) inOrder() []*rule {
	return slices.SortedFunc(maps.Values(p.byText), func(a, b *rule) int { return cmp.Compare(a.line, b.line) })
}

func versionOf(csv []byte) string {
	sum := sha256.Sum256(csv)
	return hex.EncodeToString(sum[:8])
}

// subjects returns what a principal is called in rules, before role links.
func subjects(p *gateway.Principal) []string {
	out := make([]string, 0, 3+len(p.Groups)+len(p.Roles))
	out = append(out, anyone)
	if p.Kind != "anonymous" {
		out = append(out, authenticated)
	}
	if p.Kind == "user" || p.Kind == "client" {
		out = append(out, p.Kind+":"+p.Issuer+"|"+p.Subject)
	}
	for _, g := range p.Groups {
		out = append(out, "group:"+g)
	}
	for _, r := range p.Roles {
		out = append(out, "role:"+r)
	}
	return out
}

// closure returns the subjects and every role that they lead to in a tenant,
// sorted, but only those that rules name.
func (p *Policy) closure(subjects []string, tenant string) []string {
	var out []string
	for s := range p.reach(subjects, tenant) {
		if len(p.rules[s]) > 0 {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out
}

// reach yields the subjects and every role that they lead to in a tenant, each
// once, in no useful order.
func (p *Policy) reach(subjects []string, tenant string) iter.Seq[string] {
	return func(yield func(string) bool) {
		seen := make(map[string]bool, 2*len(subjects))
		todo := slices.Clone(subjects)
		for len(todo) > 0 {
			s := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if seen[s] {
				continue
			}
			seen[s] = true
			if !yield(s) {
				return
			}
			for _, l := range p.links[s] {
				if l.domain == "*" || l.domain == tenant {
					todo = append(todo, l.role)
				}
			}
		}
	}
}
