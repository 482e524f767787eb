package graphql

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/keep"
)

// Definitions of tools that say what they return.
const (
	weatherDefinition = `{"name":"weather","description":"Current weather.","annotations":{"readOnlyHint":true},
"inputSchema":{"type":"object","properties":{"city":{"type":"string"},"units":{"enum":["metric","us-imperial"],"default":"metric"},"at":{"type":"object","properties":{"lat":{"type":"number"},"lon":{"type":"number"}},"required":["lat","lon"]}},"required":["city"]},
"outputSchema":{"type":"object","properties":{"city":{"type":"string"},"temperature":{"type":"number"},"conditions":{"type":"string"},"units":{"enum":["metric","us-imperial"]},"wind":{"type":"object","properties":{"speed":{"type":"number"},"direction":{"type":"string"}},"required":["speed"]}},"required":["city","temperature"]}}`
	issueDefinition = `{"name":"create-issue","inputSchema":{"type":"object","properties":{"title":{"type":"string"},"who":{"oneOf":[{"title":"User","type":"object","properties":{"login":{"type":"string"}},"required":["login"]},{"title":"Team","type":"object","properties":{"slug":{"type":"string"}},"required":["slug"]}]}},"required":["title"]},
"outputSchema":{"type":"object","properties":{"number":{"type":"integer"},"title":{"type":"string"},"args":{}},"required":["number"]}}`
)

// offer adds a tool and registers it.
func (f *fixture) offer(t *testing.T, definition string, run func(context.Context, *gateway.Call) (*gateway.Result, error)) {
	t.Helper()
	if err := f.funcs.AddTool(json.RawMessage(definition), run); err != nil {
		t.Fatal(err)
	}
	if err := f.attach(); err != nil {
		t.Fatal(err)
	}
}

// typedFixture is a fixture with typed tools.
func typedFixture(t *testing.T, o Options) *fixture {
	t.Helper()
	f := newFixture(t, o)
	f.offer(t, weatherDefinition, func(_ context.Context, c *gateway.Call) (*gateway.Result, error) {
		var in struct{ City, Units string }
		if err := json.Unmarshal(c.Args, &in); err != nil {
			return nil, err
		}
		if c.Progress != nil {
			c.Progress(gateway.Progress{Progress: "1", Total: "2", Message: "looking"})
		}
		if c.Log != nil {
			c.Log(gateway.LogMessage{Level: "info", Data: json.RawMessage(`{"n":12345678901234567890}`)})
		}
		switch in.City {
		case "nowhere":
			return gateway.ErrorResult("there is no such city"), nil
		case "broken":
			return gateway.StructuredResult(json.RawMessage(`{"city":"broken","temperature":null}`)), nil
		case "windbroken":
			return gateway.StructuredResult(json.RawMessage(`{"city":"windbroken","temperature":1,"wind":{"speed":"fast"}}`)), nil
		case "silent":
			return gateway.TextResult("only text"), nil
		}
		return gateway.StructuredResult(json.RawMessage(`{"city":"` + in.City + `","temperature":21.50,"conditions":"sunny","units":"` + in.Units + `","wind":{"speed":3.5,"direction":"NW"},"extra":[1,2,3]}`)), nil
	})
	f.offer(t, issueDefinition, func(_ context.Context, c *gateway.Call) (*gateway.Result, error) {
		return gateway.StructuredResult(json.RawMessage(`{"number":7,"title":"t","args":` + string(c.Args) + `}`)), nil
	})
	return f
}

// TestTyped: fields of tools in every form of an operation.
func TestTyped(t *testing.T) {
	f := typedFixture(t, Options{})
	for _, c := range []struct{ name, query, variables, want string }{
		{"query", `{demo_weather(city:"Oslo"){city temperature units}}`, `{}`, `{"data":{"demo_weather":{"city":"Oslo","temperature":21.50,"units":"metric"}}}`},
		{"aliases and nesting", `{w:demo_weather(city:"Oslo",units:us_imperial){t:temperature wind{direction} units}}`, `{}`, `{"data":{"w":{"t":21.50,"wind":{"direction":"NW"},"units":"us_imperial"}}}`},
		{"variables", `query($c:String!,$u:DemoWeatherUnitsInput,$at:DemoWeatherAtInput){demo_weather(city:$c,units:$u,at:$at){city units}}`, `{"c":"Rome","u":"us_imperial","at":{"lat":1,"lon":2}}`, `{"data":{"demo_weather":{"city":"Rome","units":"us_imperial"}}}`},
		{"fragments on the root", `{...W viewer{name}} fragment W on Query{a:demo_weather(city:"A"){...C} ...on Query{b:demo_weather(city:"B"){city}}} fragment C on DemoWeatherResult{city __typename}`, `{}`, `{"data":{"a":{"city":"A","__typename":"DemoWeatherResult"},"b":{"city":"B"},"viewer":{"name":"Alice"}}}`},
		{"merged duplicates", `{demo_weather(city:"A"){city} demo_weather(city:"A"){temperature}}`, `{}`, `{"data":{"demo_weather":{"city":"A","temperature":21.50}}}`},
		{"skip and include", `query($y:Boolean!){a:demo_weather(city:"A") @skip(if:$y){city} b:demo_weather(city:"B") @include(if:$y){city temperature @skip(if:$y)}}`, `{"y":true}`, `{"data":{"b":{"city":"B"}}}`},
		{"mutations in order", `mutation{a:demo_create_issue(title:"x",who:{team:{slug:"s"}}){number args} b:callTool(name:"demo.sick"){isError} c:demo_create_issue(title:"y"){args}}`, `{}`, `{"data":{"a":{"number":7,"args":{"title":"x","who":{"slug":"s"}}},"b":{"isError":true},"c":{"args":{"title":"y"}}}}`},
		{"a tool without an output schema", `{demo_echo(n:5){isError structured}}`, `{}`, `{"data":{"demo_echo":{"isError":false,"structured":{"n":5}}}}`},
		{"a prompt", `{demo_review_prompt(lang:"go"){description messages{role content{text}}}}`, `{}`, `{"data":{"demo_review_prompt":{"description":"d","messages":[{"role":"user","content":{"text":"review it"}}]}}}`},
		{"typename of the root", `{__typename demo_weather(city:"A"){city}}`, `{}`, `{"data":{"__typename":"Query","demo_weather":{"city":"A"}}}`},
		{"the tool failed", `{demo_weather(city:"nowhere"){city}}`, `{}`, `{"errors":[{"message":"there is no such city","path":["demo_weather"],"extensions":{"code":"TOOL_ERROR","tool":"demo.weather"}}],"data":{"demo_weather":null}}`},
		{"null where none may be", `{w:demo_weather(city:"broken"){city temperature} demo_weather(city:"A"){city}}`, `{}`, `{"errors":[{"message":"must not be null","path":["w","temperature"],"extensions":{"code":"INVALID_TOOL_OUTPUT","tool":"demo.weather"}}],"data":{"w":null,"demo_weather":{"city":"A"}}}`},
		{"a wrong type below", `{demo_weather(city:"windbroken"){city wind{s:speed}}}`, `{}`, `{"errors":[{"message":"is no Float","path":["demo_weather","wind","s"],"extensions":{"code":"INVALID_TOOL_OUTPUT","tool":"demo.weather"}}],"data":{"demo_weather":{"city":"windbroken","wind":null}}}`},
		{"no structured value", `{demo_weather(city:"silent"){city}}`, `{}`, `{"errors":[{"message":"the tool returned no structured value","path":["demo_weather"],"extensions":{"code":"INVALID_TOOL_OUTPUT","tool":"demo.weather"}}],"data":{"demo_weather":null}}`},
		{"a variable of the wrong type", `query($u:DemoWeatherUnitsInput){demo_weather(city:"A",units:$u){city}}`, `{"u":"METRIC"}`, `{"errors":[{"message":"variable $u is not a value of DemoWeatherUnitsInput","extensions":{"code":"BAD_USER_INPUT"}}]}`},
		{"a variable that is missing", `query($at:DemoWeatherAtInput!){demo_weather(city:"A",at:$at){city}}`, `{}`, `{"errors":[{"message":"variable $at is required","extensions":{"code":"BAD_USER_INPUT"}}]}`},
		{"oneOf in a variable", `mutation($w:DemoCreateIssueWhoOneOfInput){demo_create_issue(title:"x",who:$w){number}}`, `{"w":{"user":{"login":"a"},"team":{"slug":"b"}}}`, `{"errors":[{"message":"variable $w exactly one field of DemoCreateIssueWhoOneOfInput must be given, and not as null","extensions":{"code":"BAD_USER_INPUT"}}]}`},
		{"an argument of the wrong type", `query($c:String){demo_weather(city:$c){city}}`, `{"c":"A"}`, "GRAPHQL_VALIDATION_FAILED"},
		{"a mutation is no query", `{demo_create_issue(title:"x"){number}}`, `{}`, "Cannot query field"},
		{"placeholders do not exist", `{_typed}`, `{}`, "Cannot query field"},
		{"nor do their types", `{__type(name:"Typed"){name}}`, `{}`, `introspection is switched off`},
	} {
		got := f.run(t, c.query, c.variables)
		if strings.HasPrefix(c.want, "{") {
			got = withoutLocations(got)
			if got != c.want {
				t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
			}
		} else if !strings.Contains(got, c.want) {
			t.Errorf("%s: got %s", c.name, got)
		}
		if again := withoutLocations(f.run(t, c.query, c.variables)); again != withoutLocations(got) {
			t.Errorf("%s: the cached document answers %s", c.name, again)
		}
	}
}

// withoutLocations takes the places in the document out of a response.
func withoutLocations(response string) string {
	for {
		i := strings.Index(response, `"locations":`)
		if i < 0 {
			return response
		}
		response = response[:i] + response[i+strings.Index(response[i:], "]")+2:]
	}
}

// TestTypedSubscription: progress, a log line and the result, with errors at their paths.
func TestTypedSubscription(t *testing.T) {
	f := typedFixture(t, Options{})
	s := f.serve(t)
	const events = `{__typename ...on ToolCallEvent{dropped} ...on ToolProgress{progress total message} ...on ToolLog{level logger data} ...on DemoWeatherFinished{result{city temperature wind{speed}}}}`
	progress := []event{
		{"next", `{"data":{"w":{"__typename":"ToolProgress","dropped":0,"progress":1,"total":2,"message":"looking"}}}`},
		{"next", `{"data":{"w":{"__typename":"ToolLog","dropped":0,"level":"info","logger":null,"data":{"n":12345678901234567890}}}}`},
	}
	for city, last := range map[string]string{
		"Oslo":       `{"data":{"w":{"__typename":"DemoWeatherFinished","result":{"city":"Oslo","temperature":21.50,"wind":{"speed":3.5}}}}}`,
		"windbroken": `{"errors":[{"message":"is no Float","path":["w","result","wind","speed"],"extensions":{"code":"INVALID_TOOL_OUTPUT","tool":"demo.weather"}}],"data":{"w":{"__typename":"DemoWeatherFinished","result":{"city":"windbroken","temperature":1,"wind":null}}}}`,
		"nowhere":    `{"errors":[{"message":"there is no such city","path":["w"],"extensions":{"code":"TOOL_ERROR","tool":"demo.weather"}}]}`,
		"silent":     `{"errors":[{"message":"the tool returned no structured value","path":["w"],"extensions":{"code":"INVALID_TOOL_OUTPUT","tool":"demo.weather"}}]}`,
	} {
		got := f.open(t, s, fmt.Sprintf(`subscription{w:demo_weather(city:%q)%s}`, city, events)).all()
		for i := range got {
			got[i].data = withoutLocations(got[i].data)
		}
		want := append(append([]event{}, progress...), event{"next", last}, event{"complete", ""})
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(event{})); diff != "" {
			t.Errorf("%s, -want +got:\n%s", city, diff)
		}
	}
	got := f.open(t, s, `subscription{demo_echo(n:1){__typename ...on ToolFinished{result{structured}}}}`).all()
	want := []event{{"next", `{"data":{"demo_echo":{"__typename":"ToolFinished","result":{"structured":{"n":1}}}}}`}, {"complete", ""}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(event{})); diff != "" {
		t.Errorf("a tool without an output schema, -want +got:\n%s", diff)
	}
}

// TestTypedIsTheSameCall: a typed field and callTool make one and the same call: arguments, result, refusals, records.
func TestTypedIsTheSameCall(t *testing.T) {
	f := typedFixture(t, Options{})
	type outcome struct {
		Data    string
		Records []string
		Code    string
	}
	ask := func(query, variables, path string) (o outcome) {
		var r struct {
			Data   map[string]json.RawMessage
			Errors []struct {
				Extensions struct{ Code string }
			}
		}
		if err := json.Unmarshal([]byte(f.run(t, query, variables)), &r); err != nil {
			t.Fatal(err)
		}
		if len(r.Errors) > 0 {
			o.Code = r.Errors[0].Extensions.Code
		}
		var inner map[string]json.RawMessage
		if json.Unmarshal(r.Data["f"], &inner) == nil && path != "" {
			r.Data["f"] = inner[path]
		}
		o.Data, o.Records = string(r.Data["f"]), f.records.take()
		return o
	}
	f.records.take()
	for name, c := range map[string]struct{ typed, static, variables string }{
		"a call": {
			`mutation($t:String!,$w:DemoCreateIssueWhoOneOfInput){f:demo_create_issue(title:$t,who:$w){number title args}}`,
			`mutation{f:callTool(name:"demo.create-issue",arguments:{title:"x",who:{slug:"s"}}){structured}}`, `{"t":"x","w":{"team":{"slug":"s"}}}`,
		},
		"a failure": {`mutation{f:demo_fail{isError}}`, `mutation{f:callTool(name:"demo.fail"){isError}}`, `{}`},
		"a refusal": {`mutation{f:demo_busy{isError}}`, `mutation{f:callTool(name:"demo.busy"){isError}}`, `{}`},
	} {
		path := ""
		if strings.Contains(c.static, "structured") {
			path = "structured"
		}
		typed, static := ask(c.typed, c.variables, ""), ask(c.static, `{}`, path)
		if diff := cmp.Diff(static, typed); diff != "" {
			t.Errorf("%s, -callTool +typed:\n%s", name, diff)
		}
	}
}

// TestTypedView: what a caller may not see is not in their schema, and the schemas of callers who see the same are one.
func TestTypedView(t *testing.T) {
	f := typedFixture(t, Options{Introspection: true})
	bob := &gateway.Principal{ID: "bob"}
	f.hidden.hide("bob", "demo.weather")
	f.registry.Refresh()
	v := f.views.of(f.gw.View(alice()))
	if v != f.views.of(f.gw.View(&gateway.Principal{ID: "carol"})) {
		t.Error("two views of the same tools")
	}
	if v == f.views.of(f.gw.View(bob)) || f.views.of(f.gw.View(bob)).types.Whole().Types["DemoWeatherResult"] != nil {
		t.Error("bob sees a tool that is hidden from him")
	}
	if got := f.run(t, `{__type(name:"DemoWeatherResult"){name fields{name type{kind ofType{name}}}}}`); !strings.Contains(got, `{"name":"temperature","type":{"kind":"NON_NULL","ofType":{"name":"Float"}}}`) {
		t.Error(got)
	}
	if got := f.run(t, `{__type(name:"Typed"){name}}`); got != `{"data":{"__type":null}}` {
		t.Error(got)
	}
	// A policy that is published anew makes no new view.
	f.registry.Refresh()
	if v != f.views.of(f.gw.View(alice())) {
		t.Error("the same tools, but another view")
	}
	// Nor does a source that says the same again.
	if err := f.attach(); err != nil {
		t.Fatal(err)
	}
	if v != f.views.of(f.gw.View(alice())) {
		t.Error("the same definitions, but another view")
	}
}

// TestNotes: what GraphQL does not show as it is, is told to the operator.
func TestNotes(t *testing.T) {
	f := newFixture(t, Options{})
	f.offer(t, `{"name":"odd","inputSchema":{"type":"object","properties":{"a-b":{"type":"string"},"v":{"type":["string","integer"]}}}}`, nil)
	f.offer(t, `{"name":"ec-ho","inputSchema":{"type":"object","properties":{}}}`, nil)
	f.offer(t, `{"name":"ec.ho","inputSchema":{"type":"object","properties":{}}}`, nil)
	var got []string
	for _, n := range f.Notes("demo") {
		got = append(got, string(n.Change)+" "+n.Subject+": "+n.Reason)
	}
	want := []string{
		"renamed graphql: tool ec-ho: the field is demo_ec_ho_", "renamed graphql: tool ec.ho: the field is demo_ec_ho_",
		"approximated graphql: tool echo: input.n: values of several types: JSON",
		"renamed graphql: tool odd: input.a-b: is called a_b", "approximated graphql: tool odd: input.v: values of several types: JSON",
	}
	for i := range got {
		if i >= len(want) || !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("note %q", got[i])
		}
	}
	if len(got) != len(want) || len(f.Notes("other")) != 0 {
		t.Errorf("%d notes, want %d", len(got), len(want))
	}
}

// TestTypedSwap: a socket that is open gets new tools with its next operation.
func TestTypedSwap(t *testing.T) {
	f := newFixture(t, Options{})
	s := f.serve(t)
	p := f.dial(t, s.URL+"/graphql", nil)
	p.send(`{"type":"connection_init"}`)
	p.want(`{"type":"connection_ack"}`)
	p.send(`{"type":"subscribe","id":"1","payload":{"query":"{demo_new{isError}}"}}`)
	if got := p.receive(); !strings.Contains(got, codeValidation) {
		t.Errorf("before: %s", got)
	}
	f.offer(t, `{"name":"new","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}}`, func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return gateway.TextResult("here"), nil
	})
	p.send(`{"type":"subscribe","id":"2","payload":{"query":"{demo_new{content{text}}}"}}`)
	p.want(`{"type":"next","id":"2","payload":{"data":{"demo_new":{"content":[{"text":"here"}]}}}}`, `{"type":"complete","id":"2"}`)
}

// TestIntrospectionBudget: the answers of all views have one number of bytes together, and are made anew where they were
// let go.
func TestIntrospectionBudget(t *testing.T) {
	f := typedFixture(t, Options{Introspection: true})
	ask := func(i int) string { return f.run(t, fmt.Sprintf(`query Q%d{__schema{types{name description}}}`, i)) }
	size := int64(len(ask(0)))
	kept := &f.views.of(f.gw.View(alice())).introspection
	f.introspected = keep.NewBudget(size * 3) // Of two, with what they have compressed.
	for i := range 3 {
		first, again := ask(i+1), ask(i+1)
		if first != again || int64(len(first)) != size {
			t.Errorf("%d and %d bytes of %d", len(first), len(again), size)
		}
	}
	kept.mu.Lock()
	n := len(kept.bodies)
	kept.mu.Unlock()
	if got := f.introspected.Bytes(); got > size*3 || got < size || n != 3 { // The first is of the budget before.
		t.Errorf("%d bytes of %d answers are kept", got, n)
	}
	f.introspected = keep.NewBudget(1)
	if got := ask(9); int64(len(got)) != size || f.introspected.Bytes() != 0 {
		t.Errorf("more than there is room for: %d bytes, and %d are kept", len(got), f.introspected.Bytes())
	}
}

// TestIntrospectionCache: one answer for all who see the same, compressed where they take it.
func TestIntrospectionCache(t *testing.T) {
	f := typedFixture(t, Options{Introspection: true})
	q, err := json.Marshal(introspection)
	if err != nil {
		t.Fatal(err)
	}
	body := `{"query":` + string(q) + `}`
	first := f.post(t, body)
	second := f.post(t, body)
	if first.Code != http.StatusOK || first.Body.String() != second.Body.String() || !strings.Contains(first.Body.String(), "demo_create_issue") {
		t.Errorf("%d %.200s", first.Code, first.Body)
	}
	if got := len(f.views.of(f.gw.View(alice())).introspection.bodies); got != 1 {
		t.Errorf("%d answers are kept", got)
	}
	small := f.post(t, body, "Accept-Encoding", "br, gzip;q=0.5")
	if small.Header().Get("Content-Encoding") != "gzip" || small.Header().Get("Cache-Control") != "private, no-cache" || small.Body.Len() > first.Body.Len()/4 {
		t.Errorf("%v, %d bytes of %d", small.Header(), small.Body.Len(), first.Body.Len())
	}
	if got := f.post(t, body, "Accept-Encoding", "gzip;q=0").Header().Get("Content-Encoding"); got != "" {
		t.Errorf("compressed with %s, which was not wanted", got)
	}
	mixed := f.run(t, `{viewer{name} __schema{queryType{name}} __type(name:"JSON"){kind name specifiedByURL fields{name}}}`)
	if want := `{"data":{"viewer":{"name":"Alice"},"__schema":{"queryType":{"name":"Query"}},"__type":{"kind":"SCALAR","name":"JSON","specifiedByURL":"https://www.rfc-editor.org/rfc/rfc8259","fields":null}}}`; mixed != want {
		t.Errorf("got %s", mixed)
	}
}

// TestSwapUnderLoad: calls run while tools come and go, and each finishes on the schema it began with.
func TestSwapUnderLoad(t *testing.T) {
	f := typedFixture(t, Options{Introspection: true})
	definition := json.RawMessage(strings.Replace(weatherDefinition, `"weather"`, `"extra"`, 1))
	tool, err := gateway.ParseTool(definition)
	if err != nil {
		t.Fatal(err)
	}
	up := gateway.Func(func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return gateway.StructuredResult(json.RawMessage(weatherValue)), nil
	})
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for range 40 {
				if got := f.run(t, `{demo_weather(city:"Oslo"){city wind{speed}}}`); got != `{"data":{"demo_weather":{"city":"Oslo","wind":{"speed":3.5}}}}` {
					t.Error(got)
				}
				if got := f.run(t, `{extra(city:"Oslo"){city}}`); got != `{"data":{"extra":{"city":"Oslo"}}}` && !strings.Contains(got, codeValidation) && !strings.Contains(got, "NOT_FOUND") {
					t.Error(got)
				}
				if got := f.run(t, `{__schema{queryType{fields{name}}}}`); !strings.Contains(got, "demo_weather") {
					t.Error(got)
				}
			}
		})
	}
	work.Go(func() {
		for i := range 60 {
			var c gateway.Catalog
			if i%2 == 0 {
				c.Tools = []*gateway.Tool{tool}
			}
			if err := f.registry.Attach("other", up, c, gateway.Options{}); err != nil {
				t.Error(err)
			}
		}
	})
	work.Wait()
}
