package mcp_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// An sse is one event as it stands on the wire.
type sse struct{ id, event, retry, data string }

// openEvents is openTap for whole events.
func openEvents(t testing.TB, srv *httptest.Server, method, path string, header http.Header, body string) (*http.Response, chan sse) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header.Clone()
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	res, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	events := make(chan sse, 100)
	go func() {
		defer close(events)
		var e sse
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			field, value, _ := strings.Cut(lines.Text(), ":")
			value = strings.TrimPrefix(value, " ")
			switch field {
			case "id":
				e.id = value
			case "event":
				e.event = value
			case "retry":
				e.retry = value
			case "data":
				e.data = value
			default:
				if lines.Text() == "" && e != (sse{}) {
					events <- e
					e = sse{}
				}
			}
		}
	}()
	return res, events
}

// ended fails unless a stream ends without more.
func ended(t testing.TB, events <-chan sse) {
	t.Helper()
	if e := receive(t, events); e != (sse{}) {
		t.Fatalf("%+v, want the end", e)
	}
}

// from are a session's headers with the id of the last event seen.
func from(session http.Header, last string) http.Header {
	h := session.Clone()
	h.Set("Last-Event-ID", last)
	return h
}

// patient is a tool that reports, lets go where it can, and answers when told.
func patient(t testing.TB, f *fixture, detach bool) (answer chan string) {
	t.Helper()
	answer = make(chan string)
	err := f.funcs.AddTool(json.RawMessage(`{"name":"patient","description":"Takes its time.","inputSchema":{"type":"object"}}`),
		func(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
			if call.Progress != nil {
				call.Progress(gateway.Progress{Progress: "1"})
			}
			if detach && call.Detach != nil {
				call.Detach()
			}
			select {
			case text := <-answer:
				if call.Progress != nil {
					call.Progress(gateway.Progress{Progress: "2"})
				}
				return gateway.TextResult(text), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
	if err != nil {
		t.Fatal(err)
	}
	f.publish(t)
	return answer
}

const (
	patientCall   = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"patient","_meta":{"progressToken":7}}}`
	patientAnswer = `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"done"}]}}`
)

func progressed(n string) string {
	return `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":` + n + `}}`
}

// TestResume: what the client of a call misses comes when it comes back, once,
// whoever ended the connection.
func TestResume(t *testing.T) {
	for _, rev := range []string{"2025-11-25", "2025-06-18", "2025-03-26"} {
		for _, how := range []string{"the client leaves", "the call lets go"} {
			if rev != "2025-11-25" && how == "the call lets go" {
				continue
			}
			t.Run(rev+" "+how, func(t *testing.T) {
				f := newFixture(t, mcp.FrontendOptions{})
				answer := patient(t, f, how == "the call lets go")
				srv := f.serve(t)
				h := beginAt(t, srv, "bob", rev)
				res, events := openEvents(t, srv, "POST", "", h, patientCall)
				last := receive(t, events)
				if rev == "2025-11-25" {
					if last.id == "" || last.data != "" || last.retry != "1000" {
						t.Fatalf("%+v is not the first event", last)
					}
				}
				if how == "the call lets go" {
					for e := range events {
						last = e
					}
				} else {
					if rev == "2025-11-25" {
						last = receive(t, events)
					}
					if last.data != progressed("1") || last.id == "" {
						t.Fatalf("%+v", last)
					}
					res.Body.Close()
				}
				_, rest := openEvents(t, srv, "GET", "", from(h, last.id), "")
				if last.data == "" {
					if e := receive(t, rest); e.data != progressed("1") {
						t.Fatalf("%+v", e)
					}
				}
				answer <- "done"
				middle := receive(t, rest)
				end := receive(t, rest)
				if middle.data != progressed("2") || end.data != patientAnswer || end.id == "" {
					t.Fatalf("%+v %+v", middle, end)
				}
				ended(t, rest)
				// The answer may have been lost as well: it comes again.
				_, again := openEvents(t, srv, "GET", "", from(h, middle.id), "")
				if diff := cmp.Diff(end.data, receive(t, again).data); diff != "" {
					t.Error(diff)
				}
				ended(t, again)
			})
		}
	}
}

// TestQuietCallsBecomeStreams: a call that says nothing for long can be resumed
// too, and one that answers soon is not a stream.
func TestQuietCallsBecomeStreams(t *testing.T) {
	t.Parallel() // It waits most of the time.
	f := newFixture(t, mcp.FrontendOptions{})
	srv := f.serve(t)
	h := begin(t, srv, "bob")
	quick, _ := openEvents(t, srv, "POST", "", h, request("tools/call", `{"name":"fails"}`))
	if kind := quick.Header.Get("Content-Type"); kind != "application/json" {
		t.Error(kind)
	}
	_, events := openEvents(t, srv, "POST", "", h, request("tools/call", `{"name":"hang"}`))
	if e := receive(t, events); e.id == "" || e.data != "" {
		t.Errorf("%+v", e)
	}
	post(t, srv, h, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	if e := receive(t, events); !strings.Contains(e.data, `"error"`) {
		t.Errorf("%+v", e)
	}
}

// TestResumeTakesOver: a stream has one connection, the latest.
func TestResumeTakesOver(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{})
	answer := patient(t, f, false)
	srv := f.serve(t)
	h := begin(t, srv, "bob")
	_, first := openEvents(t, srv, "POST", "", h, patientCall)
	receive(t, first)
	last := receive(t, first)
	_, second := openEvents(t, srv, "GET", "", from(h, last.id), "")
	ended(t, first)
	_, third := openEvents(t, srv, "GET", "", from(h, last.id), "")
	ended(t, second)
	answer <- "done"
	receive(t, third)
	if e := receive(t, third); e.data != patientAnswer {
		t.Errorf("%+v", e)
	}
}

// TestForgedEventIDs: an id opens nothing but a stream of one's own session.
func TestForgedEventIDs(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{})
	answer := patient(t, f, false)
	srv := f.serve(t)
	mine, other, foreign := begin(t, srv, "bob"), begin(t, srv, "bob"), begin(t, srv, "alice")
	_, events := openEvents(t, srv, "POST", "", mine, patientCall)
	id := receive(t, events).id
	stolen := mine.Clone()
	stolen.Set("Test-Principal", "alice")
	stream, _, _ := strings.Cut(id, "-")
	for _, tt := range []struct {
		name   string
		header http.Header
		status int
	}{
		{"another session of the same principal", from(other, id), 400},
		{"another principal's session", from(foreign, id), 400},
		{"another principal with the session's id", from(stolen, id), 404},
		{"no session", http.Header{"Last-Event-ID": {id}}, 400},
		{"an event to come", from(mine, stream+"-99"), 400},
		{"not a number", from(mine, stream+"-x"), 400},
		{"not canonical", from(mine, stream+"-01"), 400},
		{"zero", from(mine, stream+"-0"), 400},
		{"another stream", from(mine, "0123456789abcdef-1"), 400},
		{"a path", from(mine, "../"+id), 400},
		{"endless", from(mine, strings.Repeat("9", 9999)), 400},
		{"two", http.Header{"Mcp-Session-Id": mine["Mcp-Session-Id"], "Test-Principal": {"bob"}, "Last-Event-Id": {id, id}}, 400},
	} {
		if res, _ := openEvents(t, srv, "GET", "", tt.header, ""); res.StatusCode != tt.status {
			t.Errorf("%s: %s", tt.name, res.Status)
		}
	}
	answer <- "done"
	for e := range events {
		id = e.id
	}
	if id == "" {
		t.Error("the stream was disturbed")
	}
}

// TestResumeTheStandaloneStream: what came meanwhile comes once, and where it is
// no longer kept, all that may have been missed comes again.
func TestResumeTheStandaloneStream(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{Events: &mcp.MemoryEvents{Stream: 1300}})
	srv := f.serve(t)
	h := begin(t, srv, "bob")
	res, events := openEvents(t, srv, "GET", "", h, "")
	first := receive(t, events)
	if first.id == "" || first.data != "" {
		t.Fatalf("%+v", first)
	}
	const told = `{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{}}`
	f.addTool(t, "new1")
	one := receive(t, events)
	if one.data != told {
		t.Fatalf("%+v", one)
	}
	res.Body.Close()

	res, events = openEvents(t, srv, "GET", "", from(h, first.id), "")
	receive(t, events) // the id to come back with
	if e := receive(t, events); e != one {
		t.Fatalf("%+v", e)
	}
	f.addTool(t, "new2")
	two := receive(t, events)
	res.Body.Close()

	res, events = openEvents(t, srv, "GET", "", from(h, two.id), "")
	receive(t, events)
	f.addTool(t, "new3") // Nothing was replayed before it.
	three := receive(t, events)
	if three.data != told || three.id == two.id {
		t.Fatalf("%+v", three)
	}
	for range 8 { // The store forgets the first events.
		f.addTool(t, "more"+three.id)
		three = receive(t, events)
	}
	res.Body.Close()
	_, events = openEvents(t, srv, "GET", "", from(h, one.id), "")
	receive(t, events)
	if e := receive(t, events); e.data != told {
		t.Fatalf("%+v", e)
	}
	ended := h.Clone()
	r, err := http.NewRequestWithContext(t.Context(), "DELETE", srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = ended
	if res, err := srv.Client().Do(r); err != nil || res.StatusCode != 204 {
		t.Fatal(res, err)
	}
	if res, _ := openEvents(t, srv, "GET", "", from(h, three.id), ""); res.StatusCode != 404 {
		t.Error(res.Status)
	}
}

// TestAnswersTooLargeToKeep: who comes back for one is told.
func TestAnswersTooLargeToKeep(t *testing.T) {
	f := newFixture(t, mcp.FrontendOptions{Events: &mcp.MemoryEvents{Stream: 2500}})
	answer := patient(t, f, true)
	srv := f.serve(t)
	h := begin(t, srv, "bob")
	_, events := openEvents(t, srv, "POST", "", h, patientCall)
	last := receive(t, events)
	for range events { // Until the call has let go.
	}
	answer <- strings.Repeat("a", 4000)
	_, rest := openEvents(t, srv, "GET", "", from(h, last.id), "")
	receive(t, rest)
	receive(t, rest)
	if e := receive(t, rest); !strings.Contains(e.data, "too large to be kept") || !strings.Contains(e.data, `"id":1`) {
		t.Errorf("%+v", e)
	}
	ended(t, rest)
}
