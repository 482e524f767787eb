package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

type sum struct {
	A int `json:"a" jsonschema:"the first number"`
	B int `json:"b"`
}

type total struct {
	Sum int `json:"sum"`
}

func ExampleAddTool() {
	var f gateway.Funcs
	err := gateway.AddTool(&f, "add", "Add two numbers.", func(_ context.Context, _ *gateway.Call, in sum) (total, error) {
		return total{in.A + in.B}, nil
	}, gateway.ReadOnly())
	if err != nil {
		fmt.Println(err)
		return
	}
	var r gateway.Registry
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	for c := range f.Watch(ctx) {
		if err := r.Attach("math", &f, c, gateway.Options{Prefix: "math."}); err != nil {
			fmt.Println(err)
		}
		break
	}
	g, err := gateway.New(&r, nil, []gateway.Gate{gateway.ValidateArgs{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	caller := &gateway.Principal{ID: "example"}
	res, err := g.Do(ctx, &gateway.Call{Op: gateway.OpCall, Name: "math.add", Args: json.RawMessage(`{"a":1,"b":2}`), Principal: caller})
	fmt.Println(string(res.Raw), err)
	_, err = g.Do(ctx, &gateway.Call{Op: gateway.OpCall, Name: "math.add", Args: json.RawMessage(`{"a":"one"}`), Principal: caller})
	fmt.Println(gateway.AsError(err).Code)
	// Output:
	// {"content":[{"type":"text","text":"{\"sum\":3}"}],"structuredContent":{"sum":3}} <nil>
	// INVALID_ARGUMENT
}

func TestAddToolAnswers(t *testing.T) {
	refusal := &gateway.Error{Code: gateway.FailedPrecondition, By: "tool", Msg: "not now"}
	var f gateway.Funcs
	add := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	type none struct{}
	add(gateway.AddTool(&f, "text", "", func(context.Context, *gateway.Call, none) (string, error) { return "<&>\xff", nil }))
	add(gateway.AddTool(&f, "result", "", func(context.Context, *gateway.Call, none) (*gateway.Result, error) {
		return gateway.NewResult(json.RawMessage(`{"content":[],"isError":true,"x":9007199254740993}`))
	}))
	add(gateway.AddTool(&f, "infinite", "", func(context.Context, *gateway.Call, none) (float64, error) { return math.Inf(1), nil }))
	add(gateway.AddTool(&f, "fails", "", func(context.Context, *gateway.Call, none) (total, error) { return total{}, errors.New("disk is full") }))
	add(gateway.AddTool(&f, "refuses", "", func(context.Context, *gateway.Call, none) (total, error) { return total{}, refusal }))
	g, err := gateway.New(registry(t, &f), nil, []gateway.Gate{gateway.ValidateArgs{}})
	add(err)
	for name, want := range map[string]struct {
		raw     string
		isError bool
		code    gateway.Code
	}{
		"demo.text":     {raw: `{"content":[{"type":"text","text":"<&>` + "\ufffd" + `"}]}`},
		"demo.result":   {raw: `{"content":[],"isError":true,"x":9007199254740993}`, isError: true},
		"demo.fails":    {raw: `{"content":[{"type":"text","text":"disk is full"}],"isError":true}`, isError: true},
		"demo.infinite": {raw: `{"content":[{"type":"text","text":"the answer cannot be written as JSON: json: unsupported value: +Inf"}],"isError":true}`, isError: true},
		"demo.refuses":  {code: gateway.FailedPrecondition},
	} {
		res, err := g.Do(t.Context(), &gateway.Call{Op: gateway.OpCall, Name: name, Principal: anyone})
		if want.code != 0 {
			if e := gateway.AsError(err); e == nil || e.Code != want.code {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || string(res.Raw) != want.raw || res.IsError != want.isError {
			t.Errorf("%s: got %s %v, want %s", name, res.Raw, err, want.raw)
		}
	}
}

func TestFuncsResourcesAndPrompts(t *testing.T) {
	var f gateway.Funcs
	say := func(_ context.Context, c *gateway.Call) (*gateway.Result, error) {
		return &gateway.Result{Raw: json.RawMessage(`{"said":"` + c.Object + " " + c.Op.String() + `"}`)}, nil
	}
	for _, err := range []error{
		f.AddResource(json.RawMessage(`{"uri":"test://one","name":"one"}`), say),
		f.AddTemplate(json.RawMessage(`{"uriTemplate":"test://item/{id}","name":"item"}`), say),
		f.AddPrompt(json.RawMessage(`{"name":"greet","arguments":[{"name":"who","required":true}]}`), say),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	f.AddCompletion(gateway.KindTemplate, "test://item/{id}", say)
	g, err := gateway.New(registry(t, &f), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range []gateway.Call{
		{Op: gateway.OpRead, Name: "test://one"},
		{Op: gateway.OpRead, Name: "test://item/7"},
		{Op: gateway.OpRead, Name: "test://item/7/8"},
		{Op: gateway.OpGet, Name: "demo.greet"},
		{Op: gateway.OpComplete, Kind: gateway.KindTemplate, Name: "test://item/{id}"},
		{Op: gateway.OpComplete, Kind: gateway.KindPrompt, Name: "demo.greet"},
	} {
		c.Principal = anyone
		res, err := g.Do(t.Context(), &c)
		if err != nil {
			got = append(got, err.Error())
			continue
		}
		got = append(got, string(res.Raw))
	}
	want := []string{
		`{"said":"resource/demo/test://one read"}`,
		`{"said":"resource/demo/test://item/7 read"}`,
		`registry: NOT_FOUND: no resource named "test://item/7/8"`,
		`{"said":"prompt/demo/greet get"}`,
		`{"said":"resource/demo/test://item/{id} complete"}`,
		`{"completion":{"values":[]}}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFuncsSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f gateway.Funcs
		if err := f.AddResource(json.RawMessage(`{"uri":"test://one","name":"one"}`), ok); err != nil {
			t.Fatal(err)
		}
		g, err := gateway.New(registry(t, &f), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ready, updated, ended := false, 0, make(chan error, 1)
		go func() {
			_, err := g.Do(ctx, &gateway.Call{Op: gateway.OpSubscribe, Name: "test://one", Principal: anyone, Subscription: &gateway.Subscription{
				Ready:   func() { ready = true },
				Updated: func(string) { updated++ },
			}})
			ended <- err
		}()
		synctest.Wait()
		if !ready {
			t.Fatal("not ready")
		}
		f.Updated("test://other")
		f.Updated("test://one")
		synctest.Wait()
		if updated != 1 {
			t.Errorf("updated %d times", updated)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		f.Updated("test://one")
		if updated != 1 {
			t.Error("told after the end")
		}
	})
}

func FuzzParseDefinitions(f *testing.F) {
	f.Add([]byte(`{"name":"a","inputSchema":{"type":"object"}}`))
	f.Add([]byte(`{"uri":"a:b","name":"x","size":1}`))
	f.Add([]byte(`{"uriTemplate":"a:{b}","name":"x"}`))
	f.Fuzz(func(t *testing.T, def []byte) {
		if tool, err := gateway.ParseTool(def); err == nil {
			var r gateway.Registry
			if r.Attach("s", gateway.Func(ok), gateway.Catalog{Tools: []*gateway.Tool{tool}}, gateway.Options{Prefix: "s."}) != nil {
				return
			}
			again, err := gateway.ParseTool(r.Snapshot().Tools[0].Definition)
			if err != nil || again.Name != "s."+tool.Origin {
				t.Errorf("renamed definition: %v %v", again, err)
			}
		}
		_, _ = gateway.ParseResource(def)
		_, _ = gateway.ParseTemplate(def)
		_, _ = gateway.ParsePrompt(def)
		_, _ = gateway.NewResult(def)
	})
}
