package mcp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
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
func askingServer(options ...func(*sdk.ServerOptions)) *sdk.Server {
	var o sdk.ServerOptions
	for _, set := range options {
		set(&o)
	}
	s := sdk.NewServer(&sdk.Implementation{Name: "asking", Version: "1"}, &o)
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
	sdk.AddTool(s, &sdk.Tool{Name: "log"}, func(ctx context.Context, r *sdk.CallToolRequest, in word) (*sdk.CallToolResult, any, error) {
		err := r.Session.Log(ctx, &sdk.LoggingMessageParams{Level: "debug", Data: in.Word}) //nolint:staticcheck // as above.
		return text("logged"), nil, err
	})
	return s
}

// serveAsking serves askingServer over streamable HTTP.
func serveAsking(t *testing.T) string {
	s := askingServer()
	endSessions(t, s)
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
		"http+sse": func(t *testing.T) *mcp.Upstream {
			s := askingServer()
			return openUpstream(t, mcp.UpstreamOptions{URL: serve(t, sdk.NewSSEHandler(func(*http.Request) *sdk.Server { return s }, nil))})
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

// TestUpstreamLines checks that what a server logs reaches the caller whose call
// it is about, over transports that say whose that is and over those that do
// not, and that there nobody hears of another's.
func TestUpstreamLines(t *testing.T) {
	sse := func(t *testing.T) mcp.UpstreamOptions {
		s := askingServer()
		return mcp.UpstreamOptions{URL: serve(t, sdk.NewSSEHandler(func(*http.Request) *sdk.Server { return s }, nil))}
	}
	for _, tt := range []struct {
		name string
		open func(t *testing.T) mcp.UpstreamOptions
		era  string
		told bool // the transport says whose a line is
	}{
		{"http", func(t *testing.T) mcp.UpstreamOptions { return mcp.UpstreamOptions{URL: serveAsking(t)} }, "legacy", true},
		{"http+sse", sse, "legacy", false},
		{"legacy pipe", func(t *testing.T) mcp.UpstreamOptions { return program(t, "asking") }, "legacy", false},
		{"modern pipe", func(t *testing.T) mcp.UpstreamOptions { return program(t, "asking") }, "modern", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := tt.open(t)
			o.Era = tt.era
			u := openUpstream(t, o)
			hear := func(who string) []gateway.LogMessage {
				var lines []gateway.LogMessage
				call := toolCall("log", `{"word":"of `+who+`"}`)
				call.Principal = &gateway.Principal{ID: who}
				call.Log = func(l gateway.LogMessage) { lines = append(lines, l) }
				if res, err := u.Do(t.Context(), call); err != nil || res.IsError {
					t.Fatalf("%+v, %v", res, err)
				}
				return lines
			}
			for n, who := range []string{"ada", "ada", "bob", "ada"} {
				var want []gateway.LogMessage
				if tt.told || n < 2 { // Until then ada is the only caller.
					want = []gateway.LogMessage{{Level: "debug", Data: json.RawMessage(`"of ` + who + `"`)}}
				}
				if diff := cmp.Diff(want, hear(who)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", who, diff)
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
	t.Run("stdio, of each principal", func(t *testing.T) {
		o := program(t, "asking")
		o.Era, o.Sessions = "legacy", "principal"
		if n := attack(t, openUpstream(t, o)); n != 2*rounds {
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

// TestUpstreamInput follows the questions of a modern server from one call to
// the next, and what it learns of the caller's client.
func TestUpstreamInput(t *testing.T) {
	type body struct {
		Params struct {
			InputResponses, RequestState json.RawMessage
			Meta                         map[string]json.RawMessage `json:"_meta"`
		}
	}
	seen := make(chan body, 1)
	u := openUpstream(t, mcp.UpstreamOptions{URL: serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		raw, _ := io.ReadAll(req.Body)
		r, b := &received{answer: w}, body{}
		if json.Unmarshal(raw, r) != nil || json.Unmarshal(raw, &b) != nil {
			t.Errorf("the request is %s", raw)
		}
		switch {
		case r.Method == "server/discover":
			r.result(modernDiscover)
		case b.Params.InputResponses == nil:
			seen <- b
			r.result(`{"resultType":"input_required","inputRequests":{"b":{"method":"elicitation/create","params":{"n":9007199254740993}},"a":{"method":"roots/list"}},"requestState":"<é\n>"}`)
		default:
			seen <- b
			r.result(`{"resultType":"complete","content":[]}`)
		}
	}))})
	call := toolCall("x", `{}`)
	call.Capabilities = json.RawMessage(everything)
	res, err := u.Do(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	want := &gateway.InputRequest{State: "<é\n>", Questions: map[string]gateway.Question{
		"a": {Method: "roots/list"}, "b": {Method: "elicitation/create", Params: json.RawMessage(`{"n":9007199254740993}`)},
	}}
	if diff := cmp.Diff(want, res.Input); diff != "" || res.Raw != nil {
		t.Errorf("the questions (-want +got):\n%s", diff)
	}
	if got := string((<-seen).Params.Meta["io.modelcontextprotocol/clientCapabilities"]); got != `{"elicitation":{"form":{},"url":{}},"sampling":{"tools":{}},"roots":{}}` {
		t.Errorf("the server is told that the client can %s", got)
	}
	call.Resume = &gateway.Resume{State: res.Input.State, Answers: map[string]json.RawMessage{"a": json.RawMessage(`{"roots":[1.10]}`), "b": json.RawMessage(`7`)}}
	if res, err = u.Do(t.Context(), call); err != nil || res.Input != nil {
		t.Fatalf("the second call: %+v, %v", res, err)
	}
	got := (<-seen).Params
	if string(got.InputResponses) != `{"a":{"roots":[1.10]},"b":7}` || string(got.RequestState) != `"<é\n>"` {
		t.Errorf("the server is answered %s, %s", got.InputResponses, got.RequestState)
	}

	call.Capabilities = json.RawMessage(`{"elicitation":{}}`)
	call.Resume = nil
	_, err = u.Do(t.Context(), call)
	if e := gateway.AsError(err); e == nil || string(e.Needs) != `{"roots":{}}` {
		t.Errorf("a client without roots: %v", err)
	}
}

// TestUpstreamNeeds checks that what a server lacks of the client reaches it,
// and where it should go first.
func TestUpstreamNeeds(t *testing.T) {
	u := openUpstream(t, mcp.UpstreamOptions{URL: modernServer(t, func(r *received) {
		r.fails(400, `{"code":-32021,"message":"no","data":{"requiredCapabilities":{"sampling":{"tools":{}}}}}`)
	})})
	if e := errorOf(t, u); e.Code != gateway.FailedPrecondition || string(e.Needs) != `{"sampling":{"tools":{}}}` {
		t.Errorf("%v needs %s", e, e.Needs)
	}
	const data = `{"elicitations":[{"mode":"url","url":"https://x.example","elicitationId":"1","message":"m"}]}`
	u = openUpstream(t, mcp.UpstreamOptions{URL: modernServer(t, func(r *received) { r.fails(200, `{"code":-32042,"message":"visit","data":`+data+`}`) })})
	if e := errorOf(t, u); e.Code != gateway.FailedPrecondition || string(e.Data) != data {
		t.Errorf("%v with %s", e, e.Data)
	}
}

// TestVisitFirst passes on that somebody must visit a URL before a call is made
// again, to clients whose revision has an error for it and that can show a URL.
func TestVisitFirst(t *testing.T) {
	const data = `{"elicitations":[{"mode":"url","url":"https://x.example","elicitationId":"1","message":"m"}]}`
	up := openUpstream(t, mcp.UpstreamOptions{URL: modernServer(t, func(r *received) { r.fails(200, `{"code":-32042,"message":"visit","data":`+data+`}`) })})
	f := newFixture(t, mcp.FrontendOptions{})
	err := f.funcs.AddTool(json.RawMessage(`{"name":"far","inputSchema":{"type":"object"}}`), func(ctx context.Context, _ *gateway.Call) (*gateway.Result, error) {
		return up.Do(ctx, toolCall("far", `{}`))
	})
	if err != nil {
		t.Fatal(err)
	}
	f.publish(t)
	srv := f.serve(t)
	for _, tt := range []struct{ rev, declared, code string }{
		{"2025-11-25", `{"elicitation":{"url":{}}}`, "-32042"},
		{"2025-11-25", `{"elicitation":{}}`, "-32000"},
		{"2025-06-18", `{"elicitation":{"url":{}}}`, "-32000"},
	} {
		_, text := post(t, srv, open(t, srv, "alice", tt.rev, tt.declared), callOf("far"))
		if !strings.Contains(text, `"code":`+tt.code+`,"message":"visit","data":`+data) {
			t.Errorf("%s %s: %s", tt.rev, tt.declared, text)
		}
	}
	if _, text := post(t, srv, modern("tools/call", "far", "alice"), request("tools/call", `{"name":"far",`+modernMeta+`}`)); !strings.Contains(text, `"code":-32000,"message":"visit"`) {
		t.Errorf("a stateless client: %s", text)
	}
}
