package transcode_test

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/trilith-gateway/trilith/schema/protoschema"
	"github.com/trilith-gateway/trilith/schema/transcode"
)

// bridged are the messages of the tests that a bridge leads from.
var bridged = []protoreflect.FullName{"wide.Three", "wide.Edition", "wide.SearchResponse"}

// bridges returns, for each of those messages, the bridge to what a door makes of its JSON Schema.
func bridges(t testing.TB, x *fixture) map[protoreflect.FullName]*transcode.Bridge {
	t.Helper()
	all := map[protoreflect.FullName]*transcode.Bridge{}
	for _, name := range bridged {
		if all[name] = bridgeFrom(t, x, name); all[name] == nil {
			t.Fatalf("%s: there is no bridge", name)
		}
	}
	return all
}

func bridgeFrom(t testing.TB, x *fixture, name protoreflect.FullName) *transcode.Bridge {
	t.Helper()
	from, md := x.plans(), x.message(t, name)
	text, _, err := protoschema.NewFrom(from, nil).Schema(md, protoschema.ForOutput)
	if err != nil {
		t.Fatal(err)
	}
	module, err := protoschema.Compile([]protoschema.Method{{Key: "tool/m", Name: "m", Input: []byte(`{"type":"object"}`), Output: text}}, protoschema.NewLock("wide", "trilith.wide.v1"))
	if err != nil {
		t.Fatal(err)
	}
	to := transcode.NewCompiler(transcode.Options{
		Dialect: transcode.ToolJSON, Absent: module.Absent, Inline: module.Inline, Whole: module.Whole,
	})
	return transcode.NewBridge(from.Plan(md), to.Plan(module.RPCs[0].Output))
}

// TestNoBridge has messages that are not all known by name: with extensions, and with forms of their own.
func TestNoBridge(t *testing.T) {
	x := load(t)
	for _, name := range []protoreflect.FullName{"wide.Two", "google.protobuf.Struct", "google.protobuf.Any"} {
		if bridgeFrom(t, x, name) != nil {
			t.Errorf("%s has a bridge", name)
		}
	}
}

// compareBridge holds what a bridge makes of a message against what the two plans make of it, and reports whether it
// got across.
func compareBridge(t *testing.T, b *transcode.Bridge, wire []byte) bool {
	t.Helper()
	text, err := b.From().AppendJSON(nil, wire)
	var want []byte
	if err == nil {
		want, err = b.To().AppendWire(nil, text)
	}
	got, failed := b.Append([]byte("before"), wire)
	switch {
	case failed != nil && string(got) != "before":
		t.Errorf("an error came with %q", got)
	case failed != nil && err == nil && b.From().InOrder(wire):
		t.Errorf("the bridge does not take what the plans take: %v\n%s", failed, text)
	case failed == nil && err != nil:
		t.Errorf("the bridge takes what the plans refuse: %v\n%s", err, hex.Dump(wire))
	case failed == nil && !bytes.Equal(got[len("before"):], want):
		t.Errorf("the bridge made %x, the plans made %x of %s", got[len("before"):], want, text)
	}
	return failed == nil
}

// TestBridge sends random messages of every kind of field, whole and in pieces, across.
func TestBridge(t *testing.T) {
	x := load(t)
	for name, b := range bridges(t, x) {
		across := 0
		for seed := range uint64(200) {
			r := random{rand.New(rand.NewPCG(seed, 4)), x}
			wire := r.wire(t, b.From().Descriptor())
			switch seed % 8 {
			case 1:
				wire = r.shuffled(wire)
			case 2:
				wire = r.shuffled(append(wire, r.wire(t, b.From().Descriptor())...))
			case 3:
				wire = wire[:r.IntN(len(wire)+1)]
			case 4:
				for range 1 + r.IntN(3) {
					if len(wire) > 0 {
						wire[r.IntN(len(wire))] ^= 1 << r.IntN(8)
					}
				}
			}
			if compareBridge(t, b, wire) {
				across++
			}
			if t.Failed() {
				t.Fatalf("%s, seed %d", name, seed)
			}
		}
		if across < 50 {
			t.Errorf("%s: %d of 200 messages got across", name, across)
		}
	}
}

// FuzzBridge says that a bridge makes of any bytes what the two plans make of them, or nothing.
func FuzzBridge(f *testing.F) {
	x := load(f)
	all := bridges(f, x)
	for i := range 40 {
		r := random{rand.New(rand.NewPCG(uint64(i), 5)), x}
		if wire := r.wire(f, all[bridged[i%len(bridged)]].From().Descriptor()); len(wire) < 1500 {
			f.Add(byte(i), wire)
		}
	}
	f.Fuzz(func(t *testing.T, which byte, wire []byte) {
		compareBridge(t, all[bridged[int(which)%len(bridged)]], wire)
	})
}
