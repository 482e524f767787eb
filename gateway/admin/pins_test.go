package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/admin"
	"github.com/trilith-gateway/trilith/gateway/audit"
	"github.com/trilith-gateway/trilith/gateway/pin"
	"github.com/trilith-gateway/trilith/gateway/state"
)

// TestPins lists, looks at and decides on the definitions of a source.
func TestPins(t *testing.T) {
	s, err := state.Open(t.Context(), state.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	dir := t.TempDir()
	log, err := audit.Open(audit.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	pins, err := pin.Open(t.Context(), s, pin.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := new(gateway.Funcs)
	for i := range 5 {
		never := func(context.Context, *gateway.Call) (*gateway.Result, error) { return nil, errors.New("called") }
		if err := f.AddTool(json.RawMessage(fmt.Sprintf(`{"name":"t%d","title":"<!-- x -->"}`, i)), never); err != nil {
			t.Fatal(err)
		}
	}
	watching, ok := pins.Guard("lab", pin.Require, f).(gateway.Watcher)
	if !ok {
		t.Fatal("it does not watch")
	}
	ctx, stop := context.WithCancel(t.Context())
	said, ended := make(chan struct{}, 100), make(chan struct{})
	go func() {
		defer close(ended)
		for range watching.Watch(ctx) {
			said <- struct{}{}
		}
	}()
	defer func() { stop(); <-ended }()
	<-said

	d := newDesk(t, admin.Options{Pins: pins, Audit: log, AuditDir: dir, Registry: new(gateway.Registry)})
	id, hash := func(n int) string { return pins.List()[n].ID }, pins.List()[0].OfferedHash
	page := d.ask("sources.ListPins", `{"pageSize":2,"state":"quarantined","diff":true}`)
	if strings.Count(page, `"source":"lab"`) != 2 || !strings.Contains(page, `"nextPageToken":"`+id(1)+`"`) || !strings.Contains(page, `"changes":[{"path":"name","new":"t0"}`) {
		t.Errorf("the first page: %s", page)
	}
	if page = d.ask("sources.ListPins", `{"pageSize":3,"pageToken":"`+id(1)+`"}`); strings.Count(page, `"source":"lab"`) != 3 || strings.Contains(page, "nextPageToken") {
		t.Errorf("the last page: %s", page)
	}
	for _, tt := range []struct{ method, args, want string }{
		{"ListPins", `{"source":"other"}`, `{}`},
		{"ListPins", `{"state":"nice"}`, "INVALID_ARGUMENT a state is approved, quarantined, changed or rejected"},
		{"ListPins", `{"pageToken":"x"}`, "INVALID_ARGUMENT the page token"},
		{"GetPin", `{"id":"x"}`, "NOT_FOUND no such definition"},
		{"ApprovePin", `{"id":"x","hash":"` + hash + `"}`, "NOT_FOUND no such definition"},
		{"ApprovePin", `{"id":"` + id(0) + `","hash":""}`, "ABORTED the source offers another definition now"},
		{"ApprovePin", `{"id":"` + id(1) + `","hash":"` + hash + `"}`, "ABORTED the source offers another definition now"},
		{"ApprovePin", `{"id":"` + id(0) + `","hash":"` + hash + `"}`, "FAILED_PRECONDITION the definition has text that is not seen: title has an HTML comment"},
		{"ApprovePin", `{"id":"` + id(0) + `","hash":"` + hash + `","allowHidden":true}`, "{}"},
		{"GetPin", `{"id":"` + id(0) + `"}`, `"approvedHash":"` + hash + `"`},
		{"GetPin", `{"id":"` + id(0) + `"}`, `"decidedBy":"test|user|root"`},
		{"GetPin", `{"id":"` + id(0) + `"}`, `"definitionJson":"{\"name\":\"t0\"`},
		{"RejectPin", `{"id":"` + id(0) + `","hash":"00"}`, "ABORTED"},
		{"RejectPin", `{"id":"` + id(0) + `","hash":"` + hash + `"}`, "{}"},
	} {
		if got := d.ask("sources."+tt.method, tt.args); !strings.Contains(got, tt.want) {
			t.Errorf("%s %s: %s, want %s", tt.method, tt.args, got, tt.want)
		}
	}
	var decisions []string
	for r, err := range audit.Tail(t.Context(), dir, 100, false) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Type == "pin" {
			decisions = append(decisions, r.Object+" "+r.Principal.ID+" "+r.Detail)
		}
	}
	if got := strings.ReplaceAll(strings.Join(decisions, "\n"), hash, "HASH"); got != "tool/lab/t0 test|user|root approved, sha256 HASH\ntool/lab/t0 test|user|root rejected, sha256 HASH" {
		t.Errorf("records:\n%s", got)
	}
	_ = s.Close()
	if got := d.ask("sources.RejectPin", `{"id":"`+id(1)+`","hash":"`+pins.List()[1].OfferedHash+`"}`); !strings.HasPrefix(got, "UNAVAILABLE") {
		t.Errorf("without the state: %s", got)
	}
}
