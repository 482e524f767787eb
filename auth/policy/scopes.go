package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/trilith-gateway/trilith/gateway"
)

// MaxScopeRules bounds the rules of [Scopes].
const MaxScopeRules = 64

// A ScopeRule says what a credential's scopes open (RFC 6749, section 3.3).
type ScopeRule struct {
	Scopes  []string // all of which the credential must have; at least one
	Actions []string // call, read, get, complete, subscribe, admin; none is all
	Objects []string // patterns as in policies, and tags, but no toolsets; none is all but administration
}

// Scopes are a gate behind the policy: what a credential's scopes do not open it
// refuses, whatever the policy allows. So what a caller may do is what both
// allow, and a refusal that asks for more scopes is never for nothing.
//
// Whatever one rule opens is open: a scope that includes others stands in rules
// of its own. What no rule is about is open to no scope. Principals whose
// credential sets no bound (nil Scopes) are not concerned. Scopes are immutable
// and safe for concurrent use.
type Scopes struct{ rules []scopeRule }

type scopeRule struct {
	scopes  []string
	actions uint16    // of gateway.Op
	objects []pattern // none is all but administration
}

func (r *scopeRule) opens(op gateway.Op, t *target) bool {
	if r.objects == nil {
		return r.actions&(1<<op) != 0 && !strings.HasPrefix(t.text, adminKind+"/")
	}
	return r.actions&(1<<op) != 0 && matchAny(r.objects, t, false)
}

// held is which rules' scopes a credential has: a bit for each.
type held uint64

// NewScopes returns the gate of at least one rule, or an error that names each
// rule that is wrong.
func NewScopes(rules []ScopeRule) (*Scopes, error) {
	if len(rules) == 0 || len(rules) > MaxScopeRules {
		return nil, fmt.Errorf("%d rules of scopes, not 1 to %d", len(rules), MaxScopeRules)
	}
	s := &Scopes{}
	var problems []error
	for i, r := range rules {
		made, err := newScopeRule(r)
		if err != nil {
			problems = append(problems, fmt.Errorf("rule %d of scopes: %w", i+1, err))
		}
		s.rules = append(s.rules, made)
	}
	return s, errors.Join(problems...)
}

func newScopeRule(r ScopeRule) (scopeRule, error) {
	out := scopeRule{scopes: slices.Clone(r.Scopes)}
	if len(r.Scopes) == 0 {
		return out, errors.New("it names no scope")
	}
	for _, scope := range r.Scopes {
		if !isScope(scope) {
			return out, fmt.Errorf("%q is not a scope", scope)
		}
	}
	if len(r.Actions) == 0 {
		out.actions = ^uint16(0)
	}
	for _, word := range r.Actions {
		before := out.actions
		for op := gateway.OpCall; op <= gateway.OpInspect; op++ { // To inspect is to read.
			if op.String() == word {
				out.actions |= 1 << op
			}
		}
		if out.actions == before {
			return out, fmt.Errorf("%q is not an action, or stands twice", word)
		}
	}
	for _, pattern := range r.Objects {
		patterns, err := parsePatterns(pattern)
		if err != nil {
			return out, fmt.Errorf("%q: %w", pattern, err)
		}
		for _, p := range patterns {
			if p.toolset != "" {
				return out, fmt.Errorf("%q: scopes do not know toolsets", pattern)
			}
		}
		out.objects = append(out.objects, patterns...)
	}
	return out, nil
}

// isScope reports whether s can be a scope: characters that print in ASCII, but
// for quotes and backslash (RFC 6749, section 3.3).
func isScope(s string) bool {
	return s != "" && len(s) <= 256 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' })
}

// All returns every scope that a rule names, once, in the order of the rules.
func (s *Scopes) All() []string {
	var out []string
	for _, r := range s.rules {
		for _, scope := range r.scopes {
			if !slices.Contains(out, scope) {
				out = append(out, scope)
			}
		}
	}
	return out
}

// held returns whose rules' scopes are all among the given.
func (s *Scopes) held(scopes []string) held {
	var h held
	for i := range s.rules {
		has := true
		for _, scope := range s.rules[i].scopes {
			has = has && slices.Contains(scopes, scope)
		}
		if has {
			h |= 1 << i
		}
	}
	return h
}

// opening returns the first rule among those held that opens the object, or nil.
func (s *Scopes) opening(h held, op gateway.Op, t *target) *scopeRule {
	for i := range s.rules {
		if h&(1<<i) != 0 && s.rules[i].opens(op, t) {
			return &s.rules[i]
		}
	}
	return nil
}

const everyRule = ^held(0)

// Admit lets a call pass that the caller's scopes open. Its refusal names the
// scopes of the first rule that would; where there is none it reads as if the
// target did not exist.
func (s *Scopes) Admit(_ context.Context, call *gateway.Call) error {
	if call.Principal == nil || call.Principal.Scopes == nil {
		return nil // The policy before has refused nobody's calls.
	}
	t := &target{object: newObject(call.Object), capability: call.Target}
	if s.opening(s.held(call.Principal.Scopes), call.Op, t) != nil {
		return nil
	}
	r := s.opening(everyRule, call.Op, t)
	if r == nil {
		return gateway.NotFoundError(call, byScopes, errors.New("no scope opens it"))
	}
	return &gateway.Error{
		Code: gateway.PermissionDenied, By: byScopes,
		Msg:    "insufficient scope: this needs " + strings.Join(r.scopes, " "),
		Scopes: r.scopes,
	}
}

// byScopes is how refusals name the gate.
const byScopes = "scopes"

type scopesKey struct {
	*Scopes
	held
}

// View returns the part of a snapshot whose capabilities the principal's scopes
// let it call, read or get.
func (s *Scopes) View(p *gateway.Principal, all *gateway.Snapshot) *gateway.Snapshot {
	if p == nil || p.Scopes == nil {
		return all
	}
	h := s.held(p.Scopes)
	return all.Memo(scopesKey{s, h}, func(all *gateway.Snapshot) any { //nolint:forcetypeassert // the key is ours.
		return all.Filter(func(c *gateway.Capability) bool {
			t := &target{object: newObject(c.Object), capability: c}
			for _, op := range opsOf(c.Object) {
				if s.opening(h, op, t) != nil {
					return true
				}
			}
			return false
		})
	}).(*gateway.Snapshot)
}

// opsOf returns the operations of which one lets an object be seen.
func opsOf(object string) []gateway.Op {
	if strings.HasPrefix(object, adminKind+"/") {
		return []gateway.Op{gateway.OpInspect, gateway.OpAdmin}
	}
	return []gateway.Op{mainOp(object)}
}
