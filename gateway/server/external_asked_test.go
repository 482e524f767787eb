//go:build external

package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/trilith-gateway/trilith/gateway/config"
)

// word is what the tools that ask are given.
type word struct {
	Word string `json:"word"`
}

// askingSource is a server of the Go SDK whose tools ask the client: a live one
// while the call runs, another by its result, from which the SDK makes requests
// for clients of the session era.
//
//nolint:staticcheck // sampling and roots are deprecated and have to work.
func askingSource(live bool) *sdk.Server {
	s := sdk.NewServer(&sdk.Implementation{Name: "asking", Version: "1"}, nil)
	text := func(t string) (*sdk.CallToolResult, any, error) {
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: t}}}, nil, nil
	}
	fail := func(err error) (*sdk.CallToolResult, any, error) { return nil, nil, err }
	ask := func(q sdk.InputRequest) (*sdk.CallToolResult, any, error) {
		return &sdk.CallToolResult{InputRequests: sdk.InputRequestMap{"q": q}}, nil, nil
	}
	sdk.AddTool(s, &sdk.Tool{Name: "elicit"}, func(ctx context.Context, r *sdk.CallToolRequest, in word) (*sdk.CallToolResult, any, error) {
		q := &sdk.ElicitParams{Message: in.Word, RequestedSchema: json.RawMessage(`{"type":"object","properties":{"a":{"type":"string"}}}`)}
		a, ok := r.Params.InputResponses["q"].(*sdk.ElicitResult)
		if live {
			var err error
			if a, err = r.Session.Elicit(ctx, q); err != nil {
				return fail(err)
			}
		} else if !ok {
			return ask(q)
		}
		said, _ := a.Content["a"].(string)
		return text(a.Action + " " + said)
	})
	sdk.AddTool(s, &sdk.Tool{Name: "sample"}, func(ctx context.Context, r *sdk.CallToolRequest, in word) (*sdk.CallToolResult, any, error) {
		q := &sdk.CreateMessageParams{MaxTokens: 5, Messages: []*sdk.SamplingMessage{{Role: "user", Content: &sdk.TextContent{Text: in.Word}}}}
		if live {
			a, err := r.Session.CreateMessage(ctx, q)
			if err != nil {
				return fail(err)
			}
			return text(a.Content.(*sdk.TextContent).Text)
		}
		a, ok := r.Params.InputResponses["q"].(*sdk.CreateMessageWithToolsResult)
		if !ok {
			return ask(q)
		}
		return text(a.Content[0].(*sdk.TextContent).Text)
	})
	sdk.AddTool(s, &sdk.Tool{Name: "roots"}, func(ctx context.Context, r *sdk.CallToolRequest, _ word) (*sdk.CallToolResult, any, error) {
		a, ok := r.Params.InputResponses["q"].(*sdk.ListRootsResult)
		if live {
			var err error
			if a, err = r.Session.ListRoots(ctx, nil); err != nil {
				return fail(err)
			}
		} else if !ok {
			return ask(&sdk.ListRootsParams{})
		}
		return text(a.Roots[0].URI)
	})
	return s
}

// TestExternalAsked lets clients that others wrote answer the questions of
// sources of both eras, over every transport, bridges included.
func TestExternalAsked(t *testing.T) {
	dir := clients(t)
	binary := filepath.Join(t.TempDir(), "gateway")
	command(t, ".", nil, "go", "build", "-o", binary, "github.com/trilith-gateway/trilith/cmd/gateway")
	source := func(name string, live bool) config.Source {
		s := askingSource(live)
		srv := httptest.NewServer(sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, &sdk.StreamableHTTPOptions{Stateless: !live}))
		t.Cleanup(func() {
			srv.CloseClientConnections()
			srv.Close()
		})
		return config.Source{Name: name, Prefix: true, MCP: &config.MCP{
			URL: srv.URL, AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Era: "auto", Sessions: "shared", Timeout: config.Default().Limits.CallTimeout,
		}}
	}
	policy := withPolicy(t, "p, role:dev, *, **, *, allow\n")
	r := start(t, nil, func(cfg *config.Config) {
		timeout := cfg.Limits.CallTimeout
		policy(cfg)
		cfg.Limits.CallTimeout = timeout
		cfg.Sources = append(cfg.Sources, source("live", true), source("modern", false))
	})
	command(t, dir, []string{"URL=" + r.URL(), "TOKEN=" + r.token(t, "dev"), "GATEWAY=" + binary, "SOURCES=live,modern"}, "node", "asked.mjs")
}
