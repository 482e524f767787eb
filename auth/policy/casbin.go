package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	"github.com/casbin/casbin/v2/rbac"
)

// casbinModel is the model that policies are written for. The functions has and
// about stand in for g() and globMatch, because a principal has many subjects
// and an object two forms; acts adds that the main action of an object shows it
// in lists, and holds asks the condition.
const casbinModel = `
[request_definition]
r = sub, dom, obj, act, env

[policy_definition]
p = sub, dom, obj, act, eft, cond

[role_definition]
g = _, _, _

[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))

[matchers]
m = (p.dom == "*" || r.dom == p.dom) && acts(r.act, p.act, r.obj) && has(r.sub, p.sub, r.dom) && about(r.obj, p.obj, p.eft) && holds(p.cond, p.eft, r.env)
`

// load builds the Casbin enforcer from the parsed lines.
func (p *Policy) load() error {
	m, err := model.NewModelFromString(casbinModel)
	if err != nil {
		return fmt.Errorf("policy model: %w", err)
	}
	for _, f := range p.order {
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
	roles := e.GetRoleManager()
	e.AddFunction("acts", func(args ...any) (any, error) {
		return acts(args[0].(string), args[1].(string), args[2].(*target)), nil //nolint:forcetypeassert // the model says so.
	})
	e.AddFunction("has", func(args ...any) (any, error) {
		return has(roles, args[0].([]string), args[1].(string), args[2].(string)) //nolint:forcetypeassert // the model says so.
	})
	e.AddFunction("about", func(args ...any) (any, error) {
		patterns, err := parsePatterns(args[1].(string))                     //nolint:forcetypeassert // the model says so.
		return matchAny(patterns, args[0].(*target), args[2] == "deny"), err //nolint:forcetypeassert // the model says so.
	})
	e.AddFunction("holds", func(args ...any) (any, error) {
		c := p.conditions[args[0].(string)]                                    //nolint:forcetypeassert // the model says so.
		return c == nil || args[2].(*scene).applies(c, args[1] == "deny"), nil //nolint:forcetypeassert // the model says so.
	})
	p.casbin = e
	return nil
}

// acts reports whether a rule's action is the one asked for, or implies it.
func acts(asked, word string, t *target) bool {
	return word == "*" || word == asked || asked == "list" && word == mainOp(t.text).String()
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
