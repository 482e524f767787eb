package upstream_test

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/gatewaytest"
	"github.com/trilith-gateway/trilith/protocols/grpc/upstream"
	"github.com/trilith-gateway/trilith/schema/transcode"
)

// search is the payload of the benchmarks: a small request, and ten orders of three lines each.
const searchRequest = `{"query":"blue widgets","limit":50,"filters":{"status":"shipped","minTotal":19.5,"tags":["vip","eu"],"labels":{"team":"a"}},"includeLines":true}`

// orders returns the descriptors of the orders service, and its response as wire bytes.
func orders(b *testing.B) (*descriptorpb.FileDescriptorSet, []byte) {
	b.Helper()
	data, err := os.ReadFile("../../../schema/transcode/testdata/wide.binpb")
	if err != nil {
		b.Fatal(err)
	}
	var all, set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(data, &all); err != nil {
		b.Fatal(err)
	}
	for _, f := range all.GetFile() {
		if f.GetName() != "wide/orders.proto" {
			continue
		}
		f.Service = []*descriptorpb.ServiceDescriptorProto{{Name: new("Orders"), Method: []*descriptorpb.MethodDescriptorProto{{
			Name: new("Search"), InputType: new(".wide.SearchRequest"), OutputType: new(".wide.SearchResponse"),
		}}}}
		set.File = []*descriptorpb.FileDescriptorProto{f}
	}
	s := &fakeServer{}
	s.describe(b, &set)
	d, err := s.FindDescriptorByName("wide.Orders")
	if err != nil {
		b.Fatal(err)
	}
	out := d.ParentFile().Services().Get(0).Methods().Get(0).Output()
	response, err := transcode.NewCompiler(transcode.Options{}).Plan(out).AppendWire(nil, searchResponse(b))
	if err != nil {
		b.Fatal(err)
	}
	return &set, response
}

func searchResponse(b *testing.B) []byte {
	b.Helper()
	type line struct {
		SKU   string  `json:"sku"`
		Qty   int     `json:"qty"`
		Price float64 `json:"price"`
	}
	type order struct {
		ID        string  `json:"id"`
		Total     float64 `json:"total"`
		Status    string  `json:"status"`
		CreatedAt string  `json:"createdAt"`
		Paid      bool    `json:"paid"`
		Lines     []line  `json:"lines"`
	}
	items := make([]order, 10)
	for i := range items {
		items[i] = order{"ord_0000001", 99.95, "shipped", "2026-11-23T09:00:00Z", i%2 == 0, []line{{"SKU-0001", 1, 12.5}, {"SKU-0002", 2, 25}, {"SKU-0003", 3, 37.5}}}
	}
	text, err := json.Marshal(map[string]any{"items": items, "nextPageToken": "bmV4dA==", "totalCount": 1234})
	if err != nil {
		b.Fatal(err)
	}
	return text
}

// backend answers every call with the same bytes.
func backend(b *testing.B, response []byte) string {
	b.Helper()
	s := grpc.NewServer(grpc.ForceServerCodecV2(rawFrames{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		var in []byte
		if err := stream.RecvMsg(&in); err != nil {
			return err
		}
		return stream.SendMsg(response)
	}))
	return listen(b, s)
}

func listen(b testing.TB, s *grpc.Server) string {
	b.Helper()
	lis, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(lis) }()
	b.Cleanup(func() { s.Stop(); <-done })
	return lis.Addr().String()
}

// BenchmarkUpstream compares a call through the upstream, from JSON to JSON, with what a bare proxy of grpc-go does at
// least: the same request with its bytes passed through. Both include the server that answers.
func BenchmarkUpstream(b *testing.B) {
	set, response := orders(b)
	addr := backend(b, response)
	b.Run("upstream", func(b *testing.B) {
		u := upstreamTo(b, addr, func(o *upstream.Options) { o.Reflection, o.Descriptors = false, set })
		watch(b, u).catalog(b)
		c := &gateway.Call{
			Op: gateway.OpCall, Args: json.RawMessage(searchRequest), Principal: gatewaytest.Caller(),
			Target: &gateway.Capability{Kind: gateway.KindTool, Origin: "Orders.Search"},
		}
		b.ReportAllocs()
		defer reportCPU(b)()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := u.Do(b.Context(), c); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	b.Run("bare", func(b *testing.B) {
		conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		request := []byte(searchRequest)[:58]
		b.ReportAllocs()
		defer reportCPU(b)()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				var out []byte
				ctx, cancel := context.WithTimeout(b.Context(), bareTimeout)
				err := conn.Invoke(ctx, "/wide.Orders/Search", request, &out, grpc.ForceCodecV2(rawFrames{}))
				cancel()
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

// reportCPU reports the processor time of the whole process for each operation, which other load on the machine does
// not change.
func reportCPU(b *testing.B) func() {
	b.Helper()
	used := func() time.Duration {
		var r unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
			b.Fatal(err)
		}
		return time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}

const bareTimeout = 30 * time.Second
