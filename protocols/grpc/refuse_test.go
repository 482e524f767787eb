package grpc

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
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

// wait is take once there are so many, or after a while: a client may learn that
// its message is too large before that is on record.
func (r *records) wait(many int) []string {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for late := time.After(30 * time.Second); ; {
		r.mu.Lock()
		there := len(r.lines)
		r.mu.Unlock()
		if there >= many {
			return r.take()
		}
		select {
		case <-tick.C:
		case <-late:
			return r.take()
		}
	}
}

// TestRecords counts what requests leave: lists nothing, calls one record, even
// where their results do not fit, and refusals one.
func TestRecords(t *testing.T) {
	w := newWorld(t)
	f := frontend(t, w, Options{})
	c := client(t, f)
	alice := as(t.Context(), "alice")
	callTool := func(name, args string) func() error {
		return func() error {
			_, err := c.CallTool(alice, &gatewayv1.CallToolRequest{Name: name, ArgumentsJson: args})
			return err
		}
	}
	list := func(ctx context.Context, token string) func() error {
		return func() error {
			_, err := c.ListTools(ctx, &gatewayv1.ListToolsRequest{PageToken: token})
			return err
		}
	}
	for name, test := range map[string]struct {
		run  func() error
		code codes.Code
		want []string
	}{
		"list":                {list(alice, ""), codes.OK, nil},
		"list for nobody":     {list(t.Context(), ""), codes.Unauthenticated, []string{"grpc /gateway.v1.GatewayService/ListTools grpc: UNAUTHENTICATED: authentication required"}},
		"bad token":           {list(alice, "secret"), codes.InvalidArgument, []string{"grpc /gateway.v1.GatewayService/ListTools grpc: INVALID_ARGUMENT: page_token does not come from this list"}},
		"call":                {callTool("demo.echo", "{}"), codes.OK, []string{"grpc demo.echo OK"}},
		"failed call":         {callTool("demo.limited", ""), codes.ResourceExhausted, []string{"grpc demo.limited limiter: RESOURCE_EXHAUSTED: slow down"}},
		"result too large":    {callTool("demo.big", ""), codes.ResourceExhausted, []string{"grpc demo.big OK"}},
		"malformed":           {callTool("demo.echo", `{"secret`), codes.InvalidArgument, []string{"grpc demo.echo grpc: INVALID_ARGUMENT: arguments: malformed JSON at byte 8: ends too early: malformed JSON at byte 8: ends too early"}},
		"unknown tool":        {callTool("nope", ""), codes.NotFound, []string{`grpc nope registry: NOT_FOUND: no tool named "nope"`}},
		"message too large":   {list(alice, strings.Repeat("x", 5<<20)), codes.ResourceExhausted, []string{"grpc /gateway.v1.GatewayService/ListTools grpc: RESOURCE_EXHAUSTED: grpc: received message larger than max (5242885 vs. 4194304): the request cannot be read"}},
		"strangers' messages": {list(t.Context(), strings.Repeat("x", 5<<20)), codes.ResourceExhausted, []string{"grpc /gateway.v1.GatewayService/ListTools grpc: RESOURCE_EXHAUSTED: grpc: received message larger than max (5242885 vs. 4194304): the request cannot be read"}},
	} {
		if err := test.run(); status.Code(err) != test.code {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(test.want, w.records.wait(len(test.want))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if res := call(withPrincipal(f.REST()), http.MethodPost, "/v1:complete", `{"prompt":{"secret":1}}`, "Who", "alice"); res.Code != http.StatusBadRequest {
		t.Errorf("rest: %d %s", res.Code, res.Body)
	}
	if got := w.records.take(); len(got) != 1 || !strings.HasPrefix(got[0], "rest POST /v1:complete rest: INVALID_ARGUMENT: ") || !strings.HasSuffix(got[0], ": "+errUnreadable.Error()) {
		t.Errorf("rest: %q", got)
	}
}

// TestRecordsOfStreams counts what streams leave: the end of one is no refusal.
func TestRecordsOfStreams(t *testing.T) {
	w := newWorld(t)
	f := frontend(t, w, Options{StreamsPerPrincipal: 1})
	c := client(t, f)
	alice := as(t.Context(), "alice")
	watch, err := c.WatchResource(alice, &gatewayv1.WatchResourceRequest{Uri: "demo://motd"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	second, err := c.WatchCapabilities(alice, &gatewayv1.WatchCapabilitiesRequest{})
	if err == nil {
		_, err = second.Recv()
	}
	want := []string{"grpc /gateway.v1.GatewayService/WatchCapabilities grpc: RESOURCE_EXHAUSTED: too many streams are open"}
	if diff := cmp.Diff(want, w.records.take()); status.Code(err) != codes.ResourceExhausted || diff != "" {
		t.Errorf("a stream too many: %v (-want +got):\n%s", err, diff)
	}
	f.streams.shut()
	if _, err := watch.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the watch ended with %v", err)
	}
	want = []string{"grpc demo://motd OK"}
	if diff := cmp.Diff(want, w.records.take()); diff != "" {
		t.Errorf("a stream that we end (-want +got):\n%s", diff)
	}
}
