package protoschema

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestNotes: what protobuf does not say as the schema does is noted, and nothing else is.
func TestNotes(t *testing.T) {
	for _, c := range []struct {
		name, property string
		want           []string
	}{
		{"plain", `"a":{"type":"string","pattern":"x"},"b":{"type":"array","items":{"type":"integer"}},"c":{"type":"object","additionalProperties":{"type":"number"}}`, nil},
		{"anything", `"a":{"description":"x"},"b":true,"c":{"type":"array"},"d":{"type":"object"},"e":{"type":"array","items":{}},"f":{"type":"object","additionalProperties":true}`, nil},
		{"null", `"a":{"type":["string","null"]},"b":{"anyOf":[{"type":"integer"},{"type":"null"}]}`, nil},
		{
			"union", `"a":{"type":["string","integer"]},"b":{"anyOf":[{"type":"string"},{"type":"boolean"}]}`,
			[]string{"Request.a is any value", "Request.b is any value"},
		},
		{"reference", `"a":{"$ref":"#/$defs/nothing"}`, []string{"Request.a is any value"}},
		{
			"lists", `"a":{"type":"array","items":{"type":["string","null"]}},"b":{"type":"array","prefixItems":[{"type":"string"}]},"c":{"type":"array","items":{"type":"array","items":{"type":"string"}}}`,
			[]string{"Request.a is a list of any values", "Request.b is a list of any values", "Request.c is a list of any values"},
		},
		{
			"maps", `"a":{"type":"object","additionalProperties":{"type":["string","null"]}},"b":{"type":"object","patternProperties":{"^x":{"type":"string"}}}`,
			[]string{"Request.a is any object", "Request.b is any object"},
		},
		{"inside", `"a":{"type":"array","items":{"type":"object","properties":{"b":{"type":["string","integer"]}}}}`, []string{"Request.A.b is any value"}},
		{
			"names", `"x-y":{"type":"string"},"x_y":{"type":"string"},"[z]":{"type":"string"}`,
			[]string{`Request has no field for the property "[z]"`, "Request.x_y_2 is not called x_y"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Compile([]Method{{Key: "tool/t", Name: "t", Input: json.RawMessage(`{"type":"object","properties":{` + c.property + `}}`), Output: json.RawMessage(`{"type":"string"}`)}}, NewLock("s", "trilith.s.v1"))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, n := range m.Notes {
				at, ok := strings.CutPrefix(n.At, "trilith.s.v1.T")
				why, _, _ := strings.Cut(n.Reason, ":")
				if !ok || n.Renamed != strings.HasPrefix(why, "is not called") {
					t.Error(n)
				}
				got = append(got, at+" "+why)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestNotesBound: the notes of a module are as many as there may be.
func TestNotesBound(t *testing.T) {
	var methods []Method
	for i := range 12 {
		var properties []string
		for j := range 1000 {
			properties = append(properties, fmt.Sprintf(`"p%d":{"type":["string","integer"]}`, j))
		}
		methods = append(methods, Method{Key: fmt.Sprint("tool/", i), Name: fmt.Sprint("t", i), Unary: true, Input: json.RawMessage(`{"type":"object","properties":{` + strings.Join(properties, ",") + `}}`)})
	}
	methods = append(methods, Method{Key: "tool/T0", Name: "T0"})
	m, err := Compile(methods, NewLock("s", "trilith.s.v1"))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Notes) != maxNotes || !strings.Contains(m.Notes[maxNotes-1].Reason, "there is more") {
		t.Error(len(m.Notes), m.Notes[len(m.Notes)-1])
	}
	if first := m.Notes[0]; !first.Renamed {
		t.Error("the method that has another name comes first:", first)
	}
}
