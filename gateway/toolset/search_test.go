package toolset_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/toolset"
)

// only is a policy: it lets each principal use the tools that it names.
type only map[string][]string

func (o only) may(p *gateway.Principal, c *gateway.Capability) bool {
	return slices.Contains(o[p.Subject], c.Name) || slices.Contains(o[p.Subject], "*")
}

func (o only) Admit(_ context.Context, call *gateway.Call) error {
	if o.may(call.Principal, call.Target) {
		return nil
	}
	return gateway.NotFoundError(call, "policy", nil)
}

func (o only) View(p *gateway.Principal, s *gateway.Snapshot) *gateway.Snapshot {
	return s.Filter(func(c *gateway.Capability) bool { return o.may(p, c) })
}

// seek returns a search over a toolset of a registry, which runs until the test
// ends.
func seek(t testing.TB, r *gateway.Registry, o toolset.Options, gates ...gateway.Gate) *gateway.Gateway {
	t.Helper()
	x := toolset.NewIndex(r, nil)
	s, err := toolset.NewSearch("test", join(t, r, append(gates, add(t, o), gateway.ValidateArgs{})...), x, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{}, 2)
	for _, run := range []func(context.Context){x.Run, s.Run} {
		go func() { run(ctx); done <- struct{}{} }()
	}
	t.Cleanup(func() { stop(); <-done; <-done })
	return s.Gateway()
}

func call(t testing.TB, gw *gateway.Gateway, who *gateway.Principal, name, args string) (*gateway.Result, *gateway.Error) {
	t.Helper()
	res, err := gw.Do(t.Context(), &gateway.Call{Op: gateway.OpCall, Name: name, Args: json.RawMessage(args), Meta: json.RawMessage(`{"m":1}`), Principal: who, Via: "mcp"})
	return res, gateway.AsError(err)
}

type answer struct {
	Tools []struct {
		Name        string
		Description string
		InputSchema json.RawMessage
	}
	Matches int
}

func find(t testing.TB, gw *gateway.Gateway, who *gateway.Principal, args string) (a answer) {
	t.Helper()
	res, err := call(t, gw, who, "search_tools", args)
	if err != nil {
		t.Fatal(err)
	}
	parts, e := res.Parts()
	if e == nil {
		e = json.Unmarshal(parts.Structured, &a)
	}
	if e != nil {
		t.Fatal(e)
	}
	if err := gw.View(who).Tool("search_tools").Output.Validate(parts.Structured); err != nil {
		t.Fatalf("the answer breaks its own schema: %v", err)
	}
	return a
}

func (a answer) names() (out []string) {
	for _, t := range a.Tools {
		out = append(out, t.Name)
	}
	return out
}

func TestSearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := offer(t)
		gw := seek(t, r, toolset.Options{Sources: []string{"a"}, Tools: []string{"b.get"}})
		synctest.Wait()
		if diff := cmp.Diff([]string{"tool/toolset:test/call_tool", "tool/toolset:test/search_tools"}, objects(gw.View(caller))); diff != "" {
			t.Errorf("listed (-want +got):\n%s", diff)
		}
		got := find(t, gw, caller, `{"query":"get things"}`)
		if diff := cmp.Diff([]string{"a.get", "b.get", "a.put/x"}, got.names()); diff != "" || got.Matches != 3 {
			t.Errorf("found %d (-want +got):\n%s", got.Matches, diff)
		}
		if want := `{"type":"object","properties":{"n":{"type":"integer"}}}`; string(got.Tools[0].InputSchema) != want || got.Tools[0].Description != "Gets things." {
			t.Errorf("the best hit is %s %s", got.Tools[0].InputSchema, got.Tools[0].Description)
		}
		if got := find(t, gw, caller, `{"query":"get things","limit":1}`); len(got.Tools) != 1 || got.Matches != 3 {
			t.Errorf("one of %d: %v", got.Matches, got.names())
		}
		if got := find(t, gw, caller, `{"query":"zebra"}`); got.Tools == nil || len(got.Tools) != 0 {
			t.Errorf("found %v", got)
		}
		// The call is the caller's own, through the caller's door.
		res, err := call(t, gw, caller, "call_tool", `{"name":"a.get","arguments":{"n": 9007199254740993}}`)
		if want := `mcp tool/a/get {\"n\": 9007199254740993} {\"m\":1}`; err != nil || !strings.Contains(string(res.Raw), want) {
			t.Errorf("answer %v %v, want %s", res, err, want)
		}
	})
}

// TestCallToolPassesOn holds that the real tool sees the caller as it would
// without call_tool: its callbacks, its capabilities, its answers.
func TestCallToolPassesOn(t *testing.T) {
	var got *gateway.Call
	r := new(gateway.Registry)
	def, err := gateway.ParseTool(json.RawMessage(`{"name":"t","inputSchema":{"type":"object"}}`))
	if err != nil {
		t.Fatal(err)
	}
	up := gateway.Func(func(ctx context.Context, c *gateway.Call) (*gateway.Result, error) {
		got = c
		c.Progress(gateway.Progress{Progress: "1"})
		c.Log(gateway.LogMessage{Level: "info"})
		if _, err := c.Ask(ctx, gateway.Question{Method: "roots/list"}); err != nil {
			return nil, err
		}
		return &gateway.Result{Input: &gateway.InputRequest{State: "s"}}, nil
	})
	if err := r.Attach("a", up, gateway.Catalog{Tools: []*gateway.Tool{def}}, gateway.Options{}); err != nil {
		t.Fatal(err)
	}
	var heard []string
	outer := &gateway.Call{
		Op: gateway.OpCall, Name: "call_tool", Args: json.RawMessage(`{"name":"t"}`), Principal: caller, Via: "mcp",
		Capabilities: json.RawMessage(`{"roots":{}}`), Resume: &gateway.Resume{State: "r"},
		Progress: func(p gateway.Progress) { heard = append(heard, "progress "+p.Progress.String()) },
		Log:      func(m gateway.LogMessage) { heard = append(heard, "log "+m.Level) },
		Ask: func(_ context.Context, q gateway.Question) (json.RawMessage, error) {
			heard = append(heard, "ask "+q.Method)
			return json.RawMessage(`{}`), nil
		},
	}
	res, err := seek(t, r, toolset.Options{Sources: []string{"a"}}).Do(t.Context(), outer)
	if err != nil || res.Input == nil || res.Input.State != "s" {
		t.Fatalf("answer %v %v", res, err)
	}
	if diff := cmp.Diff([]string{"progress 1", "log info", "ask roots/list"}, heard); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
	if got.Resume != outer.Resume || string(got.Capabilities) != string(outer.Capabilities) || got.Principal != caller || got.Object != "tool/a/t" || got.Tool == nil {
		t.Errorf("the tool was called with %+v", got)
	}
	if outer.Name != "call_tool" || outer.Object != "tool/toolset:test/call_tool" {
		t.Errorf("the outer call became %+v", outer)
	}
}

// TestSearchFollows changes the tools: the index and those who watch follow.
func TestSearchFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := offer(t)
		gw := seek(t, r, toolset.Options{Sources: []string{"a", "c"}})
		synctest.Wait()
		r.Detach("a")
		synctest.Wait()
		if got := objects(gw.View(caller)); len(got) != 0 {
			t.Errorf("there is nothing to find, and %v is listed", got)
		}
		if _, err := call(t, gw, caller, "search_tools", `{"query":"get"}`); err == nil || err.Code != gateway.NotFound {
			t.Errorf("there is nothing to find: %v", err)
		}
		changed := gw.Changed()
		f := new(gateway.Funcs)
		if err := f.AddTool(json.RawMessage(`{"name":"fly","description":"Flies away.","inputSchema":{"type":"object"}}`), nil); err != nil {
			t.Fatal(err)
		}
		for c := range f.Watch(t.Context()) {
			if err := r.Attach("c", f, c, gateway.Options{}); err != nil {
				t.Fatal(err)
			}
			break
		}
		<-changed
		<-time.After(time.Second) // Of the test's own clock.
		synctest.Wait()
		if got := find(t, gw, caller, `{"query":"flying"}`).names(); !slices.Equal(got, []string{"fly"}) {
			t.Errorf("a tool that has come is not found: %v", got)
		}
		if got := find(t, gw, caller, `{"query":"get"}`).names(); len(got) != 0 {
			t.Errorf("found %v, which have gone", got)
		}
	})
}

// TestSearchIsNoWayRound tries to reach through call_tool what the caller may
// not use, and to learn of it through search_tools.
func TestSearchIsNoWayRound(t *testing.T) {
	r := offer(t)
	eve := &gateway.Principal{ID: "test|user|eve", Subject: "eve"}
	gw := seek(t, r, toolset.Options{Sources: []string{"a"}}, only{"ada": {"*"}, "bob": {"a.get", "b.get"}})
	bob := &gateway.Principal{ID: "test|user|bob", Subject: "bob"}
	for _, c := range []struct {
		who  *gateway.Principal
		args string
		code gateway.Code
		by   string
	}{
		{bob, `{"name":"a.put/x"}`, gateway.NotFound, "policy"},
		{bob, `{"name":"b.get"}`, gateway.NotFound, "toolset"}, // allowed, but outside
		{bob, `{"name":"b.put/x"}`, gateway.NotFound, "policy"},
		{bob, `{"name":"call_tool","arguments":{"name":"b.get"}}`, gateway.NotFound, "registry"},
		{bob, `{"name":"search_tools","arguments":{"query":"x"}}`, gateway.NotFound, "registry"},
		{bob, `{"name":"a.ask"}`, gateway.NotFound, "registry"}, // a prompt
		{bob, `{"name":"file:///a/one"}`, gateway.NotFound, "registry"},
		{bob, `{"name":"a.get","arguments":{"n":"x"}}`, gateway.InvalidArgument, "arguments"},
		{bob, `{"name":"a.get","arguments":[]}`, gateway.InvalidArgument, "arguments"},
		{bob, `{"name":"a.get","arguments":null}`, gateway.InvalidArgument, "arguments"},
		{bob, `{"name":"a.get","principal":"ada"}`, gateway.InvalidArgument, "arguments"},
		{bob, `{"name":"A.get"}`, gateway.NotFound, "registry"},
		{bob, `{"name":"a.get\u0000"}`, gateway.NotFound, "registry"},
		{bob, `{"Name":"a.get"}`, gateway.InvalidArgument, "arguments"},
		{bob, `{}`, gateway.InvalidArgument, "arguments"},
		{eve, `{"name":"a.get"}`, gateway.NotFound, "toolset"}, // sees no call_tool at all
		{nil, `{"name":"a.get"}`, gateway.Unauthenticated, "gateway"},
	} {
		if res, err := call(t, gw, c.who, "call_tool", c.args); err == nil || err.Code != c.code || err.By != c.by {
			t.Errorf("%s: %v %v, want %s by %s", c.args, res, err, c.code, c.by)
		}
	}
	if _, err := call(t, gw, bob, "call_tool", `{"name":"a.get"}`); err != nil {
		t.Errorf("bob may call a.get: %v", err)
	}
	if got := find(t, gw, bob, `{"query":"get put things a b","limit":20}`); !slices.Equal(got.names(), []string{"a.get"}) || got.Matches != 1 {
		t.Errorf("bob finds %v of %d", got.names(), got.Matches)
	}
	none := gw.View(eve)
	if got := objects(none); len(got) != 0 {
		t.Errorf("eve sees %v", got)
	}
	if gw.View(eve) != none || gw.View(bob) != gw.View(caller) {
		t.Error("the views of a search are made anew")
	}
	for _, args := range []string{`{"query":""}`, `{"query":"` + strings.Repeat("x", 501) + `"}`, `{"query":"x","limit":0}`, `{"query":"x","limit":21}`, `{"limit":1}`} {
		if _, err := call(t, gw, bob, "search_tools", args); err == nil || err.Code != gateway.InvalidArgument {
			t.Errorf("search_tools %.60s: %v", args, err)
		}
	}
}

// TestSearchBoundsItsAnswer searches among tools with very long schemas.
func TestSearchBoundsItsAnswer(t *testing.T) {
	r, f := new(gateway.Registry), new(gateway.Funcs)
	for i := range 20 {
		def := fmt.Sprintf(`{"name":"t%d","description":"Huge.","inputSchema":{"type":"object","title":%q}}`, i, strings.Repeat("x", 60<<10))
		if err := f.AddTool(json.RawMessage(def), nil); err != nil {
			t.Fatal(err)
		}
	}
	for c := range f.Watch(t.Context()) {
		if err := r.Attach("a", f, c, gateway.Options{}); err != nil {
			t.Fatal(err)
		}
		break
	}
	gw := seek(t, r, toolset.Options{Sources: []string{"a"}})
	if got := find(t, gw, caller, `{"query":"huge","limit":20}`); len(got.Tools) != 2 || got.Matches != 20 {
		t.Errorf("%d tools of %d", len(got.Tools), got.Matches)
	}
}
