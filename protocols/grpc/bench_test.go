package grpc

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
)

// BenchmarkGRPC is a unary call of a small tool over a connection in memory:
// client and server together.
func BenchmarkGRPC(b *testing.B) {
	c := client(b, frontend(b, newWorld(b), Options{}))
	ctx := as(b.Context(), "alice")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.CallTool(ctx, &gatewayv1.CallToolRequest{Name: "demo.echo", ArgumentsJson: `{"a":1,"b":2}`}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkService is the same call without a connection.
func BenchmarkService(b *testing.B) {
	s := &service{Frontend: frontend(b, newWorld(b), Options{}), via: "grpc"}
	ctx := newReader[int](b.Context(), principal("alice")).ctx
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.CallTool(ctx, &gatewayv1.CallToolRequest{Name: "demo.echo", ArgumentsJson: `{"a":1,"b":2}`}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkREST is the same call by REST, without a connection.
func BenchmarkREST(b *testing.B) {
	h := frontend(b, newWorld(b), Options{}).REST()
	ctx := newReader[int](b.Context(), principal("alice")).ctx
	body := []byte(`{"a":1,"b":2}`)
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/tools/demo.echo:call", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
}

// BenchmarkRESTTyped calls a tool by its typed path over a connection, and by turns
// a bare handler with the same answer that does no more than read its arguments
// as JSON and write the answer. The ratio is that of the times of whole calls.
func BenchmarkRESTTyped(b *testing.B) {
	w := newWorld(b)
	line := `{"sku":"A-1047","count":3,"price":19.90,"note":"by the door"}`
	answer := `{"orders":[` + strings.Repeat(`{"id":12345,"who":"Ada Lovelace","lines":[`+line+","+line+","+line+`]},`, 9) + `{"id":1,"who":"","lines":[]}]}`
	result := gateway.StructuredResult(json.RawMessage(answer))
	changed := w.registry.Changed()
	if err := w.funcs.AddTool(json.RawMessage(`{"name":"orders","inputSchema":{"type":"object","properties":{"customer":{"type":"string"},"limit":{"type":"integer"},
		"since":{"type":"string"},"states":{"type":"array","items":{"type":"string"}}}},"outputSchema":{"type":"object"}}`),
		func(context.Context, *gateway.Call) (*gateway.Result, error) { return result, nil }); err != nil {
		b.Fatal(err)
	}
	<-changed
	door := frontend(b, w, Options{}).REST()
	alice := principal("alice")
	typed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		door.ServeHTTP(w, r.WithContext(auth.With(r.Context(), alice)))
	}))
	defer typed.Close()
	type order struct {
		ID    int    `json:"id"`
		Who   string `json:"who"`
		Lines []struct {
			SKU   string  `json:"sku"`
			Count int     `json:"count"`
			Price float64 `json:"price"`
			Note  string  `json:"note"`
		} `json:"lines"`
	}
	var orders struct {
		Orders []order `json:"orders"`
	}
	if err := json.Unmarshal([]byte(answer), &orders); err != nil {
		b.Fatal(err)
	}
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Customer, Since string
			Limit           int
			States          []string
		}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<20)).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(orders)
	}))
	defer bare.Close()
	through := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<20))
		if err != nil || !json.Valid(body) {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	}))
	defer through.Close()

	const body = `{"customer":"ada@example.com","limit":10,"since":"2026-01-01T00:00:00Z","states":["open","paid","sent"],"unused":"a little more text here"}`
	servers := []*rawClient{dialRaw(b, typed.URL, "/v1/call/demo.orders", body), dialRaw(b, bare.URL, "/", body), dialRaw(b, through.URL, "/", body)}
	took := make([]time.Duration, len(servers))
	for b.Loop() {
		for i, c := range servers {
			start := time.Now()
			for range 20 {
				c.roundTrip(b)
			}
			took[i] += time.Since(start)
		}
	}
	b.ReportMetric(float64(took[0])/float64(took[1]), "ratio/bare")
	b.ReportMetric(float64(took[0])/float64(took[2]), "ratio/through")
	b.ReportMetric(float64(took[0].Nanoseconds())/float64(20*b.N), "ns/call")
}

// A rawClient sends the same request again and again.
type rawClient struct {
	conn    net.Conn
	request []byte
	r       *bufio.Reader
}

func dialRaw(b *testing.B, url, path, body string) *rawClient {
	b.Helper()
	host := strings.TrimPrefix(url, "http://")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return &rawClient{conn, fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, host, len(body), body), bufio.NewReader(conn)}
}

func (c *rawClient) roundTrip(b *testing.B) {
	if _, err := c.conn.Write(c.request); err != nil {
		b.Fatal(err)
	}
	res, err := http.ReadResponse(c.r, nil)
	if err != nil || res.StatusCode != http.StatusOK {
		b.Fatal(res, err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkDocument describes ten thousand tools to a caller.
func BenchmarkDocument(b *testing.B) {
	var tools gateway.Catalog
	for i := range 10_000 {
		t, err := gateway.ParseTool(fmt.Appendf(nil, `{"name":"tool_%d","description":"Does one of many things.","annotations":{"readOnlyHint":true},
			"inputSchema":{"type":"object","required":["id"],"properties":{"id":{"type":"string"},"limit":{"type":"integer","minimum":1},"sort":{"enum":["a","b"],"type":"string"}}},
			"outputSchema":{"type":"object","properties":{"items":{"type":"array","items":{"$ref":"#/$defs/item"}}},"$defs":{"item":{"type":"object","properties":{"name":{"type":"string"}}}}}}`, i))
		if err != nil {
			b.Fatal(err)
		}
		tools.Tools = append(tools.Tools, t)
	}
	h := frontend(b, newWorld(b), Options{}).rest.(*rest)
	b.ReportAllocs()
	for b.Loop() {
		s := &gateway.Snapshot{Tools: tools.Tools}
		if doc := h.document(s); doc.err != nil || doc.plain > 0 {
			b.Fatal(doc.err)
		}
	}
}
