package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
)

// A held is what somebody holds open: ended gets all that came, and how it
// ended.
type held struct {
	name  string
	ended chan string
}

// hold opens something of a key at a node, and returns once it is open.
func (n *nodes) hold(t *testing.T, r *rig, name, key string) held {
	t.Helper()
	h := held{name, make(chan string, 1)}
	open := make(chan struct{}, 8)
	go func() { h.ended <- holders()[name](n, t, r, key, open) }()
	opened, began := open, n.began
	if strings.HasSuffix(name, " call") {
		opened = nil // Its answer may begin before it runs.
	} else {
		began = nil
	}
	late, again := time.After(30*time.Second), time.NewTicker(50*time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-opened:
			return h
		case <-began:
			return h
		case <-again.C: // Whoever follows records waits for one.
			if _, err := gatewayv1.NewGatewayServiceClient(r.grpc).ListTools(n.as(t), &gatewayv1.ListToolsRequest{}); err != nil {
				t.Fatal(err)
			}
		case end := <-h.ended:
			t.Fatalf("%s at %s did not begin: %s", name, r.Addr(), end)
		case <-late:
			t.Fatalf("%s at %s has not begun after 30 s", name, r.Addr())
		}
	}
}

// holders are what can be held open.
func holders() map[string]func(n *nodes, t *testing.T, r *rig, key string, open chan<- struct{}) string {
	const listen = `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},` + modernMeta + `}}`
	const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow.wait",` + modernMeta + `}}`
	type holder = func(n *nodes, t *testing.T, r *rig, key string, open chan<- struct{}) string
	events := []string{"Accept", "text/event-stream"}
	modern := func(method, name string) []string {
		return []string{"Accept", "application/json, text/event-stream", "Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", method, "Mcp-Name", name}
	}
	request := func(method, path, body string, headers ...string) holder {
		return func(_ *nodes, t *testing.T, r *rig, key string, open chan<- struct{}) string {
			return r.whole(t, method, path, key, body, open, headers...)
		}
	}
	return map[string]holder{
		"mcp call":         request(http.MethodPost, "/mcp", call, modern("tools/call", "slow.wait")...),
		"mcp toolset call": request(http.MethodPost, "/mcp/all", call, modern("tools/call", "slow.wait")...),
		"mcp listen":       request(http.MethodPost, "/mcp", listen, modern("subscriptions/listen", "")...),
		"mcp sse":          request(http.MethodGet, "/sse", "", events...),
		"mcp get": func(_ *nodes, t *testing.T, r *rig, key string, open chan<- struct{}) string {
			return r.whole(t, http.MethodGet, "/mcp", key, "", open, append(events, "Mcp-Session-Id", r.begin(t, "/mcp", key, "2025-11-25"), "Mcp-Protocol-Version", "2025-11-25")...)
		},
		"mcp session call": func(_ *nodes, t *testing.T, r *rig, key string, open chan<- struct{}) string {
			return r.whole(t, http.MethodPost, "/mcp", key, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow.wait"}}`, open,
				"Accept", "application/json, text/event-stream", "Mcp-Session-Id", r.begin(t, "/mcp", key, "2025-11-25"), "Mcp-Protocol-Version", "2025-11-25")
		},
		"mcp socket": func(_ *nodes, t *testing.T, r *rig, key string, open chan<- struct{}) string {
			return r.socket(t, "/mcp", "mcp", key, open, beginning("2025-11-25"))
		},
		"graphql call":     request(http.MethodPost, "/graphql", `{"query":"mutation{callTool(name:\"slow.wait\"){isError}}"}`),
		"graphql events":   request(http.MethodPost, "/graphql", `{"query":"subscription{capabilitiesChanged{tools}}"}`, events...),
		"graphql resource": request(http.MethodPost, "/graphql", `{"query":"subscription{resourceUpdated(uri:\"slow://news\"){uri}}"}`, events...),
		"graphql sources":  request(http.MethodPost, "/graphql", `{"query":"subscription{sources{__typename}}"}`, events...),
		"graphql tail":     request(http.MethodPost, "/graphql", `{"query":"subscription{auditRecords{__typename}}"}`, events...),
		"graphql socket": func(_ *nodes, t *testing.T, r *rig, key string, open chan<- struct{}) string {
			return r.socket(t, "/graphql", "graphql-transport-ws", key, open, `{"type":"connection_init"}`)
		},
		"grpc call": func(_ *nodes, t *testing.T, r *rig, key string, _ chan<- struct{}) string {
			_, err := gatewayv1.NewGatewayServiceClient(r.grpc).CallTool(outgoing(t.Context(), key), &gatewayv1.CallToolRequest{Name: "slow.wait"})
			return fmt.Sprint(err)
		},
		"grpc watch": func(_ *nodes, t *testing.T, r *rig, key string, open chan<- struct{}) string {
			s, err := gatewayv1.NewGatewayServiceClient(r.grpc).WatchCapabilities(outgoing(t.Context(), key), &gatewayv1.WatchCapabilitiesRequest{})
			return drained(s, err, open)
		},
		"grpc resource": func(_ *nodes, t *testing.T, r *rig, key string, open chan<- struct{}) string {
			s, err := gatewayv1.NewGatewayServiceClient(r.grpc).WatchResource(outgoing(t.Context(), key), &gatewayv1.WatchResourceRequest{Uri: "slow://news"})
			return drained(s, err, open)
		},
		"grpc tail": func(_ *nodes, t *testing.T, r *rig, key string, open chan<- struct{}) string {
			s, err := adminv1.NewAuditServiceClient(r.grpc).TailRecords(outgoing(t.Context(), key), &adminv1.TailRecordsRequest{})
			return drained(s, err, open)
		},
		"grpc traffic": func(_ *nodes, t *testing.T, r *rig, key string, open chan<- struct{}) string {
			s, err := adminv1.NewTrafficServiceClient(r.grpc).WatchTraffic(outgoing(t.Context(), key), &adminv1.WatchTrafficRequest{})
			return drained(s, err, open)
		},
		"rest call":     request(http.MethodPost, "/v1/tools/slow.wait:call", "{}"),
		"rest watch":    request(http.MethodGet, "/v1/capabilities:watch", "", events...),
		"rest resource": request(http.MethodGet, "/v1/resources:watch?uri=slow://news", "", events...),
		"rest tail":     request(http.MethodGet, "/admin/v1/audit/records:tail", "", events...),
		"rest traffic":  request(http.MethodGet, "/admin/v1/traffic:watch", "", events...),
		"rest sources":  request(http.MethodGet, "/admin/v1/sources:watch", "", events...),
	}
}

// whole returns all of an answer, and says when its first byte has come.
func (r *rig) whole(t *testing.T, method, path, key, body string, open chan<- struct{}, headers ...string) string {
	req, err := http.NewRequestWithContext(t.Context(), method, r.URL()+path, strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	req.Header.Set("Authorization", "Bearer "+key)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] != "" {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	res, err := alone(nil).Do(req)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	var got []byte
	for b := make([]byte, 4096); err == nil; {
		var m int
		m, err = res.Body.Read(b)
		if got = append(got, b[:m]...); m > 0 && res.StatusCode == http.StatusOK {
			select {
			case open <- struct{}{}:
			default:
			}
		}
	}
	return fmt.Sprintf("%d %s", res.StatusCode, got)
}

// socket opens a WebSocket, says hello and reads to the end.
func (r *rig) socket(t *testing.T, path, protocol, key string, open chan<- struct{}, hello string) string {
	c, _, err := websocket.Dial(t.Context(), r.URL()+path, &websocket.DialOptions{
		Subprotocols: []string{protocol}, HTTPHeader: http.Header{"Authorization": {"Bearer " + key}},
	})
	if err != nil {
		return err.Error()
	}
	defer func() { _ = c.CloseNow() }()
	if err := c.Write(t.Context(), websocket.MessageText, []byte(hello)); err != nil {
		return err.Error()
	}
	for {
		if _, _, err := c.Read(t.Context()); err != nil {
			return err.Error()
		}
		select {
		case open <- struct{}{}:
		default:
		}
	}
}

// drained reads a stream to its end.
func drained[T any](s grpc.ServerStreamingClient[T], err error, open chan<- struct{}) string {
	for err == nil {
		if _, err = s.Recv(); err == nil {
			select {
			case open <- struct{}{}:
			default:
			}
		}
	}
	if errors.Is(err, io.EOF) {
		return "end"
	}
	return status.Code(err).String() + " " + status.Convert(err).Message()
}

// An ending is what a client is told when what it holds ends: when its
// credential is revoked, and when a policy takes away what it does. "-" is
// nothing at all, "stays" no end.
type ending struct{ revoked, refused string }

func endings() map[string]ending {
	const rest = `"status":401,"code":"UNAUTHENTICATED","detail":"the credential was revoked"`
	// Without a status: of a call that has run for a while it has been sent as 200 with a stream.
	const mcpCall, gone = `{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"the credential was revoked"`, `"code":-32602,"message":"no tool named`
	return map[string]ending{
		"mcp call":         {mcpCall, gone},
		"mcp toolset call": {mcpCall, gone},
		"mcp session call": {mcpCall, gone},
		"mcp listen":       {`"resultType":"complete"`, "stays"}, // What it tells is only ever what its reader sees.
		"mcp sse":          {"-", "stays"},                       // Streams of sessions have no way to say why.
		"mcp get":          {"-", "stays"},
		"mcp socket":       {"StatusPolicyViolation and reason = \"the credential was revoked\"", "stays"},
		"graphql call":     {`"code":"UNAUTHENTICATED"`, `"code":"NOT_FOUND"`},
		"graphql events":   {`"code":"UNAUTHENTICATED"`, "stays"},
		"graphql resource": {`"code":"UNAUTHENTICATED"`, `"code":"NOT_FOUND"`},
		"graphql tail":     {`"code":"UNAUTHENTICATED"`, `"code":"PERMISSION_DENIED"`},
		"graphql socket":   {"StatusCode(4403) and reason = \"the credential was revoked\"", "stays"},
		"grpc call":        {"Unauthenticated desc = the credential was revoked", "NotFound desc = no tool"},
		"grpc watch":       {"Unauthenticated the credential was revoked", "stays"},
		"grpc resource":    {"Unauthenticated the credential was revoked", "NotFound no resource"},
		"grpc traffic":     {"Unauthenticated the credential was revoked", "PermissionDenied "},
		"rest sources":     {rest, `"status":403,"code":"PERMISSION_DENIED"`},
		"graphql sources":  {`"code":"UNAUTHENTICATED"`, `"code":"PERMISSION_DENIED"`},
		"rest traffic":     {rest, `"status":403,"code":"PERMISSION_DENIED"`},
		"grpc tail":        {"Unauthenticated the credential was revoked", "PermissionDenied "},
		"rest call":        {rest, `"status":404,"code":"NOT_FOUND"`},
		"rest watch":       {rest, "stays"},
		"rest resource":    {rest, `"status":404,"code":"NOT_FOUND"`},
		"rest tail":        {rest, `"status":403,"code":"PERMISSION_DENIED"`},
	}
}

// endsWith waits for the end and compares what the client was told last.
func (h held) endsWith(late context.Context, t *testing.T, want string) {
	t.Helper()
	var end string
	select {
	case end = <-h.ended:
	case <-late.Done():
		select {
		case end = <-h.ended:
		default:
			t.Errorf("%s goes on", h.name)
			return
		}
	}
	switch {
	case want == "":
		t.Errorf("nobody has said how %s ends: %s", h.name, end)
	case want != "-" && !strings.Contains(end, want):
		t.Errorf("%s ended with %s, want %s", h.name, end, want)
	}
}
