package mcp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

const (
	allMeta  = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{},"sampling":{},"roots":{}}}`
	accepted = `{"action":"accept","content":{"who":"Ann"}}`
)

// A reply is what a modern call is answered with.
type reply struct {
	status int
	body   string
	Result struct {
		ResultType   string
		RequestState string
		Content      []struct{ Text string }
		Requests     map[string]struct {
			Method string
			Params json.RawMessage
		} `json:"inputRequests"`
	}
	Error struct {
		Code int
		Data struct{ RequiredCapabilities json.RawMessage }
	}
}

// ask makes a modern tools/call without a network.
func (f *fixture) ask(ctx context.Context, t testing.TB, who, tool, args, more string) reply {
	t.Helper()
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `","arguments":` + args + more + `,` + allMeta + `}}`
	return f.askRaw(ctx, t, who, tool, body)
}

func (f *fixture) askRaw(ctx context.Context, t testing.TB, who, tool, body string) reply {
	t.Helper()
	r := httptest.NewRequestWithContext(ctx, "POST", "/mcp", strings.NewReader(body))
	r.Header = modern("tools/call", tool, who)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	a := reply{status: w.Code, body: w.Body.String()}
	if w.Header().Get("Content-Type") == "text/event-stream" { // It has taken long.
		a.body = strings.TrimSpace(a.body[strings.LastIndex(a.body, "data: ")+len("data: "):])
	}
	if err := json.Unmarshal([]byte(a.body), &a); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return a
}

// back is what a client comes back with.
func back(state, key, answer string) string {
	return fmt.Sprintf(`,"requestState":%q,"inputResponses":{%q:%s}`, state, key, answer)
}

func (a *reply) wantInput(t testing.TB, key string) string {
	t.Helper()
	q, ok := a.Result.Requests[key]
	if a.status != http.StatusOK || a.Result.ResultType != "input_required" || !ok || q.Method != "elicitation/create" || string(q.Params) != askParams {
		t.Fatalf("no question %s: %d %s", key, a.status, a.body)
	}
	return a.Result.RequestState
}

func (a *reply) wantText(t testing.TB, text string) {
	t.Helper()
	if a.Result.ResultType != "complete" || len(a.Result.Content) != 1 || a.Result.Content[0].Text != text {
		t.Fatalf("not %q: %d %s", text, a.status, a.body)
	}
}

func (a *reply) wantError(t testing.TB, what string, code int) {
	t.Helper()
	if a.Error.Code != code || a.Result.ResultType != "" {
		t.Errorf("%s: not %d: %d %s", what, code, a.status, a.body)
	}
}

func TestSuspendedCall(t *testing.T) {
	f, ended := newAsking(t, mcp.FrontendOptions{})
	a := f.ask(t.Context(), t, "alice", "ask", `{"b":2,"a":1.0}`, ``)
	state := a.wantInput(t, "q1")
	for _, wrong := range []string{`7`, `null`, `{}`, `{"action":"shout"}`, `{"action":"accept","content":[]}`} {
		a = f.ask(t.Context(), t, "alice", "ask", `{"b":2,"a":1.0}`, back(state, "q1", wrong))
		state = a.wantInput(t, "q1")
	}
	a = f.ask(t.Context(), t, "alice", "ask", `{"b":2,"a":1.0}`, `,"requestState":"`+state+`"`)
	state = a.wantInput(t, "q1")
	// Another encoder's arguments are the same, and the call has the first ones.
	a = f.ask(t.Context(), t, "alice", "ask", `{ "a":1.0, "b":2 }`, back(state, "q1", accepted))
	second := a.wantInput(t, "q2")
	a = f.ask(t.Context(), t, "alice", "ask", `{"b":2,"a":1.0}`, back(second, "q2", `{"action":"decline"}`))
	a.wantText(t, `got Ann  with {"b":2,"a":1.0}`)
	if err := receive(t, ended); err != nil {
		t.Error(err)
	}
	for what, old := range map[string]string{"an answered question": state, "a finished call": second} {
		a = f.ask(t.Context(), t, "alice", "ask", `{"b":2,"a":1.0}`, back(old, "q2", accepted))
		a.wantError(t, what, -32602)
	}
}

// TestForeignStates comes back with states that belong to something else, both
// of calls that wait and of those that do not.
func TestForeignStates(t *testing.T) {
	for tool, key := range map[string]string{"ask": "q1", "input": "a"} {
		f, _ := newAsking(t, mcp.FrontendOptions{})
		other, _ := newAsking(t, mcp.FrontendOptions{})
		a := f.ask(t.Context(), t, "alice", tool, `{"n":1}`, ``)
		state := a.wantInput(t, key)
		flipped := []byte(state)
		flipped[len(flipped)/2] ^= 1
		for _, tt := range []struct{ what, who, tool, args, state string }{
			{"bob", "bob", tool, `{"n":1}`, state},
			{"another tool", "alice", "again", `{"n":1}`, state},
			{"other arguments", "alice", tool, `{"n":2}`, state},
			{"no arguments", "alice", tool, `{}`, state},
			{"a longer state", "alice", tool, `{"n":1}`, state + "AAAA"},
			{"a changed state", "alice", tool, `{"n":1}`, string(flipped)},
			{"no state", "alice", tool, `{"n":1}`, ""},
			{"a huge state", "alice", tool, `{"n":1}`, strings.Repeat("A", 1<<18)},
		} {
			got := f.ask(t.Context(), t, tt.who, tt.tool, tt.args, back(tt.state, key, accepted))
			got.wantError(t, tool+" "+tt.what, -32602)
		}
		got := f.askRaw(t.Context(), t, "alice", tool,
			`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+tool+`","arguments":{"n":1},"requestState":{},`+allMeta+`}}`)
		got.wantError(t, tool+" a state that is no string", -32602)
		got = other.ask(t.Context(), t, "alice", tool, `{"n":1}`, back(state, key, accepted))
		got.wantError(t, tool+" another server", -32602)
		// Alice's own call has not suffered.
		a = f.ask(t.Context(), t, "alice", tool, `{"n":1}`, back(state, key, accepted))
		if a.Result.ResultType != "input_required" {
			t.Errorf("%s: %s", tool, a.body)
		}
	}
}

func TestStateOfAnotherNode(t *testing.T) {
	key := [32]byte{1}
	one, _ := newAsking(t, mcp.FrontendOptions{SessionKey: key})
	two, _ := newAsking(t, mcp.FrontendOptions{SessionKey: key})
	a := one.ask(t.Context(), t, "alice", "ask", `{}`, ``)
	state := a.wantInput(t, "q1")
	a = two.ask(t.Context(), t, "alice", "ask", `{}`, back(state, "q1", accepted))
	a.wantError(t, "a call that waits elsewhere", -32000)
	// What waits nowhere goes on everywhere.
	a = one.ask(t.Context(), t, "alice", "input", `{}`, ``)
	state = a.wantInput(t, "a")
	a = two.ask(t.Context(), t, "alice", "input", `{}`, back(state, "a", accepted))
	a = one.ask(t.Context(), t, "alice", "input", `{}`, `,"requestState":"`+a.Result.RequestState+`"`)
	state = a.wantInput(t, "b")
	a = two.ask(t.Context(), t, "alice", "input", `{}`, back(state, "b", accepted))
	a.wantText(t, `got Ann Ann with {}`)
}

func TestStatesExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, ended := newAsking(t, mcp.FrontendOptions{AnswerTimeout: time.Minute})
		a := f.ask(t.Context(), t, "alice", "ask", `{}`, ``)
		live := a.wantInput(t, "q1")
		a = f.ask(t.Context(), t, "alice", "input", `{}`, ``)
		sealed := a.wantInput(t, "a")
		<-time.After(61 * time.Second)
		synctest.Wait()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the call ended with %v", err)
		}
		a = f.ask(t.Context(), t, "alice", "ask", `{}`, back(live, "q1", accepted))
		a.wantError(t, "an expired call", -32602)
		a = f.ask(t.Context(), t, "alice", "input", `{}`, back(sealed, "a", accepted))
		a.wantError(t, "an expired state", -32602)
	})
}

func TestTooManySuspended(t *testing.T) {
	f, ended := newAsking(t, mcp.FrontendOptions{QuestionsPerPrincipal: 2})
	for range 2 {
		a := f.ask(t.Context(), t, "alice", "ask", `{}`, ``)
		a.wantInput(t, "q1")
	}
	a := f.ask(t.Context(), t, "alice", "ask", `{}`, ``)
	a.wantError(t, "one too many", -32000)
	if e := gateway.AsError(receive(t, ended)); e == nil || e.Code != gateway.ResourceExhausted {
		t.Errorf("one too many: %v", e)
	}
	a = f.ask(t.Context(), t, "bob", "ask", `{}`, ``)
	a.wantInput(t, "q1")
}

// TestLargeSuspended holds that what waits keeps only so much memory.
func TestLargeSuspended(t *testing.T) {
	f, _ := newAsking(t, mcp.FrontendOptions{})
	large := `{"a":"` + strings.Repeat("x", 900<<10) + `"}`
	for i := range 20 {
		a := f.ask(t.Context(), t, "alice", "ask", large, ``)
		if i < 18 {
			a.wantInput(t, "q1")
		} else {
			a.wantError(t, "one too many", -32000)
		}
	}
}

// TestDroppedSuspensions leaves calls waiting that nobody comes back to. The
// leak check of the package sees what they would leave.
func TestDroppedSuspensions(t *testing.T) {
	const many = 1000
	f, ended := newAsking(t, mcp.FrontendOptions{QuestionsPerPrincipal: many})
	for range many {
		a := f.ask(t.Context(), t, "alice", "ask", `{}`, ``)
		a.wantInput(t, "q1")
	}
	f.frontend.Close()
	for range many {
		if err := receive(t, ended); !errors.Is(err, context.Canceled) {
			t.Fatalf("ended with %v", err)
		}
	}
	a := f.ask(t.Context(), t, "alice", "ask", `{}`, ``)
	a.wantError(t, "after the end", -32000)
}

// TestLeavingCancels goes away after having come back.
func TestLeavingCancels(t *testing.T) {
	f, _ := newAsking(t, mcp.FrontendOptions{})
	a := f.ask(t.Context(), t, "alice", "waits", `{}`, ``)
	state := a.wantInput(t, "q1")
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-f.started
		leave()
	}()
	f.ask(ctx, t, "alice", "waits", `{}`, back(state, "q1", accepted))
	if err := receive(t, f.ended); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

func TestModernClientLacksCapability(t *testing.T) {
	f, _ := newAsking(t, mcp.FrontendOptions{})
	for _, tt := range []struct{ tool, declared, needs string }{
		{"ask", `{}`, `{"elicitation":{}}`},
		{"ask", `{"sampling":{}}`, `{"elicitation":{}}`},
		{"ask", `{"elicitation":{"url":{}}}`, `{"elicitation":{}}`},
		{"input", `{"roots":{}}`, `{"elicitation":{}}`},
		{"input", `{}`, `{"elicitation":{}}`},
		{"visit", `{"elicitation":{}}`, `{"elicitation":{"url":{}}}`},
		{"sample", `{"elicitation":{}}`, `{"sampling":{}}`},
		{"roots", `{"elicitation":{}}`, `{"roots":{}}`},
	} {
		a := f.askRaw(t.Context(), t, "alice", tt.tool, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+tt.tool+`",`+
			strings.Replace(modernMeta, `lientCapabilities":{}`, `lientCapabilities":`+tt.declared, 1)+`}}`)
		if a.status != http.StatusBadRequest || a.Error.Code != -32021 || string(a.Error.Data.RequiredCapabilities) != tt.needs {
			t.Errorf("%s with %s: %d %s", tt.tool, tt.declared, a.status, a.body)
		}
	}
}

// TestUnaskedAnswers holds that a client may come without a state where the
// upstream gave none.
func TestUnaskedAnswers(t *testing.T) {
	f, _ := newAsking(t, mcp.FrontendOptions{})
	a := f.ask(t.Context(), t, "alice", "greedy", `{}`, `,"inputResponses":{"other":`+accepted+`}`)
	a.wantInput(t, "more")
	a = f.ask(t.Context(), t, "alice", "greedy", `{}`, `,"inputResponses":7`)
	a.wantInput(t, "more")
}
