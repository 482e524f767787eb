package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/admin"
)

// A desk is a gateway of administration without policy.
type desk struct {
	*testing.T
	gw     *gateway.Gateway
	scopes []string // of the caller
}

func newDesk(t *testing.T, o admin.Options) desk {
	t.Helper()
	f, err := admin.New(o)
	if err != nil {
		t.Fatal(err)
	}
	r := new(gateway.Registry)
	for c, err := range f.Watch(t.Context()) {
		if err == nil {
			err = r.Attach("admin", f, c, gateway.Options{Admin: true})
		}
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	gw, err := gateway.New(r, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return desk{T: t, gw: gw}
}

// ask calls a method as root and returns the answer without white space, or the
// refusal as "CODE message".
func (d desk) ask(method, args string) string {
	d.Helper()
	res, err := d.gw.Do(d.Context(), &gateway.Call{
		Op: gateway.OpAdmin, Name: method, Args: json.RawMessage(args), Via: "grpc",
		Principal: &gateway.Principal{ID: "test|user|root", Name: "Root", Scopes: d.scopes},
	})
	if e, ok := errors.AsType[*gateway.Error](err); ok {
		return e.Code.String() + " " + e.Msg
	}
	parts, err := res.Parts()
	if err != nil {
		d.Fatal(err)
	}
	var compact strings.Builder
	enc := json.NewEncoder(&compact)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(parts.Structured); err != nil { // It compacts raw messages.
		d.Fatal(err)
	}
	return strings.TrimSpace(compact.String())
}

func TestSessions(t *testing.T) {
	var sessions gateway.Sessions
	var why *gateway.Error
	for _, who := range []string{"alice", "bob"} {
		defer sessions.Open(gateway.Session{Via: "mcp", Kind: "stream", Principal: &gateway.Principal{ID: who}, End: func(e *gateway.Error) { why = e }}).Close()
	}
	d := newDesk(t, admin.Options{Node: "n1", Sessions: &sessions})
	if got := d.ask("sessions.ListSessions", `{"principal":"bob"}`); !strings.Contains(got, `"id":"2","node":"n1","via":"mcp","kind":"stream","principal":"bob"`) || strings.Contains(got, "alice") {
		t.Errorf("bob's sessions: %s", got)
	}
	if got := d.ask("sessions.ListSessions", ``); !strings.Contains(got, `"total":"2"`) {
		t.Errorf("all sessions: %s", got)
	}
	if got := d.ask("sessions.EndSession", `{"id":"9"}`); got != "NOT_FOUND no session of that id is open" || why != nil {
		t.Errorf("ending no session: %s", got)
	}
	if got := d.ask("sessions.EndSession", `{"id":"1"}`); got != "{}" || why == nil || why.Code != gateway.Aborted {
		t.Errorf("ending a session: %s, told %v", got, why)
	}
	if got := d.ask("sessions.EndSession", `{"di":"1"}`); got != "INVALID_ARGUMENT the request does not fit the method" {
		t.Errorf("an unknown field: %s", got)
	}
}

func TestSources(t *testing.T) {
	r := new(gateway.Registry)
	tool, err := gateway.ParseTool(json.RawMessage(`{"name":"t","inputSchema":{"type":"object"}}`))
	if err != nil {
		t.Fatal(err)
	}
	never := gateway.Func(func(context.Context, *gateway.Call) (*gateway.Result, error) { return nil, context.Canceled })
	for _, name := range []string{"here", "lost"} {
		if err := r.Attach(name, never, gateway.Catalog{Tools: []*gateway.Tool{tool}}, gateway.Options{Prefix: name + "."}); err != nil {
			t.Fatal(err)
		}
	}
	r.Withdraw("lost", errors.New("connection refused"))
	d := newDesk(t, admin.Options{Registry: r})
	want := `{"sources":[{"name":"here","available":true,"tools":1},{"name":"lost","problem":"connection refused"}]}`
	if got := d.ask("sources.ListSources", ""); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := d.ask("sessions.ListSessions", ""); !strings.HasPrefix(got, "NOT_FOUND") {
		t.Errorf("sessions that are not administered: %s", got)
	}
}

func TestImportNotes(t *testing.T) {
	r := new(gateway.Registry)
	never := gateway.Func(func(context.Context, *gateway.Call) (*gateway.Result, error) { return nil, context.Canceled })
	notes := []gateway.Note{
		{Subject: "GET /a", Change: gateway.NoteSkipped, Reason: "no schema"},
		{Subject: "GET /b\xff", Change: gateway.NoteApproximated, Reason: strings.Repeat("x", 2000)},
		{Subject: "GET /c", Change: gateway.NoteSkipped, Reason: "no schema"},
	}
	if err := r.Attach("api", never, gateway.Catalog{Notes: notes}, gateway.Options{}); err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, admin.Options{Registry: r})
	for _, tt := range []struct{ req, want string }{
		{`{"source":"api","pageSize":1}`, `{"notes":[{"subject":"GET /a","change":"skipped","reason":"no schema"}],"nextPageToken":"1","total":3}`},
		{`{"source":"api","pageSize":1,"pageToken":"1"}`, `{"notes":[{"subject":"GET /b�","change":"approximated","reason":"` + strings.Repeat("x", 997) + `…"}],"nextPageToken":"2","total":3}`},
		{`{"source":"api","change":"skipped","pageToken":"1"}`, `{"notes":[{"subject":"GET /c","change":"skipped","reason":"no schema"}],"total":2}`},
		{`{"source":"api","change":"lost"}`, "INVALID_ARGUMENT a change is skipped, renamed or approximated"},
		{`{"source":"api","pageToken":"-1"}`, "INVALID_ARGUMENT the page token is none that a page gave"},
		{`{"source":"ipa"}`, "NOT_FOUND there is no such source"},
	} {
		if got := d.ask("sources.ListImportNotes", tt.req); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.req, got, tt.want)
		}
	}
}
