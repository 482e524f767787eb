package grpc

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/trilith-gateway/trilith/gateway"
)

// sample returns a random schema and a function that makes values which match
// it. Required says that the value is that of a required property.
func sample(r *rand.Rand, depth int, required bool) (schema string, value func() string) {
	constant := func(values ...string) func() string { return func() string { return values[r.IntN(len(values))] } }
	kind := r.IntN(12)
	if depth <= 0 {
		kind = r.IntN(8)
	}
	switch kind {
	case 0:
		return `{"type":"string"}`, constant(`""`, `"x"`, `"é\"\\\n\u0001日本😀"`)
	case 1:
		return `{"type":"integer"}`, constant(`0`, `-1`, `9007199254740993`, `-9223372036854775808`)
	case 2:
		return `{"type":"integer","format":"int32"}`, constant(`0`, `-5`, `2147483647`)
	case 3:
		return `{"type":"number"}`, constant(`0`, `1.5`, `-3e100`, `12345678`)
	case 4:
		return `{"type":"boolean"}`, constant(`true`, `false`)
	case 5:
		return `{"type":"string","contentEncoding":"base64"}`, constant(`""`, `"AQID"`, `"/+8="`)
	case 6:
		return []string{`{}`, `true`, `{"type":["integer","string","object"]}`}[r.IntN(3)], constant(`1`, `"x"`, `{"a":[null,{"b":{}}],"c":[]}`)
	case 7:
		if required {
			return `{"type":["string","null"]}`, constant(`null`, `"x"`)
		}
		return `{"type":"object"}`, constant(`{}`, `{"x":[1,null]}`)
	case 8:
		items, item := sample(r, depth-1, true)
		return `{"type":"array","items":` + items + `}`, func() string {
			n := r.IntN(4)
			if !required {
				n++ // An empty list is the same as none.
			}
			all := make([]string, n)
			for i := range all {
				all[i] = item()
			}
			return `[` + strings.Join(all, ",") + `]`
		}
	case 9:
		values, item := sample(r, depth-1, true)
		return `{"type":"object","additionalProperties":` + values + `}`, func() string {
			n := r.IntN(3)
			if !required {
				n++
			}
			all := make([]string, n)
			for i := range all {
				all[i] = fmt.Sprintf(`"k%d":%s`, i, item())
			}
			return `{` + strings.Join(all, ",") + `}`
		}
	default:
		return sampleObject(r, depth)
	}
}

func sampleObject(r *rand.Rand, depth int) (schema string, value func() string) {
	names := []string{"a", "fooBar", "foo_bar", "", "日本", "$ref", "x-y", "type", "*", "a/b"}
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	names = names[:1+r.IntN(6)]
	var props, required []string
	values := map[string]func() string{}
	must := map[string]bool{}
	for _, n := range names {
		must[n] = r.IntN(2) == 0
		s, v := sample(r, depth-1, must[n])
		props, values[n] = append(props, asText(n)+":"+s), v
		if must[n] {
			required = append(required, asText(n))
		}
	}
	open := r.IntN(3) == 0
	schema = `{"type":"object","properties":{` + strings.Join(props, ",") + `},"required":[` + strings.Join(required, ",") + `]`
	if open {
		schema += `,"additionalProperties":true`
	}
	return schema + `}`, func() string {
		var members []string
		for _, n := range names {
			if must[n] || r.IntN(2) == 0 {
				members = append(members, asText(n)+":"+values[n]())
			}
		}
		if open && r.IntN(2) == 0 {
			members = append(members, `"more":[{"x":null}]`, `"other":1`)
		}
		return `{` + strings.Join(members, ",") + `}`
	}
}

func asText(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// meaning reads JSON, with numbers as they are written.
func meaning(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return normal(v)
}

// normal writes numbers in one way.
func normal(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = normal(v[k])
		}
	case []any:
		for i := range v {
			v[i] = normal(v[i])
		}
	case json.Number:
		f, _ := v.Float64()
		if strings.ContainsAny(v.String(), ".eE") || f >= 1<<53 || f <= -1<<53 { // google.protobuf.Value holds no more.
			return f
		}
	}
	return v
}

// TestRoundTrip takes random values of random schemas to protobuf and back: they
// are the same, and any protobuf library reads the message.
func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		schema, value := sampleObject(r, 4)
		tool, err := gateway.ParseTool(json.RawMessage(`{"name":"t","inputSchema":` + schema + `,"outputSchema":` + schema + `}`))
		if err != nil {
			t.Fatal(err)
		}
		tool.Source = "demo"
		f := &Frontend{options: Options{}.withDefaults()}
		s, err := f.typedSource(t.Context(), nil, &packages{of: map[string]string{}}, &offer{source: "demo", tools: []*gateway.Tool{tool}})
		if err != nil {
			t.Fatalf("%v\n%s", err, schema)
		}
		for range 10 {
			text := value()
			if err := tool.Input.Validate(json.RawMessage(text)); err != nil {
				t.Fatalf("a sample does not match its schema: %v\n%s\n%s", err, schema, text)
			}
			for _, plan := range []interface {
				AppendWire(dst, text []byte) ([]byte, error)
				AppendJSON(dst, wire []byte) ([]byte, error)
			}{s.methods[0].in, s.methods[0].out} {
				wire, err := plan.AppendWire(nil, []byte(text))
				if err != nil {
					t.Fatalf("%v\n%s\n%s", err, schema, text)
				}
				if err := proto.Unmarshal(wire, dynamicpb.NewMessage(s.module.RPCs[0].Input)); err != nil {
					t.Fatalf("%v\n%s\n%s", err, schema, text)
				}
				back, err := plan.AppendJSON(nil, wire)
				if err != nil {
					t.Fatalf("%v\n%s\n%s", err, schema, text)
				}
				if d := cmp.Diff(meaning(t, []byte(text)), meaning(t, back)); d != "" {
					t.Fatalf("%s\n%s\n%s\n%s", d, schema, text, back)
				}
				if strings.Contains(string(back), "e+0") || strings.Contains(string(back), "e+1") && !strings.Contains(string(back), "e+100") {
					t.Fatalf("an integer with an exponent: %s", back)
				}
				if err := tool.Input.Validate(back); err != nil {
					t.Fatalf("what came back does not match: %v\n%s\n%s", err, schema, back)
				}
			}
		}
	}
}
