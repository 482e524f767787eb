package policy

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

func TestRoad(t *testing.T) {
	var registry gateway.Registry
	attach(t, &registry, "files", source(t, "tool/read", "tool/drop", "resource/file:///a", "resource/file:///public/b", "template/file:///{+path}", "prompt/hello"))
	e := NewEnforcer(mustParse(t, `
p, role:dev,   *, tool/files/*,                  call,  allow
p, role:dev,   *, tool/files/drop,               *,     deny
p, role:dev,   *, resource/files/file:///public/**, read, allow
p, role:dev,   *, prompt/files/*,                get,   allow
p, role:admin, *, **,                            *,     allow
`), Options{})
	g, err := gateway.New(&registry, nil, []gateway.Gate{e, gateway.ValidateArgs{}})
	if err != nil {
		t.Fatal(err)
	}
	for who, want := range map[string]string{
		"dev":   "files.read file:///public/b files.hello",
		"admin": "files.drop files.read file:///a file:///public/b file:///{+path} files.hello",
		"none":  "",
	} {
		if got := names(g.View(role(who))); got != want {
			t.Errorf("%s sees %q, want %q", who, got, want)
		}
	}
	allowed := gateway.Code(0)
	for _, test := range []struct {
		who  string
		op   gateway.Op
		kind gateway.Kind
		name string
		want gateway.Code
		why  string // in the cause
	}{
		{"dev", gateway.OpCall, 0, "files.read", allowed, ""},
		{"dev", gateway.OpCall, 0, "files.drop", gateway.NotFound, "denied by policy.csv:3: p, role:dev, *, tool/files/drop, *, deny"},
		{"admin", gateway.OpCall, 0, "files.drop", allowed, ""},
		{"none", gateway.OpCall, 0, "files.read", gateway.NotFound, "allows call on tool/files/read"},
		{"dev", gateway.OpRead, 0, "file:///public/b", allowed, ""},
		{"dev", gateway.OpRead, 0, "file:///public/new/x", allowed, ""},
		{"dev", gateway.OpRead, 0, "file:///public/../a", gateway.NotFound, "no rule"},
		{"dev", gateway.OpRead, 0, "file:///a", gateway.NotFound, "no rule"},
		{"dev", gateway.OpSubscribe, 0, "file:///public/b", gateway.PermissionDenied, "allows subscribe on resource/files/file:///public/b"},
		{"dev", gateway.OpSubscribe, 0, "file:///a", gateway.NotFound, "no rule"},
		{"admin", gateway.OpRead, 0, "file:///public/../a", allowed, ""},
		{"dev", gateway.OpGet, 0, "files.hello", allowed, ""},
		{"dev", gateway.OpComplete, gateway.KindPrompt, "files.hello", gateway.PermissionDenied, "allows complete"},
		{"dev", gateway.OpComplete, gateway.KindTemplate, "file:///{+path}", gateway.NotFound, "allows complete"},
		{"admin", gateway.OpComplete, gateway.KindTemplate, "file:///{+path}", allowed, ""},
	} {
		for range 2 { // What was decided before is decided the same.
			sub := &gateway.Subscription{Ready: func() {}, Updated: func(string) {}}
			_, err := g.Do(t.Context(), &gateway.Call{Op: test.op, Kind: test.kind, Name: test.name, Principal: role(test.who), Subscription: sub})
			var refusal *gateway.Error
			switch {
			case test.want == allowed:
				if err != nil {
					t.Errorf("%s %s %s: %v", test.who, test.op, test.name, err)
				}
			case !errors.As(err, &refusal) || refusal.Code != test.want || refusal.By != "policy" || !strings.Contains(refusal.Err.Error(), test.why):
				t.Errorf("%s %s %s: %v, want %s by policy: %s", test.who, test.op, test.name, err, test.want, test.why)
			}
		}
	}

	// Hidden and missing read the same.
	message := func(name string) string {
		_, err := g.Do(t.Context(), &gateway.Call{Op: gateway.OpCall, Name: name, Principal: role("dev")})
		return strings.ReplaceAll(gateway.AsError(err).Msg, name, "X")
	}
	if hidden, gone := message("files.drop"), message("files.gone"); hidden != gone {
		t.Errorf("hidden: %q, missing: %q", hidden, gone)
	}
}

func TestViewIsKept(t *testing.T) {
	var registry gateway.Registry
	attach(t, &registry, "demo", source(t, "tool/a", "tool/b"))
	p := mustParse(t, "p, role:dev, *, tool/demo/a, call, allow\np, group:eng, *, tool/demo/a, call, allow\n")
	e := NewEnforcer(p, Options{})
	snap := registry.Snapshot()
	first := e.View(role("dev"), snap)
	second := role("dev", "unnamed")
	second.ID, second.Subject, second.Groups = "idp|user|bob", "bob", []string{"unnamed"}
	if e.View(second, snap) != first {
		t.Error("another principal with the same rights has another view")
	}
	registry.Refresh()
	later := e.View(role("dev"), registry.Snapshot())
	if later == first {
		t.Error("a new snapshot has an old view")
	}
	if e.View(role("dev"), snap) != first || e.View(role("dev"), registry.Snapshot()) != later {
		t.Error("an older snapshot and a newer one are in each other's way")
	}
	second.Roles, second.Groups = nil, []string{"eng"}
	if v := e.View(second, snap); names(v) != "demo.a" {
		t.Errorf("the group sees %q", names(v))
	}
	e.Set(mustParse(t, "p, role:dev, *, tool/demo/b, call, allow\n"))
	if v := e.View(role("dev"), snap); names(v) != "demo.b" {
		t.Errorf("after Set the role sees %q", names(v))
	}
}

func TestSubjects(t *testing.T) {
	user := gateway.Principal{ID: "i|user|x", Issuer: "i", Subject: "x", Kind: "user"}
	client := gateway.Principal{ID: "i|client|x", Issuer: "i", Subject: "x", Kind: "client", Tenant: "t1"}
	other := gateway.Principal{ID: "j|user|x", Issuer: "j", Subject: "x", Kind: "user", Groups: []string{"g"}, Tenant: "t2"}
	anonymous := gateway.Principal{ID: "config|anonymous|x", Issuer: "config", Subject: "x", Kind: "anonymous"}
	for rules, want := range map[string]string{
		"p, user:i|x, *, tool/s/t, call, allow":                                             "user",
		"p, client:i|x, *, tool/s/t, call, allow":                                           "client",
		"p, group:g, *, tool/s/t, call, allow":                                              "other",
		"p, role:g, *, tool/s/t, call, allow":                                               "",
		"p, anyone, *, tool/s/t, call, allow":                                               "user client other anonymous",
		"p, authenticated, *, tool/s/t, call, allow":                                        "user client other",
		"p, anyone, t1, tool/s/t, call, allow":                                              "client",
		"p, anyone, , tool/s/t, call, allow":                                                "user client other anonymous",
		"g, anyone, role:a, t2\ng, role:a, role:b\np, role:b, *, tool/s/t, call, allow":     "other",
		"g, user:i|x, role:a\np, role:a, *, tool/s/t, call, allow":                          "user",
		"p, anyone, *, tool/s/t, call, allow\np, user:i|x, *, tool/s/*, call, deny":         "client other anonymous",
		"p, user:config|x, *, tool/s/t, call, allow":                                        "",
		"# a comment\n\n  p , \"user:i|x\", * , \"tool/s/{t,u}\", call , allow \r\n":        "user",
		"\ufeffp, anyone, *, tool/s/t, call, allow\np, anyone, t1, tool/**, *, deny":        "user other anonymous",
		"p, anyone, *, **, get, allow\np, anyone, *, **, read, allow":                       "",
		"p, anyone, *, */s/t, *, allow\np, client:i|x, t1, \"{tool,prompt}/**\", *, deny\n": "user other anonymous",
	} {
		e := NewEnforcer(mustParse(t, rules), Options{})
		var got []string
		for _, who := range []struct {
			name string
			p    *gateway.Principal
		}{{"user", &user}, {"client", &client}, {"other", &other}, {"anonymous", &anonymous}} {
			d := decide(t, e, who.p, "tool/s/t", "list")
			err := e.Admit(t.Context(), &gateway.Call{Op: gateway.OpCall, Kind: gateway.KindTool, Object: "tool/s/t", Principal: who.p})
			if d.Allowed != (err == nil) {
				t.Errorf("%s: %s: Casbin says %t, Admit %v", rules, who.name, d.Allowed, err)
			}
			if d.Allowed {
				got = append(got, who.name)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s\nallows %q, want %q", rules, got, want)
		}
	}
}

func TestDecide(t *testing.T) {
	e := NewEnforcer(mustParse(t, "# first\np, role:dev, *, tool/**, call, allow\np, role:dev, , tool/x/drop, *, deny\n"), Options{})
	version := e.Policy().Version()
	for _, test := range []struct {
		object, action string
		want           Decision
	}{
		{"tool/x/y", "call", Decision{true, "p, role:dev, *, tool/**, call, allow", 2, "allowed by policy.csv:2: p, role:dev, *, tool/**, call, allow"}},
		{"tool/x/y", "list", Decision{true, "p, role:dev, *, tool/**, call, allow", 2, "allowed by policy.csv:2: p, role:dev, *, tool/**, call, allow"}},
		{"tool/x/drop", "call", Decision{false, "p, role:dev, *, tool/x/drop, *, deny", 3, "denied by policy.csv:3: p, role:dev, *, tool/x/drop, *, deny"}},
		{"prompt/x/y", "get", Decision{Reason: "no rule of policy.csv " + version + " allows get on prompt/x/y"}},
		{"prompt/x/y", "*", Decision{Reason: `"*" is not an action`}},
		{"what/x/y", "list", Decision{Reason: "no rule of policy.csv " + version + " allows list on what/x/y"}},
	} {
		if diff := cmp.Diff(test.want, decide(t, e, role("dev"), test.object, test.action)); diff != "" {
			t.Errorf("%s on %s (-want +got):\n%s", test.action, test.object, diff)
		}
	}
	if d := decide(t, e, nil, "tool/x/y", "call"); d.Allowed {
		t.Error("nobody is allowed")
	}
	if err := e.Admit(t.Context(), &gateway.Call{}); gateway.AsError(err).Code != gateway.Unauthenticated {
		t.Errorf("nobody: %v", err)
	}
}

func TestVersion(t *testing.T) {
	a, b := mustParse(t, ""), mustParse(t, "#\n")
	if a.Version() != "e3b0c44298fc1c14" || a.Version() == b.Version() {
		t.Errorf("%s and %s", a.Version(), b.Version())
	}
}

// TestRuleThatAllows has a call name the rule that let it pass, the first time
// and when the decision is known.
func TestRuleThatAllows(t *testing.T) {
	const first, second = "p, role:a, *, tool/s/t, call, allow", `p, role:b, *, tool/s/*, call, allow, args.n < 5.0`
	e := NewEnforcer(mustParse(t, first+"\n"+`p, role:a, *, tool/**, list, allow`+"\n"+second+"\n"), Options{})
	target := &gateway.Capability{Kind: gateway.KindTool, Name: "s.t", Source: "s", Origin: "t", Object: "tool/s/t"}
	ask := func(role, object, args string) (string, error) {
		call := &gateway.Call{
			Op: gateway.OpCall, Kind: gateway.KindTool, Object: object, Target: target, Args: json.RawMessage(args),
			Principal: &gateway.Principal{ID: "i|user|" + role, Kind: "user", Roles: []string{role}},
		}
		err := e.Admit(t.Context(), call)
		return call.Rule, err
	}
	for range 2 {
		for _, test := range []struct{ role, object, args, want string }{
			{"a", "tool/s/t", "{}", first},
			{"b", "tool/s/t", `{"n":1}`, second},
			{"b", "tool/s/other", `{"n":1}`, second},
			{"b", "tool/s/t", `{"n":9}`, ""},
			{"c", "tool/s/t", "{}", ""},
		} {
			if rule, err := ask(test.role, test.object, test.args); rule != test.want || (err == nil) != (test.want != "") {
				t.Errorf("%s on %s with %s: allowed by %q, want %q: %v", test.role, test.object, test.args, rule, test.want, err)
			}
		}
	}
}
