package gqlschema

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
)

const inputSchema = `{"type":"object","properties":{
"s":{"type":"string"},"n":{"type":["string","null"]},"i":{"type":"integer"},"l":{"type":"integer","format":"int64"},"f":{"type":"number"},"b":{"type":"boolean"},
"e":{"enum":["metric","us-imperial"],"default":"metric"},"at":{"type":"string","format":"date-time"},"j":{},
"list":{"type":"array","items":{"type":"integer"}},"grid":{"type":"array","items":{"type":"array","items":{"type":"object","properties":{"k-k":{"type":"string"}}}}},
"o":{"type":"object","properties":{"d":{"type":"integer","default":5},"c":{"const":"k"},"e":{"type":"array","items":{"enum":["us-west"]}},"x":{"type":"string"},"deep":{"type":"object","properties":{"z":{"type":"integer","default":9}}}},"required":["c"]},
"who":{"oneOf":[{"title":"User","type":"object","properties":{"login":{"type":"string"}},"required":["login"]},{"title":"Team","type":"object","properties":{"slug":{"type":"string"},"v":{"const":2}},"required":["slug","v"]}]},
"open":{"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":true}}}`

// arguments runs the arguments of a field, as the door does: variables are made by their declared type first.
func arguments(t *testing.T, schema, query, variables string) string {
	t.Helper()
	v, set := viewOf(t, entries("t", schema, ""))
	op := operationOf(t, v, set, query, "t")
	var given map[string]json.RawMessage
	if err := json.Unmarshal([]byte(variables), &given); err != nil {
		t.Fatal(err)
	}
	made := map[string]json.RawMessage{}
	for _, d := range op.context.Operation.VariableDefinitions {
		named := Scalar(d.Type.Name())
		if named == nil {
			named = set.Plan("t").Input(d.Type.Name())
		}
		var text json.RawMessage
		var err error
		switch raw, ok := given[d.Variable]; {
		case ok:
			text, err = named.Variable(d.Type, raw, 10_000)
		case d.DefaultValue != nil:
			text, err = named.Default(d.Type, d.DefaultValue, 10_000)
		default:
			continue
		}
		if err != nil {
			return "$" + d.Variable + " " + err.Error()
		}
		made[d.Variable] = text
	}
	out, err := op.plan.Arguments(op.field.Arguments, func(name string) (json.RawMessage, bool) {
		raw, ok := made[name]
		return raw, ok
	}, 10_000)
	if err != nil {
		return err.Error()
	}
	if !json.Valid(out) {
		t.Errorf("%s: not JSON: %s", query, out)
	}
	return string(out)
}

// TestArguments: literals and variables become the tool's own terms.
func TestArguments(t *testing.T) {
	const sel = "{isError}}"
	for _, c := range []struct{ name, query, variables, want string }{
		{"nothing but a default", `{t` + sel, `{}`, `{"e":"metric"}`},
		{"enum literal", `{t(e:us_imperial)` + sel, `{}`, `{"e":"us-imperial"}`},
		{"enum variable", `query($e:TEInput){t(e:$e)` + sel, `{"e":"us_imperial"}`, `{"e":"us-imperial"}`},
		{"enum variable in another case", `query($e:TEInput){t(e:$e)` + sel, `{"e":"METRIC"}`, `$e is not a value of TEInput`},
		{"enum variable by its JSON value", `query($e:TEInput){t(e:$e)` + sel, `{"e":"us-imperial"}`, `$e is not a value of TEInput`},
		{"default of a variable", `query($e:TEInput=us_imperial){t(e:$e)` + sel, `{}`, `{"e":"us-imperial"}`},
		{"variable without a value", `query($e:TEInput,$s:String){t(e:$e,s:$s)` + sel, `{}`, `{"e":"metric"}`},
		{"null that the tool does not know", `{t(s:null,e:null)` + sel, `{}`, `{}`},
		{"null that the tool knows", `{t(n:null,e:metric)` + sel, `{}`, `{"n":null,"e":"metric"}`},
		{"null variable", `query($s:String){t(s:$s)` + sel, `{"s":null}`, `{"e":"metric"}`},
		{"Int", `{t(i:2147483647,e:metric)` + sel, `{}`, `{"i":2147483647,"e":"metric"}`},
		{"Int too large", `{t(i:2147483648)` + sel, `{}`, `i: is no Int`},
		{"Int variable too large", `query($i:Int){t(i:$i)` + sel, `{"i":2147483648}`, `$i is no Int`},
		{"Int variable as a string", `query($i:Int){t(i:$i)` + sel, `{"i":"5"}`, `$i is no Int`},
		{"Int variable with a fraction of nothing", `query($i:Int){t(i:$i,e:metric)` + sel, `{"i":5.0}`, `{"i":5,"e":"metric"}`},
		{"Long", `{t(l:-9223372036854775808,e:metric)` + sel, `{}`, `{"l":-9223372036854775808,"e":"metric"}`},
		{"Long unsigned, as a string", `query($l:Long){t(l:$l,e:metric)` + sel, `{"l":"18446744073709551615"}`, `{"l":18446744073709551615,"e":"metric"}`},
		{"Long too large", `{t(l:18446744073709551616)` + sel, `{}`, `l: is no Long`},
		{"Long of letters", `query($l:Long){t(l:$l)` + sel, `{"l":"1x"}`, `$l is no Long`},
		{"Float keeps digits", `query($f:Float){t(f:$f,e:metric)` + sel, `{"f":1.10000000000000000001}`, `{"f":1.10000000000000000001,"e":"metric"}`},
		{"Boolean", `query($b:Boolean){t(b:$b)` + sel, `{"b":"true"}`, `$b is no Boolean`},
		{"DateTime", `{t(at:5)` + sel, `{}`, `at: is no DateTime`},
		{"JSON literal", `query($v:Int,$u:JSON){t(j:{a:[1.50,$v,"x\n"],u:$u},e:metric)` + sel, `{"v":7}`, `{"j":{"a":[1.50,7,"x\n"]},"e":"metric"}`},
		{"JSON enum", `{t(j:[A])` + sel, `{}`, `j.0: JSON has no enum values: write a string`},
		{"single value to list", `{t(list:5,e:metric)` + sel, `{}`, `{"list":[5],"e":"metric"}`},
		{"single variable to list", `query($l:[Int!]){t(list:$l,e:metric)` + sel, `{"l":5}`, `{"list":[5],"e":"metric"}`},
		{"variable in a list", `query($l:Int!){t(list:[1,$l],e:metric)` + sel, `{"l":5}`, `{"list":[1,5],"e":"metric"}`},
		{"null in a list", `query($l:[Int!]){t(list:$l)` + sel, `{"l":[1,null]}`, `$l 1: must not be null`},
		{"lists of lists", `{t(grid:[[{k_k:"a"}],[]],e:metric)` + sel, `{}`, `{"grid":[[{"k-k":"a"}],[]],"e":"metric"}`},
		{"lists of lists in a variable", `query($g:[[TGridInput!]!]){t(grid:$g,e:metric)` + sel, `{"g":[[{"k_k":"a"}]]}`, `{"grid":[[{"k-k":"a"}]],"e":"metric"}`},
		{"defaults and constants below", `{t(o:{x:"z",deep:{}},e:metric)` + sel, `{}`, `{"o":{"x":"z","deep":{"z":9},"c":"k","d":5},"e":"metric"}`},
		{"defaults below in a variable", `query($o:TOInput){t(o:$o,e:metric)` + sel, `{"o":{"e":["us_west"]}}`, `{"o":{"e":["us-west"],"c":"k","d":5},"e":"metric"}`},
		{"list of enums below", `{t(o:{e:us_west},e:metric)` + sel, `{}`, `{"o":{"e":["us-west"],"c":"k","d":5},"e":"metric"}`},
		{"unknown field in a variable", `query($o:TOInput){t(o:$o)` + sel, `{"o":{"nope":1}}`, `$o no field "nope"`},
		{"oneOf", `{t(who:{team:{slug:"a"}},e:metric)` + sel, `{}`, `{"who":{"slug":"a","v":2},"e":"metric"}`},
		{"oneOf variable", `query($w:TWhoOneOfInput){t(who:$w,e:metric)` + sel, `{"w":{"user":{"login":"a"}}}`, `{"who":{"login":"a"},"e":"metric"}`},
		{"oneOf variable with two", `query($w:TWhoOneOfInput){t(who:$w)` + sel, `{"w":{"user":{"login":"a"},"team":{"slug":"b"}}}`, `$w exactly one field of TWhoOneOfInput must be given, and not as null`},
		{"oneOf variable with none", `query($w:TWhoOneOfInput){t(who:$w)` + sel, `{"w":{}}`, `$w exactly one field of TWhoOneOfInput must be given, and not as null`},
		{"oneOf variable with null", `query($w:TWhoOneOfInput){t(who:$w)` + sel, `{"w":{"user":null}}`, `$w user: must not be null`},
		{"oneOf with a variable inside", `query($u:TWhoUserInput!){t(who:{user:$u},e:metric)` + sel, `{"u":{"login":"a"}}`, `{"who":{"login":"a"},"e":"metric"}`},
		{"members that are not declared", `{t(open:{a:1,additionalProperties:{b:2,c:[3]}},e:metric)` + sel, `{}`, `{"open":{"a":1,"b":2,"c":[3]},"e":"metric"}`},
		{"a declared member among them", `query($x:JSON){t(open:{additionalProperties:$x})` + sel, `{"x":{"a":2}}`, `open.additionalProperties: "a" has a field of its own`},
		{"members that are no object", `query($x:TOpenInput){t(open:$x)` + sel, `{"x":{"additionalProperties":[1]}}`, `$x additionalProperties: must be an object`},
		{"too long", `query($x:JSON){t(j:[` + strings.Repeat("$x ", 300) + `])` + sel, `{"x":"` + strings.Repeat("y", 100) + `"}`, `j: the values are too long, with variables and defaults in place`},
	} {
		got := arguments(t, inputSchema, c.query, c.variables)
		if strings.HasSuffix(got, "in place") {
			got = "j: " + got[strings.LastIndex(got, ": ")+2:]
		}
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// TestWholeArguments: where the arguments are not a plain object, one argument holds them.
func TestWholeArguments(t *testing.T) {
	choice := `{"type":"object","oneOf":[{"title":"ByName","properties":{"name":{"type":"string"}},"required":["name"]},{"title":"ById","properties":{"id":{"type":"integer"}},"required":["id"]}]}`
	for _, c := range []struct{ schema, query, variables, want string }{
		{choice, `{t(input:{byId:{id:5}}){isError}}`, `{}`, `{"id":5}`},
		{choice, `query($i:TOneOfInput!){t(input:$i){isError}}`, `{"i":{"byName":{"name":"a"}}}`, `{"name":"a"}`},
		{`{"type":"object"}`, `{t{isError}}`, `{}`, `{}`},
		{`{"type":"object"}`, `{t(input:{a:1}){isError}}`, `{}`, `{"a":1}`},
		{`{"type":"object"}`, `{t(input:[1]){isError}}`, `{}`, `input: the arguments of a tool are an object`},
		{`{"type":"object"}`, `{t(input:null){isError}}`, `{}`, `{}`},
	} {
		if got := arguments(t, c.schema, c.query, c.variables); got != c.want {
			t.Errorf("%s: got %s, want %s", c.query, got, c.want)
		}
	}
}

const outputSchema = `{"type":"object","properties":{
"s":{"type":"string"},"i":{"type":"integer"},"l":{"type":"integer","format":"uint64"},"f":{"type":"number"},"b":{"type":"boolean"},"must":{"type":"string"},
"e":{"enum":["us-west","x"]},"j":{},"bad-name":{"type":"string"},
"list":{"type":"array","items":{"type":"integer"}},"loose":{"type":"array","items":{"type":["integer","null"]}},
"wind":{"type":"object","properties":{"speed":{"type":"number"},"dir":{"type":"string"}},"required":["speed"]},
"pets":{"type":"array","items":{"oneOf":[{"title":"Cat","type":"object","properties":{"kind":{"const":"cat"},"lives":{"type":"integer"}},"required":["kind"]},{"title":"Dog","type":"object","properties":{"kind":{"const":"dog"},"good":{"type":"boolean"}},"required":["kind"]}]}},
"open":{"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":true},
"tree":{"$ref":"#/$defs/T"}},"required":["must"],"$defs":{"T":{"type":"object","properties":{"v":{"type":"integer"},"kids":{"type":"array","items":{"$ref":"#/$defs/T"}}},"required":["v"]}}}`

// TestResult: what is selected is written, and what has not its type is null, or its parent.
func TestResult(t *testing.T) {
	v, set := viewOf(t, entries("t", "", outputSchema))
	for _, c := range []struct{ name, query, value, want string }{
		{"selected fields in their order", `{t{f s x:i}}`, `{"i":1,"must":"m","s":"a\u00e9\n","f":1.10,"other":[{}]}`, `{"f":1.10,"s":"a\u00e9\n","x":1}`},
		{"absent", `{t{s l}}`, `{}`, `{"s":null,"l":null}`},
		{"space", `{t{s wind{dir}}}`, " {\n \"s\" : \"a\" , \"wind\" :\t{ \"dir\":\"N\", \"speed\":1 } } ", `{"s":"a","wind":{"dir":"N"}}`},
		{"escaped name", `{t{bad_name s}}`, `{"bad\u002dname":"x","\u0073":"y"}`, `{"bad_name":"x","s":"y"}`},
		{"typename and merged fields", `{t{__typename wind{speed} wind{dir __typename}}}`, `{"wind":{"speed":2,"dir":"N"}}`, `{"__typename":"TResult","wind":{"speed":2,"dir":"N","__typename":"TResultWind"}}`},
		{"required at the root", `{t{must}}`, `{}`, "null\nt.must: must not be null"},
		{"required below", `{t{s wind{speed}}}`, `{"s":"a","wind":{"dir":"N"}}`, "{\"s\":\"a\",\"wind\":null}\nt.wind.speed: must not be null"},
		{"Int", `{t{i}}`, `{"i":1e3}`, `{"i":1000}`},
		{"Int too large", `{t{x:i}}`, `{"i":3000000000}`, "{\"x\":null}\nt.x: is no Int"},
		{"Int with a fraction", `{t{i}}`, `{"i":1.5}`, "{\"i\":null}\nt.i: is no Int"},
		{"Long", `{t{l}}`, `{"l":18446744073709551615}`, `{"l":18446744073709551615}`},
		{"Long as a string", `{t{l}}`, `{"l":"1"}`, "{\"l\":null}\nt.l: is no Long"},
		{"String", `{t{s}}`, `{"s":5}`, "{\"s\":null}\nt.s: is no String"},
		{"Boolean", `{t{b}}`, `{"b":0}`, "{\"b\":null}\nt.b: is no Boolean"},
		{"enum", `{t{e}}`, `{"e":"us-west"}`, `{"e":"us_west"}`},
		{"enum of another value", `{t{e}}`, `{"e":"us_west"}`, "{\"e\":null}\nt.e: is not a value of TResultE"},
		{"JSON", `{t{j}}`, `{"j":{"a":12345678901234567890}}`, `{"j":{"a":12345678901234567890}}`},
		{"list", `{t{list loose}}`, `{"list":[1,2],"loose":[1,null]}`, `{"list":[1,2],"loose":[1,null]}`},
		{"no list", `{t{list}}`, `{"list":1}`, "{\"list\":null}\nt.list: is not a list"},
		{"null in a list", `{t{list}}`, `{"list":[1,null]}`, "{\"list\":null}\nt.list[1]: must not be null"},
		{"wrong in a list", `{t{list loose}}`, `{"list":[1,"a"],"loose":[true,2]}`, "{\"list\":null,\"loose\":[null,2]}\nt.list[1]: is no Int\nt.loose[0]: is no Int"},
		{"union", `{t{pets{__typename ...on TResultPetsCat{lives} ...on TResultPetsDog{good}}}}`, `{"pets":[{"kind":"dog","good":true},{"lives":9,"kind":"cat"}]}`, `{"pets":[{"__typename":"TResultPetsDog","good":true},{"__typename":"TResultPetsCat","lives":9}]}`},
		{"union of another kind", `{t{pets{__typename}}}`, `{"pets":[{"kind":"cow"}]}`, "{\"pets\":null}\nt.pets[0]: is of no type of TResultPetsUnion"},
		{"fragment on the union", `{t{pets{...P}}} fragment P on TResultPetsUnion{...on TResultPetsCat{kind}}`, `{"pets":[{"kind":"cat"},{"kind":"dog"}]}`, `{"pets":[{"kind":"cat"},{}]}`},
		{"members that are not declared", `{t{open{a additionalProperties}}}`, `{"open":{"a":1,"b":2,"c":{"d":3}}}`, `{"open":{"a":1,"additionalProperties":{"b":2,"c":{"d":3}}}}`},
		{"recursion", `{t{tree{v kids{v kids{v}}}}}`, `{"tree":{"v":1,"kids":[{"v":2,"kids":[{"v":3}]},{}]}}`, "{\"tree\":{\"v\":1,\"kids\":null}}\nt.tree.kids[1].v: must not be null"},
		{"no value", `{t{s}}`, ``, "null\nt: the tool returned no structured value"},
		{"null", `{t{s}}`, `null`, "null"},
		{"no object", `{t{s}}`, `[]`, "null\nt: is not an object"},
		{"skip and include", `{t{s @skip(if:true) i @include(if:true) b}}`, `{"i":1,"b":true}`, `{"i":1,"b":true}`},
		{"many errors", `{t{loose}}`, `{"loose":[` + strings.Repeat(`"a",`, 99) + `1]}`, `{"loose":[` + strings.Repeat(`null,`, 99) + `1]}`},
	} {
		got := operationOf(t, v, set, c.query, "t").result(c.value)
		if c.name == "many errors" {
			lines := strings.Split(got, "\n")
			if len(lines) != maxFailures+1 {
				t.Errorf("%d errors", len(lines)-1)
			}
			got = lines[0]
		}
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// TestEvents: the field on Subscription tells three kinds of events.
func TestEvents(t *testing.T) {
	v, set := viewOf(t, entries("t", "", outputSchema))
	op := operationOf(t, v, set, `subscription{t{__typename ...on ToolCallEvent{dropped} ...on TFinished{result{s must}} ...on ToolProgress{progress total}...E}} fragment E on TEvent{...on ToolLog{data}}`, "t")
	for _, c := range []struct {
		kind  EventKind
		value string
		want  string
	}{
		{EventProgress, `{"dropped":0,"progress":1.5}`, `{"__typename":"ToolProgress","dropped":0,"progress":1.5,"total":null}`},
		{EventLog, `{"dropped":1,"level":"info","data":{"a":1}}`, `{"__typename":"ToolLog","dropped":1,"data":{"a":1}}`},
		{EventFinished, `{"dropped":1,"result":{"s":"a"}}`, `{"__typename":"TFinished","result":null}`},
	} {
		failed := ""
		pr := &Projection{Operation: op.context, Fail: func(path ast.Path, _ string) { failed += path.String() }}
		if got := string(op.plan.EventValue(pr, op.field, ast.Path{ast.PathName("t")}, c.kind, json.RawMessage(c.value))); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
		if c.kind == EventFinished && failed != "t.result.must" {
			t.Errorf("failed at %q", failed)
		}
	}
}

// FuzzResult: no result of a tool makes the projection panic or write what is no JSON.
func FuzzResult(f *testing.F) {
	f.Add(`{"must":"m","pets":[{"kind":"cat"}],"list":[1],"open":{"x":1},"e":"x"}`)
	f.Add(`{"must":"\ud83d","tree":{"v":1,"kids":[]}}`)
	v, set := viewOf(f, entries("t", "", outputSchema))
	op := operationOf(f, v, set, `{t{s i l f b must e j bad_name list loose wind{speed} pets{__typename} open{a additionalProperties} tree{kids{v}}}}`, "t")
	f.Fuzz(func(t *testing.T, value string) {
		got, _, _ := strings.Cut(op.result(value), "\n")
		if json.Valid([]byte(value)) && !json.Valid([]byte(got)) {
			t.Errorf("%s gives %s", value, got)
		}
	})
}

// FuzzVariable: no variable makes the coercion panic or write what is no JSON.
func FuzzVariable(f *testing.F) {
	f.Add(`{"e":["us_west"],"deep":{"z":null}}`)
	f.Add(`{"who":{"user":{"login":"a"}},"additionalProperties":{}}`)
	_, set := viewOf(f, entries("t", inputSchema, ""))
	f.Fuzz(func(t *testing.T, value string) {
		for _, name := range []string{"TOInput", "TWhoOneOfInput", "TOpenInput", "TEInput"} {
			out, err := set.Plan("t").Input(name).Variable(ast.ListType(ast.NamedType(name, nil), nil), json.RawMessage(value), 10_000)
			if err == nil && json.Valid([]byte(value)) && !json.Valid(out) {
				t.Errorf("%s gives %s", value, out)
			}
		}
	})
}

// TestAmplified asks for one long text under thousands of names, by selections in selections.
func TestAmplified(t *testing.T) {
	v, set := viewOf(t, entries("t", "", `{"type":"object","properties":{"o":{"type":"object","properties":{"p":{"type":"object","properties":{"s":{"type":"string"}}}}}}}`))
	many := func(field string) string {
		var b strings.Builder
		for i := range 16 {
			fmt.Fprintf(&b, " a%d: %s", i, field)
		}
		return b.String()
	}
	query := "{t{" + many("o{...O}") + "}} fragment O on TResultO {" + many("p{...P}") + "} fragment P on TResultOP {" + many("s") + "}"
	op := operationOf(t, v, set, query, "t")
	value := `{"o":{"p":{"s":"` + strings.Repeat("x", 100_000) + `"}}}`
	var failed []string
	pr := &Projection{Operation: op.context, Fail: func(_ ast.Path, message string) { failed = append(failed, message) }}
	data := op.plan.Result(pr, op.field, ast.Path{ast.PathName("t")}, json.RawMessage(value))
	if string(data) != "null" || len(failed) != 1 || failed[0] != tooLong || cap(pr.out) > 8*pr.most {
		t.Errorf("%d bytes, %d were written: %q", len(data), cap(pr.out), failed)
	}
	if got := operationOf(t, v, set, "{t{o{p{"+many("s")+"}}}}", "t").result(value); len(got) < 1_600_000 || strings.Contains(got, tooLong) {
		t.Errorf("%d bytes of what is asked for sixteen times", len(got))
	}
}
