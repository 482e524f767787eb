package server_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/server"
)

// startScoped runs a gateway whose scopes open tools, and returns a way to get
// an API key with some.
func startScoped(t *testing.T) (r *rig, key func(scopes ...string) string) {
	t.Helper()
	edit := withPolicy(t, "p, role:dev, *, tool/demo/*, call, allow\n")
	r = startWith(t, server.Options{Dev: &server.Dev{}}, func(cfg *config.Config) {
		edit(cfg)
		cfg.Limits.CallTimeout = time.Minute
		cfg.Auth.APIKeys = &config.APIKeys{MaxLife: time.Hour}
		cfg.Auth.Scopes = []config.ScopeRule{
			{Scopes: []string{"mcp:tools.call"}, Actions: []string{"call"}, Objects: []string{"tool/demo/add"}},
			{Scopes: []string{"mcp:tools.call", "mcp:echo"}, Actions: []string{"call"}, Objects: []string{"tool/demo/echo"}},
		}
		cfg.Auth.ScopesSupported = []string{"mcp:tools.call"}
		cfg.Toolsets = []config.Toolset{{Name: "some", Tools: []string{"demo.*"}}}
	})
	return r, func(scopes ...string) string {
		t.Helper()
		text, _, err := server.Keys(r.Server).Create(t.Context(), auth.NewKey{
			Label: "test", Roles: []string{"dev"}, Scopes: append([]string{}, scopes...), Expires: time.Now().Add(30 * time.Minute),
		})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
}

// post sends a body with a key and returns the answer.
func (r *rig) post(t *testing.T, path, key, body string, headers ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return roundTrip(t, req)
}

func roundTrip(t *testing.T, req *http.Request) (int, http.Header, string) {
	t.Helper()
	res, err := alone(nil).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(body)
}

// TestScopesInEveryDoor calls a tool with too few scopes, and with enough,
// through every door and every revision of MCP, whatever the headers claim.
func TestScopesInEveryDoor(t *testing.T) {
	r, key := startScoped(t)
	few, enough := key("mcp:tools.call"), key("mcp:tools.call", "mcp:echo")
	challenge := func(path string) string {
		return `Bearer resource_metadata="` + r.URL() + "/.well-known/oauth-protected-resource" + path + `", scope="mcp:tools.call mcp:echo", error="insufficient_scope"`
	}
	const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"demo.echo","arguments":{"text":"hi"}%s}}`
	modern := fmt.Sprintf(call, `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`)
	for _, path := range []string{"/mcp", "/mcp/some"} {
		headers := []string{"MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "demo.echo"}
		code, h, body := r.post(t, path, few, modern, headers...)
		if code != 403 || h.Get("WWW-Authenticate") != challenge(path) || !strings.Contains(body, `"error"`) {
			t.Errorf("2026-07-28 %s: %d %q %s", path, code, h.Get("WWW-Authenticate"), body)
		}
		if code, _, body := r.post(t, path, enough, modern, headers...); code != 200 || !strings.Contains(body, `"result"`) {
			t.Errorf("2026-07-28 %s, enough: %d %s", path, code, body)
		}
		for _, rev := range []string{"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"} {
			for _, k := range []string{few, enough} {
				_, h, _ := r.post(t, path, k, `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"`+rev+`","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`)
				// The header of another revision claims that it only lists.
				code, h, body := r.post(t, path, k, fmt.Sprintf(call, ""), "Mcp-Session-Id", h.Get("Mcp-Session-Id"), "MCP-Protocol-Version", rev, "Mcp-Method", "tools/list")
				if k == enough {
					if code != 200 || !strings.Contains(body, `"result"`) {
						t.Errorf("%s %s, enough: %d %s", rev, path, code, body)
					}
				} else if code != 403 || h.Get("WWW-Authenticate") != challenge(path) || strings.Contains(body, `"result"`) {
					t.Errorf("%s %s: %d %q %s", rev, path, code, h.Get("WWW-Authenticate"), body)
				}
			}
		}
	}

	code, h, body := r.post(t, "/v1/tools/demo.echo:call", few, `{"text":"hi"}`)
	if code != 403 || h.Get("WWW-Authenticate") != challenge("") || !strings.Contains(body, "PERMISSION_DENIED") {
		t.Errorf("REST: %d %q %s", code, h.Get("WWW-Authenticate"), body)
	}
	if code, _, body := r.post(t, "/v1/tools/demo.echo:call", enough, `{"text":"hi"}`); code != 200 {
		t.Errorf("REST, enough: %d %s", code, body)
	}
	const query = `{"query":"mutation { callTool(name: \"demo.echo\", arguments: {text: \"hi\"}) { isError } }"}`
	if _, _, body := r.post(t, "/graphql", few, query); !strings.Contains(body, `"scopes":"mcp:tools.call mcp:echo"`) {
		t.Errorf("GraphQL: %s", body)
	}
	if _, _, body := r.post(t, "/graphql", enough, query); !strings.Contains(body, `"isError":false`) {
		t.Errorf("GraphQL, enough: %s", body)
	}
	var trailer metadata.MD
	in := &gatewayv1.CallToolRequest{Name: "demo.echo"}
	_, err := gatewayv1.NewGatewayServiceClient(r.grpc).CallTool(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+few), in, grpc.Trailer(&trailer))
	if got := trailer.Get("www-authenticate"); status.Code(err) != codes.PermissionDenied || len(got) != 1 || got[0] != challenge("") {
		t.Errorf("gRPC: %v %v", err, trailer)
	}
}

// TestScopesInLists hides in every list what the scopes do not open, and says
// at the door what to ask for.
func TestScopesInLists(t *testing.T) {
	r, key := startScoped(t)
	few, none := key("mcp:tools.call"), key()
	list := func(k string) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL()+"/v1/tools", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+k)
		_, _, body := roundTrip(t, req)
		return body
	}
	if body := list(few); !strings.Contains(body, "demo.add") || strings.Contains(body, "demo.echo") {
		t.Errorf("with a scope: %s", body)
	}
	if body := list(none); strings.Contains(body, "demo.") {
		t.Errorf("without scopes: %s", body)
	}
	if _, body := r.send(t, "dev", http.MethodGet, "/v1/tools", nil, ""); !strings.Contains(body, "demo.echo") {
		t.Errorf("a token that no scopes bound: %s", body)
	}
	_, h, _ := r.post(t, "/mcp", "wrong", "{}")
	if want := `scope="mcp:tools.call", error="invalid_token"`; !strings.Contains(h.Get("WWW-Authenticate"), want) {
		t.Errorf("challenge %s, want %s in it", h.Get("WWW-Authenticate"), want)
	}
	if _, body := r.send(t, "", http.MethodGet, "/.well-known/oauth-protected-resource/mcp", nil, ""); !strings.Contains(body, `"scopes_supported":["mcp:tools.call"]`) {
		t.Errorf("metadata %s", body)
	}
}
