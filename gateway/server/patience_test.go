package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/server"
)

// impatience is how long the gateway of these tests waits for a body.
const impatience = time.Second

func startImpatient(t *testing.T, sources map[string]gateway.Upstream) *rig {
	t.Helper()
	return startWith(t, server.WithPatience(server.Options{Dev: &server.Dev{}, Sources: sources}, impatience), withPatientPolicy(t))
}

// withPatientPolicy lets dev call the tools of these tests for as long as they take.
func withPatientPolicy(t *testing.T) func(*config.Config) {
	edit := withPolicy(t, "p, role:dev, *, tool/slow/*, call, allow\n")
	return func(cfg *config.Config) {
		edit(cfg)
		cfg.Limits.CallTimeout = time.Minute
	}
}

// TestBodyThatNeverComes announces a body and sends none of it, or a part: on
// every route, with and without a token, the gateway ends the connection.
func TestBodyThatNeverComes(t *testing.T) {
	r := startImpatient(t, nil)
	token := r.token(t, "dev")
	var all sync.WaitGroup
	for _, path := range []string{"/mcp", "/mcp/nothing", "/graphql", "/v1/tools/demo.add:call", "/nothing", "/livez", "/graphql/ui/", "/dev/issuer/token"} {
		for _, method := range []string{http.MethodPost, http.MethodGet} {
			for _, head := range []string{"", "Authorization: Bearer " + token + "\r\n", "Expect: 100-continue\r\n"} {
				for _, body := range []string{"Content-Length: 9\r\n\r\n", "Content-Length: 9\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"} {
					request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n%s%s", method, path, r.Addr(), head, body)
					all.Go(func() {
						if answer, err := talk(t, r.Addr(), request); err != nil {
							t.Errorf("%.40q, %.8q, %q: the connection is still open: %v\n%s", request, head, body, err, answer)
						}
					})
				}
			}
		}
	}
	all.Wait()
}

// talk sends a request and returns what comes until the other side ends the
// connection.
func talk(t *testing.T, addr, request string) ([]byte, error) {
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, request); err != nil {
		return nil, err
	}
	return io.ReadAll(conn)
}

// TestStreamsOutlastPatience keeps an event stream whose request had a body,
// and a WebSocket, for longer than a body may take.
func TestStreamsOutlastPatience(t *testing.T) {
	r := startImpatient(t, map[string]gateway.Upstream{"slow": slow(t, 4*impatience)})
	query := `subscription{toolCall(name:"slow.wait"){__typename}}`
	t.Run("event stream", func(t *testing.T) {
		h := http.Header{"Content-Type": {"application/json"}, "Accept": {"text/event-stream"}}
		if code, body := r.send(t, "dev", http.MethodPost, "/graphql", h, fmt.Sprintf(`{"query":%q}`, query)); code != http.StatusOK || !strings.Contains(body, "ToolFinished") {
			t.Errorf("%d %s", code, body)
		}
	})
	t.Run("websocket", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		ws, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(r.URL(), "http")+"/graphql", &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}}) // The library closes it.
		if err != nil {
			t.Fatal(err)
		}
		defer ws.CloseNow()
		for _, m := range []string{
			fmt.Sprintf(`{"type":"connection_init","payload":{"Authorization":"Bearer %s"}}`, r.token(t, "dev")),
			fmt.Sprintf(`{"type":"subscribe","id":"1","payload":{"query":%q}}`, query),
		} {
			if err := ws.Write(ctx, websocket.MessageText, []byte(m)); err != nil {
				t.Fatal(err)
			}
		}
		for {
			_, m, err := ws.Read(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(m), "ToolFinished") {
				return
			}
		}
	})
}

// TestConnectionOutlastsPatience uses one connection for two requests that are
// further apart than a body may take.
func TestConnectionOutlastsPatience(t *testing.T) {
	r := startImpatient(t, map[string]gateway.Upstream{"slow": slow(t, 3*impatience)})
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for range 2 {
		fmt.Fprintf(conn, "POST /v1/tools/slow.wait:call HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\nContent-Length: 2\r\n\r\n{}", r.Addr(), r.token(t, "dev"))
		res, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close() // It has been read.
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s, %v", res.Status, err)
		}
	}
}

// slow is a source whose tool wait takes a while.
func slow(t testing.TB, d time.Duration) *gateway.Funcs {
	t.Helper()
	f := new(gateway.Funcs)
	err := f.AddTool([]byte(`{"name":"wait","inputSchema":{"type":"object"}}`), func(ctx context.Context, _ *gateway.Call) (*gateway.Result, error) {
		select {
		case <-time.After(d):
			return gateway.TextResult("done"), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}
