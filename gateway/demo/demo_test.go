package demo_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/demo"
	"github.com/trilith-gateway/trilith/schema"
)

func open(t *testing.T) *gateway.Gateway {
	t.Helper()
	var f gateway.Funcs
	if err := demo.Tools(&f); err != nil {
		t.Fatal(err)
	}
	var r gateway.Registry
	for c := range f.Watch(t.Context()) {
		if err := r.Attach("demo", &f, c, gateway.Options{Prefix: "demo."}); err != nil {
			t.Fatal(err)
		}
		break
	}
	g, err := gateway.New(&r, nil, []gateway.Gate{gateway.ValidateArgs{}})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestTools(t *testing.T) {
	g := open(t)
	for _, tt := range []struct {
		op               gateway.Op
		name, args, want string
	}{
		{gateway.OpCall, "demo.echo", `{"text":"hi"}`, `{"content":[{"type":"text","text":"hi"}]}`},
		{gateway.OpCall, "demo.add", `{"a":1,"b":2.5}`, `{"content":[{"type":"text","text":"{\"sum\":3.5}"}],"structuredContent":{"sum":3.5}}`},
		{gateway.OpCall, "demo.count", `{"to":2}`, `{"content":[{"type":"text","text":"{\"counted\":2}"}],"structuredContent":{"counted":2}}`},
		{gateway.OpCall, "demo.count", `{"to":0}`, `{"content":[{"type":"text","text":"to must be 1 to 1000 and delayMs 0 to 10000"}],"isError":true}`},
		{gateway.OpCall, "demo.count", `{}`, `INVALID_ARGUMENT`},
		{gateway.OpCall, "demo.ask", `{}`, `FAILED_PRECONDITION`},
		{gateway.OpGet, "demo.greet", `{"name":"Ada"}`, `{"messages":[{"content":{"text":"Write a short, friendly greeting for Ada.","type":"text"},"role":"user"}]}`},
		{gateway.OpGet, "demo.greet", `{}`, `INVALID_ARGUMENT`},
	} {
		res, err := g.Do(t.Context(), &gateway.Call{Op: tt.op, Name: tt.name, Args: json.RawMessage(tt.args), Principal: &gateway.Principal{ID: "x"}})
		var got string
		if err != nil {
			got = gateway.AsError(err).Code.String()
		} else {
			got = string(res.Raw)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", tt.name, tt.args, diff)
		}
	}
}

func TestAsk(t *testing.T) {
	call := &gateway.Call{Op: gateway.OpCall, Name: "demo.ask", Principal: &gateway.Principal{ID: "x"}}
	call.Ask = func(_ context.Context, q gateway.Question) (json.RawMessage, error) {
		var params struct {
			Schema json.RawMessage `json:"requestedSchema"`
		}
		if err := json.Unmarshal(q.Params, &params); err != nil {
			t.Error(err)
		}
		s, err := schema.Compile(params.Schema)
		if err == nil {
			err = s.Validate(json.RawMessage(`{"name":"Ada","drink":"tea","cups":2,"extras":["milk"],"hurry":true}`))
		}
		if err != nil || s.Validate(json.RawMessage(`{"name":"Ada","drink":"oil"}`)) == nil {
			t.Errorf("the form %s: %v", params.Schema, err)
		}
		return json.RawMessage(`{"action":"accept","content":{"name":"Ada","drink":"tea"}}`), nil
	}
	res, err := open(t).Do(t.Context(), call)
	if err != nil || !strings.Contains(string(res.Raw), "You answered") || !strings.Contains(string(res.Raw), "Ada") {
		t.Errorf("got %v, %v", res, err)
	}
}

func TestCountReportsAndStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := open(t)
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		var seen []json.Number
		_, err := g.Do(ctx, &gateway.Call{
			Op: gateway.OpCall, Name: "demo.count", Args: json.RawMessage(`{"to":10,"delayMs":1000}`),
			Principal: &gateway.Principal{ID: "x"},
			Progress:  func(p gateway.Progress) { seen = append(seen, p.Progress) },
		})
		if e := gateway.AsError(err); e == nil || e.Code != gateway.DeadlineExceeded {
			t.Errorf("got %v", err)
		}
		if diff := cmp.Diff([]json.Number{"1", "2"}, seen); diff != "" {
			t.Errorf("progress (-want +got):\n%s", diff)
		}
	})
}
