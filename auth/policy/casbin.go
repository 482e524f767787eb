package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	"github.com/casbin/casbin/v2/rbac"

	"github.com/trilith-gateway/trilith/gateway"
)

// casbinModel is the model that policies are written for. The functions stand
// in for g() and globMatch, because a principal has many subjects and an
// object two forms.
const casbinModel = `
[request_definition]
r = sub, dom, obj, act

[policy_definition]
p = sub, dom, obj, act, eft

[role_definition]
g = _, _, _

[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))

[matchers]
m = (p.dom == "*" || r.dom == p.dom) && (p.act == "*" || r.act == p.act) && has(r.sub, p.sub, r.dom) && about(r.obj, p.obj, p.eft)
`

// load builds the Casbin enforcer from the parsed lines, which have the fields
// of Casbin's.
func (p *Policy) load(lines [][]string) error {
	m, err := model.NewModelFromString(casbinModel)
	if err != nil {
		return fmt.Errorf("policy model: %w", err)
	}
	for _, f := range lines {
		if err := m.AddPolicy(f[0], f[0], f[1:]); err != nil {
			return fmt.Errorf("policy: %w", err)
		}
	}
	e, err := casbin.NewEnforcer(m)
	if err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	e.AddNamedDomainMatchingFunc("g", "all", func(domain, pattern string) bool { return pattern == "*" || domain == pattern })
	if err := e.BuildRoleLinks(); err != nil {
		return fmt.Errorf("policy roles: %w", err)
	}
	globs := make(map[string][]glob, len(p.byText))
	for _, r := range p.byText {
		globs[r.fields[2]] = r.objects
	}
	roles := e.GetRoleManager()
	e.AddFunction("has", func(args ...any) (any, error) {
		return has(roles, args[0].([]string), args[1].(string), args[2].(string)) //nolint:forcetypeassert // the model says so.
	})
	e.AddFunction("about", func(args ...any) (any, error) {
		globs, err := parseGlobs(args[1].(string))                       //nolint:forcetypeassert // the model says so.
		return matchAny(globs, args[0].(object), args[2] == "deny"), err //nolint:forcetypeassert // the model says so.
	})
	p.casbin = e
	return nil
}

// has reports whether a principal with these subjects has a rule's subject.
func has(roles rbac.RoleManager, subjects []string, subject, domain string) (bool, error) {
	if slices.Contains(subjects, subject) {
		return true, nil
	}
	if !strings.HasPrefix(subject, "role:") {
		return false, nil
	}
	for _, s := range subjects {
		if ok, err := roles.HasLink(s, subject, domain); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// A Decision says whether a principal may do something, and why.
type Decision struct {
	Allowed bool
	Rule    string // the rule that decided; "" where none did, so that it is denied
	Line    int    // where the policy has the rule; 0 without one
	Reason  string // for the operator, in words
}

// Decide asks Casbin whether a principal may take an action on an object. It
// takes time in proportion to the policy (a millisecond for a thousand rules)
// and is meant for explanations; calls are decided by [Enforcer.Admit]. The
// action "list" stands for call, read or get, whichever the object has.
func (e *Enforcer) Decide(p *gateway.Principal, obj, act string) Decision {
	return e.current.Load().policy.decide(p, obj, act)
}

func (p *Policy) decide(who *gateway.Principal, obj, act string) Decision {
	if who == nil {
		return Decision{Reason: "there is no principal"}
	}
	if act == "list" {
		act = mainOp(obj).String()
	}
	if act == "*" || parseAction(act) == 0 {
		return Decision{Reason: fmt.Sprintf("%s is not an action", quote(act))}
	}
	allowed, fields, err := p.casbin.EnforceEx(subjects(who), who.Tenant, newObject(obj), act)
	if err != nil {
		return Decision{Reason: "Casbin: " + err.Error()}
	}
	r := p.byText[strings.Join(fields, "\x00")]
	return p.decision(allowed, r, obj, act)
}

func (p *Policy) decision(allowed bool, r *rule, obj, act string) Decision {
	if r == nil {
		return Decision{Reason: fmt.Sprintf("no rule of %s %s allows %s on %s", p.name, p.version, act, obj)}
	}
	verb := "denied"
	if allowed {
		verb = "allowed"
	}
	return Decision{Allowed: allowed, Rule: r.String(), Line: r.line, Reason: fmt.Sprintf("%s by %s:%d: %s", verb, p.name, r.line, r)}
}
