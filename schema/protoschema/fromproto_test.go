package protoschema_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/trilith-gateway/trilith/schema"
	"github.com/trilith-gateway/trilith/schema/protoschema"
	"github.com/trilith-gateway/trilith/schema/transcode"
)

var updateShop = flag.Bool("update-shop", false, "write testdata/*.golden.json")

func shop(t testing.TB) (*protoregistry.Files, *transcode.Compiler) {
	t.Helper()
	b, err := os.ReadFile("testdata/shop.binpb")
	if err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(b, &set); err != nil {
		t.Fatal(err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		t.Fatal(err)
	}
	return files, transcode.NewCompiler(transcode.Options{Files: files, EmitDefaults: true})
}

func find(t testing.TB, files *protoregistry.Files, name protoreflect.FullName) protoreflect.MessageDescriptor {
	t.Helper()
	d, err := files.FindDescriptorByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return d.(protoreflect.MessageDescriptor)
}

// TestFrom compares the schemas of the fixture with what was reviewed.
func TestFrom(t *testing.T) {
	files, c := shop(t)
	g := protoschema.NewFrom(c, nil)
	for name, purpose := range map[string]protoschema.Purpose{"input": protoschema.ForInput, "check": protoschema.ForCheck, "output": protoschema.ForOutput} {
		for _, of := range []string{"Search", "Known"} {
			raw, cut, err := g.Schema(find(t, files, protoreflect.FullName("shop."+of)), purpose)
			if err != nil || cut {
				t.Fatalf("%s: %v, cut %v", of, err, cut)
			}
			if _, err := schema.Compile(raw); err != nil {
				t.Fatalf("%s: %v\n%s", of, err, raw)
			}
			var got bytes.Buffer
			if err := json.Indent(&got, raw, "", "  "); err != nil {
				t.Fatal(err)
			}
			got.WriteByte('\n')
			file := "testdata/" + strings.ToLower(of) + "." + name + ".golden.json"
			if *updateShop {
				if err := os.WriteFile(file, got.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got.String()); d != "" {
				t.Errorf("%s: -want +got\n%s", file, d)
			}
		}
	}
}

// TestFromAgrees says that what a schema accepts is what the plan reads, and the other way round.
func TestFromAgrees(t *testing.T) {
	files, c := shop(t)
	md := find(t, files, "shop.Search")
	compile := func(p protoschema.Purpose) *schema.Schema {
		raw, _, err := protoschema.NewFrom(c, nil).Schema(md, p)
		if err != nil {
			t.Fatal(err)
		}
		s, err := schema.Compile(raw)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	input, check, output := compile(protoschema.ForInput), compile(protoschema.ForCheck), compile(protoschema.ForOutput)
	const rest = `"query":"a","filter":{}`
	for _, tt := range []struct {
		text         string
		input, check bool
	}{
		{`{` + rest + `}`, true, true},
		{`{"query":"a"}`, false, false},
		{`{` + rest + `,"after":"12"}`, true, true},
		{`{` + rest + `,"after":12}`, false, true},
		{`{` + rest + `,"after":null}`, false, true},
		{`{` + rest + `,"state":"STATE_SENT"}`, true, true},
		{`{` + rest + `,"state":2}`, false, true},
		{`{` + rest + `,"state":"STATE_UNSPECIFIED"}`, false, true},
		{`{` + rest + `,"pageSize":"7"}`, false, true},
		{`{` + rest + `,"pageSize":101}`, false, false},
		{`{` + rest + `,"filter":null}`, false, false},
		{`{` + rest + `,"tags":null}`, false, true},
		{`{` + rest + `,"nothing":1}`, false, false},
	} {
		text := tt.text
		if strings.Count(text, `"filter"`) > 1 {
			text = strings.Replace(text, `"filter":{},`, "", 1)
		}
		if err := input.Validate([]byte(text)); (err == nil) != tt.input {
			t.Errorf("input %s: %v", text, err)
		}
		err := check.Validate([]byte(text))
		// Where only some values of an enum are allowed, all of its numbers are: the source decides.
		if (err == nil) != tt.check && !strings.Contains(text, "UNSPECIFIED") {
			t.Errorf("check %s: %v", text, err)
		}
		if tt.input || tt.check && err == nil {
			if _, err := c.Plan(md).AppendWire(nil, []byte(text)); err != nil {
				t.Errorf("the plan does not read %s: %v", text, err)
			}
		}
	}
	// Nothing on the wire is an object with its defaults.
	text, err := c.Plan(md).AppendJSON(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := output.Validate(text); err != nil {
		t.Errorf("output %s: %v", text, err)
	}
}

// TestFromRoot has messages at the top that are no objects.
func TestFromRoot(t *testing.T) {
	files, c := shop(t)
	g := protoschema.NewFrom(c, nil)
	for name, want := range map[protoreflect.FullName]string{
		"google.protobuf.Empty":      `{"type":"object","additionalProperties":false}`,
		"google.protobuf.Struct":     `{"type":"object"}`,
		"google.protobuf.Timestamp":  `{"type":"object","properties":{"value":{"type":"string","format":"date-time"}},"additionalProperties":false,"required":["value"]}`,
		"google.protobuf.Value":      `{"type":"object","properties":{"value":{}},"additionalProperties":false,"required":["value"]}`,
		"google.protobuf.Int64Value": `{"type":"object","properties":{"value":{"type":["string","null"],"pattern":"^-?[0-9]+$"}},"additionalProperties":false,"required":["value"]}`,
		"shop.Filter": `{"type":"object","properties":{"all":{"type":"array","items":{"$ref":"#/$defs/shop.Filter"},"description":"And these."},"field":{"type":"string"}},"additionalProperties":false,` +
			`"$defs":{"shop.Filter":{"type":"object","properties":{"all":{"type":"array","items":{"$ref":"#/$defs/shop.Filter"},"description":"And these."},"field":{"type":"string"}},"additionalProperties":false}}}`,
	} {
		raw, _, err := g.Schema(find(t, files, name), protoschema.ForInput)
		if err != nil || string(raw) != want {
			t.Errorf("%s: %v\n got %s\nwant %s", name, err, raw, want)
		}
	}
}
