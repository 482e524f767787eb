package graphql

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

// records are one line for each call and each refusal, as an audit log would have them.
type records struct {
	mu    sync.Mutex
	lines []string
}

func (r *records) Observe(ctx context.Context, c *gateway.Call) (context.Context, func(*gateway.Result, error)) {
	return ctx, func(_ *gateway.Result, err error) {
		line := "OK"
		if e := gateway.AsError(err); e != nil {
			line = e.Error()
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.lines = append(r.lines, fmt.Sprintf("%s %s %s", c.Via, c.Name, line))
	}
}

// take returns the lines since the last take.
func (r *records) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines
	r.lines = nil
	return lines
}

// TestRecords counts what requests leave: lists nothing, calls one record, refused fields one each, and a request that
// is refused as a whole one, without the words of its document.
func TestRecords(t *testing.T) {
	f := newFixture(t, Options{})
	for name, c := range map[string]struct {
		query string
		want  []string
	}{
		"list":             {`{tools{totalCount} viewer{id} tool(name:"nope"){name}}`, nil},
		"call":             {`mutation{callTool(name:"demo.echo"){isError}}`, []string{"graphql demo.echo OK"}},
		"failed call":      {`mutation{callTool(name:"demo.busy"){isError}}`, []string{"graphql demo.busy limits: RESOURCE_EXHAUSTED: slow down: the secret cause"}},
		"unknown tool":     {`mutation{callTool(name:"nope"){isError}}`, []string{`graphql nope registry: NOT_FOUND: no tool named "nope"`}},
		"bad cursor":       {`{tools(after:"!"){totalCount}}`, []string{"graphql tools graphql: INVALID_ARGUMENT: after is not a cursor of this list"}},
		"two bad cursors":  {`{tools(after:"!"){totalCount} prompts(after:"!"){totalCount}}`, []string{"graphql prompts graphql: INVALID_ARGUMENT: after is not a cursor of this list", "graphql tools graphql: INVALID_ARGUMENT: after is not a cursor of this list"}},
		"bad and good":     {`mutation{a:callTool(name:"demo.echo",arguments:[1]){isError} b:callTool(name:"demo.echo"){isError}}`, []string{"graphql demo.echo OK", "graphql demo.echo graphql: INVALID_ARGUMENT: arguments must be an object"}},
		"unknown field":    {`{secret}`, []string{"graphql POST /graphql graphql: INVALID_ARGUMENT: GRAPHQL_VALIDATION_FAILED FieldsOnCorrectTypeWithoutSuggestions at 1:2"}},
		"does not parse":   {`{"secret"}`, []string{"graphql POST /graphql graphql: INVALID_ARGUMENT: GRAPHQL_PARSE_FAILED at 1:3"}},
		"over a limit":     {strings.Repeat("{a", 25) + strings.Repeat("}", 25), []string{"graphql POST /graphql graphql: RESOURCE_EXHAUSTED: the document has more than 20 levels of depth"}},
		"integer too long": {`{tools(first:12345678901){totalCount}}`, []string{"graphql POST /graphql graphql: INVALID_ARGUMENT: Int is a number of 32 bits"}},
	} {
		f.run(t, c.query)
		got := f.records.take()
		slices.Sort(got)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestRecordsOfStreams counts what streams leave: the end of one is no refusal.
func TestRecordsOfStreams(t *testing.T) {
	f := newFixture(t, Options{Connections: 1})
	s := f.serve(t)
	updates := f.open(t, s, `subscription{resourceUpdated(uri:"demo://a"){uri}}`)
	<-f.ready
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/graphql", strings.NewReader(`{"query":"{viewer{id}}"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"text/event-stream"}}
	res, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	want := []string{"graphql POST /graphql graphql: RESOURCE_EXHAUSTED: too many connections"}
	if diff := cmp.Diff(want, f.records.take()); res.StatusCode != http.StatusTooManyRequests || diff != "" {
		t.Errorf("a stream too many: %d (-want +got):\n%s", res.StatusCode, diff)
	}
	f.hidden.hide(alice().ID, "demo://a")
	f.registry.Refresh()
	if all := updates.all(); len(all) == 0 {
		t.Error("the stream does not say why it ends")
	}
	want = []string{"graphql demo://a OK"}
	if diff := cmp.Diff(want, f.records.take()); diff != "" {
		t.Errorf("a stream that we end (-want +got):\n%s", diff)
	}
}
