package toolset_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/toolset"
)

// offer returns a registry with two sources, a and b, of which b is tagged.
func offer(t testing.TB) *gateway.Registry {
	t.Helper()
	r := new(gateway.Registry)
	for name, tags := range map[string][]string{"a": nil, "b": {"safe", "x"}} {
		f := new(gateway.Funcs)
		run := func(_ context.Context, c *gateway.Call) (*gateway.Result, error) {
			return gateway.TextResult(c.Via + " " + c.Target.Object + " " + string(c.Args) + " " + string(c.Meta)), nil
		}
		for _, err := range []error{
			f.AddTool(json.RawMessage(`{"name":"get","description":"Gets things.","inputSchema":{"type":"object","properties":{"n":{"type":"integer"}}}}`), run),
			f.AddTool(json.RawMessage(`{"name":"put/x","description":"Puts things.","inputSchema":{"type":"object"}}`), run),
			f.AddResource(json.RawMessage(`{"uri":"file:///`+name+`/one","name":"one"}`), run),
			f.AddTemplate(json.RawMessage(`{"uriTemplate":"`+name+`://t/{id}","name":"t"}`), run),
			f.AddPrompt(json.RawMessage(`{"name":"ask"}`), run),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		for c := range f.Watch(t.Context()) {
			if err := r.Attach(name, f, c, gateway.Options{Prefix: name + ".", Tags: tags}); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	return r
}

func add(t testing.TB, o toolset.Options) *toolset.Toolset {
	t.Helper()
	o.Name = "test"
	s, err := toolset.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func join(t testing.TB, r *gateway.Registry, gates ...gateway.Gate) *gateway.Gateway {
	t.Helper()
	gw, err := gateway.New(r, nil, gates)
	if err != nil {
		t.Fatal(err)
	}
	return gw
}

var caller = &gateway.Principal{ID: "test|user|ada", Subject: "ada"}

// objects returns what a snapshot lists, sorted.
func objects(s *gateway.Snapshot) []string {
	out := []string{}
	for _, t := range s.Tools {
		out = append(out, t.Object)
	}
	for _, r := range s.Resources {
		out = append(out, r.Object)
	}
	for _, t := range s.Templates {
		out = append(out, t.Object)
	}
	for _, p := range s.Prompts {
		out = append(out, p.Object)
	}
	slices.Sort(out)
	return out
}

// TestSelectors compares what a toolset lists and what it admits with what its
// selectors say.
func TestSelectors(t *testing.T) {
	r := offer(t)
	all := join(t, r)
	ofB := []string{"prompt/b/ask", "resource/b/b://t/{id}", "resource/b/file:///b/one", "tool/b/get", "tool/b/put/x"}
	for _, c := range []struct {
		name string
		o    toolset.Options
		want []string
	}{
		{"nothing", toolset.Options{}, []string{}},
		{"exact name", toolset.Options{Tools: []string{"a.get"}}, []string{"tool/a/get"}},
		{"names are whole", toolset.Options{Tools: []string{"a.ge", "get", "A.GET"}}, []string{}},
		{"glob", toolset.Options{Tools: []string{"*.get"}}, []string{"tool/a/get", "tool/b/get"}},
		{"a star stops at a slash", toolset.Options{Tools: []string{"a.*"}}, []string{"tool/a/get"}},
		{"two stars do not", toolset.Options{Tools: []string{"**"}}, []string{"tool/a/get", "tool/a/put/x", "tool/b/get", "tool/b/put/x"}},
		{"question mark", toolset.Options{Tools: []string{"?.get"}}, []string{"tool/a/get", "tool/b/get"}},
		{"escape", toolset.Options{Tools: []string{`\*.get`, `\a.get`}}, []string{"tool/a/get"}},
		{"each kind has its own patterns", toolset.Options{Prompts: []string{"a.*"}}, []string{"prompt/a/ask"}},
		{"resources by URI", toolset.Options{Resources: []string{"file:///a/**"}}, []string{"resource/a/file:///a/one"}},
		{"templates by URI template", toolset.Options{Resources: []string{`a://t/\{id\}`, "b://t/*"}}, []string{"resource/a/a://t/{id}", "resource/b/b://t/{id}"}},
		{"source", toolset.Options{Sources: []string{"b"}}, ofB},
		{"sources are no patterns", toolset.Options{Sources: []string{"*"}}, []string{}},
		{"tag", toolset.Options{Tags: []string{"nope", "safe"}}, ofB},
		{"any of them", toolset.Options{Tags: []string{"x"}, Tools: []string{"a.get", "b.get"}}, append(slices.Clone(ofB), "tool/a/get")},
	} {
		t.Run(c.name, func(t *testing.T) {
			gw := join(t, r, add(t, c.o))
			slices.Sort(c.want)
			if diff := cmp.Diff(c.want, objects(gw.View(caller))); diff != "" {
				t.Errorf("listed (-want +got):\n%s", diff)
			}
			var callable []string
			for _, call := range everyCall(all.View(caller)) {
				_, err := gw.Do(t.Context(), call)
				switch e := gateway.AsError(err); {
				case e == nil:
					callable = append(callable, call.Target.Object)
				case e.Code != gateway.NotFound || e.By != "toolset":
					t.Errorf("%s: %v", call.Name, err)
				}
			}
			slices.Sort(callable)
			if !slices.Equal(callable, c.want) {
				t.Errorf("admitted (-want +got):\n%s", cmp.Diff(c.want, callable))
			}
		})
	}
}

// everyCall returns one call for each capability of a view.
func everyCall(s *gateway.Snapshot) (out []*gateway.Call) {
	for _, t := range s.Tools {
		out = append(out, &gateway.Call{Op: gateway.OpCall, Name: t.Name, Principal: caller})
	}
	for _, r := range s.Resources {
		out = append(out, &gateway.Call{Op: gateway.OpRead, Name: r.URI, Principal: caller})
	}
	for _, m := range s.Templates {
		out = append(out, &gateway.Call{Op: gateway.OpRead, Name: strings.ReplaceAll(m.URITemplate, "{id}", "7"), Principal: caller})
	}
	for _, p := range s.Prompts {
		out = append(out, &gateway.Call{Op: gateway.OpGet, Name: p.Name, Principal: caller})
	}
	return out
}

// TestOutsideIsNowhere holds that a refusal reads like that of a name which
// nobody has, and that completion and subscription are refused too.
func TestOutsideIsNowhere(t *testing.T) {
	gw := join(t, offer(t), add(t, toolset.Options{Tools: []string{"a.get"}}))
	for _, c := range []struct {
		op            gateway.Op
		kind          gateway.Kind
		outside, none string
	}{
		{gateway.OpCall, 0, "b.get", "c.get"},
		{gateway.OpRead, 0, "file:///a/one", "file:///c/one"},
		{gateway.OpRead, 0, "a://t/1", "c://t/1"},
		{gateway.OpSubscribe, 0, "a://t/1", "c://t/1"},
		{gateway.OpGet, 0, "a.ask", "c.ask"},
		{gateway.OpComplete, gateway.KindPrompt, "a.ask", "c.ask"},
		{gateway.OpComplete, gateway.KindTemplate, "a://t/{id}", "c://t/{id}"},
	} {
		_, outside := gw.Do(t.Context(), &gateway.Call{Op: c.op, Kind: c.kind, Name: c.outside, Principal: caller})
		_, none := gw.Do(t.Context(), &gateway.Call{Op: c.op, Kind: c.kind, Name: c.none, Principal: caller})
		a, b := gateway.AsError(outside), gateway.AsError(none)
		if a == nil || b == nil || a.Code != b.Code || strings.ReplaceAll(a.Msg, c.outside, c.none) != b.Msg {
			t.Errorf("%s %s: %v, and of %s: %v", c.op, c.outside, outside, c.none, none)
		}
	}
}

// TestViewIsStable holds that a view is the same pointer until something
// changes, and that two toolsets do not share theirs.
func TestViewIsStable(t *testing.T) {
	r := offer(t)
	one, two := join(t, r, add(t, toolset.Options{Tools: []string{"a.*"}})), join(t, r, add(t, toolset.Options{Tools: []string{"b.*"}}))
	other := &gateway.Principal{ID: "test|user|bob"}
	before := one.View(caller)
	if one.View(caller) != before || one.View(other) != before {
		t.Error("the view is made anew")
	}
	if two.View(caller) == before {
		t.Error("two toolsets share a view")
	}
	r.Refresh()
	if one.View(caller) == before {
		t.Error("the view outlives its snapshot")
	}
	if all := join(t, r, add(t, toolset.Options{Sources: []string{"a", "b"}})); all.View(caller) != r.Snapshot() {
		t.Error("a toolset of everything copies the snapshot")
	}
}

func TestNewRefuses(t *testing.T) {
	for name, o := range map[string]toolset.Options{
		"no name": {}, "open class": {Name: "x", Tools: []string{"[a"}}, "open brace": {Name: "x", Prompts: []string{"{a"}},
		"empty": {Name: "x", Resources: []string{""}}, "escape": {Name: "x", Tools: []string{`a\`}},
	} {
		if _, err := toolset.New(o); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// BenchmarkAdmit is the cost of the gate for a toolset of many patterns.
func BenchmarkAdmit(b *testing.B) {
	var o toolset.Options
	for i := range 100 {
		o.Tools = append(o.Tools, strings.Repeat("x", i)+"*")
	}
	s := add(b, o)
	call := &gateway.Call{Op: gateway.OpCall, Target: &gateway.Capability{Kind: gateway.KindTool, Name: strings.Repeat("x", 50) + ".get"}}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Admit(b.Context(), call); err != nil {
			b.Fatal(err)
		}
	}
}
