package graphql

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/graphql/generated"
)

// BenchmarkHTTP runs operations through the whole frontend, without a network.
func BenchmarkHTTP(b *testing.B) {
	reg := &gateway.Registry{}
	funcs := &gateway.Funcs{}
	big := gateway.StructuredResult([]byte(`{"text":"` + strings.Repeat("x", 100_000) + `"}`))
	for name, result := range map[string]*gateway.Result{"small": gateway.TextResult("hello"), "big": big} {
		if err := funcs.AddTool([]byte(`{"name":"`+name+`"}`), func(context.Context, *gateway.Call) (*gateway.Result, error) { return result, nil }); err != nil {
			b.Fatal(err)
		}
	}
	for c := range funcs.Watch(b.Context()) {
		if err := reg.Attach("demo", funcs, c, gateway.Options{Prefix: "demo."}); err != nil {
			b.Fatal(err)
		}
		break
	}
	gw, err := gateway.New(reg, nil, []gateway.Gate{gateway.ValidateArgs{}})
	if err != nil {
		b.Fatal(err)
	}
	f, err := NewFrontend(gw, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for _, c := range []struct{ name, body string }{
		{"viewer", `{"query":"{viewer{name}}"}`},
		{"call", `{"query":"mutation($a:JSON){callTool(name:\"demo.small\",arguments:$a){isError content{text}}}","variables":{"a":{"n":1}}}`},
		{"call100kB", `{"query":"mutation{callTool(name:\"demo.big\"){structured}}"}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			ctx := auth.With(b.Context(), alice())
			for b.Loop() {
				r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/graphql", strings.NewReader(c.body))
				r.Header.Set("Content-Type", typeJSON)
				w := httptest.NewRecorder()
				f.ServeHTTP(w, r)
				if w.Code != http.StatusOK || strings.Contains(w.Body.String(), `"errors"`) {
					b.Fatal(w.Body)
				}
			}
		})
	}
}

// BenchmarkSearch searches 10,000 tools.
func BenchmarkSearch(b *testing.B) {
	reg, funcs := &gateway.Registry{}, &gateway.Funcs{}
	for i := range 10_000 {
		def := fmt.Sprintf(`{"name":"tool_%d","title":"Tool %d","description":"%s of Number %d.","inputSchema":{"type":"object"}}`, i, i, strings.Repeat("What it Does ", 15), i)
		if err := funcs.AddTool([]byte(def), func(context.Context, *gateway.Call) (*gateway.Result, error) { return nil, errClosed }); err != nil {
			b.Fatal(err)
		}
	}
	for c := range funcs.Watch(b.Context()) {
		if err := reg.Attach("many", funcs, c, gateway.Options{Prefix: "many.", MaxTools: 20_000}); err != nil {
			b.Fatal(err)
		}
		break
	}
	gw, err := gateway.New(reg, nil, []gateway.Gate{gateway.ValidateArgs{}})
	if err != nil {
		b.Fatal(err)
	}
	f, err := NewFrontend(gw, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	ctx := withCaller(b.Context(), alice())
	first, search := int32(100), "NUMBER 99"
	for b.Loop() {
		got, err := query{f}.Tools(ctx, &first, nil, &generated.ToolFilter{Search: &search})
		if err != nil || got.TotalCount != 111 {
			b.Fatalf("%+v, %v", got, err)
		}
	}
}
