package gateway_test

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

type trace struct{ lines []string }

func (t *trace) observer(name string) gateway.Observer { return observer{name, t} }

type observer struct {
	name string
	*trace
}

func (o observer) Observe(ctx context.Context, _ *gateway.Call) (context.Context, func(*gateway.Result, error)) {
	o.lines = append(o.lines, o.name+" begins")
	return ctx, func(_ *gateway.Result, err error) {
		o.lines = append(o.lines, fmt.Sprint(o.name, " ends: ", err))
	}
}

type gateFunc func(*gateway.Call) error

func (f gateFunc) Admit(_ context.Context, c *gateway.Call) error { return f(c) }

func refuse(code gateway.Code) gateway.Gate {
	return gateFunc(func(*gateway.Call) error { return &gateway.Error{Code: code, By: "gate", Msg: "no"} })
}

func admit() gateway.Gate { return gateFunc(func(*gateway.Call) error { return nil }) }

// one returns a registry with one tool, "demo.tool", that run answers.
func one(t testing.TB, run gateway.Func) *gateway.Registry {
	t.Helper()
	var f gateway.Funcs
	err := f.AddTool(json.RawMessage(`{"name":"tool","inputSchema":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}}`), run)
	if err != nil {
		t.Fatal(err)
	}
	return registry(t, &f)
}

func registry(t testing.TB, f *gateway.Funcs) *gateway.Registry {
	t.Helper()
	r := new(gateway.Registry)
	for c, err := range f.Watch(t.Context()) {
		if err == nil {
			err = r.Attach("demo", f, c, gateway.Options{Prefix: "demo."})
		}
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	return r
}

func ok(context.Context, *gateway.Call) (*gateway.Result, error) {
	return gateway.TextResult("ok"), nil
}

var anyone = &gateway.Principal{ID: "test|user|anyone"}

func TestDo(t *testing.T) {
	secret := errors.New("secret cause")
	for _, tt := range []struct {
		name      string
		gates     []gateway.Gate
		run       gateway.Func
		call      string
		principal *gateway.Principal
		want      gateway.Code // 0: a result
		by        string
	}{
		{name: "admitted", call: "demo.tool", principal: anyone},
		{name: "no principal", call: "demo.tool", want: gateway.Unauthenticated, by: "gateway"},
		{name: "unknown tool", call: "demo.other", principal: anyone, want: gateway.NotFound, by: "registry"},
		{name: "refused by a gate", gates: []gateway.Gate{admit(), refuse(gateway.PermissionDenied)}, call: "demo.tool", principal: anyone, want: gateway.PermissionDenied, by: "gate"},
		{name: "first refusal wins", gates: []gateway.Gate{refuse(gateway.ResourceExhausted), refuse(gateway.PermissionDenied)}, call: "demo.tool", principal: anyone, want: gateway.ResourceExhausted, by: "gate"},
		{name: "bad arguments", gates: []gateway.Gate{gateway.ValidateArgs{}}, call: "demo.tool", principal: anyone, want: gateway.InvalidArgument, by: "arguments"},
		{name: "untyped failure", run: func(context.Context, *gateway.Call) (*gateway.Result, error) { return nil, secret }, call: "demo.tool", principal: anyone, want: gateway.Internal, by: "gateway"},
		{name: "panic", run: func(context.Context, *gateway.Call) (*gateway.Result, error) { panic(secret) }, call: "demo.tool", principal: anyone, want: gateway.Internal, by: "gateway"},
		{name: "nothing", run: func(context.Context, *gateway.Call) (*gateway.Result, error) { return nil, nil }, call: "demo.tool", principal: anyone, want: gateway.Internal, by: "gateway"},
		{name: "cancelled", run: func(context.Context, *gateway.Call) (*gateway.Result, error) { return nil, context.Canceled }, call: "demo.tool", principal: anyone, want: gateway.Canceled, by: "caller"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run := tt.run
			if run == nil {
				run = ok
			}
			var seen trace
			g, err := gateway.New(one(t, run), []gateway.Observer{seen.observer("outer"), seen.observer("inner")}, tt.gates)
			if err != nil {
				t.Fatal(err)
			}
			res, err := g.Do(t.Context(), &gateway.Call{Op: gateway.OpCall, Name: tt.call, Principal: tt.principal})
			if tt.want == 0 {
				if err != nil || string(res.Raw) != `{"content":[{"type":"text","text":"ok"}]}` {
					t.Fatalf("got %v, %v", res, err)
				}
			} else {
				e := gateway.AsError(err)
				if e == nil || e.Code != tt.want || e.By != tt.by || res != nil {
					t.Fatalf("got %v, %v; want %v by %s", res, err, tt.want, tt.by)
				}
				if strings.Contains(e.Msg, "secret") {
					t.Errorf("message %q shows the cause", e.Msg)
				}
			}
			want := []string{"outer begins", "inner begins", fmt.Sprint("inner ends: ", err), fmt.Sprint("outer ends: ", err)}
			if diff := cmp.Diff(want, seen.lines); diff != "" {
				t.Errorf("observers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefuse(t *testing.T) {
	var seen trace
	g, err := gateway.New(new(gateway.Registry), []gateway.Observer{seen.observer("audit")}, []gateway.Gate{refuse(gateway.Internal)})
	if err != nil {
		t.Fatal(err)
	}
	e := g.Refuse(t.Context(), &gateway.Call{Via: "mcp", Principal: anyone}, &gateway.Error{Code: gateway.InvalidArgument, By: "mcp", Msg: "not JSON"})
	if e.Code != gateway.InvalidArgument {
		t.Errorf("got %v", e)
	}
	if diff := cmp.Diff([]string{"audit begins", "audit ends: mcp: INVALID_ARGUMENT: not JSON"}, seen.lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNewRefusesTooManyObservers(t *testing.T) {
	var seen trace
	if _, err := gateway.New(new(gateway.Registry), make([]gateway.Observer, 9), nil); err == nil {
		t.Fatal("nine observers were accepted")
	}
	if _, err := gateway.New(new(gateway.Registry), []gateway.Observer{seen.observer("one")}, nil); err != nil {
		t.Fatal(err)
	}
}

type onlyTool struct {
	gateway.Gate
	name string
}

func (o onlyTool) View(_ *gateway.Principal, s *gateway.Snapshot) *gateway.Snapshot {
	return s.Filter(func(c *gateway.Capability) bool { return c.Name == o.name })
}

func TestViewShowsWhatEveryViewerShows(t *testing.T) {
	r := one(t, ok)
	all, err := gateway.New(r, nil, []gateway.Gate{admit()})
	if err != nil {
		t.Fatal(err)
	}
	if got := all.View(anyone); len(got.Tools) != 1 {
		t.Errorf("without a viewer: %d tools", len(got.Tools))
	}
	if got := all.View(nil); len(got.Tools) != 0 {
		t.Errorf("without a principal: %d tools", len(got.Tools))
	}
	none, err := gateway.New(r, nil, []gateway.Gate{onlyTool{admit(), "demo.tool"}, onlyTool{admit(), "other"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := none.View(anyone); len(got.Tools) != 0 {
		t.Errorf("with two viewers that agree on nothing: %d tools", len(got.Tools))
	}
}

// TestDoAllocations keeps the road itself free of work: what remains is the
// call and the result that the test makes.
func TestDoAllocations(t *testing.T) {
	res := gateway.TextResult("ok")
	g, err := gateway.New(one(t, func(context.Context, *gateway.Call) (*gateway.Result, error) { return res, nil }), nil, []gateway.Gate{admit()})
	if err != nil {
		t.Fatal(err)
	}
	call := &gateway.Call{Op: gateway.OpCall, Name: "demo.tool", Principal: anyone}
	ctx := t.Context()
	n := testing.AllocsPerRun(100, func() {
		if _, err := g.Do(ctx, call); err != nil {
			t.Fatal(err)
		}
	})
	if n > 1 {
		t.Errorf("%v allocations for each call, want at most 1", n)
	}
}

// TestMessageResult has JSON for whoever needs it, although the door does not.
func TestMessageResult(t *testing.T) {
	value := json.RawMessage(`{"a":1}`)
	r := gateway.MessageResult([]byte{1, 2}, func() (json.RawMessage, error) { return value, nil })
	if r.Raw != nil || r.Size() != 2 || string(r.JSON()) != string(gateway.StructuredResult(value).Raw) {
		t.Errorf("%d bytes, %s", r.Size(), r.JSON())
	}
	if parts, err := r.Parts(); err != nil || string(parts.Structured) != string(value) {
		t.Errorf("%+v, %v", parts, err)
	}
	none := gateway.MessageResult(nil, func() (json.RawMessage, error) { return nil, errors.New("too large") })
	if got := none.JSON(); got != nil {
		t.Errorf("%s", got)
	}
	plain := gateway.TextResult("x")
	if string(plain.JSON()) != string(plain.Raw) || plain.Size() != len(plain.Raw) {
		t.Errorf("%d bytes, %s", plain.Size(), plain.JSON())
	}
}

func TestStructured(t *testing.T) {
	r := gateway.StructuredResult(json.RawMessage(`{"a":1}`))
	if got := r.Structured(); string(got) != `{"a":1}` {
		t.Errorf("%s", got)
	}
	for _, raw := range []string{``, `{}`, `{"structuredContent":{"a":1}}`, string(r.Raw)} {
		other := *r
		other.Raw = json.RawMessage(raw)
		if got := other.Structured(); got != nil {
			t.Errorf("known of another result: %s", got)
		}
	}
	if got := gateway.TextResult("x").Structured(); got != nil {
		t.Errorf("%s", got)
	}
}
