package policy

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

// TestRights says of areas what the enforcer admits, as far as no condition decides.
func TestRights(t *testing.T) {
	e := NewEnforcer(mustParse(t, `p, role:dev, *, **, *, allow
p, role:admin, *, admin/**, *, allow
p, role:ops, *, admin/sources, read, allow
p, role:ops, *, admin/policy, *, allow
p, role:ops, *, admin/policy, admin, deny
p, role:ops, acme, admin/keys, *, allow
`), Options{})
	ops := role("ops")
	acme := *ops
	acme.Tenant = "acme"
	scoped := *ops
	scoped.Scopes = []string{"see"}
	scopes, err := NewScopes([]ScopeRule{{Scopes: []string{"see"}, Actions: []string{"read"}, Objects: []string{"admin/sources"}}})
	if err != nil {
		t.Fatal(err)
	}
	all := []Right{}
	for _, area := range []string{"audit", "keys", "limits", "policy", "sessions", "sources", "traffic"} {
		all = append(all, Right{area, true, true})
	}
	for name, c := range map[string]struct {
		who    *gateway.Principal
		scopes *Scopes
		want   []Right
	}{
		"nobody":         {nil, nil, nil},
		"all but that":   {role("dev"), nil, nil},
		"an admin":       {role("admin"), nil, all},
		"some":           {ops, scopes, []Right{{"policy", true, false}, {"sources", true, false}}},
		"in a tenant":    {&acme, nil, []Right{{"keys", true, true}, {"policy", true, false}, {"sources", true, false}}},
		"within scopes":  {&scoped, scopes, []Right{{"sources", true, false}}},
		"without scopes": {&scoped, nil, []Right{{"policy", true, false}, {"sources", true, false}}},
	} {
		got := c.scopes.Narrow(c.who, e.Rights(c.who))
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		for _, area := range Areas() {
			for _, op := range []gateway.Op{gateway.OpInspect, gateway.OpAdmin} {
				may := false
				for _, r := range got {
					may = may || r.Area == area && (op == gateway.OpInspect && r.Read || op == gateway.OpAdmin && r.Admin)
				}
				call := func() *gateway.Call { return &gateway.Call{Op: op, Object: "admin/" + area, Principal: c.who} }
				err := e.Admit(t.Context(), call())
				if err == nil && c.scopes != nil {
					err = c.scopes.Admit(t.Context(), call())
				}
				if (err == nil) != may {
					t.Errorf("%s: %v %s: said %v, then %v", name, op, area, may, err)
				}
			}
		}
	}
}
