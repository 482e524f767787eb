package protoschema

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
)

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
