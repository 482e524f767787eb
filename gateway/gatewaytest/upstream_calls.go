package gatewaytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
)

func testCall(t *testing.T, r *road) {
	const said = "Grüße, 世界\n\"<&>\""
	args, err := json.Marshal(map[string]string{"text": said})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.said(t, r.parts(t, tool(ToolEcho, string(args)))); got != said {
		t.Errorf("echo: %q", got)
	}
	p := r.parts(t, tool(ToolAdd, `{"a":9007199254740992,"b":1}`))
	var out struct {
		Sum json.Number `json:"sum"`
	}
	if err := json.Unmarshal(p.Structured, &out); err != nil || out.Sum != "9007199254740993" {
		t.Errorf("add: %s, %v", p.Structured, err)
	}
	big := strings.Repeat("x", 1<<20)
	if got := r.said(t, r.parts(t, tool(ToolEcho, `{"text":"`+big+`"}`))); got != big {
		t.Errorf("echo of 1 MiB: %d bytes", len(got))
	}
}

// testExact compares the members that have a meaning here by their bytes.
func testExact(t *testing.T, r *road) {
	var want gateway.Parts
	res := gateway.Result{Raw: json.RawMessage(ExactResult)}
	want, err := res.Parts()
	if err != nil {
		t.Fatal(err)
	}
	got := r.parts(t, tool(ToolExact, `{}`))
	if !r.has(LacksNumbers) {
		if !bytes.Contains(got.Structured, []byte("9007199254740993")) {
			t.Errorf("structured content %s", got.Structured)
		}
	} else if string(got.Structured) != string(want.Structured) {
		t.Errorf("structured content %s\nwant %s", got.Structured, want.Structured)
	}
	if r.has(LacksContent) && !slices.EqualFunc(got.Content, want.Content, func(a, b json.RawMessage) bool { return string(a) == string(b) }) {
		t.Errorf("content %s\nwant %s", got.Content, want.Content)
	}
}

func testFailures(t *testing.T, r *road) {
	p := r.parts(t, tool(ToolFail, `{}`))
	if text := textOf(t, p.Content); !p.IsError || text != FailText && (r.has(LacksContent) || !strings.Contains(text, FailText)) {
		t.Errorf("a tool error: isError %v, %s", p.IsError, p.Content)
	}
	res, err := r.do(t, tool(ToolRefuse, `{}`))
	if !r.has(LacksRefusals) {
		if err == nil && !res.IsError {
			t.Errorf("a refusal: %s", res.Raw)
		}
	} else if err == nil || err.Code != gateway.FailedPrecondition || !strings.Contains(err.Msg, RefuseText) {
		t.Errorf("a refusal: %v", err)
	}
	if _, err := r.do(t, tool(ToolEcho, `{}`)); err == nil || err.Code != gateway.InvalidArgument {
		t.Errorf("arguments that do not fit: %v", err)
	}
}

func testProgress(t *testing.T, r *road) {
	const to = 20
	var mu sync.Mutex
	var steps []gateway.Progress
	returned := false
	call := tool(ToolCount, fmt.Sprintf(`{"to":%d}`, to))
	call.Progress = func(p gateway.Progress) {
		mu.Lock()
		defer mu.Unlock()
		if returned {
			t.Error("progress after Do has returned")
		}
		steps = append(steps, p)
	}
	if got := textOf(t, r.parts(t, call).Content); !strings.Contains(got, fmt.Sprint(to)) || r.has(LacksTotals) && got != fmt.Sprint(to) {
		t.Errorf("count: %q", got)
	}
	mu.Lock()
	defer mu.Unlock()
	returned = true
	if len(steps) < to || r.has(LacksTotals) && len(steps) != to {
		t.Fatalf("%d reports, want %d", len(steps), to)
	}
	for i, p := range steps[:to] {
		if !r.has(LacksTotals) {
			if step := fmt.Sprintf("step %d", i+1); !strings.Contains(p.Message, step) {
				t.Fatalf("report %d is %+v, want %q", i, p, step)
			}
			continue
		}
		want := gateway.Progress{Progress: json.Number(fmt.Sprint(i + 1)), Total: json.Number(fmt.Sprint(to)), Message: fmt.Sprintf("step %d", i+1)}
		if p != want {
			t.Fatalf("report %d is %+v, want %+v", i, p, want)
		}
	}
}

func testRead(t *testing.T, r *road) {
	if !r.has(LacksResources) {
		return
	}
	for uri, want := range map[string]string{ResourceNote: NoteText, "fixture://item/7": "item 7"} {
		p := r.parts(t, &gateway.Call{Op: gateway.OpRead, Name: uri})
		if len(p.Contents) != 1 || textOf(t, p.Contents) != want {
			t.Errorf("read %s: %s", uri, p.Contents)
		}
	}
}

func testPrompt(t *testing.T, r *road) {
	if !r.has(LacksPrompts) {
		return
	}
	p := r.parts(t, &gateway.Call{Op: gateway.OpGet, Name: source + "." + PromptGreet, Args: json.RawMessage(`{"name":"Ada"}`)})
	var m struct {
		Role    string `json:"role"`
		Content struct {
			Text string `json:"text"`
		} `json:"content"`
	}
	if len(p.Messages) != 1 || json.Unmarshal(p.Messages[0], &m) != nil || m.Role != "user" || m.Content.Text != "Greet Ada" {
		t.Errorf("prompt: %s", p.Messages)
	}
	if _, err := r.do(t, &gateway.Call{Op: gateway.OpGet, Name: source + "." + PromptGreet}); err == nil || err.Code != gateway.InvalidArgument {
		t.Errorf("prompt without its argument: %v", err)
	}
	res, err := r.do(t, &gateway.Call{
		Op: gateway.OpComplete, Kind: gateway.KindPrompt, Name: source + "." + PromptGreet,
		Args: json.RawMessage(`{"argument":{"name":"name","value":"A"}}`),
	})
	if err != nil {
		if err.Code != gateway.Unimplemented {
			t.Errorf("complete: %v", err)
		}
		return
	}
	var c struct {
		Completion struct {
			Values []string `json:"values"`
		} `json:"completion"`
	}
	if err := json.Unmarshal(res.Raw, &c); err != nil || !slices.Equal(c.Completion.Values, []string{"Ada", "Alan"}) {
		t.Errorf("complete: %s", res.Raw)
	}
}

// testUnknown asks the upstream for what it does not have, as a call does that
// was resolved just before something was removed.
func testUnknown(t *testing.T, r *road) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, call := range []*gateway.Call{
		{Op: gateway.OpCall, Kind: gateway.KindTool, Name: source + ".nothing"},
		{Op: gateway.OpRead, Kind: gateway.KindResource, Name: "fixture://nothing"},
		{Op: gateway.OpGet, Kind: gateway.KindPrompt, Name: source + ".nothing"},
	} {
		call.Principal, call.Via = Caller(), "test"
		origin := strings.TrimPrefix(call.Name, source+".")
		call.Target = &gateway.Capability{Kind: call.Kind, Name: call.Name, Source: source, Origin: origin}
		_, err := r.up.Do(ctx, call)
		e, ok := errors.AsType[*gateway.Error](err)
		if !ok || e.Code != gateway.NotFound && e.Code != gateway.InvalidArgument || e.Msg == "" {
			t.Errorf("%s of what does not exist: %v", call.Op, err)
		}
	}
}
