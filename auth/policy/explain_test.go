package policy

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

const explained = `# who may do what
p, role:reader, *,  tool/s/read, call, allow
p, role:writer, *,  tool/s/*,    call, allow, args.dry == true
p, role:lead,   t1, tool/s/*,    call, allow
p, anyone,      *,  tool/s/drop, *,    deny
p, role:far,    *,  tool/s/read, list, allow
g, group:eng,   role:dev
g, role:dev,    role:reader
g, group:eng,   role:lead, t1
g, group:eng,   role:writer, t2
p, role:admin,  *,  admin/**,    *,    allow
`

func TestExplain(t *testing.T) {
	e := NewEnforcer(mustParse(t, explained), Options{})
	for _, c := range []struct {
		groups, tenant, object, action, args string
		allowed                              bool
		want                                 string // path, or misses
	}{
		{"eng", "", "tool/s/read", "call", "", true, "2: group:eng → role:dev → role:reader"},
		{"eng", "", "tool/s/read", "list", "", true, "2: group:eng → role:dev → role:reader"},
		{"eng", "t1", "tool/s/write", "call", "", true, "4: group:eng → role:lead"},
		{"eng", "t2", "tool/s/write", "call", `{"dry":true}`, true, "3: group:eng → role:writer"},
		{"eng", "", "tool/s/drop", "call", "", false, "5: anyone"},
		{"eng", "t2", "tool/s/write", "call", `{"dry":false}`, false, "0: ; condition 3 group:eng → role:writer; tenant 4 group:eng → role:lead"},
		{"eng", "", "tool/s/write", "call", "", false, "0: ; tenant 3 group:eng → role:writer; tenant 4 group:eng → role:lead"},
		{"ops", "", "tool/s/read", "call", "", false, "0: ; subject 2 ; subject 3 ; subject 4 "},
		{"eng", "", "admin/policy", "read", "", false, "0: ; subject 11 "},
		{"eng", "", "tool/s/read", "fly", "", false, "0: "},
	} {
		who := role()
		who.Groups, who.Tenant = []string{c.groups}, c.tenant
		x := e.Explain(t.Context(), Request{Principal: who, Object: c.object, Action: c.action, Args: json.RawMessage(c.args)})
		got := fmt.Sprintf("%d: %s", x.Line, strings.Join(x.Path, " → "))
		for _, m := range x.Misses {
			got += fmt.Sprintf("; %s %d %s", m.Why, m.Line, strings.Join(m.Path, " → "))
		}
		if x.Allowed != c.allowed || got != c.want {
			t.Errorf("%s of %s%s on %s: %t %q, want %t %q (%s)", c.action, c.groups, c.tenant, c.object, x.Allowed, got, c.allowed, c.want, x.Reason)
		}
	}
	far := e.Explain(t.Context(), Request{Principal: role("far"), Object: "tool/s/read", Action: "call"})
	if len(far.Misses) == 0 || far.Misses[0].Why != MissAction || far.Misses[0].Line != 6 {
		t.Errorf("%+v", far.Misses)
	}
	if x := e.Explain(t.Context(), Request{Object: "tool/s/read", Action: "call"}); x.Allowed || x.Reason == "" {
		t.Errorf("%+v", x)
	}
}

func TestEffective(t *testing.T) {
	var registry gateway.Registry
	attach(t, &registry, "s", source(t, "tool/read", "tool/drop", "tool/write", "template/file:///{+path}"))
	e := NewEnforcer(mustParse(t, explained+"p, role:admin, *, resource/**, complete, allow\n"), Options{Snapshot: registry.Snapshot})
	for _, c := range []struct {
		who  *gateway.Principal
		want []string
	}{
		{&gateway.Principal{ID: "1", Groups: []string{"eng"}, Tenant: "t2"}, []string{
			"call tool/s/read 2 false [group:eng role:dev role:reader]", "list tool/s/read 2 false [group:eng role:dev role:reader]",
			"call tool/s/write 3 true [group:eng role:writer]", "list tool/s/write 3 true [group:eng role:writer]",
		}},
		{role("admin"), []string{
			"read admin/audit 11 false [role:admin]", "admin admin/audit 11 false [role:admin]", "read admin/keys 11 false [role:admin]", "admin admin/keys 11 false [role:admin]",
			"read admin/limits 11 false [role:admin]", "admin admin/limits 11 false [role:admin]", "read admin/policy 11 false [role:admin]", "admin admin/policy 11 false [role:admin]",
			"read admin/sessions 11 false [role:admin]", "admin admin/sessions 11 false [role:admin]", "read admin/sources 11 false [role:admin]", "admin admin/sources 11 false [role:admin]",
			"read admin/traffic 11 false [role:admin]", "admin admin/traffic 11 false [role:admin]",
			"complete resource/s/file:///{+path} 12 false [role:admin]",
		}},
		{role(), nil},
		{nil, nil},
	} {
		var got []string
		for _, p := range e.Effective(t.Context(), c.who, registry.Snapshot()) {
			got = append(got, fmt.Sprint(p.Action, " ", p.Object, " ", p.Line, " ", p.Conditional, " ", p.Path))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", c.who, diff)
		}
	}
}

func TestWhoCan(t *testing.T) {
	e := NewEnforcer(mustParse(t, explained), Options{})
	for asked, want := range map[string][]string{
		"call tool/s/read": {
			"role:reader in * by 2 false [role:reader]", "role:dev in * by 2 false [role:dev role:reader]", "group:eng in * by 2 false [group:eng role:dev role:reader]",
			"role:writer in * by 3 true [role:writer]", "group:eng in t2 by 3 false [group:eng role:writer]",
			"role:lead in t1 by 4 false [role:lead]", "group:eng in t1 by 4 false [group:eng role:lead]",
		},
		"call tool/s/drop":  nil,
		"admin admin/audit": {"role:admin in * by 11 false [role:admin]"},
		"fly tool/s/read":   nil,
	} {
		action, object, _ := strings.Cut(asked, " ")
		got, more := e.WhoCan(t.Context(), object, action)
		var lines []string
		for _, g := range got {
			if g.Tenant == "" {
				g.Tenant = "*"
			}
			lines = append(lines, fmt.Sprint(g.Subject, " in ", g.Tenant, " by ", g.Line, " ", g.Conditional, " ", g.Path))
		}
		if diff := cmp.Diff(want, lines); diff != "" || more {
			t.Errorf("%s, more %t (-want +got):\n%s", asked, more, diff)
		}
	}
	var many strings.Builder
	for i := range maxGrantees + 10 {
		fmt.Fprintf(&many, "g, group:g%d, role:a\n", i)
	}
	big := NewEnforcer(mustParse(t, many.String()+"p, role:a, *, tool/s/x, call, allow\n"), Options{})
	if got, more := big.WhoCan(t.Context(), "tool/s/x", "call"); len(got) != maxGrantees || !more {
		t.Errorf("%d grantees, more %t", len(got), more)
	}
}

// TestExplanationsAgree explains random decisions: what is explained is what is
// decided, and who is told to may can.
func TestExplanationsAgree(t *testing.T) {
	for seed := range uint64(25) {
		r := rand.New(rand.NewPCG(seed, 11))
		snap, listed := randomSnapshot(t, r)
		e := NewEnforcer(mustParse(t, randomPolicy(r)), Options{Toolsets: testToolsets, Snapshot: func() *gateway.Snapshot { return snap }})
		for range 4 {
			who, f := randomPrincipal(r), randomFacts(r)
			may := map[string]bool{}
			for _, p := range e.Effective(t.Context(), who, snap) {
				may[p.Action+" "+p.Object] = true
				if len(p.Path) == 0 || p.Rule == "" {
					t.Fatalf("no path to %+v", p)
				}
			}
			for _, c := range listed {
				op := mainOp(c.Object)
				if op == 0 {
					continue
				}
				request := Request{Principal: who, Object: c.Object, Action: op.String(), Args: json.RawMessage(f.args), Via: f.via, Time: f.now}
				x := e.Explain(t.Context(), request)
				if err := e.Check(t.Context(), request); x.Allowed != (err == nil) || x.Allowed && (len(x.Path) == 0 || !may[op.String()+" "+c.Object]) || strings.Contains(x.Reason, "report this") {
					t.Fatalf("%+v is explained as %+v, decided %v", request, x, err)
				}
				if x.Allowed {
					if grantees, _ := e.WhoCan(t.Context(), c.Object, op.String()); len(grantees) == 0 {
						t.Fatalf("%s may %s %s, but nobody can", who.ID, op, c.Object)
					}
				}
			}
		}
	}
}

func BenchmarkExplain(b *testing.B) {
	p, who := benchPolicy(b, 100_000)
	e := NewEnforcer(p, Options{})
	for b.Loop() {
		e.Explain(b.Context(), Request{Principal: who, Object: "tool/s1/none", Action: "call", Time: time.Unix(1, 0)})
	}
}
