package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

func scoped(scopes ...string) *gateway.Principal {
	p := role("dev")
	p.Scopes = append([]string{}, scopes...)
	return p
}

func testScopes(t testing.TB) *Scopes {
	t.Helper()
	s, err := NewScopes([]ScopeRule{
		{Scopes: []string{"tools"}, Actions: []string{"call"}, Objects: []string{"tool/a/*"}},
		{Scopes: []string{"tools", "danger"}, Actions: []string{"call"}, Objects: []string{"tool/{a,b}/**"}},
		{Scopes: []string{"all"}, Objects: []string{"tool/**", "resource/**"}},
		{Scopes: []string{"read"}, Actions: []string{"read", "complete"}, Objects: []string{"resource/**"}},
		{Scopes: []string{"every"}, Actions: []string{"get", "admin"}},
		{Scopes: []string{"ops"}, Actions: []string{"admin"}, Objects: []string{"admin/**"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestScopes(t *testing.T) {
	s := testScopes(t)
	for _, c := range []struct {
		who    *gateway.Principal
		op     gateway.Op
		object string
		want   string // "" is admitted, otherwise the scopes to ask for, or "hidden"
	}{
		{role("dev"), gateway.OpCall, "tool/z/x", ""},
		{scoped("tools"), gateway.OpCall, "tool/a/x", ""},
		{scoped("tools"), gateway.OpCall, "tool/b/x", "tools danger"},
		{scoped("danger"), gateway.OpCall, "tool/b/x", "tools danger"},
		{scoped("danger", "tools"), gateway.OpCall, "tool/b/x", ""},
		{scoped("all"), gateway.OpCall, "tool/b/x", ""},
		{scoped("all"), gateway.OpCall, "tool/c/x", ""},
		{scoped(), gateway.OpCall, "tool/a/x", "tools"},
		{scoped("tool"), gateway.OpCall, "tool/a/x", "tools"},
		{scoped("TOOLS"), gateway.OpCall, "tool/a/x", "tools"},
		{scoped("tools danger"), gateway.OpCall, "tool/b/x", "tools danger"},
		{scoped("tools"), gateway.OpCall, "tool/c/x", "all"},
		{scoped("read"), gateway.OpRead, "resource/a/file:///x", ""},
		{scoped("read"), gateway.OpSubscribe, "resource/a/file:///x", "all"},
		{scoped("all"), gateway.OpSubscribe, "resource/a/file:///x", ""},
		{scoped("tools"), gateway.OpRead, "resource/a/file:///x", "all"},
		{scoped("all", "read", "tools", "danger", "ops"), gateway.OpGet, "prompt/a/x", "every"},
		{scoped("every"), gateway.OpGet, "prompt/b/x", ""},
		{scoped("every"), gateway.OpAdmin, "admin/policy", "ops"},
		{scoped("ops"), gateway.OpAdmin, "admin/policy", ""},
		{scoped("ops"), gateway.OpInspect, "admin/policy", "hidden"},
		{scoped("read"), gateway.OpAdmin, "admin/policy", "ops"},
	} {
		got := ""
		if e := gateway.AsError(s.Admit(t.Context(), &gateway.Call{Op: c.op, Object: c.object, Name: "x", Principal: c.who})); e != nil {
			got = strings.Join(e.Scopes, " ")
			want := gateway.PermissionDenied
			if got == "" {
				got, want = "hidden", gateway.NotFound
			}
			if e.Code != want || e.By != "scopes" || got != "hidden" && !strings.HasSuffix(e.Msg, got) {
				t.Errorf("%v %s: %v", c.op, c.object, e)
			}
		}
		if got != c.want {
			t.Errorf("%v %v %s: %q, want %q", c.who.Scopes, c.op, c.object, got, c.want)
		}
	}
	if d := cmp.Diff([]string{"tools", "danger", "all", "read", "every", "ops"}, s.All()); d != "" {
		t.Error(d)
	}
}

// TestScopesView lists what can be called, read or got and nothing else, behind
// the policy.
func TestScopesView(t *testing.T) {
	s := testScopes(t)
	r := new(gateway.Registry)
	for _, name := range []string{"a", "b", "c"} {
		attach(t, r, name, source(t, "tool/x", "tool/y", "prompt/p", "resource/file:///"+name, "template/"+name+":///{id}"))
	}
	e := NewEnforcer(mustParse(t, "p, role:dev, *, tool/a/*, call, allow\np, role:dev, *, tool/b/x, call, allow\np, role:dev, *, resource/**, *, allow\n"), Options{})
	gw, err := gateway.New(r, nil, []gateway.Gate{e, s})
	if err != nil {
		t.Fatal(err)
	}
	all := r.Snapshot()
	for _, who := range []*gateway.Principal{role("dev"), scoped(), scoped("tools"), scoped("tools", "danger"), scoped("all"), scoped("read"), scoped("danger")} {
		view := gw.View(who)
		for _, tool := range all.Tools {
			_, err := gw.Do(t.Context(), &gateway.Call{Op: gateway.OpCall, Name: tool.Name, Principal: who})
			if listed := view.Tool(tool.Name) != nil; listed != (err == nil) {
				t.Errorf("%v: %s is listed: %v, called: %v", who.Scopes, tool.Name, listed, err)
			}
		}
		for _, res := range all.Resources {
			_, err := gw.Do(t.Context(), &gateway.Call{Op: gateway.OpRead, Name: res.URI, Principal: who})
			if listed := strings.Contains(names(view), res.URI); listed != (err == nil) {
				t.Errorf("%v: %s is listed: %v, read: %v", who.Scopes, res.URI, listed, err)
			}
		}
		if again := gw.View(who); again != view {
			t.Errorf("%v: the view is another one each time", who.Scopes)
		}
	}
	if n := len(gw.View(scoped("tools")).Tools); n != 2 {
		t.Errorf("%d tools, not 2", n)
	}
	// What the policy does not allow is never asked more scopes for.
	_, err = gw.Do(t.Context(), &gateway.Call{Op: gateway.OpCall, Name: "c.x", Principal: scoped()})
	if e := gateway.AsError(err); e == nil || e.Code != gateway.NotFound || e.Scopes != nil {
		t.Errorf("what the policy does not allow: %v", err)
	}
}

func TestScopesRefused(t *testing.T) {
	good := ScopeRule{Scopes: []string{"a"}}
	for name, rules := range map[string][]ScopeRule{
		"none":             nil,
		"too many":         make([]ScopeRule, MaxScopeRules+1),
		"no scope":         {good, {}},
		"scope with space": {{Scopes: []string{"a b"}}},
		"scope with quote": {{Scopes: []string{`a"`}}},
		"unknown action":   {{Scopes: []string{"a"}, Actions: []string{"list"}}},
		"action twice":     {{Scopes: []string{"a"}, Actions: []string{"call", "call"}}},
		"toolset":          {{Scopes: []string{"a"}, Objects: []string{"toolset:x"}}},
		"bad pattern":      {{Scopes: []string{"a"}, Objects: []string{"tool/{"}}},
	} {
		if _, err := NewScopes(rules); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func BenchmarkScopes(b *testing.B) {
	s := testScopes(b)
	call := &gateway.Call{Op: gateway.OpCall, Object: "tool/b/x", Principal: scoped("tools", "danger")}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Admit(b.Context(), call); err != nil {
			b.Fatal(err)
		}
	}
}
