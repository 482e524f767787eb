package mcp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// askParams is a form with one field.
const askParams = `{"message":"Who?","requestedSchema":{"type":"object","properties":{"who":{"type":"string"}}}}`

func elicitation() gateway.Question {
	return gateway.Question{Method: "elicitation/create", Params: json.RawMessage(askParams)}
}

// newAsking returns a fixture with capabilities that ask. The channel tells how
// the calls of the tool "ask" ended.
func newAsking(t testing.TB, o mcp.FrontendOptions) (*fixture, chan error) {
	t.Helper()
	f := newFixture(t, o)
	ended := make(chan error, 2048)
	ask := func(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
		res, err := askTwice(ctx, call)
		ended <- err
		return res, err
	}
	for name, run := range map[string]gateway.Func{
		"ask": ask, "again": ask, "input": inputTwice, "greedy": greedy, "both": both,
		"sample": once("sampling/createMessage", `{"messages":[],"maxTokens":1}`),
		"roots":  once("roots/list", ``),
		"visit":  once("elicitation/create", `{"mode":"url","message":"Go.","url":"https://example.com/"}`),
		"waits": func(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
			if _, err := call.Ask(ctx, elicitation()); err != nil {
				return nil, err
			}
			f.started <- call
			<-ctx.Done()
			f.ended <- context.Cause(ctx)
			return nil, ctx.Err()
		},
	} {
		def := `{"name":"` + name + `","description":"Asks.","inputSchema":{"type":"object"}}`
		if err := f.funcs.AddTool(json.RawMessage(def), run); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.funcs.AddPrompt(json.RawMessage(`{"name":"ask","description":"Asks."}`), func(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
		if _, err := askTwice(ctx, call); err != nil {
			return nil, err
		}
		return &gateway.Result{Raw: json.RawMessage(`{"messages":[]}`)}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := f.funcs.AddResource(json.RawMessage(`{"uri":"test://ask","name":"ask","description":"Asks."}`), func(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
		if _, err := askTwice(ctx, call); err != nil {
			return nil, err
		}
		return &gateway.Result{Raw: json.RawMessage(`{"contents":[]}`)}, nil
	}); err != nil {
		t.Fatal(err)
	}
	f.publish(t)
	return f, ended
}

// askTwice asks two questions, between which it reports progress.
func askTwice(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	var text strings.Builder
	text.WriteString("got")
	for i := range 2 {
		if call.Ask == nil {
			return nil, gateway.NeedsCapability("elicitation")
		}
		raw, err := call.Ask(ctx, elicitation())
		if err != nil {
			return nil, err
		}
		if call.Progress != nil {
			call.Progress(gateway.Progress{Progress: json.Number(fmt.Sprint(i))})
		}
		text.WriteString(" " + who(raw))
	}
	return gateway.TextResult(text.String() + " with " + string(call.Args)), nil
}

// inputTwice comes back twice, with the first answer in its state.
func inputTwice(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
	var state string
	answers := map[string]json.RawMessage{}
	if call.Resume != nil {
		state, answers = call.Resume.State, call.Resume.Answers
	}
	switch {
	case call.Capabilities == nil:
		return nil, gateway.NeedsCapability("elicitation")
	case state == "" && answers["a"] == nil:
		return &gateway.Result{Input: &gateway.InputRequest{Questions: map[string]gateway.Question{"a": elicitation()}, State: "first"}}, nil
	case state == "first" && answers["a"] != nil:
		return &gateway.Result{Input: &gateway.InputRequest{State: who(answers["a"])}}, nil
	case answers["b"] == nil:
		return &gateway.Result{Input: &gateway.InputRequest{Questions: map[string]gateway.Question{"b": elicitation()}, State: state}}, nil
	}
	return gateway.TextResult("got " + state + " " + who(answers["b"]) + " with " + string(call.Args)), nil
}

// both asks while it runs and then comes back.
func both(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	if call.Resume != nil {
		return gateway.TextResult("got " + call.Resume.State + " " + who(call.Resume.Answers["b"]) + " with " + string(call.Args)), nil
	}
	raw, err := call.Ask(ctx, elicitation())
	if err != nil {
		return nil, err
	}
	return &gateway.Result{Input: &gateway.InputRequest{Questions: map[string]gateway.Question{"b": elicitation()}, State: who(raw)}}, nil
}

// greedy never has enough.
func greedy(context.Context, *gateway.Call) (*gateway.Result, error) {
	return &gateway.Result{Input: &gateway.InputRequest{Questions: map[string]gateway.Question{"more": elicitation()}}}, nil
}

func once(method, params string) gateway.Func {
	return func(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
		if call.Ask == nil {
			return nil, gateway.NeedsCapability(gateway.Question{Method: method}.Capability())
		}
		raw, err := call.Ask(ctx, gateway.Question{Method: method, Params: json.RawMessage(params)})
		if err != nil {
			return nil, err
		}
		return gateway.TextResult("got " + string(raw)), nil
	}
}

// who is the field of a form that was filled in.
func who(raw json.RawMessage) string {
	var answer struct {
		Content struct {
			Who string `json:"who"`
		} `json:"content"`
	}
	_ = json.Unmarshal(raw, &answer) // Then nobody.
	return answer.Content.Who
}

// TestAskPeer asks the official SDK's client, in all eras, over streamable HTTP
// and over pipes, in both ways.
func TestAskPeer(t *testing.T) {
	for _, rev := range []string{"2026-07-28", "2025-11-25", "2025-06-18"} {
		t.Run("http "+rev, func(t *testing.T) {
			f, _ := newAsking(t, mcp.FrontendOptions{})
			testAskPeer(t, rev, &sdk.StreamableClientTransport{Endpoint: f.serve(t).URL, HTTPClient: &http.Client{Transport: as("alice")}})
		})
		t.Run("stdio "+rev, func(t *testing.T) {
			f, _ := newAsking(t, mcp.FrontendOptions{})
			in, toServer := io.Pipe()
			fromServer, out := io.Pipe()
			done := make(chan error, 1)
			go func() { done <- f.frontend.ServeStdio(t.Context(), in, out, principal("alice")) }()
			testAskPeer(t, rev, &sdk.IOTransport{Reader: fromServer, Writer: toServer})
			if err := receive(t, done); err != nil {
				t.Errorf("ServeStdio: %v", err)
			}
			out.Close()
		})
	}
}

func first(res *sdk.CallToolResult) sdk.Content {
	if len(res.Content) == 0 {
		return nil
	}
	return res.Content[0]
}

func testAskPeer(t *testing.T, rev string, transport sdk.Transport) {
	t.Helper()
	var asked atomic.Int64
	client := sdk.NewClient(&sdk.Implementation{Name: "peer", Version: "1"}, &sdk.ClientOptions{
		ElicitationHandler: func(_ context.Context, r *sdk.ElicitRequest) (*sdk.ElicitResult, error) {
			n := asked.Add(1)
			if r.Params.Message != "Who?" {
				t.Errorf("asked %+v", r.Params)
			}
			return &sdk.ElicitResult{Action: "accept", Content: map[string]any{"who": fmt.Sprint("p", n)}}, nil
		},
		//nolint:staticcheck // sampling is deprecated and has to work.
		CreateMessageHandler: func(context.Context, *sdk.CreateMessageRequest) (*sdk.CreateMessageResult, error) {
			return &sdk.CreateMessageResult{Role: "assistant", Model: "m", Content: &sdk.TextContent{Text: "a thought"}}, nil
		},
	})
	//nolint:staticcheck // as above.
	client.AddRoots(&sdk.Root{URI: "file:///home", Name: "home"})
	cs, err := client.Connect(t.Context(), transport, &sdk.ClientSessionOptions{ProtocolVersion: rev})
	if err != nil {
		t.Fatal(err)
	}
	defer cs.Close()
	for _, tt := range []struct{ tool, want string }{
		{"ask", `got p1 p2 with {"n":12}`},
		{"input", `got p1 p2 with {"n":12}`},
		{"both", `got p1 p2 with {"n":12}`},
		{"sample", `"a thought"`},
		{"roots", `file:///home`},
	} {
		asked.Store(0)
		res, err := cs.CallTool(t.Context(), &sdk.CallToolParams{Name: tt.tool, Arguments: map[string]any{"n": 12}})
		if err != nil {
			t.Errorf("%s: %v", tt.tool, err)
			continue
		}
		if text, ok := first(res).(*sdk.TextContent); !ok || !strings.Contains(text.Text, tt.want) {
			raw, _ := json.Marshal(res)
			t.Errorf("%s: %s", tt.tool, raw)
		}
	}
	if _, err := cs.GetPrompt(t.Context(), &sdk.GetPromptParams{Name: "ask"}); err != nil {
		t.Error(err)
	}
	if _, err := cs.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: "test://ask"}); err != nil {
		t.Error(err)
	}
	if _, err := cs.CallTool(t.Context(), &sdk.CallToolParams{Name: "greedy"}); err == nil {
		t.Error("a tool asked for ever")
	}
}
