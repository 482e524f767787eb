package transcode_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/trilith-gateway/trilith/schema/transcode"
)

// ordersText is a response of ten orders with three lines each.
func ordersText() []byte {
	var items []string
	for i := range 10 {
		var lines []string
		for j := range 3 {
			lines = append(lines, fmt.Sprintf(`{"sku":"SKU-%04d-%d","qty":%d,"price":%g}`, i, j, j+1, 12.5*float64(j+1)))
		}
		items = append(items, fmt.Sprintf(`{"id":"ord_%08d","total":%g,"status":"shipped","createdAt":"2026-11-23T09:00:00Z","paid":%t,"lines":[%s]}`,
			i, 99.95+float64(i), i%2 == 0, strings.Join(lines, ",")))
	}
	return []byte(`{"items":[` + strings.Join(items, ",") + `],"nextPageToken":"bmV4dC1wYWdl","totalCount":1234}`)
}

// BenchmarkPlan compares a plan with what protobuf-go offers for messages that are known at run time.
func BenchmarkPlan(b *testing.B) {
	x := load(b)
	md := x.message(b, "wide.SearchResponse")
	plan := transcode.NewCompiler(transcode.Options{Files: x.files}).Plan(md)
	text := ordersText()
	wire, err := plan.AppendWire(nil, text)
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, 2*len(text))
	b.Run("JSON/plan", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := plan.AppendJSON(buf, wire); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("JSON/dynamicpb", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m := dynamicpb.NewMessage(md)
			if err := proto.Unmarshal(wire, m); err != nil {
				b.Fatal(err)
			}
			if _, err := protojson.Marshal(m); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("wire/plan", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := plan.AppendWire(buf, text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("wire/dynamicpb", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m := dynamicpb.NewMessage(md)
			if err := protojson.Unmarshal(text, m); err != nil {
				b.Fatal(err)
			}
			if _, err := proto.Marshal(m); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkBridge compares the two ways from an upstream's message to that of a door.
func BenchmarkBridge(b *testing.B) {
	x := load(b)
	bridge := bridges(b, x)["wide.SearchResponse"]
	wire, err := bridge.From().AppendWire(nil, ordersText())
	if err != nil {
		b.Fatal(err)
	}
	text, out := make([]byte, 0, 4*len(wire)), make([]byte, 0, 2*len(wire))
	b.Run("JSON", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			text, err := bridge.From().AppendJSON(text, wire)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := bridge.To().AppendWire(out, text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bridge", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := bridge.Append(out, wire); err != nil {
				b.Fatal(err)
			}
		}
	})
}
