package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

func mustParse(t testing.TB, csv string) *Policy {
	t.Helper()
	p, err := Parse("policy.csv", []byte(csv))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// definitions returns a source with these tools, resources, templates and
// prompts, each named by its object without the source: "tool/name".
func source(t testing.TB, objects ...string) gateway.Catalog {
	t.Helper()
	var c gateway.Catalog
	var err error
	for _, o := range objects {
		kind, name, _ := strings.Cut(o, "/")
		member := map[string]string{"tool": "name", "prompt": "name", "resource": "uri", "template": "uriTemplate"}[kind]
		def, _ := json.Marshal(map[string]string{"name": name, member: name})
		switch kind {
		case "tool":
			var v *gateway.Tool
			v, err = gateway.ParseTool(def)
			c.Tools = append(c.Tools, v)
		case "resource":
			var v *gateway.Resource
			v, err = gateway.ParseResource(def)
			c.Resources = append(c.Resources, v)
		case "template":
			var v *gateway.Template
			v, err = gateway.ParseTemplate(def)
			c.Templates = append(c.Templates, v)
		case "prompt":
			var v *gateway.Prompt
			v, err = gateway.ParsePrompt(def)
			c.Prompts = append(c.Prompts, v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func attach(t testing.TB, r *gateway.Registry, name string, c gateway.Catalog, tags ...string) {
	t.Helper()
	up := gateway.Func(func(context.Context, *gateway.Call) (*gateway.Result, error) { return gateway.TextResult("ok"), nil })
	if err := r.Attach(name, up, c, gateway.Options{Prefix: name + ".", Tags: tags}); err != nil {
		t.Fatal(err)
	}
}

func decide(t testing.TB, e *Enforcer, who *gateway.Principal, object, action string) Decision {
	t.Helper()
	return e.Decide(t.Context(), Request{Principal: who, Object: object, Action: action})
}

func role(names ...string) *gateway.Principal {
	return &gateway.Principal{ID: "idp|user|alice", Issuer: "https://idp", Subject: "alice", Kind: "user", Roles: names}
}

// names returns everything that a view lists.
func names(s *gateway.Snapshot) string {
	var out []string
	for _, v := range s.Tools {
		out = append(out, v.Name)
	}
	for _, v := range s.Resources {
		out = append(out, v.URI)
	}
	for _, v := range s.Templates {
		out = append(out, v.URITemplate)
	}
	for _, v := range s.Prompts {
		out = append(out, v.Name)
	}
	return strings.Join(out, " ")
}

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

// TestObjects holds what patterns match, with URIs and names that hold what
// means something in a pattern.
func TestObjects(t *testing.T) {
	for _, test := range []struct {
		pattern, object string
		allow, deny     bool // whether an allowing and a denying rule match
	}{
		{"tool/s/*", "tool/s/a", true, true},
		{"tool/s/*", "tool/s/a/b", false, false},
		{"tool/s/**", "tool/s/a/b", true, true},
		{"tool/*/read", "tool/s/drop", false, false},
		{"tool/s/a?", "tool/s/a*", true, true},
		{"tool/s/a?", "tool/s/a/", false, false},
		{`tool/s/a\*`, "tool/s/a*", true, true},
		{`tool/s/a\*`, "tool/s/ab", false, false},
		{"tool/s/ab", "tool/s/a*", false, false},
		{"tool/s/{a,b}*", "tool/s/bx", true, true},
		{"tool/s/..", "tool/s/..", true, true},
		{"tool/s/%61", "tool/s/a", false, false},
		{"resource/s/file:///a/*", "resource/s/file:///a/b", true, true},
		{"resource/s/file:///a/**", "resource/s/file:///a/b/c", true, true},
		{"resource/s/file:///a/**", "resource/s/file:///a", true, true},
		{"resource/s/*", "resource/s/file:///a", false, false},
		{"resource/s/*", "resource/s/urn:a:b", true, true},
		{"resource/s/**", "resource/s/file:///a", true, true},
		{"resource/s/**/secret", "resource/s/file:///a/secret", true, true},
		{`resource/s/file:///\{+path\}`, "resource/s/file:///{+path}", true, true},
		{"resource/s/file:///a", "resource/s/file:///{+path}", false, false},
		{"resource/s/x://h/?q=*", "resource/s/x://h/?q=1", true, true},
		// Other ways of writing the same path.
		{"resource/s/file:///a/**", "resource/s/file:///a/../b", false, true},
		{"resource/s/file:///b", "resource/s/file:///a/../b", false, true},
		{"resource/s/file:///a/**", "resource/s/file:///a/%2e%2E/b", false, true},
		{"resource/s/file:///a/**", "resource/s/file:///a/..%2fb", false, true},
		{"resource/s/file:///a/**", `resource/s/file:///a/..\b`, false, true},
		{"resource/s/file:///a/**", "resource/s/file:///a/..%5Cb", false, true},
		{"resource/s/file:///a/**", "resource/s/file:///a/..?q", false, true},
		{"resource/s/file:///a/**", "resource/s/file:///a/?/../../b", false, true},
		{"resource/s/file:///a/**", "resource/s/file:///a/#/..%2f../b", false, true},
		{"resource/s/file:///b/**", `resource/s/file:///a/?\..\..\b/c`, false, true},
		{"resource/s/x://h/a/**", "resource/s/x://h/a/b?q=../c", true, true},
		{"resource/s/file:///b/**", "resource/s/file:///%62/c", false, true},
		{"resource/s/file:///b/**", "resource/s/file:////b/c", false, true},
		{"resource/s/file:///b/**", "resource/s/file:///.//b/c", false, true},
		{"resource/s/file:///b/**", "resource/s/file:///b%2Fc", false, true},
		{"resource/s/file:/b/**", "resource/s/file:/../b/c", false, true},
		{"resource/s/file:///b/**", "resource/s/file:///b//c/./d", true, true},
		{"resource/s/**", "resource/s/file:///a/../b", true, true},
		{"resource/s/file:///a/../b", "resource/s/file:///a/../b", true, true},
		{"resource/s/d://*", "resource/s/d://https%3A%2F%2Fx", false, true},
		{"resource/s/d://**", "resource/s/d://https%3A%2F%2Fx", true, true},
		{"resource/s/d://h/*", "resource/s/d://h/ä%", true, true},
		{"resource/s/**", "resource/s/d://h/" + strings.Repeat("a", maxObject), false, false},
	} {
		globs, err := parsePatterns(test.pattern)
		if err != nil {
			t.Fatalf("%s: %v", test.pattern, err)
		}
		o := &target{object: newObject(test.object)}
		if allow, deny := matchAny(globs, o, false), matchAny(globs, o, true); allow != test.allow || deny != test.deny {
			t.Errorf("%s, %s (%s): allow %t, deny %t; want %t, %t", test.pattern, o.text, o.normal, allow, deny, test.allow, test.deny)
		}
	}
}

func TestProblems(t *testing.T) {
	long := "# " + strings.Repeat("x", maxLine)
	var chain strings.Builder
	for i := range 11 {
		fmt.Fprintf(&chain, "g, role:r%d, role:r%d\n", i, i+1)
	}
	for csv, want := range map[string]string{
		"p, role:dev, *, tool/x/*, cal, allow":                                                         `1:27: unknown action "cal" (use call, read, get, subscribe, complete, list, admin or *)`,
		"\n\np, role:dev, *, tool/x/*, call, permit":                                                   `3:33: unknown effect "permit" (use allow or deny)`,
		"p, role:dev, tool/x/*, call, allow":                                                           `1:30: the rule has 4 fields, not 5 or 6 (the domain is missing: p, subject, domain, object, action, effect, with * as the domain for all)`,
		"p, role:dev, *, tool/x/*, call":                                                               `1:27: the rule has 4 fields, not 5 or 6 (the effect is missing: end the line with allow or deny)`,
		"p":                                                                                            `1:1: the rule has 0 fields, not 5 or 6 (a rule is p, subject, domain, object, action, effect, and perhaps a condition)`,
		"p, ä:dev, *, tool/x/*, call, allow":                                                           `1:4: unknown subject "ä:dev" (` + subjectHint + `)`,
		"p, user:alice, *, tool/x/*, call, allow":                                                      `1:4: the subject "user:alice" does not say who issued it (write user:<issuer>|alice)`,
		"p, role:, *, tool/x/*, call, allow":                                                           `1:4: the subject "role:" has no name`,
		"p, role:*, *, tool/x/*, call, allow":                                                          `1:4: subjects are not patterns (use anyone or authenticated)`,
		"p, anyone, t*, tool/x/*, call, allow":                                                         `1:12: domains are not patterns (use a whole domain, or * alone for all)`,
		"p, anyone, *, tools/x/*, call, allow":                                                         `1:15: unknown kind of object "tools" (begin with tool/, resource/, prompt/ or admin/, with ** for all capabilities, or write toolset:<name> or tag:<name>)`,
		"p, anyone, *, template/x/*, read, allow":                                                      `1:15: templates are resources to a policy (write resource/<source>/<URI>)`,
		"p, anyone, *, tool/*, call, allow":                                                            `1:15: object "tool/*" matches nothing (an object has three parts, as in tool/<source>/<name>; ** stands for any number of them)`,
		"p, anyone, *, tool/x/a**, call, allow":                                                        `1:15: object "tool/x/a**": ** must stand alone between slashes`,
		`p, anyone, *, tool/x/\\**, call, allow`:                                                       `1:15: object "tool/x/\\\\**": ** must stand alone between slashes`,
		"p, anyone, *, tool/x/[a-z], call, allow":                                                      `1:15: object "tool/x/[a-z]": character classes are not supported: write {a,b} for a choice, \[ and \] for brackets`,
		"p, anyone, *, tool/x/{a, call, allow":                                                         `1:15: object "tool/x/{a": { without }: write \{ for the character itself`,
		"p, anyone, *, tool/x/a}, call, allow":                                                         `1:15: object "tool/x/a}": } without {: write \} for the character itself`,
		"p, anyone, *, tool/x/{a{b}}, call, allow":                                                     `1:15: object "tool/x/{a{b}}": braces within braces are not supported`,
		"p, anyone, *, tool/x/{*}*, call, allow":                                                       `1:15: object "tool/x/{*}*": a * may not touch another across a brace`,
		"p, anyone, *, \"tool/x" + strings.Repeat("{/a,/b}", 7) + "\", call, allow":                    `: the braces stand for more than 64 patterns`,
		`p, anyone, *, tool/x/a\, call, allow`:                                                         `1:15: object "tool/x/a\\": the pattern ends in a \`,
		"p, anyone, *, tool/x/{a,b}, call, allow":                                                      `1:35: the rule has 6 fields, not 5 or 6 (a rule is p, subject, domain, object, action, effect, and perhaps a condition; a field with a comma stands in double quotes)`,
		"p, anyone, *, tool/x/*, read, allow":                                                          `1:25: read does not apply to a tool (use call or list)`,
		"p, anyone, *, resource/x/*, call, allow":                                                      `1:29: call does not apply to a resource (use read, subscribe, complete or list)`,
		"p, anyone, *, admin/x, read, allow":                                                           `1:15: unknown area "admin/x" (use admin/** or one of admin/policy, admin/keys, admin/sessions, admin/sources, admin/audit, admin/limits, admin/traffic)`,
		"p, anyone, *, admin, read, allow":                                                             `1:15: unknown area "admin"`,
		"p, anyone, *, admin/policy/x*, read, allow":                                                   `1:15: unknown area "admin/policy/x*"`,
		"p, anyone, *, admin/policy, call, allow":                                                      `1:29: call does not apply to an admin object (use read or admin)`,
		"p, anyone, *, tool/x/*, admin, allow":                                                         `1:25: admin does not apply to a tool`,
		"p, anyone, *, **, admin, allow":                                                               `1:19: admin applies to admin objects only (write admin/** or admin/<area> as the object)`,
		"p, anyone, *, toolset:, call, allow":                                                          `1:15: object "toolset:": the toolset has no name`,
		"p, anyone, *, tag:a*, call, allow":                                                            `1:15: object "tag:a*": the name of a tag is no pattern`,
		"p, anyone, *, **, call, allow, 'a', 'b'":                                                      `1:37: the rule has 7 fields, not 5 or 6 (a rule is p, subject, domain, object, action, effect, and perhaps a condition; a condition with a comma stands in double quotes)`,
		"p, anyone, *, **, call, allow, args.n <":                                                      `1:40: condition: mismatched input '<EOF>'`,
		"p, anyone, *, **, call, allow, \"'ä' == user.name\"":                                          `1:40: condition: undeclared reference to 'user'`,
		"p, anyone, *, **, call, allow, principal.nmae == 'x'":                                         `1:41: condition: undeclared reference to 'principal.nmae' (did you mean 'principal.name'?)`,
		"p, anyone, *, **, call, allow, principal.name":                                                `1:32: condition: it is a string, not true or false`,
		"p, anyone, *, **, call, allow, principal.name == 1":                                           `1:47: condition: found no matching overload for '_==_' applied to '(string, int)'`,
		"p, anyone, *, **, call, allow, now == now && \"\"":                                            `not CSV`,
		"p, anyone, *, **, call, allow, args." + strings.Repeat("x", maxConditionText):                 `the condition is longer than 2048 bytes`,
		"p, anyone, *, **, call, allow, " + strings.Repeat("(", 60) + "true" + strings.Repeat(")", 60): `condition: expression recursion limit exceeded: 50`,
		"p2, anyone, *, tool/x/*, call, allow":                                                         `1:1: unknown kind of line "p2" (a line begins with p for a rule, g for a role, or # for a comment)`,
		"p, \"anyone, *, tool/x/*, call, allow":                                                        `not CSV`,
		"p, any\"one, *, tool/x/*, call, allow":                                                        `1:7: not CSV: bare " in non-quoted-field (a field with a comma or a quote stands in double quotes, and quotes in it are doubled)`,
		"p, any\x01one, *, tool/x/*, call, allow":                                                      `1:4: the field has a control character`,
		"p, \xff, *, tool/x/*, call, allow":                                                            `1:1: the line is not valid UTF-8`,
		long:                                                                                           `1:1: the line is longer than 8192 bytes`,
		"g, role:a":                                                                                    `1:4: the role link has 1 fields, not 2 or 3 (a role link is g, subject, role, with a domain behind it if it is for one only)`,
		"g, group:a, b":                                                                                `1:13: "b" is not a role (write role:<name>)`,
		"g, role:a, role:a":                                                                            `1:1: the role leads back to itself: role:a → role:a (remove one of these links)`,
		"g, role:a, role:b\ng, role:b, role:c\n#\ng, role:c, role:b, t":                                `4:1: the role leads back to itself: role:b → role:c → role:b (remove one of these links)`,
		chain.String(): `2:1: more than 9 roles in a row follow role:r1 (link to the last roles themselves)`,
	} {
		_, err := Parse("policy.csv", []byte(csv))
		var problems Problems
		if !errors.As(err, &problems) {
			t.Errorf("%.200s: %v", csv, err)
			continue
		}
		if len(problems) != 1 || !strings.Contains(problems[0].String(), want) {
			t.Errorf("%.200s\ngot  %v\nwant policy.csv:%s", csv, problems, want)
		}
	}
	_, err := Parse("f", []byte(strings.Repeat("p, x\n", 200)+"q"))
	if problems := (Problems)(nil); !errors.As(err, &problems) || len(problems) != maxProblems {
		t.Errorf("%d problems, want %d", len(problems), maxProblems)
	}
	_, err = Parse("f", []byte("p, x, *, tools/a, calls, no\ng, x, y\n"))
	if problems := (Problems)(nil); !errors.As(err, &problems) || len(problems) != 6 {
		t.Errorf("want all six problems at once, got:\n%v", err)
	}
	if _, err := Parse("f", make([]byte, maxBytes+1)); err == nil {
		t.Error("17 MiB were read")
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
