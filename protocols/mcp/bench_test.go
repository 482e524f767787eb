package mcp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// benchTools adds a hundred tools with schemas of ordinary size.
func benchTools(t testing.TB) *gateway.Funcs {
	f := &gateway.Funcs{}
	reply := &gateway.Result{Raw: json.RawMessage(`{"content":[{"type":"text","text":"The quick brown fox jumps over the lazy dog; 0123456789; weather in Zurich is 21C, wind 3 m/s, humid."}]}`)}
	for i := range 100 {
		def := fmt.Sprintf(`{"name":"tool_%03d","description":"Tool number %d: looks up the weather forecast and returns a short text summary for a city.","inputSchema":{"type":"object","properties":{"city":{"type":"string","description":"City name or postal code to look up","minLength":1,"maxLength":200},"units":{"type":"string","enum":["metric","imperial","standard"],"default":"metric"},"days":{"type":"integer","minimum":1,"maximum":16,"description":"Number of forecast days"},"filter":{"type":"object","properties":{"from":{"type":"string","format":"date-time"},"to":{"type":"string","format":"date-time"},"tags":{"type":"array","items":{"type":"string"},"maxItems":32}},"additionalProperties":false}},"required":["city"],"additionalProperties":false}}`, i, i)
		if err := f.AddTool(json.RawMessage(def), func(context.Context, *gateway.Call) (*gateway.Result, error) { return reply, nil }); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// benchFrontend returns the frontend alone: the gateway behind it has no gates.
func benchFrontend(t testing.TB) *mcp.Frontend {
	reg := &gateway.Registry{}
	f := benchTools(t)
	for c, err := range f.Watch(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if err := reg.Attach("bench", f, c, gateway.Options{}); err != nil {
			t.Fatal(err)
		}
		break
	}
	gw, err := gateway.New(reg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return mcp.NewFrontend(gw, mcp.FrontendOptions{})
}

const (
	benchModernCall = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"tool_042","arguments":{"city":"Zurich","days":3},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"}}}}`
	benchModernList = `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"}}}}`
	benchLegacyCall = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"tool_042","arguments":{"city":"Zurich","days":3}}}`
	benchLegacyList = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
)

func benchHeader(body, session string) http.Header {
	h := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
	if session != "" {
		h.Set("Mcp-Session-Id", session)
		h.Set("MCP-Protocol-Version", "2025-11-25")
		return h
	}
	h.Set("MCP-Protocol-Version", "2026-07-28")
	h.Set("Mcp-Method", "tools/list")
	if strings.Contains(body, "tools/call") {
		h.Set("Mcp-Method", "tools/call")
		h.Set("Mcp-Name", "tool_042")
	}
	return h
}

func benchSession(t testing.TB, h http.Handler) string {
	r := httptest.NewRequestWithContext(auth.With(t.Context(), benchPrincipal), "POST", "/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Header().Get("Mcp-Session-Id")
}

var benchPrincipal = &gateway.Principal{ID: "test|user|bench"}

// sink is a response that costs nothing.
type sink struct {
	h      http.Header
	n      int
	status int
}

func (s *sink) Header() http.Header         { return s.h }
func (s *sink) Write(b []byte) (int, error) { s.n += len(b); return len(b), nil }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Flush()                      {}

func (s *sink) SetWriteDeadline(time.Time) error { return nil }
func (s *sink) SetReadDeadline(time.Time) error  { return nil }

// direct returns what serves one request without a network, again and again.
func direct(t testing.TB, f http.Handler, body, session string) func() {
	rd := strings.NewReader(body)
	r := httptest.NewRequestWithContext(auth.With(t.Context(), benchPrincipal), "POST", "/mcp", nil)
	r.Header, r.Body, r.ContentLength = benchHeader(body, session), io.NopCloser(rd), int64(len(body))
	w := &sink{h: http.Header{}}
	return func() {
		rd.Reset(body)
		w.n = 0
		clear(w.h)
		f.ServeHTTP(w, r)
		if w.status != http.StatusOK || w.n < 100 {
			t.Fatalf("status %d, %d bytes", w.status, w.n)
		}
	}
}

func BenchmarkDirect(b *testing.B) {
	f := benchFrontend(b)
	session := benchSession(b, f)
	for _, bb := range []struct{ name, body, session string }{
		{"ModernCall", benchModernCall, ""},
		{"ModernList", benchModernList, ""},
		{"LegacyCall", benchLegacyCall, session},
		{"LegacyList", benchLegacyList, session},
	} {
		b.Run(bb.name, func(b *testing.B) {
			serve := direct(b, f, bb.body, bb.session)
			b.ReportAllocs()
			for b.Loop() {
				serve()
			}
		})
	}
}

// bare is the least that a server can do: decode the envelope, answer fixed
// bytes.
func bare() http.Handler {
	result := []byte(`{"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"bench","version":"1"}},"content":[{"type":"text","text":"The quick brown fox jumps over the lazy dog; 0123456789; weather in Zurich is 21C, wind 3 m/s, humid."}],"resultType":"complete"}`)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var e struct {
			JSONRPC string          `json:"jsonrpc"`
			ID      json.RawMessage `json:"id"`
			Method  string          `json:"method"`
			Params  json.RawMessage `json:"params"`
		}
		if err != nil || json.Unmarshal(body, &e) != nil {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		out := append([]byte(`{"jsonrpc":"2.0","id":`), e.ID...)
		out = append(append(append(out, `,"result":`...), result...), '}')
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(out)))
		w.Write(out)
	})
}

// BenchmarkServer compares a call over loopback with a bare handler's.
func BenchmarkServer(b *testing.B) {
	f := benchFrontend(b)
	with := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(w, r.WithContext(auth.With(r.Context(), benchPrincipal)))
		})
	}
	session := benchSession(b, f)
	for _, bb := range []struct {
		name, body, session string
		h                   http.Handler
	}{
		{"Bare", benchModernCall, "", bare()},
		{"ModernCall", benchModernCall, "", f},
		{"LegacyCall", benchLegacyCall, session, f},
	} {
		b.Run(bb.name, func(b *testing.B) {
			srv := httptest.NewServer(with(bb.h))
			defer srv.Close()
			header := benchHeader(bb.body, bb.session)
			b.ReportAllocs()
			for b.Loop() {
				r, err := http.NewRequestWithContext(b.Context(), "POST", srv.URL, bytes.NewReader([]byte(bb.body)))
				if err != nil {
					b.Fatal(err)
				}
				r.Header = header
				res, err := http.DefaultClient.Do(r)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		})
	}
}
