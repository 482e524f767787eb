package graphql

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

// An event of an event stream.
type event struct{ name, data string }

// A reader reads a stream's events.
type reader struct {
	t *testing.T
	s *bufio.Scanner
}

// next returns the next event, and false at the end of the stream.
func (r reader) next() (e event, ok bool) {
	r.t.Helper()
	for r.s.Scan() {
		switch line := r.s.Text(); {
		case line == "" && e.name != "":
			return e, true
		case strings.HasPrefix(line, "event: "):
			e.name = line[len("event: "):]
		case strings.HasPrefix(line, "data: "):
			e.data += line[len("data: "):]
		case line == "" || line == "data:" || line[0] == ':':
		default:
			r.t.Errorf("line %q", line)
		}
	}
	return e, false
}

func (r reader) all() (all []event) {
	for e, ok := r.next(); ok; e, ok = r.next() {
		all = append(all, e)
	}
	return all
}

// open starts an event stream.
func (f *fixture) open(t *testing.T, s *httptest.Server, query string) reader {
	t.Helper()
	q, err := json.Marshal(query)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/graphql", strings.NewReader(`{"query":`+string(q)+`}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Content-Type": {typeJSON}, "Accept": {typeEvents}}
	resp, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || !strings.HasPrefix(got, typeEvents) {
		t.Fatalf("got %s %s", resp.Status, got)
	}
	return reader{t, bufio.NewScanner(resp.Body)}
}

func TestEventStream(t *testing.T) {
	f := newFixture(t, Options{})
	s := f.serve(t)
	for _, c := range []struct {
		name, query string
		want        []event
	}{
		{"query", `{viewer{name}}`, []event{{"next", `{"data":{"viewer":{"name":"Alice"}}}`}, {"complete", ""}}},
		{"invalid", `subscription{nope}`, []event{{"next", `{"errors":[{"message":"Cannot query field \"nope\" on type \"Subscription\".","locations":[{"line":1,"column":14}],"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`}, {"complete", ""}}},
		{"two fields", `subscription{capabilitiesChanged{tools} resourceUpdated(uri:"a"){uri}}`, []event{{"next", `{"errors":[{"message":"Anonymous Subscription must select only one top level field.","locations":[{"line":1,"column":41}],"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`}, {"complete", ""}}},
		{"call", `subscription{c:toolCall(name:"demo.steps",arguments:{n:2}){...on ToolProgress{progress total message} ...on ToolLog{level logger data} ...on ToolFinished{dropped result{content{text}}}}}`, []event{
			{"next", `{"data":{"c":{"progress":1,"total":9,"message":"step"}}}`},
			{"next", `{"data":{"c":{"progress":2,"total":9,"message":"step"}}}`},
			{"next", `{"data":{"c":{"level":"info","logger":"steps","data":{"n": 12345678901234567890}}}}`},
			{"next", `{"data":{"c":{"dropped":0,"result":{"content":[{"text":"done"}]}}}}`},
			{"complete", ""},
		}},
		{"refused call", `subscription{c:toolCall(name:"demo.nothing"){dropped}}`, []event{{"next", `{"errors":[{"message":"no tool named \"demo.nothing\"","path":["c"],"extensions":{"code":"NOT_FOUND"}}]}`}, {"complete", ""}}},
		{"failed call", `subscription{toolCall(name:"demo.fail"){dropped}}`, []event{{"next", `{"errors":[{"message":"internal error","path":["toolCall"],"extensions":{"code":"INTERNAL"}}]}`}, {"complete", ""}}},
		{"bad arguments", `subscription{toolCall(name:"demo.echo",arguments:5){dropped}}`, []event{{"next", `{"errors":[{"message":"arguments must be an object","path":["toolCall"],"extensions":{"code":"INVALID_ARGUMENT"}}]}`}, {"complete", ""}}},
		{"unknown resource", `subscription{resourceUpdated(uri:"demo://nothing"){uri}}`, nil},
		{"lines in raw JSON", `subscription{toolCall(name:"demo.echo"){...on ToolFinished{result{raw}}}}`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := f.open(t, s, c.query).all()
			if c.want != nil {
				if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(event{})); diff != "" {
					t.Error(diff)
				}
			}
			if len(got) < 2 || got[len(got)-1].name != "complete" {
				t.Fatalf("got %v", got)
			}
			for _, e := range got[:len(got)-1] {
				if e.name != "next" || !json.Valid([]byte(e.data)) {
					t.Errorf("got %v", e)
				}
			}
		})
	}
}

// TestStreamEnds: a stream that the gateway ends says why.
func TestStreamEnds(t *testing.T) {
	t.Run("shutdown", func(t *testing.T) {
		f := newFixture(t, Options{})
		r := f.open(t, f.serve(t), `subscription{toolCall(name:"demo.wait"){dropped}}`)
		<-f.waiting
		closed := make(chan error)
		go func() { closed <- f.Close() }()
		if e, _ := r.next(); !strings.Contains(e.data, `"UNAVAILABLE"`) {
			t.Errorf("got %v", e)
		}
		if e, _ := r.next(); e.name != "complete" {
			t.Errorf("got %v", e)
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
		w := f.post(t, `{"query":"{viewer{name}}"}`, "Accept", typeEvents)
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("after Close: got %d", w.Code)
		}
	})
	t.Run("sight", func(t *testing.T) {
		f := newFixture(t, Options{})
		r := f.open(t, f.serve(t), `subscription{resourceUpdated(uri:"demo://a"){uri}}`)
		<-f.ready
		f.funcs.Updated("demo://a")
		if e, _ := r.next(); e.data != `{"data":{"resourceUpdated":{"uri":"demo://a"}}}` {
			t.Errorf("got %v", e)
		}
		f.hidden.hide(alice().ID, "demo://a")
		f.registry.Refresh()
		if e, _ := r.next(); !strings.Contains(e.data, `"NOT_FOUND"`) {
			t.Errorf("got %v", e)
		}
		if e, _ := r.next(); e.name != "complete" {
			t.Errorf("got %v", e)
		}
	})
	t.Run("client", func(t *testing.T) {
		f := newFixture(t, Options{})
		s := f.serve(t)
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/graphql", strings.NewReader(`{"query":"subscription{toolCall(name:\"demo.wait\"){dropped}}"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Content-Type": {typeJSON}, "Accept": {typeEvents}}
		resp, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		<-f.waiting
		cancel()
		_ = resp.Body.Close()
		f.work.Wait() // The call has ended.
	})
}

// TestExpiry: the stream ends with its credential, in virtual time.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Options{KeepAlive: time.Minute})
		p := alice()
		p.Expiry = time.Now().Add(10*time.Minute + time.Second)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/graphql", strings.NewReader(`{"query":"subscription{capabilitiesChanged{tools}}"}`))
		r.Header = http.Header{"Content-Type": {typeJSON}, "Accept": {typeEvents}}
		w := httptest.NewRecorder()
		start := time.Now()
		f.as(p).ServeHTTP(w, r)
		if d := time.Since(start); d != 10*time.Minute+time.Second {
			t.Errorf("ended after %v", d)
		}
		got := w.Body.String()
		if n := strings.Count("\n"+got, "\n:\n"); n != 11 {
			t.Errorf("%d comments, want one at the start and one a minute", n)
		}
		if want := "event: next\ndata: {\"errors\":[{\"message\":\"the credential has expired\",\"extensions\":{\"code\":\"UNAUTHENTICATED\"}}]}\n\nevent: complete\ndata:\n\n"; !strings.HasSuffix(got, want) {
			t.Errorf("got %q", got)
		}
	})
}

// TestConnectionLimits: what one principal opens does not keep out others, and all of it is bounded.
func TestConnectionLimits(t *testing.T) {
	f := newFixture(t, Options{Connections: 2, TotalConnections: 3})
	s := f.serve(t)
	const wait = `subscription{toolCall(name:"demo.wait"){dropped}}`
	for range 2 {
		f.open(t, s, wait)
		<-f.waiting
	}
	stream := func(p *gateway.Principal) int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/graphql", strings.NewReader(`{"query":"{viewer{name}}"}`))
		r.Header = http.Header{"Content-Type": {typeJSON}, "Accept": {typeEvents}}
		w := httptest.NewRecorder()
		f.as(p).ServeHTTP(w, r)
		return w.Code
	}
	if got := stream(alice()); got != http.StatusTooManyRequests {
		t.Errorf("third stream of one principal: got %d", got)
	}
	bob := &gateway.Principal{ID: "bob"}
	if got := stream(bob); got != http.StatusOK {
		t.Errorf("stream of another principal: got %d", got)
	}
	if w := f.post(t, `{"query":"{viewer{name}}"}`); w.Code != http.StatusOK {
		t.Errorf("plain request: got %d", w.Code)
	}
	n, err := f.conns.enter(false, func() {})
	if err != nil {
		t.Fatal(err)
	}
	if got := stream(bob); got != http.StatusTooManyRequests {
		t.Errorf("stream beyond the total: got %d", got)
	}
	n.leave()
	close(f.release)
	f.work.Wait()
}

// TestCapabilitiesChanged: only a change of the caller's own view is told.
func TestCapabilitiesChanged(t *testing.T) {
	f := newFixture(t, Options{})
	f.hidden.hide(alice().ID, "demo.extra")
	r := f.open(t, f.serve(t), `subscription{capabilitiesChanged{tools resources prompts}}`)
	add := func(kind, definition string) {
		t.Helper()
		run := func(context.Context, *gateway.Call) (*gateway.Result, error) { return gateway.TextResult("x"), nil }
		err := map[string]func(json.RawMessage, gateway.Func) error{"tool": f.funcs.AddTool, "prompt": f.funcs.AddPrompt}[kind](json.RawMessage(definition), run)
		if err == nil {
			err = f.attach()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	add("tool", `{"name":"extra"}`) // hidden: not told
	add("prompt", `{"name":"second"}`)
	if e, _ := r.next(); e.data != `{"data":{"capabilitiesChanged":{"tools":false,"resources":false,"prompts":true}}}` {
		t.Errorf("got %v", e)
	}
	f.hidden.hide(alice().ID, "")
	f.registry.Refresh()
	if e, _ := r.next(); e.data != `{"data":{"capabilitiesChanged":{"tools":true,"resources":false,"prompts":false}}}` {
		t.Errorf("got %v", e)
	}
}

// TestSlowReader: a reader that takes nothing holds up nobody; what is left out is counted, the result is not
// left out.
func TestSlowReader(t *testing.T) {
	f := newFixture(t, Options{QueueLength: 4})
	ctx := withCaller(t.Context(), alice())
	events, err := subscription{f.Frontend}.ToolCall(ctx, "demo.steps", json.RawMessage(`{"n":100000}`))
	if err != nil {
		t.Fatal(err)
	}
	f.work.Wait() // The call is over although nobody has read.
	var got []string
	for e := range events {
		got = append(got, fmt.Sprintf("%T", e))
	}
	want := []string{"*generated.ToolProgress", "*generated.ToolProgress", "*generated.ToolLog", "*generated.ToolFinished"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestStrangers: who has not said who they are does not keep out those who are known.
func TestStrangers(t *testing.T) {
	c := connections{limit: 1, total: 20}
	var in []*connection
	for range 3 {
		n, err := c.enter(true, func() {})
		if err != nil {
			t.Fatal(err)
		}
		in = append(in, n)
	}
	if _, err := c.enter(true, func() {}); err == nil {
		t.Error("a fourth stranger was admitted")
	}
	if n, err := c.enter(false, func() {}); err != nil {
		t.Error(err)
	} else if err = n.countFor("alice"); err != nil {
		t.Error(err)
	} else {
		in = append(in, n)
	}
	if err := in[0].countFor("alice"); err == nil {
		t.Error("alice has two")
	}
	for _, n := range in {
		n.leave()
	}
	if c.nobody != 0 || len(c.count) != 0 || len(c.open) != 0 {
		t.Errorf("left %d, %v, %v", c.nobody, c.count, c.open)
	}
	c.close()
}

func TestQueue(t *testing.T) {
	q := newQueue[int32](2)
	for range 5 {
		q.put(func(dropped int32) int32 { return dropped })
	}
	q.close()
	q.close()
	q.put(func(int32) int32 { t.Error("taken after the end"); return 0 })
	var got []int32
	for n := range q.events {
		got = append(got, n)
	}
	if diff := cmp.Diff([]int32{2, 3}, got); diff != "" {
		t.Error(diff)
	}
}
