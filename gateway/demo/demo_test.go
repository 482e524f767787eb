package demo_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/demo"
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
