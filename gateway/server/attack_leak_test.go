package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
)

// TestAttackQuestionLeak has two callers use one connection to a source at once,
// each with a word that the other must never see: what the source asks about one
// call reaches its caller alone, and so does the answer, whichever eras the
// source and the callers speak.
func TestAttackQuestionLeak(t *testing.T) {
	asking := new(gateway.Funcs)
	err := asking.AddTool(json.RawMessage(`{"name":"ask","inputSchema":{"type":"object","properties":{"word":{"type":"string"}},"required":["word"]}}`),
		func(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
			var in struct{ Word string }
			if err := json.Unmarshal(call.Args, &in); err != nil {
				return nil, err
			}
			raw, err := call.Ask(ctx, gateway.Question{Method: "elicitation/create", Params: json.RawMessage(
				`{"message":"` + in.Word + `","requestedSchema":{"type":"object","properties":{"word":{"type":"string"}}}}`)})
			if err != nil {
				return nil, err
			}
			var answer struct{ Content struct{ Word string } }
			if err := json.Unmarshal(raw, &answer); err != nil {
				return nil, err
			}
			return gateway.TextResult(in.Word + " " + answer.Content.Word), nil
		})
	if err != nil {
		t.Fatal(err)
	}
	back := start(t, map[string]gateway.Upstream{"x": asking}, withPolicy(t, everything))
	policy := withPolicy(t, everything+"p, role:dev, *, **, *, allow\n")
	for _, era := range []string{"modern", "legacy"} {
		t.Run("source "+era, func(t *testing.T) {
			source, o := behind(t, back)
			source.Era = era
			front := startWith(t, o, func(cfg *config.Config) {
				policy(cfg)
				cfg.Sources = []config.Source{{Name: "behind", MCP: source}}
			})
			for _, revision := range []string{"2026-07-28", "2025-11-25"} {
				t.Run("callers "+revision, func(t *testing.T) {
					var callers sync.WaitGroup
					for _, persona := range []string{"admin", "dev"} {
						callers.Go(func() { front.eavesdrop(t, persona, revision) })
					}
					callers.Wait()
				})
			}
			for _, s := range front.Sources() {
				if s.Sessions.Opened != 1 {
					t.Errorf("the callers had %d connections, and were to share one", s.Sessions.Opened)
				}
			}
		})
	}
}

// withToken adds a persona's token to requests.
type withToken string

func (w withToken) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+string(w))
	return http.DefaultTransport.RoundTrip(req)
}

// eavesdrop makes calls that ask, one after the other, and looks for what it
// should not be asked or told.
func (r *rig) eavesdrop(t *testing.T, persona, revision string) {
	const rounds = 50
	var mu sync.Mutex
	var word string
	client := sdk.NewClient(&sdk.Implementation{Name: "peer", Version: "1"}, &sdk.ClientOptions{
		ElicitationHandler: func(_ context.Context, req *sdk.ElicitRequest) (*sdk.ElicitResult, error) {
			mu.Lock()
			defer mu.Unlock()
			if req.Params.Message != word {
				t.Errorf("%s is asked about %q during the call about %q", persona, req.Params.Message, word)
			}
			return &sdk.ElicitResult{Action: "accept", Content: map[string]any{"word": persona}}, nil
		},
	})
	cs, err := client.Connect(t.Context(), &sdk.StreamableClientTransport{
		Endpoint: r.URL() + "/mcp", HTTPClient: &http.Client{Transport: withToken(r.token(t, persona))},
	}, &sdk.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Error(err)
		return
	}
	defer cs.Close()
	for n := range rounds {
		mu.Lock()
		word = fmt.Sprintf("%s-%d", persona, n)
		want := word + " " + persona
		mu.Unlock()
		res, err := cs.CallTool(t.Context(), &sdk.CallToolParams{Name: "x.ask", Arguments: map[string]any{"word": word}})
		if err != nil {
			t.Errorf("%s: %v", persona, err)
			return
		}
		if text, ok := res.Content[0].(*sdk.TextContent); !ok || text.Text != want {
			t.Errorf("%s was answered %+v, want %s", persona, res.Content, want)
		}
	}
}

// TestAttackTokenCache lets a token in, so that it is remembered, and then comes
// with others that begin like it (LiteLLM CVE-2026-35030).
func TestAttackTokenCache(t *testing.T) {
	r := start(t, nil, nil)
	good := r.token(t, "admin")
	list := func(token string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL()+"/v1/tools", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		code, _, _ := roundTrip(t, req)
		return code
	}
	for range 2 {
		if code := list(good); code != http.StatusOK {
			t.Fatalf("the token itself: %d", code)
		}
	}
	forged := []string{good + "x", good + ".x", good[:len(good)-4], good[:20], good[:strings.LastIndexByte(good, '.')+1]}
	for _, at := range []int{len(good) - 3, len(good) - 40, len(good) / 2, 30, 2} {
		other := byte('A')
		if good[at] == other {
			other = 'B'
		}
		forged = append(forged, good[:at]+string(other)+good[at+1:])
	}
	for _, token := range forged {
		if code := list(token); code != http.StatusUnauthorized {
			t.Errorf("%d for %q after %q", code, token, good)
		}
	}
}
