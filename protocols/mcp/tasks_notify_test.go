package mcp_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

func TestTaskNotifications(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTaskRig(t, mcp.TaskOptions{})
		ended := r.begin(t, "job")
		r.release <- struct{}{}
		r.wantStatus(t, ended, "completed")
		asking := r.begin(t, "asks")
		r.wantStatus(t, asking, "input_required")
		ctx, stop := context.WithCancel(t.Context())
		w, served := &eventWriter{}, make(chan struct{})
		go func() {
			defer close(served)
			r.ServeHTTP(w, taskRequest(ctx, "alice", withTasks, "subscriptions/listen", "",
				`"notifications":{"taskIds":["`+ended+`","unknown","`+asking+`"]}`))
		}()
		want := func(parts ...string) {
			t.Helper()
			synctest.Wait()
			got := w.take()
			for i, part := range parts {
				if len(got) != len(parts) || !strings.Contains(got[i], part) {
					t.Fatalf("want %q, got %q", parts, got)
				}
			}
			if len(got) != len(parts) {
				t.Fatalf("want %q, got %q", parts, got)
			}
		}
		want(`"notifications":{"taskIds":["`+ended+`","`+asking+`"]}`, `"taskId":"`+ended+`","status":"completed"`, `"taskId":"`+asking+`","status":"input_required"`)
		r.about(t, "alice", "update", asking, `,"inputResponses":{"q1":{"action":"accept"}}`)
		want(`"inputRequests":{"q2"`)
		r.about(t, "alice", "update", asking, `,"inputResponses":{"q2":{"action":"accept"}}`)
		synctest.Wait()
		if got := w.take(); len(got) == 0 || !strings.Contains(got[len(got)-1], `"status":"completed"`) {
			t.Errorf("at the end: %q", got)
		}
		stop()
		<-served

		bob := &eventWriter{}
		ctx, stop = context.WithCancel(t.Context())
		served = make(chan struct{})
		go func() {
			defer close(served)
			r.ServeHTTP(bob, taskRequest(ctx, "bob", withTasks, "subscriptions/listen", "", `"notifications":{"taskIds":["`+ended+`"]}`))
		}()
		synctest.Wait()
		if got := bob.take(); len(got) != 1 || !strings.Contains(got[0], `"notifications":{}`) {
			t.Errorf("bob listens to alice's task: %q", got)
		}
		stop()
		<-served
	})
}

// TestTaskTakenUpOnce: a stream that follows the task of a node that has ended
// has it taken up, once.
func TestTaskTakenUpOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var again atomic.Int32
		node := func(name string, store mcp.TaskStore) *taskRig {
			r := newTaskRigWith(t, mcp.FrontendOptions{SessionKey: [32]byte{9}, Tasks: mcp.TaskOptions{Store: store, Node: name}})
			r.tool(t, "kept", "optional", func(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
				if call.Rejoin != nil {
					again.Add(1)
				}
				call.Began(json.RawMessage(`{}`))
				<-ctx.Done()
				return nil, context.Cause(ctx)
			})
			r.publish(t)
			return r
		}
		store := &testStore{records: map[string][]byte{}}
		id := node("a", store).begin(t, "kept")
		synctest.Wait()
		b := node("b", &testStore{records: store.copied()}) // To it, the other has just fallen silent.
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan struct{})
		go func() {
			defer close(served)
			b.ServeHTTP(&eventWriter{}, taskRequest(ctx, "alice", withTasks, "subscriptions/listen", "", `"notifications":{"taskIds":["`+id+`"]}`))
		}()
		<-time.After(5 * time.Minute)
		if n := again.Load(); n != 1 {
			t.Errorf("it was taken up %d times", n)
		}
		b.wantStatus(t, id, "working")
		stop()
		<-served
	})
}

// An eventWriter takes a stream of events.
type eventWriter struct {
	mu     sync.Mutex
	header http.Header
	events []string
}

func (w *eventWriter) Header() http.Header {
	if w.header == nil {
		w.header = http.Header{}
	}
	return w.header
}

func (w *eventWriter) WriteHeader(int) {}
func (w *eventWriter) Flush()          {}

func (w *eventWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, string(b))
	return len(b), nil
}

// take returns the events since the last time.
func (w *eventWriter) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.events = nil }()
	return w.events
}
