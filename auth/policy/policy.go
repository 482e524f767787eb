// Package policy decides who may use which capability: the [gateway.Gate] and
// [gateway.Viewer] that every call and every list passes.
//
// A [Policy] is a Casbin policy in CSV. Casbin is the engine of record and
// answers [Enforcer.Decide]; calls are decided from sets that are compiled from
// the same rules for each set of subjects, and tests hold the two against each
// other. Nothing is cached beyond the policy that it was decided by.
//
// The package does not say who the caller is (package auth does), store
// policies, or look at arguments. docs/policy.md is the guide for those who
// write policies.
package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

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
}

// A rule is a p line.
type rule struct {
	fields  [5]string // subject, domain, object, action, effect: what Casbin holds
	line    int       // where the file has it
	objects []glob
	actions actions
	deny    bool
}

// String returns the rule as a line of a policy.
func (r *rule) String() string { return "p, " + strings.Join(r.fields[:], ", ") }

func (r *rule) key() string { return strings.Join(r.fields[:], "\x00") }

// A link is a g line: whoever has the subject has the role.
type link struct{ role, domain string }

// Version returns the first 16 hex digits of the SHA-256 of the policy's text.
func (p *Policy) Version() string { return p.version }

// Rules returns how many different rules the policy has.
func (p *Policy) Rules() int { return len(p.byText) }

func versionOf(csv []byte) string {
	sum := sha256.Sum256(csv)
	return hex.EncodeToString(sum[:8])
}

// actions are a set of actions, one bit for each [gateway.Op].
type actions uint8

const everyAction = actions(1<<gateway.OpCall | 1<<gateway.OpRead | 1<<gateway.OpGet | 1<<gateway.OpComplete | 1<<gateway.OpSubscribe)

func action(op gateway.Op) actions { return 1 << op }

// parseAction returns the actions that a rule's word means, none where it is
// not known.
func parseAction(word string) actions {
	if word == "*" {
		return everyAction
	}
	for op := gateway.OpCall; op <= gateway.OpSubscribe; op++ {
		if op.String() == word {
			return action(op)
		}
	}
	return 0
}

// mainOp is the action that makes an object visible to whoever may take it, 0
// where there is none.
func mainOp(object string) gateway.Op {
	switch kind, _, _ := strings.Cut(object, "/"); kind {
	case "tool":
		return gateway.OpCall
	case "resource":
		return gateway.OpRead
	case "prompt":
		return gateway.OpGet
	}
	return 0
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
	seen := make(map[string]bool, 2*len(subjects))
	todo := slices.Clone(subjects)
	var out []string
	for len(todo) > 0 {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[s] {
			continue
		}
		seen[s] = true
		if len(p.rules[s]) > 0 {
			out = append(out, s)
		}
		for _, l := range p.links[s] {
			if l.domain == "*" || l.domain == tenant {
				todo = append(todo, l.role)
			}
		}
	}
	slices.Sort(out)
	return out
}
