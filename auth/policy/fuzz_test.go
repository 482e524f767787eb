package policy

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/gateway"
)

func sees(view *gateway.Snapshot, want *gateway.Capability) bool {
	found := false
	view.Filter(func(c *gateway.Capability) bool { found = found || c == want; return true })
	return found
}

func FuzzDecide(f *testing.F) {
	f.Add("tool/s1/*", "tool/s1/read", true, "", "")
	f.Add("resource/f/file:///a/**", "resource/f/file:///a/../b", true, "args.a == 1", `{"a":1}`)
	f.Add("resource/f/{a,b*}/\\*?", "resource/f/a/*%2F", false, "args.a.b[0] > args.c", `{"a":{"b":[1e3]},"c":1.5}`)
	f.Add("**/a", "resource/x/mem://%zz//a", false, "has(args.x) || request.via == 'mcp'", `{}`)
	f.Add("toolset:a", "resource/x/mem://x/../a", true, "args.l.all(x,x in ['a','b'])", `{"l":["a",null]}`)
	f.Add("tag:red", "tool/x/y", false, "size(args.s) < 3", `{"s":"\u00e4"}`)
	f.Add("admin/*", "admin/policy", false, "cap.source == ''", ``)
	f.Fuzz(func(t *testing.T, pattern, object string, deny bool, condition, args string) {
		if strings.ContainsAny(pattern, ",\"") || strings.TrimSpace(pattern) != pattern || pattern == "" || strings.ContainsAny(pattern, "\r\n") || len(object) > maxObject ||
			strings.ContainsAny(condition, "\"\r\n") || strings.Contains(condition, ", ") || strings.TrimSpace(condition) != condition {
			return // What CSV would take apart; see FuzzParse.
		}
		if strings.HasPrefix(object, "admin/") && strings.ContainsAny(pattern, `{\`) || !sameJSON(args) {
			return // What the oracle cannot tell.
		}
		if kind, rest, _ := strings.Cut(object, "/"); kind != "admin" && (actionsOf(kind) == nil || !strings.Contains(rest, "/")) {
			return // What no registry names.
		}
		end := "\n"
		if condition != "" {
			end = `, "` + condition + "\"\n"
		}
		csv := "p, anyone, *, " + pattern + ", *, allow" + end
		if deny {
			csv = "p, anyone, *, **, *, allow\np, anyone, *, admin/**, *, allow\np, anyone, *, " + pattern + ", *, deny" + end
		}
		p, err := Parse("f", []byte(csv))
		if err != nil {
			return
		}
		env, err := oracleEnv()
		if err != nil {
			t.Fatal(err)
		}
		if _, issues := env.Compile(condition); condition != "" && issues.Err() != nil {
			return
		}
		who := role()
		e := NewEnforcer(p, Options{Toolsets: testToolsets})
		o := newOracle(t, csv, who, e.snapshot())
		o.facts = facts{args: args, now: time.Unix(1, 0)}
		want := o.allows(t, object, "read")
		request := Request{Principal: who, Object: object, Action: "read", Args: json.RawMessage(args), Time: o.facts.now}
		got := e.Check(t.Context(), request) == nil
		if d := e.Decide(t.Context(), request); got != want || d.Allowed != want {
			t.Fatalf("pattern %q, object %q (%q), condition %q, args %s: compiled %t, Decide %t, Casbin %t", pattern, object, normalize(object), condition, args, got, d.Allowed, want)
		}
		if n := normalize(object); normalize(n) != n && !strings.Contains(n, "%") && !strings.ContainsAny(object, "?#%") {
			t.Fatalf("%q becomes %q and then %q", object, n, normalize(n))
		}
	})
}

// sameJSON reports whether encoding/json reads the arguments as conditions do:
// without duplicates and numbers that a double does not hold.
func sameJSON(args string) bool {
	if args == "" {
		return true
	}
	if v := jsontext.Value(args); !v.IsValid() || v.Kind() != '{' {
		return false
	}
	for _, number := range regexp.MustCompile(`[-+.0-9eE]{15,}|[eE][-+]?[0-9]{2,}`).FindAllString(args, -1) {
		if number != "" {
			return false
		}
	}
	return true
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("# c\np, role:a, *, tool/s/*, call, allow\ng, user:i|x, role:a, t\n"))
	f.Add([]byte("p, \"role:a,b\", , \"tool/{a,b}/\\\\*\", *, deny\r\ng,role:a,role:b\ng,role:b,role:a"))
	f.Fuzz(func(t *testing.T, csv []byte) {
		p, err := Parse("f", csv)
		if err != nil {
			if problems, ok := err.(Problems); !ok || len(problems) == 0 || len(problems) > maxProblems { //nolint:errorlint // it is returned as it is.
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		// Casbin has exactly the rules that were parsed.
		rules, err := p.casbin.GetPolicy()
		if err != nil || len(rules) != p.Rules() {
			t.Fatalf("%d rules, Casbin has %d, %v", p.Rules(), len(rules), err)
		}
		decide(t, NewEnforcer(p, Options{}), role("a"), "tool/s/x", "call")
	})
}
