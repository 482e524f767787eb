package mcp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// A word is what the tools of askingServer are given.
type word struct {
	Word string `json:"word"`
}

// askingServer is a server of another SDK whose tools ask the client with the
// word that they are given, and return the answer.
func askingServer() *sdk.Server {
	s := sdk.NewServer(&sdk.Implementation{Name: "asking", Version: "1"}, nil)
	text := func(t string) *sdk.CallToolResult {
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: t}}}
	}
	sdk.AddTool(s, &sdk.Tool{Name: "elicit"}, func(ctx context.Context, r *sdk.CallToolRequest, in word) (*sdk.CallToolResult, any, error) {
		res, err := r.Session.Elicit(ctx, &sdk.ElicitParams{Message: in.Word, RequestedSchema: json.RawMessage(`{"type":"object","properties":{"a":{"type":"string"}}}`)})
		if err != nil {
			return nil, nil, err
		}
		return text(fmt.Sprint(res.Action, " ", res.Content["a"])), nil, nil
	})
	sdk.AddTool(s, &sdk.Tool{Name: "sample"}, func(ctx context.Context, r *sdk.CallToolRequest, in word) (*sdk.CallToolResult, any, error) {
		//nolint:staticcheck // sampling is deprecated and has to work.
		res, err := r.Session.CreateMessage(ctx, &sdk.CreateMessageParams{
			MaxTokens: 5, Messages: []*sdk.SamplingMessage{{Role: "user", Content: &sdk.TextContent{Text: in.Word}}},
		})
		if err != nil {
			return nil, nil, err
		}
		return text(res.Content.(*sdk.TextContent).Text), nil, nil
	})
	sdk.AddTool(s, &sdk.Tool{Name: "roots"}, func(ctx context.Context, r *sdk.CallToolRequest, _ word) (*sdk.CallToolResult, any, error) {
		res, err := r.Session.ListRoots(ctx, nil) //nolint:staticcheck // as above.
		if err != nil {
			return nil, nil, err
		}
		return text(res.Roots[0].URI), nil, nil
	})
	return s
}

// serveAsking serves askingServer in one era, or over the two endpoints of
// revision 2024-11-05.
func serveAsking(t *testing.T) string {
	s := askingServer()
	return serve(t, sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s }, nil))
}

const everything = `{"elicitation":{"form":{},"url":{}},"sampling":{"tools":{}},"roots":{},"experimental":{"x":1}}`

// answered calls a tool for somebody whose client says who they are in every
// answer.
func answered(t *testing.T, u *mcp.Upstream, who, tool, word string, seen func(gateway.Question)) (string, error) {
	t.Helper()
	call := toolCall(tool, `{"word":"`+word+`"}`)
	call.Principal = &gateway.Principal{ID: who}
	call.Capabilities = json.RawMessage(everything)
	call.Ask = func(_ context.Context, q gateway.Question) (json.RawMessage, error) {
		if seen != nil {
			seen(q)
		}
		return json.RawMessage(map[string]string{
			"elicitation/create":     `{"action":"accept","content":{"a":"` + who + `"}}`,
			"sampling/createMessage": `{"role":"assistant","model":"m","content":{"type":"text","text":"` + who + `"}}`,
			"roots/list":             `{"roots":[{"uri":"file:///` + who + `"}]}`,
		}[q.Method]), nil
	}
	res, err := u.Do(t.Context(), call)
	if err != nil {
		return "", err
	}
	if res.Input != nil {
		return "", fmt.Errorf("the call asks: %v", res.Input)
	}
	var r struct{ Content []struct{ Text string } }
	if err := json.Unmarshal(res.Raw, &r); err != nil {
		return "", err
	}
	return r.Content[0].Text, nil
}

// TestUpstreamQuestions has a server of another SDK ask each kind of question,
// over each transport, of a caller that can answer and of one that cannot.
func TestUpstreamQuestions(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) *mcp.Upstream{
		"http": func(t *testing.T) *mcp.Upstream {
			return openUpstream(t, mcp.UpstreamOptions{Era: "legacy", URL: serveAsking(t)})
		},
		"stdio": func(t *testing.T) *mcp.Upstream {
			o := program(t, "asking")
			o.Era = "legacy"
			return openUpstream(t, o)
		},
	} {
		t.Run(name, func(t *testing.T) {
			u := open(t)
			for tool, want := range map[string]string{"elicit": "accept ada", "sample": "ada", "roots": "file:///ada"} {
				got, err := answered(t, u, "ada", tool, "w", func(q gateway.Question) {
					if tool == "elicit" && !strings.Contains(string(q.Params), `"message":"w"`) {
						t.Errorf("the question is %s", q.Params)
					}
				})
				if err != nil || got != want {
					t.Errorf("%s: %q, %v; want %q", tool, got, err, want)
				}
				mute := toolCall(tool, `{"word":"w"}`)
				mute.Principal = &gateway.Principal{ID: "ada"}
				res, err := u.Do(t.Context(), mute)
				if err != nil || !res.IsError || !strings.Contains(string(res.Raw), "does not support") {
					t.Errorf("%s of a client that cannot answer: %s, %v", tool, res.Raw, err)
				}
			}
		})
	}
}

// TestUpstreamQuestionLeak has two principals call at once over one connection.
// Neither may ever see what the server asks the other.
func TestUpstreamQuestionLeak(t *testing.T) {
	const rounds = 200
	attack := func(t *testing.T, u *mcp.Upstream) int32 {
		var wg sync.WaitGroup
		var done atomic.Int32
		for _, who := range []string{"ada", "bob"} {
			wg.Go(func() {
				for n := range rounds {
					secret := fmt.Sprintf("%s-%d", who, n)
					got, err := answered(t, u, who, "elicit", secret, func(q gateway.Question) {
						if !strings.Contains(string(q.Params), `"`+secret+`"`) {
							t.Errorf("%s is asked %s about %s", who, q.Params, secret)
						}
					})
					if err != nil {
						t.Errorf("%s: %v", who, err)
					}
					if strings.HasPrefix(got, "accept ") {
						done.Add(1)
						if got != "accept "+who {
							t.Errorf("%s got the answer %q", who, got)
						}
					}
				}
			})
		}
		wg.Wait()
		return done.Load()
	}
	t.Run("http", func(t *testing.T) {
		u := openUpstream(t, mcp.UpstreamOptions{Era: "legacy", URL: serveAsking(t)})
		if n := attack(t, u); n != 2*rounds {
			t.Errorf("%d of %d calls were answered", n, 2*rounds)
		}
	})
	t.Run("stdio, shared", func(t *testing.T) {
		o := program(t, "asking")
		o.Era = "legacy"
		// Whoever comes second makes it impossible to tell.
		if n := attack(t, openUpstream(t, o)); n >= rounds {
			t.Errorf("%d of %d calls were answered", n, 2*rounds)
		}
	})
}
