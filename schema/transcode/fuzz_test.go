package transcode_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/trilith-gateway/trilith/schema/transcode"
)

// Go minimises what it finds by default and then runs almost nothing. Run both with
//
//	go test ./schema/transcode -run xxx -fuzz FuzzAppendJSON -fuzztime 5m -fuzzminimizetime 100x
//
// and look at how many executions there were.

func fuzzed(t testing.TB, x *fixture, which byte) protoreflect.MessageDescriptor {
	t.Helper()
	names := []protoreflect.FullName{"wide.Three", "wide.Two", "wide.Edition", "google.protobuf.Value", "google.protobuf.Any"}
	return x.message(t, names[int(which)%len(names)])
}

// FuzzAppendJSON says that what is read is what any protobuf library reads, and that it becomes the same JSON.
func FuzzAppendJSON(f *testing.F) {
	x := load(f)
	for i := range 60 {
		r := random{rand.New(rand.NewPCG(uint64(i), 2)), x}
		wire := r.wire(f, fuzzed(f, x, byte(i)))
		if len(wire) < 1500 {
			f.Add(byte(i), wire)
		}
	}
	c := x.plans()
	plain := transcode.NewCompiler(transcode.Options{Files: x.files, Dialect: transcode.ToolJSON})
	f.Fuzz(func(t *testing.T, which byte, wire []byte) {
		md := fuzzed(t, x, which)
		got, err := c.Plan(md).AppendJSON(nil, wire)
		if errors.Is(err, transcode.ErrDepth) || errors.Is(err, transcode.ErrTooLarge) {
			return
		}
		m, bad := x.decode(md, wire)
		if bad != nil {
			// What a later value replaces is not looked into.
			if err == nil && c.Plan(md).InOrder(wire) && !strings.Contains(bad.Error(), "invalid UTF-8") && !errors.Is(bad, errPanic) {
				t.Fatalf("accepted what the reference refuses (%v): %s", bad, got)
			}
			return
		}
		want, noJSON := x.json(m)
		switch {
		case err == nil && !json.Valid(got):
			t.Fatalf("not JSON: %s", got)
		case err != nil && noJSON == nil:
			t.Fatalf("refused (%v) what protojson writes: %s", err, want)
		case err != nil:
			return
		case noJSON == nil && !same(t, got, want) && !hasUnnamed(m):
			t.Fatalf("got  %s\nwant %s", got, want)
		}
		if tool, err := plain.Plan(md).AppendJSON(nil, wire); err == nil && !json.Valid(tool) {
			t.Fatalf("not JSON: %s", tool)
		}
	})
}

// hasUnnamed reports whether a closed enum came with a number that it does not name, which dynamicpb hides among the
// unknown fields.
func hasUnnamed(m protoreflect.Message) bool {
	if len(m.GetUnknown()) > 0 {
		return true
	}
	found := false
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap():
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				found = found || fd.MapValue().Message() != nil && hasUnnamed(v.Message())
				return true
			})
		case fd.Message() == nil:
		case fd.IsList():
			for i := range v.List().Len() {
				found = found || hasUnnamed(v.List().Get(i).Message())
			}
		case fd.Message().FullName() == "google.protobuf.Any":
			found = true // its message is not looked into
		default:
			found = hasUnnamed(v.Message())
		}
		return !found
	})
	return found
}

// FuzzAppendWire says that JSON that protojson reads is read alike.
func FuzzAppendWire(f *testing.F) {
	x := load(f)
	for i := range 60 {
		r := random{rand.New(rand.NewPCG(uint64(i), 3)), x}
		m, err := x.decode(fuzzed(f, x, byte(i)), r.wire(f, fuzzed(f, x, byte(i))))
		if err != nil {
			f.Fatal(err)
		}
		text, err := protojson.MarshalOptions{Resolver: x.types, AllowPartial: true}.Marshal(m)
		if err == nil && len(text) < 1500 {
			f.Add(byte(i), string(text))
		}
	}
	for _, text := range []string{`{"anInt32":1.0e1}`, `{"anInt64":"-0"}`, `{"aFloat":1e39}`, `{"time":"2026-01-01T00:00:00.5+01:00"}`, `{"duration":"-0.5s"}`, `{"duration":".s"}`, `{"someBytes":"_-8"}`, `{"cNull":null}`, `{"value":null}`, `{"rValue":[null]}`, `{"any":{}}`, `{"mBool":{"true":{}}}`, `{"a_bool":true}`, `{"aString":"\ud83d\ude00\/"}`} {
		f.Add(byte(0), text)
	}
	c := x.plans()
	f.Fuzz(func(t *testing.T, which byte, text string) {
		md := fuzzed(t, x, which)
		wire, err := c.Plan(md).AppendWire(nil, []byte(text))
		ref := dynamicpb.NewMessage(md)
		bad := x.back.Unmarshal([]byte(text), ref)
		if err != nil {
			if bad == nil && json.Valid([]byte(text)) && !strings.Contains(err.Error(), transcode.ErrDepth.Error()) {
				t.Fatalf("refused (%v) what protojson reads: %v", err, ref)
			}
			return
		}
		m, err := x.decode(md, wire)
		if err != nil {
			t.Fatalf("wrote what is no message: %v", err)
		}
		if !json.Valid([]byte(text)) {
			t.Fatalf("accepted what is not JSON")
		}
		if bad == nil && !equal(x, m, ref) {
			t.Fatalf("got  %v\nwant %v", m, ref)
		}
	})
}
