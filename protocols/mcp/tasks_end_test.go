package mcp_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trilith-gateway/trilith/protocols/mcp"
)

func TestTaskCancel(t *testing.T) {
	for _, tool := range []string{"job", "deaf", "asks"} {
		t.Run(tool, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newTaskRig(t, mcp.TaskOptions{})
				id := r.begin(t, tool)
				for range 2 {
					got := r.about(t, "alice", "cancel", id, "")
					if got.Result.Type != "complete" || got.Result.ID != "" || got.Result.Status != "" {
						t.Fatalf("cancel: %s", got.body)
					}
					r.wantStatus(t, id, "cancelled")
				}
				if tool == "deaf" {
					r.release <- struct{}{}
				} else if err := <-r.ended; err == nil {
					t.Error("the call was not cancelled")
				}
				if got := r.wantStatus(t, id, "cancelled"); got.Result.Result != nil || got.Result.Requests != nil {
					t.Errorf("after its end: %s", got.body)
				}
				r.about(t, "alice", "cancel", id, "")
			})
		})
	}
}

// TestTaskRaces has tasks end, be cancelled, answered and looked at all at once.
func TestTaskRaces(t *testing.T) {
	r := newTaskRig(t, mcp.TaskOptions{After: time.Nanosecond})
	var all sync.WaitGroup
	for i := range 24 {
		all.Go(func() {
			tool := []string{"job", "asks", "quick"}[i%3]
			got := r.call(t, "alice", tool)
			if got.Result.Type != "task" {
				return // A quick call may win.
			}
			id := got.Result.ID
			var one sync.WaitGroup
			one.Go(func() { r.about(t, "alice", "cancel", id, "") })
			one.Go(func() { r.release <- struct{}{} })
			one.Go(func() {
				r.about(t, "alice", "update", id, `,"inputResponses":{"q1":{"action":"accept"},"q2":{"action":"accept"}}`)
			})
			one.Go(func() { r.about(t, "alice", "get", id, "") })
			one.Wait()
			last := r.about(t, "alice", "get", id, "").Result.Status
			if last != "cancelled" && last != "completed" {
				t.Errorf("%s ended as %q", tool, last)
			}
		})
	}
	all.Wait()
}

func TestTaskExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &testStore{records: map[string][]byte{}}
		r := newTaskRig(t, mcp.TaskOptions{TTL: time.Hour, Store: store})
		ended := r.begin(t, "job")
		r.release <- struct{}{}
		time.Sleep(time.Second)
		asking, running := r.begin(t, "asks"), r.begin(t, "job")
		time.Sleep(time.Hour - 3*time.Second)
		r.wantStatus(t, ended, "completed")
		r.wantStatus(t, asking, "input_required")
		r.wantStatus(t, running, "working")
		time.Sleep(3 * time.Second)
		for _, id := range []string{ended, asking, running} {
			if got := r.get(t, id); got.Error.Code != -32602 {
				t.Errorf("an expired task: %s", got.body)
			}
		}
		for range 2 {
			if err := <-r.ended; err == nil {
				t.Error("a call outlived its task")
			}
		}
		synctest.Wait()
		if n := store.len(); n != 1 { // The store itself forgets what ended in time.
			t.Errorf("the store still holds %d records", n)
		}
	})
}

// TestTaskMemoryForgets sees the built-in store let go of what has expired.
func TestTaskMemoryForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTaskRig(t, mcp.TaskOptions{TTL: time.Minute, Retained: 3 << 10})
		for range 3 {
			id := r.begin(t, "job")
			r.release <- struct{}{}
			r.wantStatus(t, id, "completed")
		}
		if got := r.call(t, "alice", "must"); got.Error.Code != -32000 || !strings.Contains(got.body, "RESOURCE_EXHAUSTED") {
			t.Errorf("a task too many: %s", got.body)
		}
		r.release <- struct{}{}
		if got := r.call(t, "alice", "job"); got.Result.Type != "complete" {
			t.Errorf("a tool that does without tasks: %s", got.body)
		}
		if got := r.call(t, "bob", "job"); got.Result.Type != "task" {
			t.Errorf("another principal: %s", got.body)
		}
		time.Sleep(time.Minute)
		r.begin(t, "job")
		r.release <- struct{}{}
		synctest.Wait()
		<-r.ended // bob's
	})
}

func TestTaskLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTaskRig(t, mcp.TaskOptions{PerPrincipal: 2, ResultBytes: len(exact) - 1})
		first, second := r.begin(t, "deaf"), r.begin(t, "job")
		if got := r.call(t, "alice", "must"); !strings.Contains(got.body, "RESOURCE_EXHAUSTED") {
			t.Errorf("a task too many: %s", got.body)
		}
		r.about(t, "alice", "cancel", first, "")
		if got := r.call(t, "alice", "must"); !strings.Contains(got.body, "RESOURCE_EXHAUSTED") {
			t.Errorf("a cancelled call that goes on made room: %s", got.body)
		}
		r.release <- struct{}{} // One of the two takes it.
		r.release <- struct{}{}
		if got := r.wantStatus(t, second, "failed"); !strings.Contains(string(got.Result.Error), "larger than") {
			t.Errorf("a result too large: %s", got.body)
		}
		r.about(t, "alice", "cancel", r.begin(t, "must"), "")
		<-r.ended
	})
}

// TestTaskClientLeaves cancels a call whose client leaves before it is a task,
// and no other.
func TestTaskClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTaskRig(t, mcp.TaskOptions{})
		ctx, leave := context.WithCancel(t.Context())
		go r.ServeHTTP(&eventWriter{}, taskRequest(ctx, "alice", withTasks, "tools/call", "job", `"name":"job"`))
		synctest.Wait()
		leave()
		if err := <-r.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the call ended with %v", err)
		}
		ctx, leave = context.WithCancel(t.Context())
		w := &eventWriter{}
		r.ServeHTTP(w, taskRequest(ctx, "alice", withTasks, "tools/call", "job", `"name":"job"`))
		leave()
		synctest.Wait()
		select {
		case err := <-r.ended:
			t.Errorf("a task ended with its request: %v", err)
		default:
		}
		r.release <- struct{}{}
		synctest.Wait()
	})
}

// TestTaskNodes has nodes share a store, and one of them die.
func TestTaskNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &testStore{records: map[string][]byte{}}
		dying := &testStore{next: shared}
		a := newTaskRig(t, mcp.TaskOptions{Store: dying, Node: "a"})
		b := newTaskRig(t, mcp.TaskOptions{Store: shared, Node: "b"})
		ended := a.begin(t, "job")
		a.release <- struct{}{}
		a.wantStatus(t, ended, "completed")
		running := a.begin(t, "job")
		time.Sleep(5 * time.Minute) // For as long as its node is heard of, a task runs.
		b.wantStatus(t, running, "working")
		for _, verb := range []string{"cancel", "update"} {
			if got := b.about(t, "alice", verb, running, `,"inputResponses":{}`); got.Error.Code != -32000 || !strings.Contains(got.body, "UNAVAILABLE") {
				t.Errorf("%s on another node: %s", verb, got.body)
			}
		}

		dying.fail(errors.New("power cut"))
		time.Sleep(50 * time.Second)
		b.wantStatus(t, running, "working")
		again := newTaskRig(t, mcp.TaskOptions{Store: &testStore{next: shared, readOnly: true}, Node: "a"})
		again.wantStatus(t, running, "failed") // A node knows its own tasks from before at once.
		time.Sleep(20 * time.Second)
		got := b.wantStatus(t, running, "failed")
		if !strings.Contains(string(got.Result.Error), "restarted") || got.Result.TTL != 3_600_000 || got.Result.Message == "" {
			t.Errorf("the orphan is %s", got.body)
		}
		time.Sleep(time.Minute)
		if later := b.get(t, running); later.body != got.body {
			t.Errorf("the orphan changed from %s to %s", got.body, later.body)
		}
		if got := b.wantStatus(t, ended, "completed"); string(got.Result.Result) != exact {
			t.Errorf("the ended task is %s", got.body)
		}
		if got := b.about(t, "alice", "cancel", running, ""); got.Result.Type != "complete" {
			t.Errorf("cancel of an orphan: %s", got.body)
		}
		a.release <- struct{}{}
		synctest.Wait()
	})
}

// TestTaskStoreFails has the store fail at each step.
func TestTaskStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &testStore{records: map[string][]byte{}}
		r := newTaskRig(t, mcp.TaskOptions{Store: store})
		id := r.begin(t, "job")
		other := r.begin(t, "job")
		store.fail(errors.New("away"))
		if got := r.call(t, "alice", "job"); got.Error.Code != -32000 || strings.Contains(got.body, "away") {
			t.Errorf("a task that was not stored: %s", got.body)
		}
		<-r.ended
		r.release <- struct{}{}
		r.release <- struct{}{}
		r.wantStatus(t, id, "completed") // Still known here.
		time.Sleep(time.Minute)
		r.wantStatus(t, other, "completed")
		if got := r.about(t, "alice", "get", strings.Repeat("x", 32), ""); got.Error.Code != -32000 {
			t.Errorf("an unreadable store: %s", got.body)
		}
		store.fail(nil)
		time.Sleep(time.Minute) // The end is stored as soon as that is possible.
		if n := store.count(`"status":"completed"`); n != 2*2 {
			t.Errorf("%d statuses are stored as completed", n)
		}
		for key := range store.records {
			store.records[key] = []byte(`{"status":"completed"`)
		}
		if got := r.get(t, id); got.Error.Code != -32603 {
			t.Errorf("a damaged record: %s", got.body)
		}
	})
}

// TestTaskClose has a frontend close while tasks run and ask.
func TestTaskClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &testStore{records: map[string][]byte{}}
		r := newTaskRig(t, mcp.TaskOptions{Store: store})
		ids := []string{r.begin(t, "job"), r.begin(t, "asks")}
		if err := r.frontend.Close(); err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			if err := <-r.ended; err == nil {
				t.Error("a call outlived the frontend")
			}
			if got := r.wantStatus(t, id, "failed"); !strings.Contains(string(got.Result.Error), "restarted") {
				t.Errorf("the task is %s", got.body)
			}
		}
		if n := store.count(`"status":"failed"`); n != 2*2 {
			t.Errorf("%d statuses are stored as failed", n)
		}
		if got := r.call(t, "alice", "must"); !strings.Contains(got.body, "UNAVAILABLE") {
			t.Errorf("a call after the end: %s", got.body)
		}
	})
}
