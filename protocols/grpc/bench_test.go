package grpc

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
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
