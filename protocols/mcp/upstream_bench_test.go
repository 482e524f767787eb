package mcp_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/trilith-gateway/trilith/gateway/gatewaytest"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// BenchmarkUpstream measures a call to a server that does the least that it
// can: over HTTP a bare handler, and on a pipe this package's own frontend.
func BenchmarkUpstream(b *testing.B) {
	run := func(b *testing.B, u *mcp.Upstream, tool, args string) {
		call := toolCall(tool, args)
		if _, err := u.Do(b.Context(), call); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := u.Do(b.Context(), call); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	b.Run("HTTP", func(b *testing.B) {
		least := bare()
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Mcp-Method") == "server/discover" {
				fake(nil, func(r *received) { r.result(modernDiscover) }).ServeHTTP(w, r)
				return
			}
			least.ServeHTTP(w, r)
		}))
		defer s.Close()
		run(b, openUpstream(b, mcp.UpstreamOptions{URL: s.URL}), "tool_042", `{"city":"Zurich","days":3}`)
	})
	b.Run("Stdio", func(b *testing.B) {
		run(b, openUpstream(b, program(b, "fixture")), gatewaytest.ToolEcho, `{"text":"hello"}`)
	})
}
