package mcp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// busyServer is askingServer with tools that ask by their result, report, wait,
// and change what there is.
//
//nolint:staticcheck // sampling, roots and logging are deprecated and have to work.
func busyServer() *sdk.Server {
	s := askingServer(func(o *sdk.ServerOptions) {
		o.SubscribeHandler = func(context.Context, *sdk.SubscribeRequest) error { return nil }
		o.UnsubscribeHandler = func(context.Context, *sdk.UnsubscribeRequest) error { return nil }
	})
	say := func(format string, args ...any) *sdk.CallToolResult {
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: fmt.Sprintf(format, args...)}}}
	}
	type handler = sdk.ToolHandlerFor[word, any]
	add := func(name string, h handler) { sdk.AddTool(s, &sdk.Tool{Name: name}, h) }
	add("result_elicit", func(_ context.Context, r *sdk.CallToolRequest, in word) (*sdk.CallToolResult, any, error) {
		if a, ok := r.Params.InputResponses["q"].(*sdk.ElicitResult); ok {
			return say("%s %v", a.Action, a.Content["a"]), nil, nil
		}
		return &sdk.CallToolResult{InputRequests: sdk.InputRequestMap{"q": &sdk.ElicitParams{
			Message: in.Word, RequestedSchema: json.RawMessage(`{"type":"object","properties":{"a":{"type":"string"}}}`),
		}}}, nil, nil
	})
	add("result_sample", func(_ context.Context, r *sdk.CallToolRequest, in word) (*sdk.CallToolResult, any, error) {
		if a, ok := r.Params.InputResponses["q"].(*sdk.CreateMessageWithToolsResult); ok {
			return say("%s", a.Content[0].(*sdk.TextContent).Text), nil, nil
		}
		return &sdk.CallToolResult{InputRequests: sdk.InputRequestMap{"q": &sdk.CreateMessageParams{
			MaxTokens: 5, Messages: []*sdk.SamplingMessage{{Role: "user", Content: &sdk.TextContent{Text: in.Word}}},
		}}}, nil, nil
	})
	add("result_roots", func(_ context.Context, r *sdk.CallToolRequest, _ word) (*sdk.CallToolResult, any, error) {
		if a, ok := r.Params.InputResponses["q"].(*sdk.ListRootsResult); ok {
			return say("%s", a.Roots[0].URI), nil, nil
		}
		return &sdk.CallToolResult{InputRequests: sdk.InputRequestMap{"q": &sdk.ListRootsParams{}}}, nil, nil
	})
	add("report", func(ctx context.Context, r *sdk.CallToolRequest, _ word) (*sdk.CallToolResult, any, error) {
		err := r.Session.NotifyProgress(ctx, &sdk.ProgressNotificationParams{ProgressToken: r.Params.GetProgressToken(), Progress: 0.5, Total: 1, Message: "half"})
		return say("reported"), nil, err
	})
	var cancelled atomic.Int32
	add("hang", func(ctx context.Context, r *sdk.CallToolRequest, _ word) (*sdk.CallToolResult, any, error) {
		if err := r.Session.NotifyProgress(ctx, &sdk.ProgressNotificationParams{ProgressToken: r.Params.GetProgressToken(), Progress: 0.1}); err != nil {
			return nil, nil, err
		}
		<-ctx.Done()
		cancelled.Add(1)
		return nil, nil, ctx.Err()
	})
	add("cancelled", func(context.Context, *sdk.CallToolRequest, word) (*sdk.CallToolResult, any, error) {
		return say("%d", cancelled.Load()), nil, nil
	})
	s.AddResource(&sdk.Resource{Name: "watched", URI: "test://watched"}, func(context.Context, *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
		return &sdk.ReadResourceResult{Contents: []*sdk.ResourceContents{{URI: "test://watched", Text: "seen"}}}, nil
	})
	add("touch", func(ctx context.Context, _ *sdk.CallToolRequest, _ word) (*sdk.CallToolResult, any, error) {
		return say("touched"), nil, s.ResourceUpdated(ctx, &sdk.ResourceUpdatedNotificationParams{URI: "test://watched"})
	})
	var grown atomic.Int32
	add("grow", func(context.Context, *sdk.CallToolRequest, word) (*sdk.CallToolResult, any, error) {
		add(fmt.Sprint("grown", grown.Add(1)), func(context.Context, *sdk.CallToolRequest, word) (*sdk.CallToolResult, any, error) {
			return say("new"), nil, nil
		})
		return say("grown"), nil, nil
	})
	return s
}

// TestProxied puts the gateway between the official SDK's client and its
// server: every client before one server, and every server behind a client of
// each era. Whatever era either is of, the server's questions are answered, and
// its reports, changes and updates arrive.
func TestProxied(t *testing.T) {
	over := func(o *sdk.StreamableHTTPOptions) func(*testing.T) mcp.UpstreamOptions {
		return func(t *testing.T) mcp.UpstreamOptions {
			s := busyServer()
			endSessions(t, s)
			return mcp.UpstreamOptions{URL: serve(t, sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, o))}
		}
	}
	pipe := func(era string) func(*testing.T) mcp.UpstreamOptions {
		return func(t *testing.T) mcp.UpstreamOptions {
			o := program(t, "busy")
			o.Era = era
			return o
		}
	}
	sse := func(t *testing.T) mcp.UpstreamOptions {
		s := busyServer()
		return mcp.UpstreamOptions{URL: serve(t, sdk.NewSSEHandler(func(*http.Request) *sdk.Server { return s }, nil))}
	}
	for _, up := range []struct {
		name, tools string // what the names of the tools that ask begin with
		open        func(*testing.T) mcp.UpstreamOptions
	}{
		{"http", "result_", over(&sdk.StreamableHTTPOptions{Stateless: true, PropagateRequestCancellation: true})},
		{"http sessions", "", over(nil)},
		{"http+sse", "", sse},
		{"pipe", "result_", pipe("modern")},
		{"pipe of old", "", pipe("legacy")},
	} {
		for i, cl := range []struct {
			name, rev string
			transport func(*testing.T, *mcp.Frontend, *httptest.Server) sdk.Transport
		}{
			{"http", "2026-07-28", streamable},
			{"http", "2025-11-25", streamable},
			{"http", "2025-06-18", streamable},
			{"http+sse", "2024-11-05", func(_ *testing.T, _ *mcp.Frontend, srv *httptest.Server) sdk.Transport {
				return &sdk.SSEClientTransport{Endpoint: srv.URL + "/sse", HTTPClient: srv.Client()}
			}},
			{"pipe", "2026-07-28", piped},
			{"pipe", "2025-11-25", piped},
		} {
			if i > 1 && up.name != "http sessions" {
				continue
			}
			t.Run(up.name+" to "+cl.name+" "+cl.rev, func(t *testing.T) {
				t.Parallel() // They wait for changes most of the time.
				ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
				t.Cleanup(stop)
				f, err := frontendOf(ctx, openUpstream(t, up.open(t)))
				if err != nil {
					t.Fatal(err)
				}
				srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					r = r.WithContext(auth.With(r.Context(), principal("alice")))
					if r.URL.Path == "/" {
						f.ServeHTTP(w, r)
					} else {
						f.SSE().ServeHTTP(w, r)
					}
				}))
				t.Cleanup(func() {
					f.Close()
					srv.Close()
				})
				useProxied(t, cl.transport(t, f, srv), cl.rev, up.tools)
			})
		}
	}
}

func streamable(_ *testing.T, _ *mcp.Frontend, srv *httptest.Server) sdk.Transport {
	return &sdk.StreamableClientTransport{Endpoint: srv.URL, HTTPClient: srv.Client()}
}

func piped(t *testing.T, f *mcp.Frontend, _ *httptest.Server) sdk.Transport {
	in, toServer := io.Pipe()
	fromServer, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- f.ServeStdio(context.WithoutCancel(t.Context()), in, out, principal("alice"))
		out.Close()
	}()
	t.Cleanup(func() {
		if err := receive(t, done); err != nil {
			t.Errorf("ServeStdio: %v", err)
		}
	})
	return &sdk.IOTransport{Reader: fromServer, Writer: toServer}
}

// useProxied uses everything that busyServer has.
func useProxied(t *testing.T, transport sdk.Transport, rev, tools string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	progress, updates, changes := make(chan float64, 8), make(chan string, 8), make(chan struct{}, 8)
	client := sdk.NewClient(&sdk.Implementation{Name: "peer", Version: "1"}, &sdk.ClientOptions{
		ElicitationHandler: func(_ context.Context, r *sdk.ElicitRequest) (*sdk.ElicitResult, error) {
			return &sdk.ElicitResult{Action: "accept", Content: map[string]any{"a": "to " + r.Params.Message}}, nil
		},
		//nolint:staticcheck // sampling is deprecated and has to work.
		CreateMessageHandler: func(_ context.Context, r *sdk.CreateMessageRequest) (*sdk.CreateMessageResult, error) {
			said := r.Params.Messages[0].Content.(*sdk.TextContent).Text
			return &sdk.CreateMessageResult{Role: "assistant", Model: "m", Content: &sdk.TextContent{Text: "thought of " + said}}, nil
		},
		ProgressNotificationHandler: func(_ context.Context, r *sdk.ProgressNotificationClientRequest) { progress <- r.Params.Progress },
		ResourceUpdatedHandler:      func(_ context.Context, r *sdk.ResourceUpdatedNotificationRequest) { updates <- r.Params.URI },
		ToolListChangedHandler:      func(context.Context, *sdk.ToolListChangedRequest) { changes <- struct{}{} },
	})
	client.AddRoots(&sdk.Root{URI: "file:///home"}) //nolint:staticcheck // as above.
	cs, err := client.Connect(ctx, transport, &sdk.ClientSessionOptions{ProtocolVersion: rev})
	if err != nil {
		t.Fatal(err)
	}
	defer cs.Close()
	if got := cs.InitializeResult().ProtocolVersion; got != rev {
		t.Errorf("agreed on %s", got)
	}
	call := func(tool, word string) string {
		t.Helper()
		res, err := cs.CallTool(ctx, &sdk.CallToolParams{Name: tool, Arguments: map[string]any{"word": word}, Meta: sdk.Meta{"progressToken": "p"}})
		if err != nil {
			t.Fatalf("%s: %v", tool, err)
		}
		text, ok := first(res).(*sdk.TextContent)
		if !ok {
			t.Fatalf("%s: %+v", tool, res)
		}
		return text.Text
	}
	for tool, want := range map[string]string{"elicit": "accept to w", "sample": "thought of w", "roots": "file:///home"} {
		if tool == "elicit" && rev < "2025-06-18" {
			continue // That era has none.
		}
		if got := call(tools+tool, "w"); got != want {
			t.Errorf("%s: %q, want %q", tool, got, want)
		}
	}
	call("report", "")
	if p := receive(t, progress); p != 0.5 {
		t.Errorf("progress %v", p)
	}
	hanging, abandon := context.WithCancel(ctx)
	go func() {
		<-progress // It runs.
		abandon()
	}()
	if _, err := cs.CallTool(hanging, &sdk.CallToolParams{Name: "hang", Arguments: map[string]any{"word": ""}, Meta: sdk.Meta{"progressToken": "h"}}); err == nil {
		t.Error("the abandoned call was answered")
	}
	waitFor(t, func() bool { return call("cancelled", "") == "1" })
	if err := cs.Subscribe(ctx, &sdk.SubscribeParams{URI: "test://watched"}); err != nil {
		t.Fatal(err)
	}
	repeat(t, func() { call("touch", "") }, updates)
	repeat(t, func() { call("grow", "") }, changes)
	waitFor(t, func() bool {
		list, err := cs.ListTools(ctx, nil)
		return err == nil && slices.ContainsFunc(list.Tools, func(tool *sdk.Tool) bool { return strings.HasPrefix(tool.Name, "grown") })
	})
}

// repeat does something until it is told: a client may still be about to listen.
func repeat[T any](t *testing.T, do func(), told <-chan T) {
	t.Helper()
	for range 50 {
		do()
		select {
		case <-told:
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
	t.Fatal("nothing was told")
}

// endSessions ends what a client may have left open, once the test is over.
func endSessions(t *testing.T, s *sdk.Server) {
	t.Helper()
	t.Cleanup(func() {
		for session := range s.Sessions() {
			_ = session.Close() // It may be closed.
		}
	})
}
