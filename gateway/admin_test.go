package gateway_test

import (
	"context"
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
)

// TestAdministration: tools of administration have objects and operations of
// their own, and neither side reaches the other's tools.
func TestAdministration(t *testing.T) {
	var f gateway.Funcs
	var got string
	note := func(_ context.Context, c *gateway.Call, _ struct{}) (string, error) {
		got = c.Op.String() + " " + c.Object
		return "done", nil
	}
	for name, options := range map[string][]gateway.ToolOption{"policy.activate": nil, "policy.get": {gateway.ReadOnly()}} {
		if err := gateway.AddTool(&f, name, "For tests.", note, options...); err != nil {
			t.Fatal(err)
		}
	}
	r := new(gateway.Registry)
	for c, err := range f.Watch(t.Context()) {
		if err == nil {
			err = r.Attach("admin", &f, c, gateway.Options{Admin: true})
		}
		if err == nil {
			err = r.Attach("other", &f, c, gateway.Options{Prefix: "other."})
		}
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	g, err := gateway.New(r, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		op   gateway.Op
		name string
		want string // "" is not found
	}{
		{gateway.OpAdmin, "policy.activate", "admin admin/policy"},
		{gateway.OpInspect, "policy.activate", "admin admin/policy"}, // What it is, not what the door calls it.
		{gateway.OpAdmin, "policy.get", "read admin/policy"},
		{gateway.OpCall, "policy.activate", ""},
		{gateway.OpCall, "policy.get", ""},
		{gateway.OpAdmin, "other.policy.activate", ""},
		{gateway.OpInspect, "other.policy.get", ""},
		{gateway.OpCall, "other.policy.get", "call tool/other/policy.get"},
	} {
		got = ""
		_, err := g.Do(t.Context(), &gateway.Call{Op: c.op, Name: c.name, Principal: &gateway.Principal{ID: "x"}})
		if got != c.want || (c.want == "") != (gateway.AsError(err) != nil && gateway.AsError(err).Code == gateway.NotFound) {
			t.Errorf("%s %s: ran as %q with error %v, want %q", c.op, c.name, got, err, c.want)
		}
	}
}
