package protoschema

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	dpb "google.golang.org/protobuf/types/descriptorpb"
)

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
