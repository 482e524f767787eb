package protoschema

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
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
