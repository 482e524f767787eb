package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestInterrupted ends commands while they wait for a gateway.
func TestInterrupted(t *testing.T) {
	t.Setenv(tokenVariable, "x")
	for _, args := range [][]string{
		{"tools", "list"},
		{"call", "demo.echo"},
		{"call", "demo.echo", "--via", "graphql"},
		{"call", "demo.echo", "--via", "rest"},
		{"call", "demo.echo", "--via", "grpc"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			end := func() { cancel(errors.New("interrupt signal received")) }
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // So that the server sees the client go.
				end()
				<-r.Context().Done()
			}))
			defer server.Close()
			grpc, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer grpc.Close()
			go func() {
				if conn, err := grpc.Accept(); err == nil {
					end()
					_, _ = io.Copy(io.Discard, conn) // Until the client goes.
					_ = conn.Close()
				}
			}()
			var out, errs bytes.Buffer
			args = append(args, "--addr", server.Listener.Addr().String(), "--grpc-addr", grpc.Addr().String())
			if code := run(ctx, args, streams{strings.NewReader(""), &out, &errs}); code != 1 || errs.String() != "gateway: interrupted\n" {
				t.Errorf("exit status %d, %q", code, &errs)
			}
		})
	}
}

// TestStdioEndsOnSignal ends a gateway on standard input and output while its
// client is still there, which is no failure.
func TestStdioEndsOnSignal(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "gateway.yaml")
	if err := os.WriteFile(file, []byte("data: data\nlog: {level: error}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	in, write := io.Pipe()
	read, out := io.Pipe()
	var errs bytes.Buffer
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"stdio", "--config", file}, streams{in, out, &errs}) }()
	if _, err := io.WriteString(write, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}`+"\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(read).ReadString('\n'); err != nil || !strings.Contains(line, `"protocolVersion"`) {
		t.Fatalf("%q, %v", line, err)
	}
	cancel(errors.New("terminated signal received"))
	if code := <-ended; code != 0 || strings.Contains(errs.String(), "gateway: ") {
		t.Errorf("exit status %d, %q", code, &errs)
	}
}
