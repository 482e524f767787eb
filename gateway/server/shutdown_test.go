package server_test

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/audit"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/server"
)

// TestShutdown stops a gateway while two calls are under way: one ends in time
// and has its answer, the other is cut off and told why. The record of the stop
// comes last, and a clean end logs no error.
func TestShutdown(t *testing.T) {
	var log logLines
	both := make(chan struct{}, 2)
	release := make(chan struct{})
	f := new(gateway.Funcs)
	for name, run := range map[string]gateway.Func{
		"soon": func(context.Context, *gateway.Call) (*gateway.Result, error) {
			both <- struct{}{}
			<-release
			return gateway.TextResult("done"), nil
		},
		"never": func(ctx context.Context, _ *gateway.Call) (*gateway.Result, error) {
			both <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		},
	} {
		if err := f.AddTool([]byte(`{"name":"`+name+`","inputSchema":{"type":"object"}}`), run); err != nil {
			t.Fatal(err)
		}
	}
	o := server.Options{Dev: &server.Dev{}, Sources: map[string]gateway.Upstream{"slow": f}, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	edit := withPatientPolicy(t)
	r := startWith(t, server.WithDrain(o, 3*time.Second), func(cfg *config.Config) { edit(cfg) })
	var calls sync.WaitGroup
	for tool, want := range map[string]int{"soon": http.StatusOK, "never": http.StatusServiceUnavailable} {
		calls.Go(func() {
			code, body := r.send(t, "dev", http.MethodPost, "/v1/tools/slow."+tool+":call", http.Header{"Content-Type": {"application/json"}}, "{}")
			if code != want {
				t.Errorf("%s: %d %s", tool, code, body)
			}
		})
	}
	<-both
	<-both
	time.AfterFunc(100*time.Millisecond, func() { close(release) })
	r.stop()
	calls.Wait()

	var got []string
	for rec, err := range audit.Tail(t.Context(), r.config.AuditDir(), 10_000, false) {
		if err != nil {
			t.Fatal(err)
		}
		if rec.Type == "call" || rec.Type == "stop" {
			got = append(got, rec.Type+" "+rec.Code)
		}
	}
	if diff := cmp.Diff([]string{"call OK", "call UNAVAILABLE", "stop OK"}, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if all := slices.Collect(strings.Lines(log.String())); log.has("level=ERROR") {
		t.Errorf("errors in the log: %q", all)
	}
}
