package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
)

const tasksMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}`

// task makes one request about tasks and returns its result.
func (r *rig) task(t testing.TB, persona, method, name, params string) taskResult {
	t.Helper()
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set("Accept", "application/json, text/event-stream")
	h.Set("MCP-Protocol-Version", "2026-07-28")
	h.Set("Mcp-Method", method)
	h.Set("Mcp-Name", name)
	status, body := r.send(t, persona, http.MethodPost, "/mcp", h,
		`{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":{`+params+`,`+tasksMeta+`}}`)
	var res struct {
		Result taskResult `json:"result"`
		Error  *struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal([]byte(body), &res); err != nil || status != http.StatusOK {
		t.Fatalf("%s: status %d: %s", method, status, body)
	}
	if res.Error != nil {
		res.Result.refused = res.Error.Code
	}
	return res.Result
}

type taskResult struct {
	Type    string          `json:"resultType"`
	ID      string          `json:"taskId"`
	Status  string          `json:"status"`
	Result  json.RawMessage `json:"result"`
	Error   json.RawMessage `json:"error"`
	refused int
}

func (r *rig) getTask(t testing.TB, persona, id string) taskResult {
	t.Helper()
	return r.task(t, persona, "tasks/get", id, `"taskId":"`+id+`"`)
}

// TestTasksSurviveRestart stops a gateway with an ended and a running task and
// starts it again over the same data.
func TestTasksSurviveRestart(t *testing.T) {
	const answer = `{ "content":[{"type":"text","text":"<done> 9007199254740993"}], "n":1.10 }`
	release := make(chan struct{}, 1)
	const callTimeout = time.Second // Shorter than the calls, which are tasks.
	sources := map[string]gateway.Upstream{"jobs": jobs(t, answer, release)}
	dir, addr := t.TempDir(), "127.0.0.1:0"
	policy := withPolicy(t, "p, role:admin, *, **, *, allow\np, role:dev, *, **, *, allow\n")
	edit := func(cfg *config.Config) {
		policy(cfg)
		cfg.Data, cfg.Listen.HTTP, cfg.Limits.CallTimeout = dir, addr, callTimeout
	}
	var ended, running taskResult
	t.Run("before", func(t *testing.T) {
		r := start(t, sources, edit)
		addr = r.Addr() // Tokens name their issuer by its address.
		running = r.task(t, "dev", "tools/call", "jobs.wait", `"name":"jobs.wait"`)
		ended = r.task(t, "dev", "tools/call", "jobs.job", `"name":"jobs.job"`)
		if running.Type != "task" || ended.Type != "task" || running.ID == ended.ID {
			t.Fatalf("the calls became %+v and %+v", running, ended)
		}
		release <- struct{}{}
		poll(t, func() bool { return r.getTask(t, "dev", ended.ID).Status == "completed" })
		if got := r.getTask(t, "dev", running.ID); got.Status != "working" {
			t.Errorf("the running task is %+v", got)
		}
	})
	t.Run("after", func(t *testing.T) {
		r := start(t, sources, edit)
		if got := r.getTask(t, "dev", ended.ID); got.Status != "completed" || string(got.Result) != answer {
			t.Errorf("the ended task is %s with result %s", got.Status, got.Result)
		}
		if got := r.getTask(t, "dev", running.ID); got.Status != "failed" || !strings.Contains(string(got.Error), "restarted") {
			t.Errorf("the running task is %s with error %s", got.Status, got.Error)
		}
		if got := r.getTask(t, "admin", ended.ID); got.refused != -32602 {
			t.Errorf("another principal got %+v", got)
		}
		n := 0
		for _, rec := range r.records(t, 2) {
			if rec.Type == "call" && strings.HasPrefix(rec.Object, "tool/jobs/") {
				n++
			}
		}
		if n != 2 {
			t.Errorf("two tasks left %d records of their calls", n)
		}
	})
}

// jobs is a source of tools that may run as tasks: job answers when it is
// released, wait never does.
func jobs(t testing.TB, answer string, release <-chan struct{}) *gateway.Funcs {
	t.Helper()
	f := &gateway.Funcs{}
	add := func(name string, run gateway.Func) {
		def := `{"name":"` + name + `","description":"A job.","inputSchema":{"type":"object"},"execution":{"taskSupport":"required"}}`
		if err := f.AddTool(json.RawMessage(def), run); err != nil {
			t.Fatal(err)
		}
	}
	add("job", func(ctx context.Context, _ *gateway.Call) (*gateway.Result, error) {
		select {
		case <-release:
			return &gateway.Result{Raw: json.RawMessage(answer)}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Minute):
			return nil, context.DeadlineExceeded
		}
	})
	add("wait", func(ctx context.Context, _ *gateway.Call) (*gateway.Result, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	return f
}
