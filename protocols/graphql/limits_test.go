package graphql

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/trilith-gateway/trilith/gateway"
)

// many joins what f returns for 0 to n-1.
func many(n int, f func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(f(i))
	}
	return b.String()
}

const introspection = `query IntrospectionQuery { __schema { queryType { name } mutationType { name } subscriptionType { name } types { ...FullType } directives { name description locations args { ...InputValue } } } }
fragment FullType on __Type { kind name description fields(includeDeprecated: true) { name description args { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason } inputFields { ...InputValue } interfaces { ...TypeRef } enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } possibleTypes { ...TypeRef } }
fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue }
fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } } }`

// TestAttacks: every document that would cost more than it should is refused at once.
func TestAttacks(t *testing.T) {
	f := newFixture(t, Options{Introspection: true})
	bomb := func(n int) string {
		return `{...F0}` + many(n, func(i int) string {
			return fmt.Sprintf(` fragment F%d on Query{viewer{id} ...F%d ...F%d}`, i, i+1, i+1)
		}) + fmt.Sprintf(` fragment F%d on Query{viewer{id}}`, n)
	}
	for _, c := range []struct{ name, query, code, message string }{
		{"deep fields", strings.Repeat("{a", 25) + strings.Repeat("}", 25), codeLimit, "levels of depth"},
		{"deeper than the parser goes", strings.Repeat("{a", 1200) + strings.Repeat("}", 1200), codeParse, ""},
		{"deep introspection", "{__schema{types{" + strings.Repeat("ofType{", 18) + "name" + strings.Repeat("}", 18) + "}}}", codeLimit, "levels of depth"},
		{"deep through fragments", "{...F0}" + many(25, func(i int) string { return fmt.Sprintf(" fragment F%d on Query{a{...F%d}}", i, i+1) }), codeLimit, "levels of depth"},
		{"fragment bomb", bomb(23), codeLimit, "with fragments in place"},
		{"larger fragment bomb", bomb(48), codeLimit, "with fragments in place"},
		{"fragment cycle", "{...A} fragment A on Query{...B} fragment B on Query{...A}", codeValidation, "Cannot spread fragment"},
		{"fragment that spreads itself", "{...A} fragment A on Query{viewer{id} ...A ...A}", codeValidation, "Cannot spread fragment"},
		{"aliases", "{" + many(60, func(i int) string { return fmt.Sprintf("a%d:__typename ", i) }) + "}", codeLimit, "root fields"},
		{"aliases below", "{viewer{" + many(60, func(i int) string { return fmt.Sprintf("a%d:name ", i) }) + "}}", codeLimit, "aliases"},
		{"root fields", "{" + strings.Repeat("__typename ", 31) + "}", codeLimit, "root fields"},
		{"equal fields", "{viewer{" + strings.Repeat("name ", 450) + "}}", codeLimit, "comparisons"},
		{"many fields", "{viewer{" + strings.Repeat("name ", 600) + "}}", codeLimit, "fields"},
		{"nested inline fragments", "{viewer{" + strings.Repeat("...{name ", 480) + strings.Repeat("}", 480) + "}}", codeLimit, "inline fragments"},
		{"inline fragments", "{viewer{" + strings.Repeat("...{name} ", 150) + "}}", codeLimit, "inline fragments"},
		{"directives", "{viewer{name" + strings.Repeat(" @skip(if:false)", 60) + "}}", codeLimit, "directives"},
		{"fragments", "{viewer{name}}" + many(60, func(i int) string { return fmt.Sprintf(" fragment F%d on Query{a}", i) }), codeLimit, "fragments"},
		{"operations", many(30, func(i int) string { return fmt.Sprintf("query Q%d{viewer{name}}", i) }), codeLimit, "operations"},
		{"bytes", "{viewer{name}}" + strings.Repeat(" ", 65<<10), codeLimit, "bytes"},
		{"tokens", "{viewer{name}}" + strings.Repeat("\n{a}", 2000), codeParse, "token"},
		{"cost of lists", "{" + many(5, func(i int) string {
			return fmt.Sprintf("a%d:tools(first:100){nodes{%s}}", i, strings.Repeat("name description ", 21))
		}) + "}", codeLimit, "units of cost"},
		{"cost of a list of unknown length", "query($n:Int){" + many(5, func(i int) string {
			return fmt.Sprintf("a%d:tools(first:$n){nodes{%s}}", i, strings.Repeat("name description ", 21))
		}) + "}", codeLimit, "units of cost"},
		{"list literal", "{complete(ref:{prompt:\"a\"},argument:\"a\",known:" + strings.Repeat("[", 900) + strings.Repeat("]", 900) + "){total}}", codeValidation, "nested deeper"},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			got := f.run(t, c.query)
			if !strings.Contains(got, c.code) || !strings.Contains(got, c.message) || strings.Contains(got, `"data"`) {
				t.Errorf("got %.300s", got)
			}
			if d := time.Since(start); d > 30*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

// TestCostOfCalls: the allowance for calls is a setting.
func TestCostOfCalls(t *testing.T) {
	f := newFixture(t, Options{Limits: Limits{Cost: 500}})
	call := func(n int) string {
		return "mutation{" + many(n, func(i int) string { return fmt.Sprintf(`a%d:callTool(name:"demo.sick"){isError}`, i) }) + "}"
	}
	if got := f.run(t, call(4)); !strings.Contains(got, `"a3":{"isError":true}`) {
		t.Errorf("four calls: %s", got)
	}
	if got := f.run(t, call(5)); !strings.Contains(got, "more than 500 units of cost") {
		t.Errorf("five calls: %s", got)
	}
}

// TestHarmless: what people and tools really send passes.
func TestHarmless(t *testing.T) {
	f := newFixture(t, Options{Introspection: true})
	for _, q := range []string{introspection, `{__type(name:"Tool"){name}}`, `{__typename}`} {
		if got := f.run(t, q); !strings.HasPrefix(got, `{"data":`) {
			t.Errorf("%.80s: got %.300s", q, got)
		}
	}
	if got := f.run(t, introspection); strings.Contains(got, "defer") || !strings.Contains(got, "callTool") {
		t.Error("introspection offers @defer or lacks callTool")
	}
}

// TestWorstAccepted bounds the time of the worst documents that pass the limits.
func TestWorstAccepted(t *testing.T) {
	f := newFixture(t, Options{})
	for name, q := range map[string]string{
		"many roots": "{" + strings.Repeat("tools{"+strings.Repeat("__typename ", 15)+"} ", 25) + "}",
		"fragments": "{tools{" + many(30, func(i int) string { return fmt.Sprintf("...F%d ", i) }) + "}}" + many(30, func(i int) string {
			return fmt.Sprintf(" fragment F%d on ToolConnection{totalCount pageInfo{hasNextPage}}", i)
		}),
	} {
		r := &request{Query: q}
		start := time.Now()
		_, errs := f.prepare(t.Context(), alice(), r)
		t.Logf("%s: %v in %v", name, errs, time.Since(start))
		if d := time.Since(start); d > 30*time.Second {
			t.Errorf("%s: took %v", name, d)
		}
	}
}

// TestRepeatedVariable: a small request cannot grow by naming a long variable often.
func TestRepeatedVariable(t *testing.T) {
	f := newFixture(t, Options{})
	q := `mutation($a:JSON){callTool(name:"demo.echo",arguments:{n:[` + strings.Repeat("$a ", 2000) + `]}){isError}}`
	got := f.run(t, q, `{"a":"`+strings.Repeat("x", 10_000)+`"}`)
	if !strings.Contains(got, codeLimit) {
		t.Errorf("got %.200s", got)
	}
}

// TestCacheIsShared: a document from the cache gives each request its own values.
func TestCacheIsShared(t *testing.T) {
	f := newFixture(t, Options{})
	q := `mutation($a:Int){callTool(name:"demo.echo",arguments:{n:$a}){structured}}`
	for i := range 3 {
		want := fmt.Sprintf(`{"data":{"callTool":{"structured":{"n":%d}}}}`, i)
		if got := f.run(t, q, fmt.Sprintf(`{"a":%d}`, i)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if _, ok := f.documents.Get(t.Context(), "1 "+q); !ok {
		t.Error("the document is not in the cache")
	}
}

func FuzzRequest(f *testing.F) {
	for _, s := range []string{`{"query":"{a}"}`, `{"query":"{a}","variables":{"a":[1]},"operationName":"x","extensions":{}}`, `[]`, `{"query":1}`, `{"query":"{a}","variables":null}`} {
		f.Add([]byte(s))
	}
	fe := newFuzzFrontend(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parseRequest(data, fe.o.Bounds)
		if err == nil && r.Query == "" {
			t.Error("a request without a query")
		}
	})
}

func FuzzDocument(f *testing.F) {
	for _, s := range []string{introspection, `{viewer{id}}`, `{...A} fragment A on Query{...A}`, `query($a:[JSON!]={b:1}){tools(first:1){totalCount}}`, `mutation{callTool(name:"a",arguments:{a:[1.5e3,"\u00e9",$x,null]}){raw}}`, `{a(b:"""x""")}`} {
		f.Add(s)
	}
	fe := newFuzzFrontend(f)
	f.Fuzz(func(t *testing.T, q string) {
		op, errs := fe.prepare(t.Context(), alice(), &request{Query: q, Variables: map[string]json.RawMessage{"x": json.RawMessage("1")}})
		if (op == nil) == (errs == nil) {
			t.Errorf("operation %v, errors %v", op, errs)
		}
		for _, v := range opVariables(op) {
			if raw, ok := v.(json.RawMessage); ok && !json.Valid(raw) {
				t.Errorf("a JSON value is %q", raw)
			}
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add("")
	f.Add(cursor("demo.echo"))
	f.Add("MWRlbW8uZWNob")
	f.Fuzz(func(t *testing.T, s string) {
		if key, ok := parseCursor(s); ok && cursor(key) != s {
			t.Errorf("%q holds %q, whose cursor is %q", s, key, cursor(key))
		}
		if key, ok := parseCursor(cursor(s)); len(s) < 2048 && (!ok || key != s) {
			t.Errorf("the cursor of %q holds %q", s, key)
		}
	})
}

func FuzzAccept(f *testing.F) {
	f.Add("application/json;q=0.9, */*")
	f.Fuzz(func(t *testing.T, s string) {
		switch got := accept([]string{s}); got {
		case "", typeJSON, typeGraphQL, typeEvents:
		default:
			t.Errorf("got %q", got)
		}
	})
}

func FuzzInitPayload(f *testing.F) {
	f.Add([]byte(`{"Authorization":"Bearer a"}`))
	f.Add([]byte(`{"authorization":"bearer  a"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if token, ok := initToken(data); ok && token != "" && !strings.Contains(strings.ToLower(string(data)), "authorization") {
			t.Errorf("%q has the token %q", data, token)
		}
	})
}

func newFuzzFrontend(f *testing.F) *Frontend {
	gw, err := gateway.New(&gateway.Registry{}, nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	fe, err := NewFrontend(gw, Options{Introspection: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = fe.Close() })
	return fe
}

func opVariables(op *graphql.OperationContext) map[string]any {
	if op == nil {
		return nil
	}
	return op.Variables
}

// TestCostsAreForRoots: the name of a tool has the cost of a call where it may be one. Elsewhere it would tell of tools
// that the caller does not see.
func TestCostsAreForRoots(t *testing.T) {
	f := typedFixture(t, Options{})
	for query, want := range map[string]int{
		`{demo_weather{city}}`:                                        1 + costCall,
		`{...{demo_weather{city}}}`:                                   1 + costCall,
		`{...on Query{demo_weather{city}}}`:                           1 + costCall,
		`{...F} fragment F on Query{demo_weather{city}}`:              1 + costCall,
		`{viewer{demo_weather}}`:                                      2,
		`{viewer{...{demo_weather}}}`:                                 2,
		`{viewer{...F}} fragment F on Viewer{demo_weather}`:           2,
		`{viewer{...on Viewer{demo_weather demo_echo:demo_weather}}}`: 3,
	} {
		d, err := f.parseDocument(query)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.check(d, f.views.of(f.gw.View(alice())).table); err != nil {
			t.Fatal(err)
		}
		if got := d.costs[d.doc.Operations[0]]; got != want {
			t.Errorf("%s costs %d, want %d", query, got, want)
		}
	}
}
