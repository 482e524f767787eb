package protoschema

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
)

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

func TestLockIsBounded(t *testing.T) {
	l := testLock()
	l.ready()
	l.entries = maxLock
	if _, err := Compile([]Method{{Key: "a", Name: "a"}}, l); err == nil {
		t.Error("a full lock took more")
	}
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
