package mcp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

const (
	withTasks = `{"elicitation":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}`
	exact     = `{ "content":[{"type":"text","text":"<&> 9007199254740993"}], "n":1.10 }`
)

// A taskRig is a fixture with tools that may run as tasks.
type taskRig struct {
	*fixture
	release chan struct{} // lets one call of "job", "must" or "deaf" end
}

// newTaskRig returns a fixture whose clients say which capabilities they have.
func newTaskRig(t *testing.T, o mcp.TaskOptions) *taskRig {
	t.Helper()
	return newTaskRigWith(t, mcp.FrontendOptions{Tasks: o})
}

func newTaskRigWith(t *testing.T, o mcp.FrontendOptions) *taskRig {
	t.Helper()
	r := &taskRig{newFixture(t, o), make(chan struct{}, 64)}
	job := func(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
		if call.Progress != nil {
			call.Progress(gateway.Progress{Progress: "1", Message: "half way"})
		}
		select {
		case <-r.release:
			return &gateway.Result{Raw: json.RawMessage(exact)}, nil
		case <-ctx.Done():
			r.ended <- context.Cause(ctx)
			return nil, ctx.Err()
		}
	}
	r.tool(t, "job", "optional", job)
	r.tool(t, "must", "required", job)
	r.tool(t, "never", "forbidden", job)
	r.tool(t, "quick", "optional", func(context.Context, *gateway.Call) (*gateway.Result, error) { return gateway.TextResult("quick"), nil })
	r.tool(t, "deaf", "optional", func(context.Context, *gateway.Call) (*gateway.Result, error) {
		<-r.release
		return gateway.TextResult("too late"), nil
	})
	r.tool(t, "breaks", "optional", func(context.Context, *gateway.Call) (*gateway.Result, error) {
		<-r.release
		return nil, &gateway.Error{Code: gateway.Unavailable, By: "upstream/demo", Msg: "gone", Err: errors.New("a secret cause")}
	})
	r.tool(t, "fails_late", "optional", func(context.Context, *gateway.Call) (*gateway.Result, error) {
		<-r.release
		return gateway.ErrorResult("it broke"), nil
	})
	r.tool(t, "asks", "optional", func(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
		var got [2]json.RawMessage
		var errs [2]error
		var both sync.WaitGroup
		for i := range got {
			both.Go(func() {
				got[i], errs[i] = call.Ask(ctx, gateway.Question{Method: "elicitation/create", Params: json.RawMessage(`{"message":"?"}`)})
			})
		}
		both.Wait()
		if err := errors.Join(errs[:]...); err != nil {
			r.ended <- err
			return nil, errs[0]
		}
		return gateway.TextResult(fmt.Sprintf("%d bytes", len(got[0])+len(got[1]))), nil
	})
	r.tool(t, "comes_back", "optional", func(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
		if call.Resume != nil {
			return gateway.TextResult(call.Resume.State + " " + string(call.Resume.Answers["name"])), nil
		}
		<-r.release
		return &gateway.Result{Input: &gateway.InputRequest{
			State: "kept", Questions: map[string]gateway.Question{"name": {Method: "elicitation/create", Params: json.RawMessage(`{}`)}},
		}}, nil
	})
	r.publish(t)
	return r
}

func (r *taskRig) tool(t *testing.T, name, support string, run gateway.Func) {
	t.Helper()
	def := `{"name":"` + name + `","description":"A job.","inputSchema":{"type":"object"},"execution":{"taskSupport":"` + support + `"}}`
	if err := r.funcs.AddTool(json.RawMessage(def), run); err != nil {
		t.Fatal(err)
	}
}

type taskReply struct {
	Result struct {
		Type      string                     `json:"resultType"`
		ID        string                     `json:"taskId"`
		Status    string                     `json:"status"`
		Message   string                     `json:"statusMessage"`
		TTL       int64                      `json:"ttlMs"`
		Requests  map[string]json.RawMessage `json:"inputRequests"`
		Result    json.RawMessage            `json:"result"`
		Error     json.RawMessage            `json:"error"`
		Content   json.RawMessage            `json:"content"`
		CreatedAt time.Time                  `json:"createdAt"`
		UpdatedAt time.Time                  `json:"lastUpdatedAt"`
	} `json:"result"`
	Error struct {
		Code int             `json:"code"`
		Data json.RawMessage `json:"data"`
	} `json:"error"`
	status int
	body   string
}

// request returns a modern request with matching headers.
func taskRequest(ctx context.Context, who, capabilities, method, name, params string) *http.Request {
	if params != "" {
		params += ","
	}
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":{`+params+
		`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":`+capabilities+`}}}`))
	r.Header = http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Test-Principal": {who},
		"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {method},
	}
	if name != "" {
		r.Header.Set("Mcp-Name", name)
	}
	return r
}

func (r *taskRig) send(t *testing.T, who, capabilities, method, name, params string) (got taskReply) {
	t.Helper()
	w := httptest.NewRecorder()
	r.ServeHTTP(w, taskRequest(t.Context(), who, capabilities, method, name, params))
	got.status, got.body = w.Code, w.Body.String()
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("%s: %v in %s", method, err, got.body)
	}
	return got
}

func (r *taskRig) call(t *testing.T, who, tool string) taskReply {
	t.Helper()
	return r.send(t, who, withTasks, "tools/call", tool, `"name":"`+tool+`"`)
}

// begin calls a tool and returns the id of the task that the call became.
func (r *taskRig) begin(t *testing.T, tool string) string {
	t.Helper()
	got := r.call(t, "alice", tool)
	if got.Result.Type != "task" || got.Result.ID == "" {
		t.Fatalf("%s: no task in %s", tool, got.body)
	}
	return got.Result.ID
}

func (r *taskRig) about(t *testing.T, who, verb, id, more string) taskReply {
	t.Helper()
	return r.send(t, who, withTasks, "tasks/"+verb, id, `"taskId":"`+id+`"`+more)
}

func (r *taskRig) get(t *testing.T, id string) taskReply {
	t.Helper()
	synctest.Wait()
	return r.about(t, "alice", "get", id, "")
}

func (r *taskRig) wantStatus(t *testing.T, id, want string) taskReply {
	t.Helper()
	got := r.get(t, id)
	if got.Result.Status != want || got.Result.ID != id || got.Result.Type != "complete" {
		t.Fatalf("want status %s, got %s", want, got.body)
	}
	return got
}

func TestTaskLifecycle(t *testing.T) {
	for _, tt := range []struct {
		tool, status, result, failure string
	}{
		{"job", "completed", exact, ""},
		{"must", "completed", exact, ""},
		{"fails_late", "completed", `{"content":[{"type":"text","text":"it broke"}],"isError":true}`, ""},
		{"breaks", "failed", "", `{"code":-32000,"message":"gone","data":{"code":"UNAVAILABLE"}}`},
	} {
		t.Run(tt.tool, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newTaskRig(t, mcp.TaskOptions{})
				start := time.Now()
				id := r.begin(t, tt.tool)
				if d := time.Since(start); d != 500*time.Millisecond {
					t.Errorf("the call became a task after %v", d)
				}
				got := r.wantStatus(t, id, "working")
				if got.Result.TTL != 3_600_000 || !got.Result.CreatedAt.Equal(start) || got.Result.Result != nil {
					t.Errorf("the running task is %s", got.body)
				}
				time.Sleep(time.Minute) // Beats must change nothing.
				r.release <- struct{}{}
				got = r.wantStatus(t, id, tt.status)
				if string(got.Result.Result) != tt.result || string(got.Result.Error) != tt.failure {
					t.Errorf("the task ended as %s", got.body)
				}
				if d := got.Result.UpdatedAt.Sub(start); d != time.Minute+500*time.Millisecond {
					t.Errorf("the task was last updated after %v", d)
				}
				if strings.Contains(got.body, "secret") {
					t.Errorf("the cause left the gateway: %s", got.body)
				}
			})
		})
	}
}

func TestTaskOrNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTaskRig(t, mcp.TaskOptions{})
		if got := r.call(t, "alice", "quick"); got.Result.Type != "complete" || got.Result.ID != "" || got.Result.Content == nil {
			t.Errorf("a quick call: %s", got.body)
		}
		for _, tool := range []string{"never", "job"} {
			capabilities := withTasks
			if tool == "job" {
				capabilities = `{}`
			}
			r.release <- struct{}{}
			if got := r.send(t, "alice", capabilities, "tools/call", tool, `"name":"`+tool+`"`); got.Result.Type != "complete" || got.Result.ID != "" {
				t.Errorf("%s without tasks: %s", tool, got.body)
			}
		}
		for _, capabilities := range []string{`{}`, `{"extensions":{}}`, `{"extensions":{"io.modelcontextprotocol/tasks":null}}`, `{"tasks":{}}`} {
			for method, params := range map[string]string{
				"tools/call": `"name":"must"`, "tasks/get": `"taskId":"x"`, "tasks/cancel": `"taskId":"x"`, "tasks/update": `"taskId":"x","inputResponses":{}`,
				"subscriptions/listen": `"notifications":{"taskIds":["x"]}`,
			} {
				name := map[bool]string{true: "must", false: "x"}[method == "tools/call"]
				got := r.send(t, "alice", capabilities, method, name, params)
				const needs = `"requiredCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}`
				if got.Error.Code != -32021 || got.status != http.StatusBadRequest || !strings.Contains(string(got.Error.Data), needs) {
					t.Errorf("%s with %s: %d %s", method, capabilities, got.status, got.body)
				}
			}
		}
		for _, method := range []string{"tasks/list", "tasks/result"} {
			if got := r.send(t, "alice", withTasks, method, "", ""); got.Error.Code != -32601 {
				t.Errorf("%s: %s", method, got.body)
			}
		}
	})
}

// TestForeignTasks lets bob try what he can with alice's task.
func TestForeignTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTaskRig(t, mcp.TaskOptions{})
		id := r.begin(t, "asks")
		r.wantStatus(t, id, "input_required")
		never := strings.Repeat("A", len(id))
		for verb, more := range map[string]string{
			"get": "", "cancel": "", "update": `,"inputResponses":{"q1":{"action":"accept"},"q2":{"action":"accept"}}`,
		} {
			foreign, unknown := r.about(t, "bob", verb, id, more), r.about(t, "bob", verb, never, more)
			if foreign.Error.Code != -32602 || foreign.status != unknown.status {
				t.Errorf("%s of a foreign task: %s", verb, foreign.body)
			}
			if diff := cmp.Diff(unknown.body, foreign.body); diff != "" {
				t.Errorf("%s tells a foreign task from none (-unknown +foreign):\n%s", verb, diff)
			}
		}
		if got := r.wantStatus(t, id, "input_required"); len(got.Result.Requests) != 2 {
			t.Errorf("bob changed alice's task: %s", got.body)
		}
		for _, name := range []string{"", never} {
			got := r.send(t, "alice", withTasks, "tasks/get", name, `"taskId":"`+id+`"`)
			if got.Error.Code != -32020 || got.status != http.StatusBadRequest {
				t.Errorf("Mcp-Name %q: %s", name, got.body)
			}
		}
		for _, bad := range []string{`"taskId":7`, `"taskId":""`, `"taskId":null`, `"taskId":"` + strings.Repeat("x", 129) + `"`, ``} {
			if got := r.send(t, "alice", withTasks, "tasks/get", "", bad); got.Error.Code != -32602 {
				t.Errorf("%s: %s", bad, got.body)
			}
		}
		for _, bad := range []string{``, `,"inputResponses":[]`, `,"inputResponses":null`} {
			if got := r.about(t, "alice", "update", id, bad); got.Error.Code != -32602 {
				t.Errorf("update with %s: %s", bad, got.body)
			}
		}
		r.about(t, "alice", "cancel", id, "")
		<-r.ended
	})
}

func TestTaskQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTaskRig(t, mcp.TaskOptions{})
		start := time.Now()
		id := r.begin(t, "asks")
		if d := time.Since(start); d != 0 {
			t.Errorf("a call that asks became a task after %v", d)
		}
		got := r.wantStatus(t, id, "input_required")
		if diff := cmp.Diff(map[string]string{
			"q1": `{"method":"elicitation/create","params":{"message":"?"}}`, "q2": `{"method":"elicitation/create","params":{"message":"?"}}`,
		}, texts(got.Result.Requests)); diff != "" {
			t.Errorf("questions (-want +got):\n%s", diff)
		}
		update := func(answers string) {
			t.Helper()
			got := r.about(t, "alice", "update", id, `,"inputResponses":`+answers)
			if got.Result.Type != "complete" || got.Result.ID != "" || got.Result.Status != "" {
				t.Errorf("update: %s", got.body)
			}
		}
		update(`{"q3":{"action":"accept"},"q1":{"action":"dance"},"q2":"accept"}`)
		if got := r.wantStatus(t, id, "input_required"); len(got.Result.Requests) != 2 {
			t.Errorf("bad answers were taken: %s", got.body)
		}
		update(`{"q1":{"action":"decline"}}`)
		if got := r.wantStatus(t, id, "input_required"); len(got.Result.Requests) != 1 || got.Result.Requests["q2"] == nil {
			t.Errorf("after one answer: %s", got.body)
		}
		update(`{"q1":{"action":"accept"},"q2":{"action":"cancel"}}`)
		if got := r.wantStatus(t, id, "completed"); !strings.Contains(string(got.Result.Result), "39 bytes") {
			t.Errorf("the answers came to %s", got.body)
		}
		update(`{"q2":{"action":"accept"}}`)
	})
}

// TestTaskComesBack has an upstream ask by its result when its call is a task
// already.
func TestTaskComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTaskRig(t, mcp.TaskOptions{})
		id := r.begin(t, "comes_back")
		r.wantStatus(t, id, "working")
		r.release <- struct{}{}
		r.wantStatus(t, id, "input_required")
		r.about(t, "alice", "update", id, `,"inputResponses":{"q1":{"action":"cancel"}}`)
		if got := r.wantStatus(t, id, "completed"); !strings.Contains(string(got.Result.Result), `kept {\"action\":\"cancel\"}`) {
			t.Errorf("the task came to %s", got.body)
		}
		r.release <- struct{}{} // Before it is a task, it asks as calls do.
		if got := r.call(t, "alice", "comes_back"); got.Result.Type != "input_required" || got.Result.ID != "" || got.Result.Requests["name"] == nil {
			t.Errorf("a call that came back at once: %s", got.body)
		}
	})
}

func texts(raw map[string]json.RawMessage) map[string]string {
	out := map[string]string{}
	for k, v := range raw {
		out[k] = string(v)
	}
	return out
}
