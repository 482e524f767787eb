package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/server"
)

// nodes are two gateways that share their state, as operators run them: without
// the development mode, with the first API key, and with a policy of versions.
type nodes struct {
	all   []*rig
	admin string      // the first API key
	began chan string // doors of calls that run
}

const waiterPolicy = "p, client:key|first, *, admin/**, *, allow\n" +
	"p, role:dev, *, tool/slow/*, call, allow\np, role:dev, *, resource/**, *, allow\np, role:auditor, *, admin/audit, read, allow\n"

func startNodes(t *testing.T) *nodes {
	t.Helper()
	url := shared(t)
	n := &nodes{began: make(chan string, 64)}
	for range 2 {
		slow := new(gateway.Funcs)
		for _, err := range []error{
			slow.AddTool(json.RawMessage(`{"name":"wait","inputSchema":{"type":"object"}}`), func(ctx context.Context, c *gateway.Call) (*gateway.Result, error) {
				n.began <- c.Via
				<-ctx.Done()
				return nil, ctx.Err()
			}),
			slow.AddResource(json.RawMessage(`{"uri":"slow://news","name":"news"}`), func(context.Context, *gateway.Call) (*gateway.Result, error) {
				return gateway.NewResult(json.RawMessage(`{"contents":[]}`))
			}),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		n.all = append(n.all, startWith(t, server.Options{Sources: map[string]gateway.Upstream{"slow": slow}}, func(cfg *config.Config) {
			cfg.Sources = nil
			cfg.State.NATSURL = url
			cfg.Auth.APIKeys = &config.APIKeys{MaxLife: 24 * time.Hour}
			cfg.Limits.CallTimeout = time.Minute
			cfg.Toolsets = []config.Toolset{{Name: "all", Tools: []string{"**"}}}
		}))
	}
	key, err := os.ReadFile(filepath.Join(n.all[0].config.Data, "first-api-key"))
	if err != nil {
		t.Fatal(err)
	}
	n.admin = strings.TrimSpace(string(key))
	n.activate(t, waiterPolicy)
	return n
}

// as returns a context of the administrator.
func (n *nodes) as(t *testing.T) context.Context { return outgoing(t.Context(), n.admin) }

// activate puts a policy in force by the admin API of the first node.
func (n *nodes) activate(t *testing.T, csv string) {
	t.Helper()
	c := adminv1.NewPolicyServiceClient(n.all[0].grpc)
	made, err := c.CreatePolicyDraft(n.as(t), &adminv1.CreatePolicyDraftRequest{Comment: "test"})
	if err != nil {
		t.Fatal(err)
	}
	saved, err := c.SavePolicyDraft(n.as(t), &adminv1.SavePolicyDraftRequest{Id: made.GetDraft().GetId(), Revision: made.GetDraft().GetRevision(), Csv: &csv})
	if err == nil {
		_, err = c.ActivatePolicy(n.as(t), &adminv1.ActivatePolicyRequest{Id: made.GetDraft().GetId(), Revision: saved.GetDraft().GetRevision()})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// key makes an API key by the admin API, which is then good on both nodes.
func (n *nodes) key(t *testing.T, subject string, roles ...string) (secret, id string) {
	t.Helper()
	made, err := adminv1.NewKeyServiceClient(n.all[0].grpc).CreateKey(n.as(t), &adminv1.CreateKeyRequest{Subject: subject, Roles: roles, TtlSeconds: 3600})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range n.all {
		poll(t, func() bool {
			_, err := gatewayv1.NewGatewayServiceClient(r.grpc).ListTools(outgoing(t.Context(), made.GetSecret()), &gatewayv1.ListToolsRequest{})
			return err == nil
		})
	}
	return made.GetSecret(), made.GetKey().GetId()
}

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
	late, again := time.After(10*time.Second), time.NewTicker(50*time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-open:
			return h
		case <-n.began:
			return h
		case <-again.C: // Whoever follows records waits for one.
			if _, err := gatewayv1.NewGatewayServiceClient(r.grpc).ListTools(n.as(t), &gatewayv1.ListToolsRequest{}); err != nil {
				t.Fatal(err)
			}
		case end := <-h.ended:
			t.Fatalf("%s at %s did not begin: %s", name, r.Addr(), end)
		case <-late:
			t.Fatalf("%s at %s has not begun after 10 s", name, r.Addr())
		}
	}
}

// holders are what can be held open, with the end that revocation has for it.
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
		"rest call":     request(http.MethodPost, "/v1/tools/slow.wait:call", "{}"),
		"rest watch":    request(http.MethodGet, "/v1/capabilities:watch", "", events...),
		"rest resource": request(http.MethodGet, "/v1/resources:watch?uri=slow://news", "", events...),
		"rest tail":     request(http.MethodGet, "/admin/v1/audit/records:tail", "", events...),
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

// TestX prints.
func TestRevocationEndsWhatIsHeld(t *testing.T) {
	n := startNodes(t)
	for what, revoke := range map[string]func(id string) error{
		"credentials": func(string) error {
			_, err := adminv1.NewSessionServiceClient(n.all[0].grpc).RevokeCredentials(n.as(t), &adminv1.RevokeCredentialsRequest{Principal: "key|client|credentials"})
			return err
		},
		"key": func(id string) error {
			_, err := adminv1.NewKeyServiceClient(n.all[0].grpc).RevokeKey(n.as(t), &adminv1.RevokeKeyRequest{Id: id})
			return err
		},
		"activation": func(string) error {
			n.activate(t, "p, client:key|first, *, admin/**, *, allow\n")
			return nil
		},
	} {
		t.Run(what, func(t *testing.T) {
			key, id := n.key(t, what, "dev", "auditor")
			var all []held
			for i, r := range n.all {
				for name := range holders() {
					h := n.hold(t, r, name, key)
					h.name = fmt.Sprintf("node %d: %s", i, name)
					all = append(all, h)
				}
			}
			if err := revoke(id); err != nil {
				t.Fatal(err)
			}
			late := time.After(time.Second)
			for _, h := range all {
				select {
				case end := <-h.ended:
					t.Logf("%s ended with …%s", h.name, end[max(0, len(end)-260):])
				case <-late:
					late = time.After(0)
					t.Errorf("%s goes on", h.name)
				}
			}
		})
	}
}
