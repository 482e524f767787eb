package mcp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// TestPeer lets the official SDK's client use everything, in both eras, over
// streamable HTTP and over pipes.
func TestPeer(t *testing.T) {
	for _, rev := range []string{"2026-07-28", "2025-11-25", "2025-06-18"} {
		t.Run("http "+rev, func(t *testing.T) {
			f := newFixture(t, mcp.FrontendOptions{})
			srv := f.serve(t)
			testPeer(t, f, rev, &sdk.StreamableClientTransport{Endpoint: srv.URL, HTTPClient: &http.Client{Transport: as("alice")}})
		})
		t.Run("stdio "+rev, func(t *testing.T) {
			f := newFixture(t, mcp.FrontendOptions{})
			in, toServer := io.Pipe()
			fromServer, out := io.Pipe()
			done := make(chan error, 1)
			go func() { done <- f.frontend.ServeStdio(t.Context(), in, out, principal("alice")) }()
			testPeer(t, f, rev, &sdk.IOTransport{Reader: fromServer, Writer: toServer})
			if err := receive(t, done); err != nil {
				t.Errorf("ServeStdio: %v", err)
			}
			out.Close()
		})
	}
}

// as is a transport that names a principal to the fixture.
type as string

func (p as) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Test-Principal", string(p))
	return http.DefaultTransport.RoundTrip(r)
}

// heard is what a peer is told.
type heard struct {
	progress chan float64
	logs     chan string
	tools    chan struct{}
	updates  chan string
}

func testPeer(t *testing.T, f *fixture, rev string, transport sdk.Transport) {
	t.Helper()
	h := heard{make(chan float64, 8), make(chan string, 8), make(chan struct{}, 8), make(chan string, 8)}
	client := sdk.NewClient(&sdk.Implementation{Name: "peer", Version: "1"}, &sdk.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, r *sdk.ProgressNotificationClientRequest) { h.progress <- r.Params.Progress },
		//nolint:staticcheck // logging is deprecated and has to work.
		LoggingMessageHandler: func(_ context.Context, r *sdk.LoggingMessageRequest) {
			h.logs <- fmt.Sprint(r.Params.Level, " ", r.Params.Data)
		},
		ToolListChangedHandler: func(context.Context, *sdk.ToolListChangedRequest) { h.tools <- struct{}{} },
		ResourceUpdatedHandler: func(_ context.Context, r *sdk.ResourceUpdatedNotificationRequest) {
			h.updates <- r.Params.URI
		},
	})
	cs, err := client.Connect(t.Context(), transport, &sdk.ClientSessionOptions{ProtocolVersion: rev})
	if err != nil {
		t.Fatal(err)
	}
	if got := cs.InitializeResult(); got.ProtocolVersion != rev || got.Capabilities.Tools == nil || !got.Capabilities.Resources.Subscribe {
		t.Errorf("agreed on %s, %+v", got.ProtocolVersion, got.Capabilities)
	}
	if rev != "2026-07-28" {
		//nolint:staticcheck // as above.
		if err := cs.SetLoggingLevel(t.Context(), &sdk.SetLoggingLevelParams{Level: "debug"}); err != nil {
			t.Error(err)
		}
	}
	testPeerLists(t, cs)
	testPeerCalls(t, cs)
	testPeerHears(t, f, cs, h)
	if err := cs.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func testPeerLists(t *testing.T, cs *sdk.ClientSession) {
	t.Helper()
	var names []string
	for tool, err := range cs.Tools(t.Context(), nil) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, tool.Name)
	}
	if !slices.Contains(names, "secret") || !slices.IsSorted(names) {
		t.Errorf("tools: %v", names)
	}
}

func testPeerCalls(t *testing.T, cs *sdk.ClientSession) {
	t.Helper()
	ctx := t.Context()
	res, err := cs.CallTool(ctx, &sdk.CallToolParams{Name: "echo", Arguments: map[string]any{"text": "hi"}})
	if err != nil {
		t.Fatal(err)
	}
	if text, ok := res.Content[0].(*sdk.TextContent); !ok || text.Text != "hi" {
		t.Errorf("echo: %+v", res.Content[0])
	}
	if _, err := cs.CallTool(ctx, &sdk.CallToolParams{Name: "nothing"}); err == nil || !strings.Contains(err.Error(), "no tool named") {
		t.Errorf("unknown tool: %v", err)
	}
	if r, err := cs.ReadResource(ctx, &sdk.ReadResourceParams{URI: "test://item/7"}); err != nil || r.Contents[0].Text != "hello" {
		t.Errorf("read: %v", err)
	}
	if p, err := cs.GetPrompt(ctx, &sdk.GetPromptParams{Name: "greet", Arguments: map[string]string{"who": "Ann"}}); err != nil || len(p.Messages) != 1 {
		t.Errorf("prompt: %v", err)
	}
	if c, err := cs.Complete(ctx, &sdk.CompleteParams{Ref: &sdk.CompleteReference{Type: "ref/prompt", Name: "greet"}, Argument: sdk.CompleteParamsArgument{Name: "who", Value: "A"}}); err != nil || len(c.Completion.Values) != 1 {
		t.Errorf("completion: %v", err)
	}
}

// testPeerHears holds that reports, changes and updates arrive, and that a
// cancellation does.
func testPeerHears(t *testing.T, f *fixture, cs *sdk.ClientSession, h heard) {
	t.Helper()
	ctx := t.Context()
	params := &sdk.CallToolParams{Name: "report"}
	params.Meta = sdk.Meta{"progressToken": "p", "io.modelcontextprotocol/logLevel": "debug"}
	if _, err := cs.CallTool(ctx, params); err != nil {
		t.Error(err)
	}
	if p := receive(t, h.progress); p != 1 {
		t.Errorf("progress: %v", p)
	}
	if l := receive(t, h.logs); l != "debug quiet" {
		t.Errorf("log: %s", l)
	}
	if err := cs.Subscribe(ctx, &sdk.SubscribeParams{URI: "test://text"}); err != nil {
		t.Error(err)
	}
	receive(t, f.followed)
	f.funcs.Updated("test://text")
	if uri := receive(t, h.updates); uri != "test://text" {
		t.Errorf("updated: %s", uri)
	}
	for i, told := 0, false; !told; i++ { // The client may still be about to listen.
		if f.addTool(t, fmt.Sprintf("new%d", i)); i == 100 {
			t.Fatal("no change was told")
		}
		select {
		case <-h.tools:
			told = true
		case <-time.After(patience / 100):
		}
	}

	hang, cancel := context.WithCancel(ctx)
	go func() {
		<-f.started
		cancel()
	}()
	if _, err := cs.CallTool(hang, &sdk.CallToolParams{Name: "hang"}); err == nil {
		t.Error("the cancelled call was answered")
	}
	receive(t, f.ended)
}

// TestOracle holds what this frontend answers against the official SDK's server
// with the same tool: same members, same values, whatever their order.
func TestOracle(t *testing.T) {
	server := sdk.NewServer(&sdk.Implementation{Name: "test", Version: "1"}, nil)
	server.AddTool(&sdk.Tool{Name: "fails", Description: "Fails.", InputSchema: json.RawMessage(`{"type":"object"}`)}, func(context.Context, *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		return &sdk.CallToolResult{IsError: true, Content: []sdk.Content{&sdk.TextContent{Text: "it broke"}}}, nil
	})
	oracle := sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return server }, &sdk.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
	f := newFixture(t, mcp.FrontendOptions{Name: "test", Version: "1"})
	ours, theirs := f.serve(t), serveHandler(t, oracle)
	for _, tt := range []struct{ name, method, tool, params string }{
		{"call", "tools/call", "fails", `"name":"fails",` + modernMeta},
		{"unknown method", "unknown/method", "", modernMeta},
		{"no meta", "tools/list", "", `"x":1`},
		{"header mismatch", "tools/call", "other", `"name":"fails",` + modernMeta},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := `{"jsonrpc":"2.0","id":1,"method":"` + tt.method + `","params":{` + tt.params + `}}`
			h := modern(tt.method, tt.tool, "alice")
			h.Set("Accept", "application/json, text/event-stream")
			gotStatus, got := post(t, ours, h, body)
			wantStatus, want := post(t, theirs, h, body)
			if gotStatus != wantStatus || outline(t, got) != outline(t, want) {
				t.Errorf("ours   %d %s\ntheirs %d %s", gotStatus, got, wantStatus, want)
			}
		})
	}
}

// outline is an answer with sorted members, without the words of an error.
func outline(t *testing.T, body string) string {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(bytes.TrimSpace([]byte(body)), &v); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if e, ok := v["error"].(map[string]any); ok {
		delete(e, "message")
		delete(e, "data")
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
