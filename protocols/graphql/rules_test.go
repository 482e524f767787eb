package graphql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// TestMeasure: a limit that is only measured refuses nothing, and counts.
func TestMeasure(t *testing.T) {
	var told []string
	f := newFixture(t, Options{Exceeded: func(limit string) { told = append(told, limit) }, Limits: Limits{Depth: 2, Aliases: 1, Tokens: 50, Cost: 30, Measure: map[string]bool{"aliases": true, "tokens": true, "cost": true}}})
	for range 3 {
		if got := f.run(t, `{a:viewer{b:name c:id}}`); got != `{"data":{"a":{"b":"Alice","c":"https://idp.example|user|alice"}}}` {
			t.Error(got)
		}
	}
	if got := f.run(t, `{viewer{name}`+strings.Repeat(" b:viewer{name}", 12)+`}`); !strings.HasPrefix(got, `{"data":{"viewer"`) {
		t.Error(got)
	}
	if got := f.run(t, `{tools(first:100){nodes{name}}}`); !strings.Contains(got, `"limit":"depth"`) {
		t.Error(got)
	}
	// The documents of the loop stay in the cache, and yet every request counts.
	if got := f.Measured(); got["aliases"] != 4 || got["tokens"] != 1 || got["cost"] != 0 || got["depth"] != 0 {
		t.Errorf("measured %v", got)
	}
	if want := []string{"aliases", "aliases", "aliases", "tokens", "aliases"}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
	if !strings.Contains(f.log.String(), "limit=aliases") {
		t.Error("the log does not tell:", f.log)
	}
	if len(LimitNames()) != 14 {
		t.Error("a limit has no name")
	}
}

// TestBudgets: the cost of an operation is bounded by the caller's roles, and tools have costs of their own.
func TestBudgets(t *testing.T) {
	f := typedFixture(t, Options{
		Limits:  Limits{Cost: 250},
		Budgets: map[string]int{"developer": 1000, "guest": 10},
		Roles:   func(p *gateway.Principal) []string { return append(p.Roles, "guest") },
		ToolCost: func(tool string) int {
			if tool == "demo.weather" {
				return 300
			}
			return 0
		},
	})
	weather := func(n int) string {
		return "{" + many(n, func(i int) string { return fmt.Sprintf(`w%d:demo_weather(city:"A"){city} `, i) }) + "}"
	}
	if got := f.run(t, weather(3)); !strings.HasPrefix(got, `{"data"`) { // 903, of 1,000.
		t.Error(got)
	}
	if got := f.run(t, weather(4)); !strings.Contains(got, "more than 1000 units of cost") {
		t.Error(got)
	}
	if got := f.run(t, `{demo_echo(n:1){isError}}`); !strings.HasPrefix(got, `{"data"`) {
		t.Error(got)
	}
	ask := func(p *gateway.Principal) string {
		_, errs := f.prepare(t.Context(), p, &request{Query: weather(1)})
		if errs == nil {
			return ""
		}
		return errs.Error()
	}
	if got := ask(&gateway.Principal{ID: "g"}); !strings.Contains(got, "more than 10 units") {
		t.Errorf("a guest: %q", got)
	}
	f.o.Roles = func(p *gateway.Principal) []string { return p.Roles }
	if got := ask(&gateway.Principal{ID: "n"}); !strings.Contains(got, "more than 250 units") {
		t.Errorf("nobody: %q", got)
	}
}

// TestIntrospectionByRole: who has none of the roles cannot ask for the schema, not even from the cache.
func TestIntrospectionByRole(t *testing.T) {
	f := newFixture(t, Options{IntrospectionRoles: []string{"developer"}})
	for _, q := range []string{`{__schema{queryType{name}}}`, `{viewer{id} ...A} fragment A on Query{__type(name:"JSON"){name}}`} {
		if got := f.run(t, q); !strings.HasPrefix(got, `{"data"`) {
			t.Error(got)
		}
		_, errs := f.prepare(t.Context(), &gateway.Principal{ID: "x", Roles: []string{"other"}}, &request{Query: q})
		if errs == nil || !strings.Contains(errs.Error(), "switched off") {
			t.Errorf("%s: %v", q, errs)
		}
	}
	if _, errs := f.prepare(t.Context(), &gateway.Principal{ID: "x"}, &request{Query: `{__typename}`}); errs != nil {
		t.Error(errs)
	}
}

// TestTrustedDocuments: documents by their hash, and others refused, counted or let through.
func TestTrustedDocuments(t *testing.T) {
	const known = `{viewer{name}}`
	id := hashOf(known)
	manifest, _ := json.Marshal(map[string]string{id: known})
	for _, mode := range []Trust{TrustAll, TrustAudit, TrustEnforce} {
		d, err := ParseDocuments(manifest, mode, []string{"tester"})
		if err != nil {
			t.Fatal(err)
		}
		f := newFixture(t, Options{Documents: d})
		const answer = `{"data":{"viewer":{"name":"Alice"}}}`
		for _, body := range []string{
			`{"documentId":"sha256:` + id + `"}`, `{"query":"{viewer{name}}"}`, `{"query":"{viewer{name}}","documentId":"sha256:` + id + `"}`,
			`{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + id + `"}}}`,
		} {
			if got := f.post(t, body).Body.String(); got != answer {
				t.Errorf("%s: %s: %s", mode, body, got)
			}
		}
		got := f.run(t, `{viewer{id}}`)
		if want := map[Trust]string{TrustEnforce: codeUntrusted}[mode]; !strings.Contains(got, want) || (want == "") != strings.HasPrefix(got, `{"data"`) {
			t.Errorf("%s: another document: %s", mode, got)
		}
		if n := f.Measured()["documents"]; n != map[Trust]uint64{TrustAudit: 1}[mode] {
			t.Errorf("%s: %d counted", mode, n)
		}
		if _, errs := f.prepare(t.Context(), &gateway.Principal{ID: "t", Roles: []string{"tester"}}, &request{Query: `{viewer{id}}`}); errs != nil {
			t.Errorf("%s: a tester: %v", mode, errs)
		}
		other := hex.EncodeToString(make([]byte, sha256.Size))
		if got := f.post(t, `{"documentId":"sha256:`+other+`"}`).Body.String(); !strings.Contains(got, codeUnknownDocument) {
			t.Errorf("%s: an unknown id: %s", mode, got)
		}
		for _, body := range []string{`{"documentId":"abc"}`, `{"documentId":"sha256:` + other + `","query":"{viewer{id}}"}`, `{"extensions":{"persistedQuery":{"sha256Hash":5}}}`, `{}`} {
			if w := f.post(t, body); w.Code != http.StatusBadRequest {
				t.Errorf("%s: %s: %d %s", mode, body, w.Code, w.Body)
			}
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/graphql?documentId="+url.QueryEscape("sha256:"+id), http.NoBody)
		w := httptest.NewRecorder()
		if f.as(alice()).ServeHTTP(w, r); w.Body.String() != answer {
			t.Errorf("%s: by GET: %s", mode, w.Body)
		}
	}
	for _, bad := range []string{`[]`, `{"` + id + `":"{other}"}`, `{"format":"x","operations":[]}`, `{"format":"apollo-persisted-query-manifest","operations":[{"id":"1","body":"{a}"}]}`} {
		if _, err := ParseDocuments([]byte(bad), TrustEnforce, nil); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
	if d, err := ParseDocuments([]byte(`{"format":"apollo-persisted-query-manifest","version":1,"operations":[{"id":"`+id+`","name":"A","type":"query","body":"{viewer{name}}"}]}`), TrustEnforce, nil); err != nil || len(d.texts) != 1 {
		t.Error("Apollo's manifest:", err)
	}
}

// TestTypedAttacks: documents on typed fields that would cost more than they should are refused.
func TestTypedAttacks(t *testing.T) {
	f := typedFixture(t, Options{Introspection: true})
	for _, c := range []struct{ name, query, message string }{
		{"many calls", "{" + many(31, func(i int) string { return fmt.Sprintf(`a%d:demo_weather(city:"x"){city} `, i) }) + "}", "root fields"},
		{"calls through fragments", "{...F0}" + many(20, func(i int) string {
			return fmt.Sprintf(` fragment F%d on Query{a%d:demo_weather(city:"x"){city} ...F%d ...F%d}`, i, i, i+1, i+1)
		}) + ` fragment F20 on Query{__typename}`, "fields with fragments in place"},
		{"equal fields below", `{demo_weather(city:"x"){` + strings.Repeat("city ", 300) + "}}", "comparisons"},
		{"deep introspection", `{__type(name:"Query"){fields{type{fields{type{fields{type{fields{name}}}}}}}}}`, "introspection depth"},
		{"a long list of arguments", `mutation{demo_create_issue(title:"` + strings.Repeat("x", 70_000) + `"){number}}`, "bytes"},
		{"deep arguments", `{demo_echo(n:` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `){isError}}`, "nested deeper"},
	} {
		if got := f.run(t, c.query); !strings.Contains(got, c.message) || strings.Contains(got, `"city":`) {
			t.Errorf("%s: %.300s", c.name, got)
		}
	}
	if got := f.run(t, `query($v:JSON){demo_echo(n:[`+strings.Repeat("$v ", 2000)+`]){isError}}`, `{"v":"`+strings.Repeat("y", 10_000)+`"}`); !strings.Contains(got, codeInput) {
		t.Errorf("a repeated variable: %.200s", got)
	}
}

// TestWork: measuring a document takes work in proportion to its length, whatever it says.
func TestWork(t *testing.T) {
	f := typedFixture(t, Options{})
	for name, q := range map[string]string{
		"fragments": "{...F0}" + many(45, func(i int) string {
			return fmt.Sprintf(" fragment F%d on Query{viewer{id} ...F%d ...F%d}", i, i+1, i+1)
		}) + " fragment F45 on Query{viewer{id}}",
		"nested inline fragments": "{viewer{" + strings.Repeat("...{name ", 28) + strings.Repeat("}", 28) + "}}",
		"equal parents":           "{" + strings.Repeat(`demo_weather(city:"x"){city temperature wind{speed}} `, 30) + "}",
	} {
		d, err := f.parseDocument(q)
		if err != nil {
			t.Fatal(err)
		}
		f.o.Limits = Limits{}.withDefaults()
		f.o.Limits.Measure = map[string]bool{}
		for _, limit := range LimitNames() {
			f.o.Limits.Measure[limit] = true // So that nothing stops it early.
		}
		if err := f.check(d, f.views.update(0)); err != nil {
			t.Fatal(err)
		}
		if most := 100 * len(q); d.steps == 0 || d.steps > most {
			t.Errorf("%s: %d steps for %d bytes", name, d.steps, len(q))
		}
	}
}

// TestTimeout: an operation ends when it takes too long, and says so.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Options{Timeout: time.Minute})
		got := f.run(t, `mutation{demo_wait{isError}}`)
		if !strings.Contains(got, "DEADLINE_EXCEEDED") {
			t.Error(got)
		}
		// A subscription may take as long as its call.
		ctx, cancel := context.WithCancel(t.Context())
		op, errs := f.prepare(ctx, alice(), &request{Query: `subscription{demo_wait{dropped}}`})
		if errs != nil {
			t.Fatal(errs)
		}
		run := f.execute(ctx, alice(), op)
		time.AfterFunc(time.Hour, cancel)
		if errs := run.each(func([]byte) {}); len(errs) != 1 || !strings.Contains(errs.Error(), "cancelled") {
			t.Error(errs)
		}
		f.work.Wait()
	})
}
