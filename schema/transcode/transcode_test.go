package transcode_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/trilith-gateway/trilith/schema/transcode"
)

// build links one file of messages, in proto3.
func build(t testing.TB, messages ...*descriptorpb.DescriptorProto) protoreflect.FileDescriptor {
	t.Helper()
	fd, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: new("t.proto"), Package: new("t"), Syntax: new("proto3"),
		Dependency:  []string{"google/protobuf/struct.proto"},
		MessageType: messages,
	}, resolver(t))
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func resolver(t testing.TB) *protoregistry.Files {
	t.Helper()
	files := &protoregistry.Files{}
	if err := files.RegisterFile(structpb.File_google_protobuf_struct_proto); err != nil {
		t.Fatal(err)
	}
	return files
}

func field(name string, number int32, kind descriptorpb.FieldDescriptorProto_Type, more ...func(*descriptorpb.FieldDescriptorProto)) *descriptorpb.FieldDescriptorProto {
	f := &descriptorpb.FieldDescriptorProto{
		Name: &name, JsonName: &name, Number: &number, Type: &kind,
		Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
	}
	for _, m := range more {
		m(f)
	}
	return f
}

func repeated(f *descriptorpb.FieldDescriptorProto) {
	f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
}

func of(name string) func(*descriptorpb.FieldDescriptorProto) {
	return func(f *descriptorpb.FieldDescriptorProto) { f.TypeName = &name }
}

const (
	text    = descriptorpb.FieldDescriptorProto_TYPE_STRING
	integer = descriptorpb.FieldDescriptorProto_TYPE_INT64
	message = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
)

// TestToolJSON is the dialect of messages that were made from a JSON Schema.
func TestToolJSON(t *testing.T) {
	fd := build(t,
		&descriptorpb.DescriptorProto{Name: new("Open"), Field: []*descriptorpb.FieldDescriptorProto{
			field("big", 1, integer), field("tags", 2, text, repeated), field("note", 3, text),
			field("any", 4, message, of(".google.protobuf.Value")),
			field("rest", 5, message, of(".google.protobuf.Struct")),
		}},
		&descriptorpb.DescriptorProto{Name: new("Rows"), Field: []*descriptorpb.FieldDescriptorProto{
			field("rows", 1, message, repeated, of(".t.Open")),
		}},
		&descriptorpb.DescriptorProto{Name: new("Free"), Field: []*descriptorpb.FieldDescriptorProto{
			field("free", 1, message, of(".google.protobuf.Struct")),
		}},
		&descriptorpb.DescriptorProto{Name: new("Word"), Field: []*descriptorpb.FieldDescriptorProto{
			field("word", 1, text),
		}},
	)
	c := transcode.NewCompiler(transcode.Options{
		Dialect: transcode.ToolJSON,
		Inline:  func(fd protoreflect.FieldDescriptor) bool { return fd.Name() == "rest" },
		Whole: func(fd protoreflect.FieldDescriptor) bool {
			return fd.Name() == "rows" || fd.Name() == "free" || fd.Name() == "word"
		},
		Absent: func(fd protoreflect.FieldDescriptor) string {
			return map[protoreflect.Name]string{"tags": "[]", "note": "null"}[fd.Name()]
		},
	})
	for _, tt := range []struct{ message, in, out string }{
		{"Open", `{"big":9223372036854775807,"tags":["a"],"note":"n","any":[1,{"a":null}]}`, ""},
		{"Open", `{"big":-1,"note":null}`, `{"big":-1,"tags":[],"note":null}`},
		{"Open", `{"tags":[],"note":"x","x":{"y":[true]},"z":null}`, ""},
		{"Open", `{"x":1,"tags":["a"],"y":2,"note":"n"}`, `{"tags":["a"],"note":"n","x":1,"y":2}`},
		{"Open", `{"any":null}`, `{"any":null,"tags":[],"note":null}`},
		{"Rows", `[]`, ""},
		{"Rows", `[{"big":1e2,"tags":["a"],"note":"n"},{}]`, `[{"big":100,"tags":["a"],"note":"n"},{"tags":[],"note":null}]`},
		{"Free", `{}`, ""},
		{"Free", `{"a":{"b":[1,2.5,"x",null,false]}}`, ""},
		{"Word", `"hello"`, ""},
		{"Word", `"\ud800"`, `"` + "\ufffd" + `"`},
	} {
		if tt.out == "" {
			tt.out = tt.in
		}
		p := c.Plan(fd.Messages().ByName(protoreflect.Name(tt.message)))
		wire, err := p.AppendWire(nil, []byte(tt.in))
		if err != nil {
			t.Errorf("AppendWire(%s): %v", tt.in, err)
			continue
		}
		// In pieces: an empty Rest beside the one that is there.
		for _, w := range [][]byte{wire, append([]byte{5<<3 | 2, 0}, wire...)} {
			got, err := p.AppendJSON(nil, w)
			if err != nil || !same(t, got, []byte(tt.out)) {
				t.Errorf("%s %s -> %s, %v; want %s", tt.message, tt.in, got, err, tt.out)
			}
		}
	}
	if !c.Plan(fd.Messages().ByName("Free")).IsObject() || c.Plan(fd.Messages().ByName("Rows")).IsObject() {
		t.Error("IsObject")
	}
	// What is inlined cannot take the place of a field.
	open := c.Plan(fd.Messages().ByName("Open"))
	free, err := c.Plan(fd.Messages().ByName("Free")).AppendWire(nil, []byte(`{"note":"mine"}`))
	if err != nil {
		t.Fatal(err)
	}
	forged := append([]byte{5<<3 | 2}, free[1:]...)
	if got, err := open.AppendJSON(nil, forged); err == nil {
		t.Errorf("a further property took the name of a field: %s", got)
	}
	if got, err := open.AppendJSON(nil, append(forged, forged...)); err == nil {
		t.Errorf("a further property took the name of a field: %s", got)
	}
}

// TestErrors says where the JSON does not fit, in words for whoever wrote it.
func TestErrors(t *testing.T) {
	x := load(t)
	c := x.plans()
	for in, want := range map[string]string{
		`{"rInt32":[1,"x"]}`:                     "/rInt32/1: must be an integer of int32",
		`{"anInt32":2147483648}`:                 "/anInt32: is out of the range of int32",
		`{"aUint64":-1}`:                         "/aUint64: is out of the range of uint64",
		`{"anInt64":1.5}`:                        "/anInt64: must be an integer of int64",
		`{"aFixed32":4294967296}`:                "/aFixed32: is out of the range of fixed32",
		`{"mString":{"a/b~c":1}}`:                "/mString/a~1b~0c: must be a string",
		`{"mInt32":{"x":1}}`:                     "/mInt32/x: must be an integer of int32",
		`{"child":{"nope":1}}`:                   "/child/nope: is not a property that this message knows",
		`{"aBool":1}`:                            "/aBool: must be true or false",
		`{"aBool":true,"a_bool":true}`:           "/aBool: is there twice",
		`{"cString":"a","cBool":true}`:           "/cBool: cannot be set together with another property of its group",
		`{"colour":"COLOUR_MAUVE"}`:              "/colour: is not one of the values that are allowed",
		`{"time":"2026-13-01T00:00:00Z"}`:        "/time: must be a date and time such as 2026-01-31T09:30:00Z (RFC 3339)",
		`{"time":"2026-01-01T00:00:00,5Z"}`:      "/time: must be a date and time such as 2026-01-31T09:30:00Z (RFC 3339)",
		`{"duration":"1h"}`:                      `/duration: must be a duration in seconds such as "1.5s"`,
		`{"mask":"foo_bar"}`:                     `/mask: must be names of fields with commas between them, such as "fooBar,baz.qux"`,
		`{"any":{"a":1}}`:                        "/any/@type: must say what the object is",
		`{"any":{"@type":"x/none"}}`:             "/any/value: must be there",
		`{"any":{"@type":"x/wide.Three","z":1}}`: "/any/z: is not a property that this message knows",
		`{"someBytes":"*"}`:                      "/someBytes: must be base64",
		`{"aFloat":1e39}`:                        "/aFloat: is out of the range of float",
		`{"aDouble":"1 "}`:                       "/aDouble: must be a number",
		`{"rString":["a",null]}`:                 "/rString/1: must be a string",
		`{"child":[]}`:                           "/child: must be an object",
		`{"rChild":{}}`:                          "/rChild: must be an array",
		`{"aString":"a` + "\x01" + `"}`:          "/aString: malformed JSON",
		`{"aString":"` + "\xff" + `"}`:           "/aString: text is not valid UTF-8",
		`{"aString":"\ud800"}`:                   "/aString: half of a surrogate pair in a string",
		`{"anInt32":01}`:                         "malformed JSON",
		`{"anInt32":+1}`:                         "/anInt32: malformed JSON",
		`{"aDouble":.5}`:                         "/aDouble: malformed JSON",
		`{"aDouble":1.}`:                         "/aDouble: must be a number",
		`{} {}`:                                  "malformed JSON",
		"{}\x00":                                 "malformed JSON",
		`{"child":{"child":`:                     "/child/child: the JSON ends too early",
		``:                                       "the JSON ends too early",
		`[]`:                                     "must be an object",
		`{"value":` + strings.Repeat("[", 99999): "deep",
		strings.Repeat(`{"child":`, 101) + `{}`:  "deep",
		`{"structure":{"a":{"b":1e400}}}`:        "/structure/a/b: is out of the range of a number",
		strings.Repeat(`{"any":{"@type":"wide.Three"`, 1) + `,"any":` + strings.Repeat(`{"@type":"google.protobuf.Any","value":`, 20): "",
	} {
		before := []byte("kept")
		got, err := c.Plan(x.message(t, "wide.Three")).AppendWire(before, []byte(in))
		var e *transcode.Error
		if !errors.As(err, &e) || string(got) != "kept" {
			t.Errorf("%.60s: %v, %q", in, err, got)
			continue
		}
		if e.Error() != want && (!strings.HasPrefix(want, "deep") || !strings.Contains(e.Error(), transcode.ErrDepth.Error())) && want != "" {
			t.Errorf("%.60s:\n got %.200s\nwant %s", in, e, want)
		}
	}
}

// TestWideMessage has a field with a low number at a position beyond one byte.
func TestWideMessage(t *testing.T) {
	wide := &descriptorpb.DescriptorProto{Name: new("Wide")}
	for i := range int32(300) {
		wide.Field = append(wide.Field, field(fmt.Sprintf("f%d", i), 300-i, text))
	}
	md := build(t, wide).Messages().Get(0)
	p := transcode.NewCompiler(transcode.Options{}).Plan(md)
	var parts []string
	for i := range 300 {
		parts = append(parts, fmt.Sprintf(`"f%d":"v%d"`, i, i))
	}
	want := "{" + strings.Join(parts, ",") + "}"
	wire, err := p.AppendWire(nil, []byte(want))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.AppendJSON(nil, wire); err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
	if got, err := p.AppendJSON(nil, append(wire, wire...)); err != nil || !same(t, got, []byte(want)) {
		t.Errorf("twice: %v\n%s", err, got)
	}
}

// TestWire is bytes that a writer in its right mind would not produce.
func TestWire(t *testing.T) {
	x := load(t)
	c := transcode.NewCompiler(transcode.Options{Files: x.files})
	tag := func(n protowire.Number, wt protowire.Type) []byte { return protowire.AppendTag(nil, n, wt) }
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for _, tt := range []struct {
		name string
		wire []byte
		want string // "" is an error
	}{
		{"empty packed chunk, then an unpacked element", join(tag(31, 2), []byte{0}, tag(31, 0), []byte{1}), `{"rInt32":[1]}`},
		{"packed and unpacked", join(tag(31, 0), []byte{1}, tag(31, 2), []byte{2, 2, 3}, tag(31, 0), []byte{4}), `{"rInt32":[1,2,3,4]}`},
		{"unpacked list comes packed", join(tag(32, 2), []byte{2, 2, 4}), `{"rSint64":["1","2"]}`},
		{"packed element cut off", join(tag(31, 2), []byte{1, 0x80}), ""},
		{"a field with another wire type is unknown", join(tag(1, 2), []byte{1, 0}, tag(2, 0), []byte{5}), `{"anInt32":5}`},
		{"a map with another wire type is unknown", join(tag(50, 0), []byte{1}), `{}`},
		{"a field number above the highest", protowire.AppendVarint(nil, 1<<32|2), ""},
		{"field number 0", []byte{0, 0}, ""},
		{"a Value without kind in a map", join(tag(57, 2), []byte{3, 0x0a, 1, 'k'}), `{"mValue":{"k":null}}`},
		{"an entry without key and value", join(tag(50, 2), []byte{0}), `{"mString":{"":""}}`},
		{"an entry with two keys", join(tag(50, 2), []byte{6, 0x0a, 1, 'a', 0x0a, 1, 'b'}), `{"mString":{"b":""}}`},
		{"a key twice", join(tag(51, 2), []byte{4, 8, 1, 16, 2}, tag(51, 2), []byte{4, 8, 1, 16, 4}), `{"mInt32":{"1":2}}`},
		{"a key twice, written in two ways", join(tag(51, 2), []byte{4, 8, 1, 16, 2}, tag(51, 2), []byte{5, 8, 0x81, 0, 16, 4}), `{"mInt32":{"1":2}}`},
		{"a malformed key", join(tag(50, 2), []byte{2, 0x0a, 9}), ""},
		{"a oneof twice", join(tag(70, 2), []byte{1, 'a'}, tag(75, 0), []byte{1}), `{"cBool":true}`},
		{"a oneof there and back", join(tag(72, 2), []byte{2, 8, 1}, tag(75, 0), []byte{1}, tag(72, 2), []byte{2, 16, 1}), `{"cChild":{"anInt32":1}}`},
		{"a message in two pieces", join(tag(17, 2), []byte{2, 8, 1}, tag(17, 2), []byte{2, 16, 1}), `{"child":{"aBool":true,"anInt32":1}}`},
		{"a Value with two kinds", join(tag(105, 2), []byte{5, 0x1a, 1, 'a', 0x20, 1}), `{"value":true}`},
		{"a group without its end", tag(200, 3), ""},
		{"an end without its group", tag(200, 4), ""},
		{"an unknown group", join(tag(200, 3), tag(1, 0), []byte{1}, tag(200, 4)), `{}`},
		{"text that is not UTF-8", join(tag(14, 2), []byte{1, 0xff}), ""},
		{"an Any of an unknown type", join(tag(100, 2), []byte{8, 0x0a, 3, 'x', '/', 'y', 0x12, 1, 'z'}), `{"any":{"@type":"x/y","value":"eg=="}}`},
		{"an Any with a value alone", join(tag(100, 2), []byte{3, 0x12, 1, 'z'}), ""},
		{"a Timestamp beyond the year 9999", join(tag(101, 2), []byte{7, 8}, protowire.AppendVarint(nil, 253402300800)), ""},
		{"a Timestamp without a form that a later one replaces", join(tag(101, 2), []byte{2, 16, 0x7f}, tag(101, 2), []byte{2, 16, 0}), `{"time":"1970-01-01T00:00:00Z"}`},
		{"an infinite Value", join(tag(105, 2), []byte{9, 0x11}, protowire.AppendFixed64(nil, 0x7ff0000000000000)), ""},
	} {
		got, err := c.Plan(x.message(t, "wide.Three")).AppendJSON([]byte("kept"), tt.wire)
		if tt.want == "" {
			if err == nil || string(got) != "kept" {
				t.Errorf("%s: accepted: %s", tt.name, got)
			}
			continue
		}
		if err != nil || string(got) != "kept"+tt.want {
			t.Errorf("%s: %s, %v; want %s", tt.name, got, err, tt.want)
		}
	}
	// A closed enum shows the number that it does not name.
	got, err := c.Plan(x.message(t, "wide.Two")).AppendJSON(nil, join(tag(3, 0), []byte{9}))
	if err != nil || string(got) != `{"closed":9}` {
		t.Errorf("closed enum: %s, %v", got, err)
	}
}

// TestImpostor has messages that only have the names of well-known types.
func TestImpostor(t *testing.T) {
	for _, name := range []string{"Any", "Timestamp", "Duration", "FieldMask", "Struct", "Value", "ListValue", "Empty", "StringValue"} {
		fd, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
			Name: new("t.proto"), Package: new("google.protobuf"), Syntax: new("proto3"),
			MessageType: []*descriptorpb.DescriptorProto{{Name: &name, Field: []*descriptorpb.FieldDescriptorProto{
				field("value", 2, integer), field("type_url", 1, integer),
			}}},
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		p := transcode.NewCompiler(transcode.Options{}).Plan(fd.Messages().Get(0))
		wire, err := p.AppendWire(nil, []byte(`{"value":"7"}`))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := p.AppendJSON(nil, wire); err != nil || string(got) != `{"value":"7"}` {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

// TestBounds is small wire that would be large JSON, and nesting.
func TestBounds(t *testing.T) {
	x := load(t)
	c := transcode.NewCompiler(transcode.Options{Files: x.files, EmitDefaults: true, MaxJSON: 1 << 20})
	p := c.Plan(x.message(t, "wide.Three"))
	empties := bytes.Repeat(append(protowire.AppendTag(nil, 39, 2), 0), 1<<20)
	if _, err := p.AppendJSON(nil, empties); !errors.Is(err, transcode.ErrTooLarge) {
		t.Errorf("a million empty messages: %v", err)
	}
	packed := append(protowire.AppendTag(nil, 38, 2), protowire.AppendBytes(nil, make([]byte, 1<<20))...)
	if _, err := p.AppendJSON(nil, packed); !errors.Is(err, transcode.ErrTooLarge) {
		t.Errorf("a million enums: %v", err)
	}
	// Each level comes in pieces, so that a second pass at each level would take 2^100 steps.
	nested := []byte{}
	for range 99 {
		nested = join(protowire.AppendTag(nil, 17, 2), protowire.AppendBytes(nil, nested), protowire.AppendTag(nil, 17, 2), []byte{0})
	}
	small := transcode.NewCompiler(transcode.Options{Files: x.files})
	if _, err := small.Plan(x.message(t, "wide.Three")).AppendJSON(nil, nested); err != nil {
		t.Errorf("99 levels in pieces: %v", err)
	}
	nested = join(protowire.AppendTag(nil, 17, 2), protowire.AppendBytes(nil, nested))
	nested = join(protowire.AppendTag(nil, 17, 2), protowire.AppendBytes(nil, nested))
	if _, err := p.AppendJSON(nil, nested); !errors.Is(err, transcode.ErrDepth) {
		t.Errorf("101 levels: %v", err)
	}
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
