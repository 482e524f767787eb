package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// TestConditions holds what conditions read, and that what cannot be evaluated
// allows nothing and denies.
func TestConditions(t *testing.T) {
	who := &gateway.Principal{
		ID: "i|user|x", Issuer: "i", Subject: "x", Kind: "user", Name: "Alice", Tenant: "t",
		Groups: []string{"g1", "g2"}, Roles: []string{"r"}, Scopes: []string{"s"},
	}
	yes, no := true, false
	tool := &gateway.Tool{
		Capability:  gateway.Capability{Kind: gateway.KindTool, Name: "s.pay", Source: "s", Origin: "pay", Object: "tool/s/pay", Tags: []string{"red"}},
		Annotations: gateway.Annotations{ReadOnly: &yes, Destructive: &no},
	}
	const ok, not, bad = "holds", "does not hold", "could not be evaluated"
	for _, test := range []struct{ condition, args, want string }{
		{"principal.id == 'i|user|x' && principal.issuer == 'i' && principal.subject == 'x' && principal.kind == 'user' && principal.name == 'Alice' && principal.tenant == 't'", "", ok},
		{"principal.groups == ['g1','g2'] && 'r' in principal.roles && principal.scopes[0] == 's'", "", ok},
		{"cap.name == 's.pay' && cap.source == 's' && cap.tags == ['red'] && cap.kind == 'tool'", "", ok},
		{"cap.annotations.readOnlyHint && !cap.annotations.destructiveHint && !cap.annotations.idempotentHint && cap.annotations.openWorldHint", "", ok},
		{"request.op == 'call' && request.via == 'mcp' && request.object == 'tool/s/pay'", "", ok},
		{"now == timestamp('2026-03-31T09:30:00Z') && now.getHours('Europe/Berlin') == 11", "", ok},
		{"args.amount <= 100", `{"amount":100}`, ok},
		{"args.amount <= 100", `{"amount":100.00001}`, not},
		{"args.amount <= 100", `{"amount":"9"}`, bad},
		{"args.amount <= 100", `{}`, bad},
		{"args.amount <= 100", ``, bad},
		{"args.amount <= 100", `[1]`, bad},
		{"args.amount <= 100", `{"amount":1`, bad},
		{"has(args.amount)", `{"amount":null}`, ok},
		{"has(args.amount)", ``, not},
		{"args.yes", `{"yes":true}`, ok},
		{"args.yes", `{"yes":"true"}`, bad},
		{"args.a.b[1].c == 'ä'", `{"a":{"b":[0,{"c":"\u00e4"}]}}`, ok},
		{"args.l.exists(x, x.n == 2) && size(args.l) == 2", `{"l":[{"n":1},{"n":2}]}`, ok},
		{"args == {'a': [1.0, null]}", `{"a":[1,null]}`, ok},
		// Numbers that a double does not hold are compared exactly, or not at all.
		{"args.id == 9007199254740993", `{"id":9007199254740993}`, ok},
		{"args.id == 9007199254740993", `{"id":9007199254740992}`, not},
		{"args.id > 0", `{"id":18446744073709551615}`, ok},
		{"args.id > 0", `{"id":18446744073709551616}`, bad},
		{"args.id > 0", `{"id":9007199254740993.0}`, bad},
		{"args.id > 0", `{"id":1e300}`, bad},
		{"args.id > 0", `{"id":1e999}`, bad},
		{"args.id == 100", `{"id":1e2}`, ok},
		{"args.id * 2.0 == 3.0", `{"id":1.5}`, ok},
		// Either side of || and && may fail where the other decides.
		{"has(args.x) && args.x > 1", ``, not},
		{"args.missing == 1 || principal.name == 'Alice'", ``, ok},
		{"1 / 0 == 1", ``, bad},
		// Bounds.
		{"args.l.all(a, args.l.all(b, args.l.all(c, a == b && b == c)))", `{"l":[` + strings.Repeat("1,", 200) + `1]}`, bad},
		{"args.deep.deep.deep == 1", `{"deep":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, bad},
	} {
		for _, deny := range []bool{false, true} {
			csv := lineOf("p", "anyone", "*", "tool/s/*", "call", "allow", test.condition)
			want := test.want == ok
			if deny {
				csv = "p, anyone, *, **, *, allow\n" + lineOf("p", "anyone", "*", "tool/s/*", "call", "deny", test.condition)
				want = test.want == not
			}
			p, err := Parse("policy.csv", []byte(csv))
			if err != nil {
				t.Fatal(err)
			}
			e := NewEnforcer(p, Options{Now: func() time.Time { return time.Date(2026, 3, 31, 9, 30, 0, 0, time.UTC) }})
			call := &gateway.Call{Op: gateway.OpCall, Kind: gateway.KindTool, Object: tool.Object, Target: &tool.Capability, Tool: tool, Principal: who, Args: json.RawMessage(test.args), Via: "mcp"}
			err = e.Admit(t.Context(), call)
			if (err == nil) != want {
				t.Errorf("%.80s of %.80s: %v, want %t with deny %t", test.condition, test.args, err, want, deny)
			}
			if err == nil {
				continue
			}
			if gateway.AsError(err).Code != gateway.PermissionDenied {
				t.Errorf("%s: what a condition may allow is listed, so its refusal is no secret: %v", test.condition, err)
			}
			if why := errors.Unwrap(err).Error(); test.want == bad && !strings.Contains(why, bad) {
				t.Errorf("%s of %s: %s", test.condition, test.args, why)
			}
		}
	}
}

// TestConditionEndsWithItsCall evaluates a condition for a caller who has gone.
func TestConditionEndsWithItsCall(t *testing.T) {
	p := mustParse(t, `p, anyone, *, tool/s/*, call, allow, "args.l.all(a, args.l.all(b, a == b))"`+"\n")
	e := NewEnforcer(p, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	request := Request{Principal: role(), Object: "tool/s/x", Action: "call", Args: json.RawMessage(`{"l":[` + strings.Repeat("1,", 60) + `1]}`)}
	if err := e.Check(ctx, request); err == nil || !strings.Contains(errors.Unwrap(err).Error(), "interrupted") {
		t.Errorf("%v, want an interruption", err)
	}
	if err := e.Check(t.Context(), request); err != nil {
		t.Error(err)
	}
}

// TestArgumentsAreReadOnlyWhereAConditionDoes counts nothing: it gives arguments
// that cannot be read, which nobody must notice.
func TestArgumentsAreReadOnlyWhereAConditionDoes(t *testing.T) {
	p := mustParse(t, "p, role:a, *, tool/s/*, call, allow, request.via == 'mcp'\np, role:b, *, tool/s/*, call, allow, args.x == 1\n")
	e := NewEnforcer(p, Options{})
	for name, want := range map[string]bool{"a": true, "b": false} {
		err := e.Check(t.Context(), Request{Principal: role(name), Object: "tool/s/x", Action: "call", Via: "mcp", Args: json.RawMessage(`{"x":`)})
		if (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !p.conditions["args.x == 1"].args || p.conditions["request.via == 'mcp'"].args {
		t.Error("which conditions read arguments is not known")
	}
}

func TestTooManyConditions(t *testing.T) {
	var csv strings.Builder
	for i := range maxConditions + 1 {
		fmt.Fprintf(&csv, "p, anyone, *, tool/s/*, call, allow, args.x == %d\n", i)
	}
	_, err := Parse("f", []byte(csv.String()))
	if problems := (Problems)(nil); !errors.As(err, &problems) || len(problems) != 1 || problems[0].Line != maxConditions+1 {
		t.Errorf("%v", err)
	}
}

// TestSelectors names tools by toolsets and tags, and resources whatever way
// their URIs are written.
func TestSelectors(t *testing.T) {
	var registry gateway.Registry
	attach(t, &registry, "s", source(t, "tool/read", "tool/write", "resource/file:///secret/a", "template/file:///{+path}"), "red")
	attach(t, &registry, "u", source(t, "tool/read"))
	p := mustParse(t, `
p, role:set,    *, toolset:reads, call, allow
p, role:tag,    *, tag:red,       *,    allow
p, role:tag,    *, toolset:secret, *,   deny
p, role:gone,   *, **,            *,    allow
p, role:gone,   *, admin/**,      *,    allow
p, role:gone,   *, toolset:gone,  *,    deny
p, role:hidden, *, **,            *,    allow
p, role:hidden, *, tool/s/read,   list, deny
p, role:shown,  *, tool/s/*,      list, allow
`)
	e := NewEnforcer(p, Options{Toolsets: Toolsets{"reads": having("read"), "secret": having("/secret/")}, Snapshot: registry.Snapshot})
	if got := p.Unknown(e.Toolsets()).Error(); got != `policy.csv:7:20: no toolset is named "gone" (the configuration has reads, secret)` {
		t.Error(got)
	}
	for who, want := range map[string]string{
		"set": "s.read u.read", "tag": "s.read s.write file:///{+path}", "gone": "",
		"hidden": "s.write u.read file:///secret/a file:///{+path}", "shown": "s.read s.write",
	} {
		if got := names(e.View(role(who), registry.Snapshot())); got != want {
			t.Errorf("%s sees %q, want %q", who, got, want)
		}
	}
	for _, test := range []struct {
		who, action, object string
		want                bool
	}{
		{"set", "call", "tool/s/read", true},
		{"set", "call", "tool/s/write", false},
		{"tag", "read", "resource/s/file:///open", true},
		{"tag", "read", "resource/s/file:///secret/a", false},
		{"tag", "read", "resource/s/file:///secret/b", false},
		{"tag", "read", "resource/s/file:///open/../secret/b", false},
		{"tag", "read", "resource/s/file:///%73ecret/b", false},
		{"gone", "call", "tool/u/read", false},
		{"gone", "admin", "admin/policy", true},
		{"hidden", "call", "tool/s/read", true},
		{"hidden", "list", "tool/s/read", false},
		{"hidden", "admin", "admin/policy", false},
		{"shown", "call", "tool/s/read", false},
		{"shown", "*", "tool/s/read", false},
		{"shown", "fly", "tool/s/read", false},
	} {
		err := e.Check(t.Context(), Request{Principal: role(test.who), Object: test.object, Action: test.action})
		if (err == nil) != test.want {
			t.Errorf("%s may %s %s: %v", test.who, test.action, test.object, err)
		}
	}
	err := e.Admit(t.Context(), &gateway.Call{Op: gateway.OpCall, Kind: gateway.KindTool, Name: "s.read", Object: "tool/s/read", Target: &registry.Snapshot().Tool("s.read").Capability, Principal: role("shown")})
	if gateway.AsError(err).Code != gateway.PermissionDenied {
		t.Errorf("what is shown is refused with %v", err)
	}
}
