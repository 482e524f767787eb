package transcode_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/trilith-gateway/trilith/schema/transcode"
)

// fixture is the messages of testdata.
type fixture struct {
	files *protoregistry.Files
	types *dynamicpb.Types
	ref   protojson.MarshalOptions
	back  protojson.UnmarshalOptions
}

func load(t testing.TB) *fixture {
	t.Helper()
	b, err := os.ReadFile("testdata/wide.binpb")
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
	types := dynamicpb.NewTypes(files)
	return &fixture{
		files: files,
		types: types,
		ref:   protojson.MarshalOptions{EmitDefaultValues: true, AllowPartial: true, Resolver: types},
		back:  protojson.UnmarshalOptions{AllowPartial: true, Resolver: types},
	}
}

func (x *fixture) message(t testing.TB, name protoreflect.FullName) protoreflect.MessageDescriptor {
	t.Helper()
	d, err := x.files.FindDescriptorByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return d.(protoreflect.MessageDescriptor)
}

// errPanic is the reference's panic over keys of maps that have another wire type (protobuf-go 1.36).
var errPanic = errors.New("panic")

// decode reads wire bytes as any protobuf library does.
func (x *fixture) decode(md protoreflect.MessageDescriptor, wire []byte) (m *dynamicpb.Message, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errPanic, r)
		}
	}()
	m = dynamicpb.NewMessage(md)
	return m, proto.UnmarshalOptions{AllowPartial: true, Resolver: x.types}.Unmarshal(wire, m)
}

// json is what protojson writes.
func (x *fixture) json(m proto.Message) (text []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errPanic, r)
		}
	}()
	return x.ref.Marshal(m)
}

// plans compiles the dialect that is compared with protojson.
func (x *fixture) plans() *transcode.Compiler {
	return transcode.NewCompiler(transcode.Options{Files: x.files, EmitDefaults: true})
}

// same reports whether two JSON texts mean the same.
func same(t testing.TB, a, b []byte) bool {
	t.Helper()
	return reflect.DeepEqual(meaning(t, a), meaning(t, b))
}

func meaning(t testing.TB, text []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, text)
	}
	return v
}

// random fills a message.
type random struct {
	*rand.Rand
	x *fixture
}

func (r random) message(m protoreflect.Message, depth int) {
	if r.known(m, depth) {
		return
	}
	fields := m.Descriptor().Fields()
	share := min(1, 12/float64(fields.Len()+1))
	for i := range fields.Len() {
		if r.Float64() < share {
			r.field(m, fields.Get(i), depth)
		}
	}
	if m.Descriptor().FullName() == "wide.Two" {
		for _, name := range []protoreflect.FullName{"wide.note", "wide.counts", "wide.nested", "wide.Scope.scoped"} {
			if xt, err := r.x.types.FindExtensionByName(name); err == nil && r.IntN(3) == 0 {
				r.field(m, xt.TypeDescriptor(), depth)
			}
		}
	}
}

func (r random) field(m protoreflect.Message, fd protoreflect.FieldDescriptor, depth int) {
	deep := fd.Message() != nil && !fd.IsMap() || fd.IsMap() && fd.MapValue().Message() != nil
	if deep && depth > 3 {
		return
	}
	switch {
	case fd.IsMap():
		v := m.Mutable(fd).Map()
		for range r.IntN(4) {
			v.Set(r.scalar(fd.MapKey()).MapKey(), r.value(fd.MapValue(), func() protoreflect.Value { return v.NewValue() }, depth))
		}
	case fd.IsList():
		v := m.Mutable(fd).List()
		for range r.IntN(4) {
			v.Append(r.value(fd, func() protoreflect.Value { return v.NewElement() }, depth))
		}
	default:
		m.Set(fd, r.value(fd, func() protoreflect.Value { return m.NewField(fd) }, depth))
	}
}

func (r random) value(fd protoreflect.FieldDescriptor, fresh func() protoreflect.Value, depth int) protoreflect.Value {
	if fd.Message() == nil {
		return r.scalar(fd)
	}
	v := fresh()
	r.message(v.Message(), depth+1)
	return v
}

func (r random) scalar(fd protoreflect.FieldDescriptor) protoreflect.Value {
	n := r.Uint64() >> r.IntN(64)
	if r.IntN(2) == 0 {
		n = -n
	}
	switch fd.Kind() { //nolint:exhaustive // The others are alike.
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(n&1 == 1)
	case protoreflect.EnumKind:
		values := fd.Enum().Values()
		if r.IntN(8) == 0 && !fd.Enum().IsClosed() && fd.Enum().FullName() != "google.protobuf.NullValue" {
			return protoreflect.ValueOfEnum(protoreflect.EnumNumber(int32(n)))
		}
		return protoreflect.ValueOfEnum(values.Get(r.IntN(values.Len())).Number())
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(n))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(n))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(int64(n))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(n)
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(r.float()))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(r.float())
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(r.text()))
	default:
		return protoreflect.ValueOfString(r.text())
	}
}

func (r random) float() float64 {
	switch r.IntN(8) {
	case 0:
		return math.NaN()
	case 1:
		return math.Inf(1 - 2*r.IntN(2))
	case 2:
		return math.Copysign(0, -1)
	case 3:
		return r.NormFloat64() * math.Pow(10, float64(r.IntN(60)-30))
	default:
		return float64(r.IntN(2000)-1000) / 4
	}
}

func (r random) text() string {
	const letters = "ab\"\\\n\r\t\x00\x1f\x7f{}[],: /é日😀\u2028<>&"
	all := []rune(letters)
	var b strings.Builder
	for range r.IntN(12) {
		b.WriteRune(all[r.IntN(len(all))])
	}
	return b.String()
}

// known fills the well-known types in such a way that they have a JSON form.
func (r random) known(m protoreflect.Message, depth int) bool {
	fields := m.Descriptor().Fields()
	set := func(number protoreflect.FieldNumber, v protoreflect.Value) { m.Set(fields.ByNumber(number), v) }
	switch m.Descriptor().FullName() {
	case "google.protobuf.Timestamp":
		set(1, protoreflect.ValueOfInt64(r.Int64N(253402300799+62135596800)-62135596800))
		set(2, protoreflect.ValueOfInt32(r.nanos()))
	case "google.protobuf.Duration":
		sign := int64(1 - 2*r.IntN(2))
		set(1, protoreflect.ValueOfInt64(sign*(r.Int64N(315576000000)>>r.IntN(39))))
		set(2, protoreflect.ValueOfInt32(int32(sign)*r.nanos()))
	case "google.protobuf.FieldMask":
		paths := m.Mutable(fields.ByNumber(1)).List()
		for range r.IntN(3) {
			paths.Append(protoreflect.ValueOfString([]string{"foo", "foo_bar.baz", "a_b_c", "x1.y_z"}[r.IntN(4)]))
		}
	case "google.protobuf.Value":
		n := protoreflect.FieldNumber(1 + r.IntN(6))
		if n == 1 || n > 4 && depth > 4 {
			set(1, protoreflect.ValueOfEnum(0))
			return true
		}
		if n == 2 {
			set(2, protoreflect.ValueOfFloat64(float64(r.IntN(2000))/8))
			return true
		}
		r.field(m, fields.ByNumber(n), depth-1)
		if !m.Has(fields.ByNumber(n)) {
			set(1, protoreflect.ValueOfEnum(0))
		}
	case "google.protobuf.Any":
		name := []protoreflect.FullName{"wide.Three", "wide.Two", "wide.Edition", "google.protobuf.Duration", "google.protobuf.Value", "google.protobuf.Empty", "google.protobuf.Any", "google.protobuf.Int64Value", ""}[r.IntN(9)]
		if name == "" {
			return true
		}
		mt, err := r.x.types.FindMessageByName(name)
		if err != nil {
			panic(err)
		}
		inner := mt.New()
		r.message(inner, depth+2)
		if b, ok := inner.Interface().(*dynamicpb.Message); ok {
			if name == "google.protobuf.Value" && !b.Has(b.Descriptor().Fields().ByNumber(1)) && b.WhichOneof(b.Descriptor().Oneofs().Get(0)) == nil {
				return true
			}
		}
		b, err := proto.MarshalOptions{AllowPartial: true}.Marshal(inner.Interface())
		if err != nil {
			panic(err)
		}
		set(1, protoreflect.ValueOfString("type.googleapis.com/"+string(name)))
		set(2, protoreflect.ValueOfBytes(b))
	default:
		return false
	}
	return true
}

func (r random) nanos() int32 {
	return []int32{0, 5_000_000, 123_000, 7, 999_999_999}[r.IntN(5)]
}
