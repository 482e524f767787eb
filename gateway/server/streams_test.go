package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/server"
)

// TestShutdownEndsParkedStreams stops a gateway that holds MCP streams whose
// connections its HTTP server has given away: a POST stream has its response, a
// GET stream its end, and nothing is waited for.
func TestShutdownEndsParkedStreams(t *testing.T) {
	f := new(gateway.Funcs)
	if err := f.AddTool([]byte(`{"name":"one","inputSchema":{"type":"object"}}`), func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return gateway.TextResult("1"), nil
	}); err != nil {
		t.Fatal(err)
	}
	o := server.Options{Dev: &server.Dev{}, Sources: map[string]gateway.Upstream{"some": f}}
	r := startWith(t, server.WithDrain(o, 5*time.Minute), withPolicy(t, "p, role:dev, *, tool/some/*, call, allow\n"))
	token := r.token(t, "dev")
	open := func(method, path, header, body string) net.Conn {
		t.Helper()
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", r.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\n%s\r\n%s",
			method, path, r.Addr(), token, header, body)
		return c
	}
	until := func(c net.Conn, what string) []byte {
		t.Helper()
		var got []byte
		for b := make([]byte, 4096); !bytes.Contains(got, []byte(what)); {
			n, err := c.Read(b)
			if got = append(got, b[:n]...); err != nil {
				t.Fatalf("%v after %q, want %s", err, got, what)
			}
		}
		return got
	}
	listen := `{"jsonrpc":"2.0","id":7,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
	modern := open(http.MethodPost, "/mcp", fmt.Sprintf("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\nContent-Length: %d\r\n", len(listen)), listen)
	until(modern, "acknowledged")
	sse := open(http.MethodGet, "/sse", "", "")
	until(sse, "endpoint")
	initialize := `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`
	head := until(open(http.MethodPost, "/mcp", fmt.Sprintf("Content-Length: %d\r\n", len(initialize)), initialize), "Mcp-Session-Id: ")
	_, id, _ := strings.Cut(string(head), "Mcp-Session-Id: ")
	id, _, _ = strings.Cut(id, "\r\n")
	legacy := open(http.MethodGet, "/mcp", "Mcp-Session-Id: "+id+"\r\nMcp-Protocol-Version: 2025-11-25\r\n", "")
	until(legacy, "data:")

	if err := f.AddTool([]byte(`{"name":"two","inputSchema":{"type":"object"}}`), func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return gateway.TextResult("2"), nil
	}); err != nil {
		t.Fatal(err)
	}
	until(modern, "list_changed")
	until(legacy, "list_changed")

	begun := time.Now()
	r.stop()
	if took := time.Since(begun); took > time.Minute { // Calls would be waited for for five.
		t.Errorf("the end took %v", took)
	}
	for c, want := range map[net.Conn]string{modern: `"resultType":"complete"`, legacy: "", sse: ""} {
		rest, err := io.ReadAll(c)
		if err != nil || !strings.Contains(string(rest), want) || !strings.HasSuffix(string(rest), "0\r\n\r\n") {
			t.Errorf("%v: the end is %q, want %q", err, rest, want)
		}
	}
}
