package protoschema

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	dpb "google.golang.org/protobuf/types/descriptorpb"
)

// compileOne compiles one method "tool/x" with a lock.
func compileOne(t testing.TB, l *Lock, in, out string) *Module {
	t.Helper()
	m, err := Compile([]Method{{Key: "tool/x", Name: "x", Comment: "Tool x.", Input: json.RawMessage(in), Output: json.RawMessage(out)}}, l)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func testLock() *Lock { return NewLock("test", PackageOf("test")) }

// show returns the fields of a message as "name json number kind".
func show(md protoreflect.MessageDescriptor) []string {
	var out []string
	for i := range md.Fields().Len() {
		f := md.Fields().Get(i)
		kind := f.Kind().String()
		if f.Message() != nil {
			kind = strings.TrimPrefix(string(f.Message().FullName()), "trilith.test.v1.")
		}
		switch {
		case f.IsMap():
			kind = "map:" + f.MapValue().Kind().String()
			if f.MapValue().Message() != nil {
				kind = "map:" + string(f.MapValue().Message().FullName())
			}
		case f.IsList():
			kind = "[]" + kind
		case f.HasOptionalKeyword():
			kind = "optional " + kind
		}
		out = append(out, fmt.Sprintf("%s %q %d %s", f.Name(), f.JSONName(), f.Number(), kind))
	}
	return out
}

func TestTypes(t *testing.T) {
	for _, test := range []struct{ name, schema, want string }{
		{"string", `{"type":"string"}`, "optional string"},
		{"date-time", `{"type":"string","format":"date-time"}`, "optional string"},
		{"base64", `{"type":"string","contentEncoding":"base64"}`, "optional bytes"},
		{"boolean", `{"type":"boolean"}`, "optional bool"},
		{"number", `{"type":"number"}`, "optional double"},
		{"integer", `{"type":"integer"}`, "optional int64"},
		{"int32", `{"type":"integer","format":"int32"}`, "optional int32"},
		{"integer or number", `{"type":["integer","number"]}`, "optional double"},
		{"enum", `{"enum":["a","b",null]}`, "optional string"},
		{"const", `{"const":"a"}`, "optional string"},
		{"mixed enum", `{"enum":["a",1]}`, "google.protobuf.Value"},
		{"nullable", `{"type":["string","null"]}`, "optional string"},
		{"anyOf null", `{"anyOf":[{"type":"integer"},{"type":"null"}]}`, "optional int64"},
		{"allOf one", `{"allOf":[{"type":"boolean"}],"description":"d"}`, "optional bool"},
		{"union", `{"oneOf":[{"type":"integer"},{"type":"string"}]}`, "google.protobuf.Value"},
		{"typed union", `{"type":"string","anyOf":[{"minLength":1},{"pattern":"x"}]}`, "optional string"},
		{"types", `{"type":["integer","string"]}`, "google.protobuf.Value"},
		{"any", `{}`, "google.protobuf.Value"},
		{"true", `true`, "google.protobuf.Value"},
		{"false", `false`, "google.protobuf.Value"},
		{"free object", `{"type":"object"}`, "google.protobuf.Struct"},
		{"map", `{"type":"object","additionalProperties":{"type":"integer"}}`, "map:int64"},
		{"map of any", `{"type":"object","additionalProperties":true}`, "google.protobuf.Struct"},
		{"map of nullable", `{"type":"object","additionalProperties":{"type":["integer","null"]}}`, "google.protobuf.Struct"},
		{"map of lists", `{"type":"object","additionalProperties":{"type":"array","items":{"type":"string"}}}`, "map:google.protobuf.ListValue"},
		{"map of maps", `{"type":"object","additionalProperties":{"type":"object","additionalProperties":{"type":"string"}}}`, "map:google.protobuf.Struct"},
		{"patterns", `{"type":"object","patternProperties":{"^x":{}},"additionalProperties":{"type":"string"}}`, "google.protobuf.Struct"},
		{"list", `{"type":"array","items":{"type":"string"}}`, "[]string"},
		{"list of objects", `{"type":"array","items":{"type":"object","properties":{"a":{"type":"string"}}}}`, "[]XRequest.P"},
		{"list of free objects", `{"type":"array","items":{"type":"object"}}`, "[]google.protobuf.Struct"},
		{"list of lists", `{"type":"array","items":{"type":"array","items":{"type":"string"}}}`, "google.protobuf.ListValue"},
		{"list of nullables", `{"type":"array","items":{"type":["string","null"]}}`, "google.protobuf.ListValue"},
		{"tuple", `{"type":"array","prefixItems":[{"type":"string"}]}`, "google.protobuf.ListValue"},
		{"old tuple", `{"type":"array","items":[{"type":"string"}]}`, "google.protobuf.ListValue"},
		{"any list", `{"type":"array"}`, "google.protobuf.ListValue"},
		{"object", `{"type":"object","properties":{"a":{"type":"string"}}}`, "XRequest.P"},
		{"object without a type", `{"properties":{"a":{"type":"string"}}}`, "XRequest.P"},
		{"closed object", `{"type":"object","additionalProperties":false}`, "XRequest.P"},
		{"definition", `{"$ref":"#/$defs/User"}`, "User"},
		{"alias", `{"$ref":"#/$defs/Alias"}`, "User"},
		{"nullable definition", `{"anyOf":[{"$ref":"#/$defs/User"},{"type":"null"}]}`, "User"},
		{"list of definitions", `{"type":"array","items":{"$ref":"#/$defs/User"}}`, "[]User"},
		{"map of definitions", `{"type":"object","additionalProperties":{"$ref":"#/$defs/User"}}`, "map:trilith.test.v1.User"},
		{"escaped definition", `{"$ref":"#/$defs/a~1b%20c"}`, "AbC"},
		{"scalar definition", `{"$ref":"#/$defs/Id"}`, "optional string"},
		{"root", `{"$ref":"#"}`, "XRequest"},
		{"unknown reference", `{"$ref":"#/$defs/Nope"}`, "google.protobuf.Value"},
		{"deep reference", `{"$ref":"#/properties/p"}`, "google.protobuf.Value"},
		{"loop", `{"$ref":"#/$defs/Loop"}`, "google.protobuf.Value"},
		{"dynamic", `{"$dynamicRef":"#x"}`, "google.protobuf.Value"},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := `{"type":"object","properties":{"p":` + test.schema + `},"$defs":{"User":{"type":"object","properties":{"boss":{"$ref":"#/$defs/User"}}},
				"Alias":{"$ref":"#/$defs/User"},"a/b c":{"type":"object","properties":{"x":{"type":"string"}}},"Id":{"type":"string"},"Loop":{"$ref":"#/$defs/Loop"}}}`
			m := compileOne(t, testLock(), in, ``)
			got := show(m.RPCs[0].Input)
			want := `p "p" 1 ` + test.want
			if test.name == "escaped definition" {
				want = `p "p" 1 ABC`
			}
			if len(got) != 1 || got[0] != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

// TestRoots shows the messages of whole schemas.
func TestRoots(t *testing.T) {
	for _, test := range []struct{ name, in, out, wantIn, wantOut string }{
		{"nothing", ``, ``, `fields "*" 1 google.protobuf.Struct`, `value "*" 1 google.protobuf.Value`},
		{"free", `{"type":"object"}`, `{"type":"object","properties":{}}`, `fields "*" 1 google.protobuf.Struct`, `fields "*" 1 google.protobuf.Struct`},
		{"no arguments", `{"type":"object","properties":{}}`, `{"type":"object","additionalProperties":{"type":"string"}}`, ``, `fields "*" 1 map:string`},
		{"closed", `{"type":"object","additionalProperties":false}`, `{"type":"array","items":{"type":"integer"}}`, ``, `items "*" 1 []int64`},
		{
			"open", `{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":true}`, `{"type":"string"}`,
			`a "a" 1 optional string|additional_properties "*" 2 google.protobuf.Struct`, `value "*" 1 optional string`,
		},
		{
			"union", `{"type":"object","properties":{"a":{"type":"string"}},"oneOf":[{"$ref":"#/$defs/x"}]}`, `{"$ref":"#/$defs/l","$defs":{"l":{"type":"object","properties":{"b":{"type":"string"}}}}}`,
			`a "a" 1 optional string|additional_properties "*" 2 google.protobuf.Struct`, `b "b" 1 optional string`,
		},
		{
			"required first", `{"type":"object","properties":{"a":{},"b":{},"c":{}},"required":["c"],"anyOf":[{"required":["a"]},{"required":["b"]}]}`, `false`,
			`c "c" 1 google.protobuf.Value|a "a" 2 google.protobuf.Value|b "b" 3 google.protobuf.Value`, `value "*" 1 google.protobuf.Value`,
		},
		{
			"names that are none", `{"type":"object","properties":{"*":{},"[x]":{},"\u0000":{},"ok":{"type":"string"}}}`, `7`,
			`ok "ok" 1 optional string|additional_properties "*" 2 google.protobuf.Struct`, `value "*" 1 google.protobuf.Value`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := compileOne(t, testLock(), test.in, test.out)
			if got := strings.Join(show(m.RPCs[0].Input), "|"); got != test.wantIn {
				t.Errorf("request %s, want %s", got, test.wantIn)
			}
			if got := strings.Join(show(m.RPCs[0].Output), "|"); got != test.wantOut {
				t.Errorf("response %s, want %s", got, test.wantOut)
			}
		})
	}
}

func TestNames(t *testing.T) {
	for _, test := range []struct{ in, snake, pascal string }{
		{"fooBar", "foo_bar", "FooBar"},
		{"foo-bar", "foo_bar", "FooBar"},
		{"FOO_BAR", "foo_bar", "FOOBAR"},
		{"HTTPServer", "http_server", "HTTPServer"},
		{"userID", "user_id", "UserID"},
		{"oauth2Token", "oauth2_token", "Oauth2Token"},
		{"__a__", "a", "A"},
		{"9lives", "x_9lives", "X9lives"},
		{"日本", "x", "X"},
		{"", "x", "X"},
		{"io.k8s.api.core.v1.Pod", "io_k8s_api_core_v1_pod", "IoK8sApiCoreV1Pod"},
	} {
		if got := snake(test.in, "x"); got != test.snake {
			t.Errorf("snake(%q) = %q, want %q", test.in, got, test.snake)
		}
		if got := pascal(test.in, "X"); got != test.pascal {
			t.Errorf("pascal(%q) = %q, want %q", test.in, got, test.pascal)
		}
	}
	m := compileOne(t, testLock(), `{"properties":{"fooBar":{"type":"string"},"foo_bar":{"type":"string"},"foo-bar":{"type":"string"},"foo_bar2":{"type":"string"},"":{"type":"string"}}}`, ``)
	want := []string{
		`field "" 1 optional string`, `foo_bar "foo-bar" 2 optional string`, `foo_bar_2 "fooBar" 3 optional string`, `foo_bar_3 "foo_bar" 4 optional string`,
		`foo_bar2_2 "foo_bar2" 5 optional string`,
	}
	if d := cmp.Diff(want, show(m.RPCs[0].Input)); d != "" {
		t.Error(d)
	}
}

// TestClashes has names of methods, messages and definitions that would meet.
func TestClashes(t *testing.T) {
	schema := json.RawMessage(`{"properties":{"a":{"$ref":"#/$defs/ImportRequest"},"b":{"$ref":"#/$defs/TestService"},"c":{"$ref":"#/$defs/CallProgress"},
		"XRequest":{"properties":{"XRequest":{"properties":{"q":{"type":"string"}}}}},"mEntry":{"properties":{"q":{"type":"string"}}},"m":{"additionalProperties":{"type":"string"},"type":"object"}},
		"$defs":{"ImportRequest":{"properties":{"x":{"type":"string"}}},"TestService":{"properties":{"x":{"type":"string"}}},"CallProgress":{"properties":{"x":{"type":"string"}}}}}`)
	var methods []Method
	for _, name := range []string{"import", "import-stream", "importStream", "Import", "import request", "x", "test service", "call progress", "日"} {
		methods = append(methods, Method{Key: "tool/" + name, Name: name, Input: schema, Output: schema})
	}
	l := testLock()
	m, err := Compile(methods, l)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, r := range m.RPCs {
		if names[r.Name] {
			t.Errorf("two RPCs %s", r.Name)
		}
		names[r.Name] = true
	}
	if len(names) != 2*len(methods) {
		t.Errorf("%d names", len(names))
	}
}

func numbers(md protoreflect.MessageDescriptor) map[string]int {
	out := map[string]int{}
	for i := range md.Fields().Len() {
		f := md.Fields().Get(i)
		out[f.JSONName()+" "+string(f.Name())] = int(f.Number())
	}
	return out
}

// TestLock follows one message through additions, a removal, a return and
// changes of type.
func TestLock(t *testing.T) {
	l := testLock()
	for _, step := range []struct {
		name, props string
		want        map[string]int
		reserved    string
	}{
		{"first", `"a":{"type":"string"},"c":{"type":"integer"}`, map[string]int{"a a": 1, "c c": 2}, ""},
		{"added in the middle", `"a":{"type":"string"},"b":{"type":"boolean"},"c":{"type":"integer"}`, map[string]int{"a a": 1, "b b": 3, "c c": 2}, ""},
		{"removed", `"b":{"type":"boolean"},"c":{"type":"integer"}`, map[string]int{"b b": 3, "c c": 2}, "[a] 1-2"},
		{"returned", `"a":{"type":"string"},"b":{"type":"boolean"},"c":{"type":"integer"}`, map[string]int{"a a": 1, "b b": 3, "c c": 2}, ""},
		{"type changed", `"a":{"type":"number"},"b":{"type":"boolean"},"c":{"type":"integer"}`, map[string]int{"a a_v2": 4, "b b": 3, "c c": 2}, "[a] 1-2"},
		{"type changed again", `"a":{"type":"boolean"},"c":{"type":"integer"}`, map[string]int{"a a_v3": 5, "c c": 2}, "[a a_v2 b] 1-2 3-5"},
		{"type changed back", `"a":{"type":"string"},"b":{"type":"boolean"},"c":{"type":"integer"}`, map[string]int{"a a": 1, "b b": 3, "c c": 2}, "[a_v2 a_v3] 4-6"},
		{"nothing left", ``, map[string]int{}, "[a a_v2 a_v3 b c] 1-6"},
	} {
		in := `{"type":"object","properties":{` + step.props + `}}`
		m := compileOne(t, l, in, ``)
		md := m.RPCs[0].Input
		if d := cmp.Diff(step.want, numbers(md)); d != "" {
			t.Errorf("%s: %s", step.name, d)
		}
		reserved := ""
		if md.ReservedNames().Len() > 0 {
			var names []string
			for i := range md.ReservedNames().Len() {
				names = append(names, string(md.ReservedNames().Get(i)))
			}
			reserved = fmt.Sprint(names)
			for i := range md.ReservedRanges().Len() {
				r := md.ReservedRanges().Get(i)
				reserved += fmt.Sprintf(" %d-%d", r[0], r[1])
			}
		}
		if reserved != step.reserved {
			t.Errorf("%s: reserved %s, want %s", step.name, reserved, step.reserved)
		}
		again, err := ParseLock(asJSON(t, l))
		if err != nil {
			t.Fatal(err)
		}
		same := compileOne(t, again, in, ``)
		if again.Changed() || !again.Equal(l) {
			t.Errorf("%s: the lock changed when nothing else did", step.name)
		}
		if d := cmp.Diff(m.Single(nil), same.Single(nil), protocmp.Transform()); d != "" {
			t.Errorf("%s: %s", step.name, d)
		}
		l = l.Clone()
	}
}

func asJSON(t testing.TB, l *Lock) []byte {
	t.Helper()
	b, err := l.JSON()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReservedNumbersAreSkipped(t *testing.T) {
	l := testLock()
	l.Messages["XRequest"] = &MessageLock{Next: 18999}
	m := compileOne(t, l, `{"properties":{"a":{"type":"string"},"b":{"type":"string"}}}`, ``)
	if d := cmp.Diff(map[string]int{"a a": 18999, "b b": 20000}, numbers(m.RPCs[0].Input)); d != "" {
		t.Error(d)
	}
}

// TestShared has one definition in two schemas, another one of its name, and
// follows both through a change.
func TestShared(t *testing.T) {
	l := testLock()
	method := func(name, def string) Method {
		return Method{Key: name, Name: name, Input: json.RawMessage(`{"properties":{"u":{"$ref":"#/$defs/User"}},"$defs":{"User":` + def + `}}`)}
	}
	types := func(methods ...Method) string {
		m, err := Compile(methods, l)
		if err != nil {
			t.Fatal(err)
		}
		out := ""
		for _, r := range m.RPCs {
			if !r.Stream {
				out += fmt.Sprintf(" %s:%s", r.Name, r.Input.Fields().Get(0).Message().Name())
			}
		}
		return out
	}
	const (
		one   = `{"description":"A.","properties":{"x":{"type":"string"}}}`
		same  = `{"description":"B.","properties":{"x":{"type":"string","minLength":2}}}`
		more  = `{"properties":{"x":{"type":"string"},"y":{"type":"string"}}}`
		other = `{"properties":{"z":{"type":"string"}}}`
	)
	for _, step := range []struct {
		methods []Method
		want    string
	}{
		{[]Method{method("a", one), method("b", same), method("c", other)}, " A:User B:User C:User2"},
		{[]Method{method("a", more), method("b", more), method("c", other)}, " A:User B:User C:User2"},
		{[]Method{method("a", more), method("b", one), method("c", other)}, " A:User B:User3 C:User2"},
		{[]Method{method("c", other)}, " C:User2"},
	} {
		if got := types(step.methods...); got != step.want {
			t.Errorf("%s, want %s", got, step.want)
		}
	}
}

func TestAbsent(t *testing.T) {
	m := compileOne(t, testLock(), `{"properties":{"l":{"type":"array","items":{"type":"string"}},"m":{"type":"object","additionalProperties":{"type":"string"}},"n":{"type":["string","null"]},
		"s":{"type":"string"},"v":{},"ol":{"type":"array","items":{"type":"string"}}},"required":["l","m","n","s","v"]}`, ``)
	for i := range 2 { // The twin's are the same.
		got := map[string]string{}
		for j := range m.RPCs[i].Input.Fields().Len() {
			f := m.RPCs[i].Input.Fields().Get(j)
			if s := m.Absent(f); s != "" {
				got[f.JSONName()] = s
			}
		}
		if d := cmp.Diff(map[string]string{"l": "[]", "m": "{}", "n": "null"}, got); d != "" {
			t.Errorf("%s: %s", m.RPCs[i].Name, d)
		}
	}
}

func TestComments(t *testing.T) {
	m := compileOne(t, testLock(), `{"description":"ignored","properties":{"p":{"description":"Line one.\r\nLine\u0000 two.","enum":["a","b"],"default":"a"}}}`, ``)
	f := m.Single(nil)
	got := map[string]string{}
	for _, loc := range f.GetSourceCodeInfo().GetLocation() {
		got[fmt.Sprint(loc.GetPath())] = loc.GetLeadingComments()
	}
	index := slices.IndexFunc(f.GetMessageType(), func(d *dpb.DescriptorProto) bool { return d.GetName() == "XRequest" })
	if c := got[fmt.Sprintf("[4 %d 2 0]", index)]; c != " Line one.\n Line  two.\n \n One of: \"a\", \"b\".\n Default: \"a\".\n" {
		t.Errorf("comment of the field: %q", c)
	}
	if c := got["[6 0 2 0]"]; c != " Tool x.\n" {
		t.Errorf("comment of the method: %q", c)
	}
}

// TestSplit has more messages than fit into a file, some of which use each
// other.
func TestSplit(t *testing.T) {
	defs, props := "", ""
	for i := range 60 {
		fields := ""
		for j := range 100 {
			fields += fmt.Sprintf(`"a_rather_long_name_of_field_%d":{"type":"string","description":"%s"},`, j, strings.Repeat("x", 200))
		}
		defs += fmt.Sprintf(`"D%d":{"properties":{%s"next":{"$ref":"#/$defs/D%d"}}},`, i, fields, (i+1)/10*10+(i+1)%10)
		props += fmt.Sprintf(`"p%d":{"$ref":"#/$defs/D%d"},`, i, i)
	}
	m := compileOne(t, testLock(), `{"properties":{`+strings.TrimSuffix(props, ",")+`},"$defs":{`+strings.TrimSuffix(defs, ",")+`}}`, ``)
	files := m.Files(nil)
	if len(files) < 3 {
		t.Fatalf("%d files", len(files))
	}
	for _, f := range files {
		if n := proto.Size(f.Proto); n > fileBytes*5/4 {
			t.Errorf("%s has %d bytes", f.Proto.GetName(), n)
		}
	}
	if last := files[len(files)-1].Proto; last.GetName() != "trilith/test/v1/test.proto" || len(last.GetService()) != 1 {
		t.Errorf("the last file is %s", last.GetName())
	}
	if _, err := Link(files); err != nil {
		t.Error(err)
	}
	if one := m.Single(nil); len(one.GetMessageType()) != len(m.messages) {
		t.Errorf("the single file has %d messages of %d", len(one.GetMessageType()), len(m.messages))
	}
}

func TestKeep(t *testing.T) {
	user := `{"properties":{"u":{"$ref":"#/$defs/%s"}},"$defs":{"%s":{"properties":{"x":{"type":"string"}}}}}`
	m, err := Compile([]Method{
		{Key: "a", Name: "a", Input: json.RawMessage(fmt.Sprintf(user, "Open", "Open"))},
		{Key: "b", Name: "b", Input: json.RawMessage(fmt.Sprintf(user, "Secret", "Secret"))},
	}, testLock())
	if err != nil {
		t.Fatal(err)
	}
	f := m.Single(func(key string) bool { return key == "a" })
	text, _ := proto.Marshal(f)
	if strings.Contains(string(text), "Secret") || strings.Contains(string(text), "BRequest") || !strings.Contains(string(text), "AStreamResponse") {
		t.Errorf("kept the wrong things: %v", f)
	}
	if _, err := Link([]File{{f}}); err != nil {
		t.Error(err)
	}
	if m.Single(func(string) bool { return false }) != nil || m.Files(func(string) bool { return false }) != nil {
		t.Error("a file without methods")
	}
}

// TestHostile has schemas that would be costly if they could.
func TestHostile(t *testing.T) {
	wide := make([]string, 30_000)
	for i := range wide {
		wide[i] = fmt.Sprintf(`"%s%d":{}`, strings.Repeat("日", i%40), i)
	}
	chain := make([]string, 5000)
	for i := range chain {
		chain[i] = fmt.Sprintf(`"d%d":{"properties":{"a":{"$ref":"#/$defs/d%d"},"b":{"$ref":"#/$defs/d%d"}}}`, i, (i+1)%len(chain), (i*7)%len(chain))
	}
	for name, schema := range map[string]string{
		"wide":         `{"properties":{` + strings.Join(wide, ",") + `}}`,
		"deep":         strings.Repeat(`{"properties":{"a":`, 2000) + `{}` + strings.Repeat(`}}`, 2000),
		"deep list":    strings.Repeat(`{"type":"array","items":`, 2000) + `{}` + strings.Repeat(`}`, 2000),
		"chain":        `{"properties":{"a":{"$ref":"#/$defs/d0"}},"$defs":{` + strings.Join(chain, ",") + `}}`,
		"aliases":      `{"properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":{"allOf":[{"properties":{"x":{"$ref":"#/$defs/a"},"y":{"$ref":"#/$defs/b"}}}]},"b":{"anyOf":[{"$ref":"#/$defs/a"}]}}}`,
		"unfolding":    `{"properties":{"a":{"allOf":[{"properties":{"x":{"$ref":"#"},"y":{"$ref":"#"}}}]}}}`,
		"keywords":     `{"properties":{"$ref":{"type":"string"},"properties":{"type":"object"},"type":{"enum":["x"]},"$defs":{}}}`,
		"not a schema": `{"properties":7}`,
		"broken":       `{"properties":`,
	} {
		t.Run(name, func(t *testing.T) {
			compileOne(t, testLock(), schema, schema)
		})
	}
}

func TestLockIsBounded(t *testing.T) {
	l := testLock()
	l.ready()
	l.entries = maxLock
	if _, err := Compile([]Method{{Key: "a", Name: "a"}}, l); err == nil {
		t.Error("a full lock took more")
	}
}

func TestVerify(t *testing.T) {
	field := func(name, json string, n int32) *dpb.FieldDescriptorProto {
		return &dpb.FieldDescriptorProto{Name: &name, JsonName: &json, Number: &n}
	}
	for _, fields := range [][]*dpb.FieldDescriptorProto{
		{field("a", "x", 1), field("b", "x", 2)},
		{field("a_1", "x", 1), field("a1", "y", 2)},
		{field("a", "x", 19500)},
		{field("a", "x", 0)},
	} {
		f := &dpb.FileDescriptorProto{MessageType: []*dpb.DescriptorProto{{NestedType: []*dpb.DescriptorProto{{Field: fields}}}}}
		if verify(f) == nil {
			t.Errorf("accepted %v", fields)
		}
	}
}

// randomSchema returns a schema as sources write them, with references to
// definitions d0 to d3.
func randomSchema(r *rand.Rand, depth int) string {
	scalar := []string{
		`{"type":"string"}`, `{"type":"integer"}`, `{"type":"number"}`, `{"type":"boolean"}`, `{"type":["string","null"]}`, `{}`, `true`,
		`{"type":"string","contentEncoding":"base64"}`, `{"enum":["a","b"]}`, `{"type":"object"}`, `{"type":"array"}`,
	}
	if depth <= 0 {
		return scalar[r.IntN(len(scalar))]
	}
	switch r.IntN(9) {
	case 0:
		return `{"type":"array","items":` + randomSchema(r, depth-1) + `}`
	case 1:
		return `{"type":"object","additionalProperties":` + randomSchema(r, depth-1) + `}`
	case 2:
		return fmt.Sprintf(`{"$ref":"#/$defs/d%d"}`, r.IntN(4))
	case 3:
		return `{"anyOf":[` + randomSchema(r, depth-1) + `,{"type":"null"}]}`
	case 4:
		return `{"oneOf":[` + randomSchema(r, depth-1) + `,` + randomSchema(r, depth-1) + `]}`
	case 5, 6:
		return randomObject(r, depth)
	default:
		return scalar[r.IntN(len(scalar))]
	}
}

func randomObject(r *rand.Rand, depth int) string {
	names := []string{"a", "b", "fooBar", "foo_bar", "foo-bar", "foo_bar_2", "fooBarEntry", "$ref", "type", "", "日本", "x1", "x_1", "message", "*", "self"}
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	var props, required []string
	for _, n := range names[:r.IntN(7)] {
		quoted, _ := json.Marshal(n)
		props = append(props, string(quoted)+":"+randomSchema(r, depth-1))
		if r.IntN(2) == 0 {
			required = append(required, string(quoted))
		}
	}
	more := []string{``, ``, `,"additionalProperties":false`, `,"additionalProperties":true`}[r.IntN(4)]
	return `{"type":"object","properties":{` + strings.Join(props, ",") + `},"required":[` + strings.Join(required, ",") + `]` + more + `}`
}

func randomDocument(r *rand.Rand) string {
	root := strings.TrimSuffix(randomObject(r, 3), "}")
	defs := make([]string, 4)
	for i := range defs {
		defs[i] = fmt.Sprintf(`"d%d":%s`, i, randomSchema(r, 3))
	}
	return root + `,"$defs":{` + strings.Join(defs, ",") + `}}`
}

// TestRandom compiles random schemas one after another with one lock: each is
// valid, again the same when compiled again, and gives no number another meaning.
func TestRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var l *Lock
	var meaning map[string]string
	for i := range 300 {
		if i%30 == 0 {
			l, meaning = testLock(), map[string]string{}
		}
		methods := make([]Method, 1+r.IntN(4))
		for i := range methods {
			methods[i] = Method{Key: fmt.Sprint(i), Name: fmt.Sprintf("m%d", i), Input: json.RawMessage(randomDocument(r)), Output: json.RawMessage(randomDocument(r))}
		}
		l = l.Clone()
		m, err := Compile(methods, l)
		if err != nil {
			t.Fatalf("%v\n%s", err, methods[0].Input)
		}
		l = l.Clone()
		again, err := Compile(methods, l)
		if err != nil || l.Changed() {
			t.Fatalf("a second compilation changes the lock: %v\n%s", err, methods[0].Input)
		}
		if !proto.Equal(m.Single(nil), again.Single(nil)) {
			t.Fatalf("a second compilation differs\n%s", methods[0].Input)
		}
		for _, d := range m.Single(nil).GetMessageType() {
			checkMeaning(t, meaning, d.GetName(), d)
		}
		if t.Failed() {
			t.Fatalf("%s", methods[0].Input)
		}
	}
}

// checkMeaning holds every number of a message against what it ever meant.
func checkMeaning(t *testing.T, meaning map[string]string, name string, d *dpb.DescriptorProto) {
	t.Helper()
	for _, f := range d.GetField() {
		key := fmt.Sprintf("%s %d", name, f.GetNumber())
		is := fmt.Sprintf("%s %s %s %s %s", f.GetName(), f.GetJsonName(), f.GetLabel(), f.GetType(), f.GetTypeName())
		if was, ok := meaning[key]; ok && was != is {
			t.Errorf("%s was %s, is %s", key, was, is)
		}
		meaning[key] = is
		for _, res := range d.GetReservedRange() {
			if n := f.GetNumber(); res.GetStart() <= n && n < res.GetEnd() {
				t.Errorf("%s is reserved and in use", key)
			}
		}
	}
	for _, in := range d.GetNestedType() {
		if !in.GetOptions().GetMapEntry() {
			checkMeaning(t, meaning, name+"."+in.GetName(), in)
		}
	}
}

func FuzzCompile(f *testing.F) {
	f.Add([]byte(`{"properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{"type":["object","null"],"properties":{"b":{"items":{}}}}}}`))
	f.Add([]byte(`{"type":"array","items":{"$ref":"#"}}`))
	f.Fuzz(func(t *testing.T, schema []byte) {
		if len(schema) > 64<<10 {
			return
		}
		l := testLock()
		methods := []Method{{Key: "x", Name: string(schema[:min(len(schema), 20)]), Comment: string(schema), Input: schema, Output: schema}}
		m, err := Compile(methods, l)
		if err != nil {
			t.Fatal(err)
		}
		l = l.Clone()
		again, err := Compile(methods, l)
		if err != nil || l.Changed() || !proto.Equal(m.Single(nil), again.Single(nil)) {
			t.Fatal("a second compilation differs", err)
		}
	})
}

func FuzzParseLock(f *testing.F) {
	l := testLock()
	compileOne(f, l, `{"properties":{"a":{"type":"string"},"b":{"properties":{"c":{}}}}}`, ``)
	f.Add(asJSON(f, l))
	f.Add([]byte(`{"format":1,"messages":{"M":null}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := ParseLock(data)
		if err != nil {
			return
		}
		l.Package = "trilith.test.v1"
		_, _ = Compile([]Method{{Key: "x", Name: "x", Input: []byte(`{"properties":{"a":{"type":"string"},"b":{"properties":{"c":{}}}}}`)}}, l)
	})
}
