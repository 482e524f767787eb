package server_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
)

// TestPolicyEndsWhatRuns calls a tool that does not end, through every door,
// takes the right away, and sees each call end as if it had never been allowed.
func TestPolicyEndsWhatRuns(t *testing.T) {
	began := make(chan string)
	slow := new(gateway.Funcs)
	if err := slow.AddTool(json.RawMessage(`{"name":"wait","inputSchema":{"type":"object"}}`), func(ctx context.Context, c *gateway.Call) (*gateway.Result, error) {
		began <- c.Via
		<-ctx.Done()
		return nil, ctx.Err()
	}); err != nil {
		t.Fatal(err)
	}
	const before, after = "p, role:dev, *, tool/slow/*, call, allow\n", "p, role:dev, *, tool/other/*, call, allow\n"
	edit := withPolicy(t, before)
	r := start(t, map[string]gateway.Upstream{"slow": slow}, func(cfg *config.Config) {
		edit(cfg)
		cfg.Limits.CallTimeout = time.Minute
		cfg.Toolsets = []config.Toolset{{Name: "all", Tools: []string{"*"}}}
	})
	doors := map[string]struct {
		call func() string
		want string
	}{
		"mcp": {func() string {
			return r.playMCP(t, "dev", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow.wait","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`)
		}, `"code":-32602,"message":"no tool named \"slow.wait\"","data":{"code":"NOT_FOUND"}`},
		"mcp toolset": {func() string {
			h := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {"slow.wait"}}
			_, body := r.send(t, "dev", http.MethodPost, "/mcp/all", h, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow.wait","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`)
			return body
		}, `"data":{"code":"NOT_FOUND"}`},
		"graphql":        {func() string { return r.playGraphQL(t, "dev", `mutation{callTool(name:"slow.wait"){isError}}`) }, `"code":"NOT_FOUND"`},
		"graphql stream": {func() string { return r.graphqlStream(t, `subscription{toolCall(name:"slow.wait"){dropped}}`) }, `"code":"NOT_FOUND"`},
		"grpc":           {func() string { return r.playGRPC(t, "dev", "CallTool\n"+`{"name":"slow.wait"}`) }, "NotFound\nno tool named"},
		"grpc stream":    {func() string { return r.grpcStream(t, "slow.wait") }, codes.NotFound.String()},
		"rest":           {func() string { return r.playREST(t, "dev", "POST /v1/tools/slow.wait:call\n{}") }, `"status":404,"code":"NOT_FOUND"`},
	}
	type answer struct{ door, text string }
	answers := make(chan answer)
	for door, d := range doors {
		go func() { answers <- answer{door, d.call()} }()
	}
	for range doors {
		select {
		case <-began:
		case a := <-answers:
			t.Fatalf("%s ended before the policy changed: %s", a.door, a.text)
		}
	}
	if err := os.WriteFile(r.config.Policy.File, []byte(after), 0o600); err != nil {
		t.Fatal(err)
	}
	for range doors {
		a := <-answers
		if want := doors[a.door].want; !strings.Contains(a.text, want) {
			t.Errorf("%s ended with %s, want %s", a.door, a.text, want)
		}
	}
	for _, rec := range r.records(t, len(doors)) {
		if rec.Code != "NOT_FOUND" || rec.By != "policy" {
			t.Errorf("the record of the call through %s says %s by %q", rec.Via, rec.Code, rec.By)
		}
	}
}

// graphqlStream returns the whole event stream of a subscription.
func (r *rig) graphqlStream(t *testing.T, query string) string {
	t.Helper()
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		t.Fatal(err)
	}
	_, text := r.send(t, "dev", http.MethodPost, "/graphql", http.Header{"Content-Type": {"application/json"}, "Accept": {"text/event-stream"}}, string(body))
	return text
}

// grpcStream calls a tool by CallToolStream and returns how the stream ended.
func (r *rig) grpcStream(t *testing.T, tool string) string {
	t.Helper()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+r.token(t, "dev"))
	stream, err := gatewayv1.NewGatewayServiceClient(r.grpc).CallToolStream(ctx, &gatewayv1.CallToolStreamRequest{Name: tool})
	for err == nil {
		_, err = stream.Recv()
	}
	if err == io.EOF { //nolint:errorlint // Recv returns it as it is.
		return "end"
	}
	return status.Code(err).String()
}
