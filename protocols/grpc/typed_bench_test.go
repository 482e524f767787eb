//go:build unix

package grpc

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/grpc/testdata/orders"
)

// searchTool is the tool whose typed service is like testdata/orders.
const searchTool = `{"name":"search","inputSchema":{"type":"object","properties":{"query":{"type":"string"},"limit":{"type":"integer"},"include_lines":{"type":"boolean"},
	"filters":{"type":"object","properties":{"status":{"type":"string"},"min_total":{"type":"number"},"tags":{"type":"array","items":{"type":"string"}},
	"labels":{"type":"object","additionalProperties":{"type":"string"}}}}}},
	"outputSchema":{"type":"object","properties":{"items":{"type":"array","items":{"type":"object","properties":{"id":{"type":"string"},"total":{"type":"number"},"status":{"type":"string"},
	"created_at":{"type":"string"},"paid":{"type":"boolean"},"lines":{"type":"array","items":{"type":"object","properties":{"sku":{"type":"string"},"qty":{"type":"integer"},"price":{"type":"number"}}}}}}},
	"next_page_token":{"type":"string"},"total_count":{"type":"integer"}}}}`

// searchAnswer is ten orders of three lines each.
func searchAnswer() json.RawMessage {
	var items []string
	for i := range 10 {
		var lines []string
		for j := range 3 {
			lines = append(lines, fmt.Sprintf(`{"sku":"SKU-%04d-%d","qty":%d,"price":%d.5}`, i, j, j+1, 10*j+3))
		}
		items = append(items, fmt.Sprintf(`{"id":"ord_%06d","total":%d.25,"status":"shipped","created_at":"2026-11-23T10:00:%02dZ","lines":[%s],"paid":true}`,
			i, 100+i, i, strings.Join(lines, ",")))
	}
	return json.RawMessage(`{"items":[` + strings.Join(items, ",") + `],"next_page_token":"abc","total_count":1234}`)
}

// written is the service as it is written by hand: it answers what it has ready.
type written struct {
	orders.UnimplementedOrdersServer
	answer *orders.SearchResponse
}

func (w *written) Search(_ context.Context, req *orders.SearchRequest) (*orders.SearchResponse, error) {
	if req.GetQuery() == "" {
		return nil, errUnknown()
	}
	return w.answer, nil
}

// A rival is a server in the comparison.
type rival struct {
	conn    *grpc.ClientConn
	method  string
	message []byte
	want    int // bytes of the answer
}

func newRival(b *testing.B, s *grpc.Server, method string, message []byte) *rival {
	b.Helper()
	l, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() { _ = s.Serve(l) })
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close(); s.Stop(); served.Wait() })
	r := &rival{conn: conn, method: method, message: message}
	r.call(b)
	return r
}

func (r *rival) call(b *testing.B) {
	var out []byte
	if err := r.conn.Invoke(as(b.Context(), "alice"), r.method, &r.message, &out, grpc.ForceCodecV2(raw{"proto"})); err != nil {
		b.Error(err)
	}
	r.want = len(out)
}

// round makes calls by 16 callers and returns the CPU time of each, client and
// server together, in nanoseconds.
func (r *rival) round(b *testing.B, calls int) float64 {
	before := cpuTime()
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			for range calls / 16 {
				r.call(b)
			}
		})
	}
	callers.Wait()
	return float64(cpuTime()-before) / float64(calls/16*16)
}

func cpuTime() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkTyped holds a call of a typed method against one of generated code
// that does no JSON, with the same messages, and CallTool; what counts is the
// ratio, the median of those of alternating rounds.
func BenchmarkTyped(b *testing.B) {
	w := newWorld(b)
	answer := searchAnswer()
	result := gateway.StructuredResult(answer)
	if err := w.funcs.AddTool(json.RawMessage(searchTool), func(context.Context, *gateway.Call) (*gateway.Result, error) { return result, nil }); err != nil {
		b.Fatal(err)
	}
	w.settle(b, func(s *gateway.Snapshot) bool { return s.Tool("demo.search") != nil })
	f := typed(b, w, Options{})
	m := f.types.Load().methods["/"+demoService+"/Search"]
	ask, err := m.in.AppendWire(nil, []byte(`{"query":"shoes","limit":10,"filters":{"status":"shipped","min_total":10.5,"tags":["a","b"],"labels":{"region":"eu"}},"include_lines":true}`))
	if err != nil {
		b.Fatal(err)
	}
	byHand := &orders.SearchRequest{Query: new("shoes"), Limit: new(int64(10)), IncludeLines: new(true), Filters: &orders.SearchRequest_Filters{
		Status: new("shipped"), MinTotal: new(10.5), Tags: []string{"a", "b"}, Labels: map[string]string{"region": "eu"},
	}}
	asked, err := proto.Marshal(byHand)
	if err != nil {
		b.Fatal(err)
	}
	ready := &orders.SearchResponse{}
	for i := range 10 {
		o := &orders.SearchResponse_Order{
			Id: new(fmt.Sprintf("ord_%06d", i)), Total: new(100.25 + float64(i)), Status: new("shipped"), CreatedAt: new(fmt.Sprintf("2026-11-23T10:00:%02dZ", i)), Paid: new(true),
		}
		for j := range 3 {
			o.Lines = append(o.Lines, &orders.SearchResponse_Order_Line{Sku: new(fmt.Sprintf("SKU-%04d-%d", i, j)), Qty: new(int64(j + 1)), Price: new(float64(10*j) + 3.5)})
		}
		ready.Items = append(ready.Items, o)
	}
	ready.NextPageToken, ready.TotalCount = new("abc"), new(int64(1234))
	hand := grpc.NewServer(door()...)
	orders.RegisterOrdersServer(hand, &written{answer: ready})
	rivals := []*rival{
		newRival(b, hand, "/bench.orders.Orders/Search", asked),
		newRival(b, f.Server(door()...), "/"+demoService+"/Search", ask),
	}
	if rivals[0].want != rivals[1].want {
		b.Fatalf("the answers have %d and %d bytes", rivals[0].want, rivals[1].want)
	}
	for _, r := range rivals {
		r.round(b, 2000)
	}
	var ratios, costs []float64
	for b.Loop() {
		floor, cost := rivals[0].round(b, 2000), rivals[1].round(b, 2000)
		ratios, costs = append(ratios, cost/floor), append(costs, cost)
	}
	slices.Sort(ratios)
	slices.Sort(costs)
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(costs[len(costs)/2], "cpu-ns/call")
}
