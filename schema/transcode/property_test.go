package transcode_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/trilith-gateway/trilith/schema/transcode"
)

// TestAgainstProtojson compares random messages of every kind of field, whole and in pieces, with protojson.
func TestAgainstProtojson(t *testing.T) {
	x := load(t)
	c := x.plans()
	for _, name := range []protoreflect.FullName{"wide.Three", "wide.Two", "wide.Edition", "google.protobuf.Struct", "google.protobuf.Any"} {
		md := x.message(t, name)
		plan := c.Plan(md)
		for seed := range uint64(24) {
			r := random{rand.New(rand.NewPCG(seed, 1)), x}
			wire := r.wire(t, md)
			switch seed % 3 {
			case 1: // merged with another message
				wire = append(wire, r.wire(t, md)...)
			case 2: // merged, and in any order
				wire = r.shuffled(append(wire, r.wire(t, md)...))
			}
			compareJSON(t, x, plan, wire)
			if t.Failed() {
				t.Fatalf("%s, seed %d", name, seed)
			}
		}
	}
}

// compareJSON takes wire bytes to JSON and back, and protojson does the same.
func compareJSON(t *testing.T, x *fixture, plan *transcode.Plan, wire []byte) {
	t.Helper()
	m, err := x.decode(plan.Descriptor(), wire)
	if err != nil {
		t.Errorf("the reference does not read the wire: %v", err)
		return
	}
	want, err := x.json(m)
	if err != nil {
		return // it has no JSON form: two random messages can make a Duration of both signs
	}
	got, err := plan.AppendJSON([]byte("before"), wire)
	if err != nil {
		t.Errorf("AppendJSON: %v; protojson has %s", err, want)
		return
	}
	got = bytes.TrimPrefix(got, []byte("before"))
	if !same(t, got, want) {
		t.Errorf("AppendJSON (-want +got):\n%s\n%s", cmp.Diff(meaning(t, want), meaning(t, got)), got)
		return
	}
	for _, text := range [][]byte{got, want} {
		ref := dynamicpb.NewMessage(plan.Descriptor())
		if err := x.back.Unmarshal(text, ref); err != nil {
			t.Errorf("protojson does not read back: %v\n%s", err, text)
			return
		}
		back, err := plan.AppendWire(nil, text)
		if err != nil {
			t.Errorf("AppendWire: %v\n%s", err, text)
			return
		}
		if mine, err := x.decode(plan.Descriptor(), back); err != nil || !equal(x, mine, ref) {
			t.Errorf("AppendWire: %v\n got %v\nwant %v\nfrom %s", err, mine, ref, text)
			return
		}
	}
}

// equal compares what the messages say: two encodings of an Any are equal where their JSON is.
func equal(x *fixture, a, b proto.Message) bool {
	if proto.Equal(a, b) {
		return true
	}
	p, err := x.json(a)
	if err != nil {
		return false
	}
	q, err := x.json(b)
	if err != nil {
		return false
	}
	return string(p) == string(q)
}

func (r random) wire(t testing.TB, md protoreflect.MessageDescriptor) []byte {
	t.Helper()
	m := dynamicpb.NewMessage(md)
	r.message(m, 0)
	b, err := proto.MarshalOptions{AllowPartial: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// shuffled puts the fields of a message into another order.
func (r random) shuffled(b []byte) []byte {
	var parts [][]byte
	for len(b) > 0 {
		_, _, n := protowire.ConsumeField(b)
		parts = append(parts, b[:n])
		b = b[n:]
	}
	r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	return bytes.Join(parts, nil)
}
