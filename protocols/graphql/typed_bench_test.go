package graphql

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/graphql/testdata/weather"
)

const weatherValue = `{"city":"Oslo","temperature":21.5,"conditions":"sunny","units":"metric","wind":{"speed":3.5,"direction":"NW"}}`

// twin is a server that gqlgen has generated for the shape of demo.weather.
type twin struct{ decode bool }

// Query returns the resolvers.
func (w twin) Query() weather.QueryResolver { return w }

// Weather answers with what a service has sent, decoded here or beforehand.
func (w twin) Weather(_ context.Context, city string, _ *weather.Units, _ *weather.At) (*weather.Weather, error) {
	if w.decode {
		out := &weather.Weather{}
		return out, json.Unmarshal([]byte(strings.ReplaceAll(weatherValue, "metric", "METRIC")), out)
	}
	conditions, direction, units := "sunny", "NW", weather.UnitsMetric
	return &weather.Weather{City: city, Temperature: 21.5, Conditions: &conditions, Units: &units, Wind: &weather.Wind{Speed: 3.5, Direction: &direction}}, nil
}

func (w twin) server() http.Handler {
	e := executor.New(weather.NewExecutableSchema(weather.Config{Resolvers: w}))
	e.SetQueryCache(lru.New[*ast.QueryDocument](1000))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		transport.POST{}.Do(w, r.WithContext(graphql.StartOperationTrace(r.Context())), e)
	})
}

// many registers n tools that are like demo.weather, and returns a frontend over them.
func manyTools(tb testing.TB, n int) (*Frontend, *gateway.Registry, gateway.Catalog) {
	tb.Helper()
	result := gateway.StructuredResult(json.RawMessage(weatherValue))
	up := gateway.Func(func(context.Context, *gateway.Call) (*gateway.Result, error) { return result, nil })
	var c gateway.Catalog
	for i := range n {
		definition := strings.Replace(weatherDefinition, `"weather"`, fmt.Sprintf(`"weather_%05d"`, i), 1)
		if i%3 == 0 {
			definition = strings.Replace(definition, `"readOnlyHint":true`, `"readOnlyHint":false`, 1)
		}
		tool, err := gateway.ParseTool(json.RawMessage(definition))
		if err != nil {
			tb.Fatal(err)
		}
		c.Tools = append(c.Tools, tool)
	}
	reg := &gateway.Registry{}
	if err := reg.Attach("demo", up, c, gateway.Options{}); err != nil {
		tb.Fatal(err)
	}
	gw, err := gateway.New(reg, nil, []gateway.Gate{gateway.ValidateArgs{}})
	if err != nil {
		tb.Fatal(err)
	}
	f, err := NewFrontend(gw, Options{Introspection: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = f.Close() })
	return f, reg, c
}

// BenchmarkTyped compares a typed field, which takes the whole road to a tool, with a field of the same shape in a server
// that gqlgen has generated for it.
func BenchmarkTyped(b *testing.B) {
	f, _, _ := manyTools(b, 3)
	const selection = `(city:"Oslo"){city temperature conditions units wind{speed direction}}}`
	for _, c := range []struct {
		name, field string
		h           http.Handler
	}{
		{"gqlgen", "weather", twin{}.server()},
		{"gqlgen-decodes", "weather", twin{decode: true}.server()},
		{"typed", "weather_00001", f},
	} {
		body, err := json.Marshal(map[string]string{"query": "{" + c.field + selection})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			ctx := auth.With(b.Context(), alice())
			for b.Loop() {
				r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/graphql", strings.NewReader(string(body)))
				r.Header.Set("Content-Type", typeJSON)
				w := httptest.NewRecorder()
				c.h.ServeHTTP(w, r)
				if !strings.Contains(w.Body.String(), `"wind":{"speed":3.5,"direction":"NW"}`) {
					b.Fatal(w.Body)
				}
			}
		})
	}
}

// BenchmarkViews swaps one of 10,000 tools, makes the view and answers introspection.
func BenchmarkViews(b *testing.B) {
	f, reg, c := manyTools(b, 10_000)
	up := gateway.Func(func(context.Context, *gateway.Call) (*gateway.Result, error) { return nil, nil })
	f.views.of(f.gw.View(alice()))
	b.Run("swap", func(b *testing.B) {
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			b.StopTimer()
			n++
			definition := strings.Replace(weatherDefinition, `"weather"`, fmt.Sprintf(`"new_%d"`, n), 1)
			tool, err := gateway.ParseTool(json.RawMessage(definition))
			if err != nil {
				b.Fatal(err)
			}
			if err := reg.Attach("other", up, gateway.Catalog{Tools: []*gateway.Tool{tool}}, gateway.Options{}); err != nil {
				b.Fatal(err)
			}
			s := f.gw.View(alice())
			b.StartTimer()
			if v := f.views.of(s); v.table.fields[fmt.Sprintf("new_%d", n)] == nil {
				b.Fatal("the view is not that of the new tools")
			}
		}
	})
	_ = c
	b.Run("introspection", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			op, errs := f.prepare(b.Context(), alice(), &request{Query: introspection})
			if errs != nil {
				b.Fatal(errs)
			}
			next, ctx, stop := f.start(b.Context(), alice(), op)
			resp := next(ctx)
			stop()
			b.SetBytes(int64(len(resp.Data)))
		}
	})
}

// TestManyTools: a thousand tools, one of which changes, compile one tool and keep the rest. The bound on time is for
// machines of any kind; BenchmarkViews has the figures.
func TestManyTools(t *testing.T) {
	f, reg, c := manyTools(t, 1000)
	before := f.views.of(f.gw.View(alice()))
	plan := before.table.fields["weather_00500"].plan
	changed := strings.Replace(weatherDefinition, `"weather"`, `"extra"`, 1)
	tool, err := gateway.ParseTool(json.RawMessage(changed))
	if err != nil {
		t.Fatal(err)
	}
	c.Tools = append(c.Tools, tool)
	if err := reg.Attach("demo", gateway.Func(nil), c, gateway.Options{}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	after := f.views.of(f.gw.View(alice()))
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("a swap took %v", d)
	}
	if after == before || after.table.fields["weather_00500"].plan != plan || after.table.fields["extra"] == nil {
		t.Error("the view is the old one, or all tools were compiled again")
	}
	if len(before.types.Whole().Query.Fields) >= len(after.types.Whole().Query.Fields) || before.types.Whole().Types["ExtraResult"] != nil {
		t.Error("the old view has changed")
	}
}
