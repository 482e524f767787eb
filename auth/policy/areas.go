package policy

import (
	"slices"

	"github.com/trilith-gateway/trilith/gateway"
)

// A Right is what a principal may do in an area of administration.
type Right struct {
	Area        string
	Read, Admin bool
}

// Rights returns the areas of administration in which a principal may do
// something, sorted by name. What conditions decide in each call counts as
// allowed.
func (e *Enforcer) Rights(who *gateway.Principal) []Right {
	if who == nil {
		return nil
	}
	g := e.current.Load().grantOf(who)
	var out []Right
	for _, area := range slices.Sorted(slices.Values(Areas())) {
		v := g.decide(&target{object: newObject(adminKind + "/" + area)})
		may := v.may | v.maybe
		r := Right{Area: area, Read: may&action(gateway.OpInspect) != 0, Admin: may&action(gateway.OpAdmin) != 0}
		if r.Read || r.Admin {
			out = append(out, r)
		}
	}
	return out
}

// Narrow returns the rights that the scopes of a principal's credential open,
// too. Nil Scopes open all.
func (s *Scopes) Narrow(who *gateway.Principal, rights []Right) []Right {
	if s == nil || who == nil || who.Scopes == nil {
		return rights
	}
	h := s.held(who.Scopes)
	var out []Right
	for _, r := range rights {
		t := &target{object: newObject(adminKind + "/" + r.Area)}
		r.Read = r.Read && s.opening(h, gateway.OpInspect, t) != nil
		r.Admin = r.Admin && s.opening(h, gateway.OpAdmin, t) != nil
		if r.Read || r.Admin {
			out = append(out, r)
		}
	}
	return out
}
