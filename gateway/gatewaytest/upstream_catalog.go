package gatewaytest

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
)

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
