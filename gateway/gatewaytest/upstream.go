package gatewaytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/trilith-gateway/trilith/gateway"
)

// patience is how long anything that must happen may take. Tests that pass do
// not wait for it.
const patience = 20 * time.Second

// source is the name under which the suite attaches the upstream.
const source = "suite"

// TestUpstream holds an upstream against the contract of [gateway.Upstream] and
// [gateway.Watcher]. Open returns a new upstream with a new fixture ([NewFixture])
// behind it, and releases with t.Cleanup whatever it opened besides; the suite
// closes the upstream where it is an io.Closer.
//
// An upstream whose protocol cannot carry something says so with Unimplemented
// where the suite subscribes and completes; what else it cannot carry is named
// in lacks, and everything else it must do.
func TestUpstream(t *testing.T, open func(t *testing.T) gateway.Upstream, lacks ...Lack) {
	t.Helper()
	for _, tt := range []struct {
		name string
		run  func(*testing.T, *road)
	}{
		{"Catalog", testCatalog},
		{"Call", testCall},
		{"Exact", testExact},
		{"Failures", testFailures},
		{"Progress", testProgress},
		{"Cancel", testCancel},
		{"Deadline", testDeadline},
		{"Read", testRead},
		{"Prompt", testPrompt},
		{"Unknown", testUnknown},
		{"Concurrent", testConcurrent},
		{"Changes", testChanges},
		{"Subscribe", testSubscribe},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := connect(t, open(t))
			r.lacks = lacks
			tt.run(t, r)
		})
	}
	t.Run("Close", func(t *testing.T) { testClose(t, open, lacks) })
}

// A Lack is something of MCP that another protocol has no form for.
type Lack uint8

// What a protocol may lack.
const (
	// Prompts: none are offered.
	LacksPrompts Lack = iota + 1
	// Resources: none are offered under the URIs of the fixture.
	LacksResources
	// Results as they are: a tool answers with one value, which arrives as
	// structured content, or as text where it is text. A text may be the member
	// "text" of an object, and that of an error may have more around it.
	LacksContent
	// Refusals: the tool [ToolRefuse] fails in a way of the protocol's own.
	LacksRefusals
	// Arguments side by side: those of the fixture are the members of one
	// argument, "body".
	LacksArguments
	// Numbers of progress: a report has a message that holds that of the fixture.
	LacksTotals
	// Numbers as they are written: structured content arrives with the same
	// meaning, but perhaps with integers as strings.
	LacksNumbers
)

// A road is a gateway with the upstream under test as its only source.
type road struct {
	up    gateway.Upstream
	reg   *gateway.Registry
	gw    *gateway.Gateway
	lacks []Lack
}

func (r *road) has(what Lack) bool { return !slices.Contains(r.lacks, what) }

// arguments returns the fixture's as the upstream has them.
func (r *road) arguments(args json.RawMessage) json.RawMessage {
	if r.has(LacksArguments) {
		return args
	}
	return json.RawMessage(`{"body":` + string(args) + `}`)
}

// said returns the text that a tool answered with.
func (r *road) said(t *testing.T, p gateway.Parts) string {
	t.Helper()
	if !r.has(LacksContent) && len(p.Structured) > 0 {
		var value struct {
			Text string `json:"text"`
		}
		if err := json.Unmarshal(p.Structured, &value); err != nil {
			t.Fatalf("%v in %s", err, p.Structured)
		}
		return value.Text
	}
	return textOf(t, p.Content)
}

// connect attaches the upstream and waits for its catalog. It is detached, and
// closed, with the test.
func connect(t *testing.T, up gateway.Upstream) *road {
	t.Helper()
	r := &road{up: up, reg: &gateway.Registry{}}
	var err error
	if r.gw, err = gateway.New(r.reg, nil, []gateway.Gate{gateway.ValidateArgs{}, starter{}}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var mu sync.Mutex
	var last error
	wg.Go(func() {
		r.reg.Follow(ctx, source, up, gateway.Options{Prefix: source + "."}, func(err error) {
			mu.Lock()
			defer mu.Unlock()
			last = err
		})
	})
	t.Cleanup(func() {
		stop()
		wg.Wait()
		if c, ok := up.(io.Closer); ok {
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
	})
	r.await(t, func(s *gateway.Snapshot) bool { return len(s.Tools) > 0 }, func() any {
		mu.Lock()
		defer mu.Unlock()
		return last
	})
	return r
}

// await waits until a snapshot of the registry is as it should be.
func (r *road) await(t *testing.T, as func(*gateway.Snapshot) bool, why func() any) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		changed := r.reg.Changed()
		if as(r.reg.Snapshot()) {
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			t.Fatalf("the catalog did not arrive: %v", why())
		}
	}
}

// do makes a call as the suite's caller, in its own time.
func (r *road) do(t *testing.T, call *gateway.Call) (*gateway.Result, *gateway.Error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return r.within(ctx, call)
}

func (r *road) within(ctx context.Context, call *gateway.Call) (*gateway.Result, *gateway.Error) {
	call.Principal, call.Via = Caller(), "test"
	if call.Op == gateway.OpCall {
		call.Args = r.arguments(call.Args)
	}
	res, err := r.gw.Do(ctx, call)
	return res, gateway.AsError(err)
}

func tool(name, args string) *gateway.Call {
	return &gateway.Call{Op: gateway.OpCall, Name: source + "." + name, Args: json.RawMessage(args)}
}

// parts makes a call that must succeed.
func (r *road) parts(t *testing.T, call *gateway.Call) gateway.Parts {
	t.Helper()
	res, err := r.do(t, call)
	if err != nil {
		t.Fatalf("%s %s: %v", call.Op, call.Name, err)
	}
	p, perr := res.Parts()
	if perr != nil {
		t.Fatalf("%s %s: %v in %s", call.Op, call.Name, perr, res.Raw)
	}
	if p.IsError != res.IsError {
		t.Errorf("%s %s: IsError is %v, in the result %v", call.Op, call.Name, res.IsError, p.IsError)
	}
	return p
}

// textOf returns the texts of content blocks, joined.
func textOf(t *testing.T, blocks []json.RawMessage) string {
	t.Helper()
	var all strings.Builder
	for _, b := range blocks {
		var block struct {
			Text string `json:"text"`
		}
		if err := json.Unmarshal(b, &block); err != nil {
			t.Fatal(err)
		}
		all.WriteString(block.Text)
	}
	return all.String()
}

func testCatalog(t *testing.T, r *road) {
	s := r.reg.Snapshot()
	for _, name := range []string{ToolEcho, ToolAdd, ToolExact, ToolFail, ToolRefuse, ToolCount, ToolWait, ToolGrow, ToolTouch} {
		got := s.Tool(source + "." + name)
		if got == nil {
			t.Errorf("tool %s is missing", name)
			continue
		}
		if got.Description == "" || got.Origin != name {
			t.Errorf("tool %s: description %q, origin %q", name, got.Description, got.Origin)
		}
	}
	if echo := s.Tool(source + "." + ToolEcho); echo != nil {
		right, wrong := r.arguments(json.RawMessage(`{"text":"x"}`)), r.arguments(json.RawMessage(`{"text":1}`))
		if echo.Input.Validate(right) != nil || echo.Input.Validate(wrong) == nil {
			t.Errorf("tool %s: input schema is not the fixture's: %s", ToolEcho, echo.Input.JSON())
		}
	}
	if r.has(LacksResources) {
		testResources(t, s)
	}
	if !r.has(LacksPrompts) {
		return
	}
	if p := s.Prompt(source + "." + PromptGreet); p == nil || len(p.Arguments) != 1 || !p.Arguments[0].Required {
		t.Errorf("prompt %s: %+v", PromptGreet, p)
	}
}

func testResources(t *testing.T, s *gateway.Snapshot) {
	if note := s.Resource(ResourceNote); note == nil || note.MIMEType != "text/plain" {
		t.Errorf("resource %s: %+v", ResourceNote, note)
	}
	if s.Template(TemplateItem) == nil {
		t.Errorf("template %s is missing", TemplateItem)
	}
}

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

// begun makes a call in the background and returns its outcome to come, once
// the call is on its way to the upstream or has ended.
func (r *road) begun(ctx context.Context, call *gateway.Call) <-chan *gateway.Error {
	done, started := make(chan *gateway.Error, 1), make(chan struct{}, 2)
	go func() {
		_, err := r.within(context.WithValue(ctx, startKey{}, started), call)
		done <- err
		started <- struct{}{}
	}()
	<-started
	return done
}

type startKey struct{}

// starter is the last gate: it tells who waits for it that a call has passed.
type starter struct{}

func (starter) Admit(ctx context.Context, _ *gateway.Call) error {
	if started, ok := ctx.Value(startKey{}).(chan struct{}); ok {
		started <- struct{}{}
	}
	return nil
}

func soon[T any](t *testing.T, ch <-chan T, what string) (v T) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v = <-ch:
	case <-timer.C:
		t.Fatalf("%s: nothing after %v", what, patience)
	}
	return v
}

func testCancel(t *testing.T, r *road) {
	ctx, cancel := context.WithCancel(t.Context())
	done := r.begun(ctx, tool(ToolWait, `{}`))
	r.parts(t, tool(ToolEcho, `{"text":"meanwhile"}`))
	cancel()
	if err := soon(t, done, "a cancelled call"); err == nil || err.Code != gateway.Canceled {
		t.Errorf("a cancelled call: %v", err)
	}
	r.parts(t, tool(ToolEcho, `{"text":"afterwards"}`))
}

func testDeadline(t *testing.T, r *road) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := soon(t, r.begun(ctx, tool(ToolWait, `{}`)), "a call with a deadline"); err == nil || err.Code != gateway.DeadlineExceeded {
		t.Errorf("a call with a deadline: %v", err)
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

func testConcurrent(t *testing.T, r *road) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	slow := r.begun(ctx, tool(ToolWait, `{}`))
	const callers, calls = 16, 8
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for j := range calls {
				said := fmt.Sprintf("%d of %d", j, i)
				res, err := r.do(t, tool(ToolEcho, `{"text":"`+said+`"}`))
				if err != nil {
					t.Errorf("echo: %v", err)
					return
				}
				if !strings.Contains(string(res.Raw), `"`+said+`"`) {
					t.Errorf("%q was answered %s", said, res.Raw)
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-slow:
		t.Errorf("a slow call ended: %v", err)
	default:
	}
	cancel()
	if err := soon(t, slow, "a slow call, cancelled"); err == nil || err.Code != gateway.Canceled {
		t.Errorf("a slow call, cancelled: %v", err)
	}
}

func testChanges(t *testing.T, r *road) {
	before := r.reg.Snapshot()
	r.parts(t, tool(ToolGrow, `{}`))
	r.await(t, func(s *gateway.Snapshot) bool { return s.Tool(source+"."+ToolGrown) != nil }, func() any { return "a new tool" })
	if after := r.reg.Snapshot(); len(after.Tools) != len(before.Tools)+1 {
		t.Errorf("%d tools, were %d", len(after.Tools), len(before.Tools))
	}
	if got := r.said(t, r.parts(t, tool(ToolGrown, `{}`))); got != "yes" {
		t.Errorf("the new tool: %q", got)
	}
}

func testSubscribe(t *testing.T, r *road) {
	if !r.has(LacksResources) {
		return
	}
	const followers = 3
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ready, updated := make(chan struct{}, followers), make(chan string, 64)
	done := make(chan *gateway.Error, followers)
	for range followers {
		go func() {
			_, err := r.within(ctx, &gateway.Call{Op: gateway.OpSubscribe, Name: ResourceNote, Subscription: &gateway.Subscription{
				Ready: func() { ready <- struct{}{} }, Updated: func(uri string) { updated <- uri },
			}})
			done <- err
		}()
	}
	for range followers {
		select {
		case <-ready:
		case err := <-done:
			if err == nil || err.Code != gateway.Unimplemented {
				t.Fatalf("subscribe: %v", err)
			}
			return // Its protocol has no subscriptions.
		case <-ctx.Done():
		}
	}
	r.parts(t, tool(ToolTouch, `{}`))
	for range followers {
		if uri := soon(t, updated, "an update"); uri != ResourceNote {
			t.Errorf("update of %q", uri)
		}
	}
	cancel()
	for range followers {
		if err := soon(t, done, "the end of a subscription"); err != nil {
			t.Errorf("the end of a subscription: %v", err)
		}
	}
}

// testClose checks that nothing is left of an upstream that was used and closed.
func testClose(t *testing.T, open func(t *testing.T) gateway.Upstream, lacks []Lack) {
	before := goleak.IgnoreCurrent()
	t.Run("Use", func(t *testing.T) {
		up := open(t)
		r := connect(t, up)
		r.lacks = lacks
		r.parts(t, tool(ToolEcho, `{"text":"x"}`))
		running := r.begun(t.Context(), tool(ToolWait, `{}`))
		c, ok := up.(io.Closer)
		if !ok {
			return
		}
		r.parts(t, tool(ToolEcho, `{"text":"y"}`))
		for range 2 {
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		if err := soon(t, running, "a call that runs at Close"); err == nil || err.Code != gateway.Unavailable {
			t.Errorf("a call that runs at Close: %v", err)
		}
		_, err := up.Do(t.Context(), &gateway.Call{
			Op: gateway.OpCall, Kind: gateway.KindTool, Name: source + "." + ToolEcho, Principal: Caller(),
			Target: &gateway.Capability{Kind: gateway.KindTool, Name: source + "." + ToolEcho, Origin: ToolEcho, Source: source},
		})
		if e, ok := errors.AsType[*gateway.Error](err); !ok || e.Code != gateway.Unavailable {
			t.Errorf("a call after Close: %v", err)
		}
	})
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}
