package mcp

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/trilith-gateway/trilith/gateway"
)

// Bounds on what servers may make of their tasks.
const (
	maxTaskID   = 1 << 10 // bytes
	leastPoll   = 100 * time.Millisecond
	mostPoll    = time.Minute
	usualPoll   = time.Second     // where the server names no time
	taskAway    = 2 * time.Minute // that a server may be away while it has a task
	foreignTTL  = time.Hour       // what a server is asked to keep a task for whose caller waits
	metaRelated = metaPrefix + "related-task"
)

// A begunTask is a task that the server made of a call. As an error it says that
// the call has no result yet.
type begunTask struct {
	id     string
	legacy bool // of 2025-11-25, not of the extension
	token  uint64
	poll   time.Duration
}

func (*begunTask) Error() string { return "the server has begun a task" }

// A taskHandle is a begunTask as those keep it who take it up again.
type taskHandle struct {
	ID     string `json:"task"`
	Legacy bool   `json:"legacy,omitempty"`
}

// A taskState is what a server says of a task: Task of 2025-11-25, or what
// tasks/get of the extension answers.
type taskState struct {
	ID      string          `json:"taskId"`
	Status  string          `json:"status"`
	Message string          `json:"statusMessage"`
	Poll    json.RawMessage `json:"pollInterval"`   // 2025-11-25
	PollMs  json.RawMessage `json:"pollIntervalMs"` // the extension
	Result  json.RawMessage `json:"result"`
	Error   json.RawMessage `json:"error"`
	Input   json.RawMessage `json:"inputRequests"`
}

// readTaskState reads the members in one pass; unknown ones are ignored, and
// those of another type read as absent.
func readTaskState(raw json.RawMessage) taskState {
	var s taskState
	o, _ := openObject(raw) // No object has no status.
	for o.next() {
		switch string(o.name) {
		case "taskId":
			s.ID, _ = unquote(o.value)
		case "status":
			s.Status, _ = unquote(o.value)
		case "statusMessage":
			s.Message, _ = unquote(o.value)
		case "pollInterval":
			s.Poll = o.value
		case "pollIntervalMs":
			s.PollMs = o.value
		case "result":
			s.Result = o.value
		case "error":
			s.Error = o.value
		case "inputRequests":
			s.Input = o.value
		}
	}
	return s
}

// interval returns how long the server wants to be left alone, within bounds.
func (s *taskState) interval() time.Duration {
	raw := s.PollMs
	if raw == nil {
		raw = s.Poll
	}
	ms, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || ms <= 0 {
		return usualPoll
	}
	return time.Duration(min(max(ms, float64(leastPoll.Milliseconds())), float64(mostPoll.Milliseconds()))) * time.Millisecond
}

// begun returns the task that a state describes, as an error.
func (s *taskState) begun(legacy bool, token uint64) error {
	switch s.Status {
	case statusWorking, statusInput, statusCompleted, statusFailed, statusCancelled:
	default:
		return badAnswer("a task's status is none")
	}
	if s.ID == "" || len(s.ID) > maxTaskID {
		return badAnswer("a task's id is not valid")
	}
	t := &begunTask{id: s.ID, legacy: legacy, token: token, poll: s.interval()}
	if s.Status != statusWorking {
		t.poll = 0
	}
	return t
}

// modernTask reads CreateTaskResult (ext-tasks, task creation).
func modernTask(raw json.RawMessage) error {
	s := readTaskState(raw)
	return s.begun(false, 0)
}

// legacyTask reads CreateTaskResult (2025-11-25, tasks, creating tasks). Token is
// that of progress, which lasts as long as the task.
func legacyTask(raw json.RawMessage, token uint64) error {
	s := readTaskState(lookup(raw, []string{"task"}))
	return s.begun(true, token)
}

// appendTask appends what asks a server of 2025-11-25 to make a task of a call,
// and reports whether it did: where the tool does not go without, and where the
// caller comes back for the result (2025-11-25, tasks, tool-level negotiation).
// Modern servers decide by themselves.
func (c *client) appendTask(ctx context.Context, b []byte, call *gateway.Call) ([]byte, bool) {
	if c.modern() || !c.caps.tasksOfTools() || call.Tool == nil {
		return b, false
	}
	support := supportIn(call.Tool.Definition)
	if support == taskForbidden || support == taskOptional && !call.Task {
		return b, false
	}
	ttl := foreignTTL
	if end, ok := ctx.Deadline(); ok && call.Task {
		ttl = max(time.Second, time.Until(end))
	}
	b = append(b, `"task":{"ttl":`...)
	return append(strconv.AppendInt(b, ttl.Milliseconds(), 10), "},"...), true
}

// takesTasks reports whether a request says that the gateway has the extension
// for tasks: where the server has it too, and may make one of the request or is
// asked about one.
func (c *client) takesTasks(method string) bool {
	if !c.caps.tasksExtension() {
		return false
	}
	switch method {
	case "tools/call", methodTaskGet, methodTaskUpdate, methodTaskCancel:
		return true
	}
	return false
}

// The requests about tasks.
const (
	methodTaskGet    = "tasks/get"
	methodTaskUpdate = "tasks/update" // the extension
	methodTaskCancel = "tasks/cancel"
	methodTaskResult = "tasks/result" // 2025-11-25
	noteTaskStatus   = "notifications/tasks/status"
)

// rejoin goes on with a task that an earlier call began.
func (u *Upstream) rejoin(ctx context.Context, l *link, call *gateway.Call) (*gateway.Result, error) {
	var h taskHandle
	if err := jsonv2.Unmarshal(call.Rejoin, &h); err != nil || h.ID == "" {
		return nil, &gateway.Error{Code: gateway.InvalidArgument, By: u.by, Msg: "this is no task of the upstream", Err: err}
	}
	return u.pursue(ctx, l, nil, call, &begunTask{id: h.ID, legacy: h.Legacy})
}

// expectTask lets notifications about a task wake who follows it, until stop is
// called.
func (c *client) expectTask(t *begunTask, call *gateway.Call, wake chan struct{}) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tasks[t.id] = wake
	id, token := t.id, t.token // The task outlives the connection, its token does not.
	var s *sink
	if token > 0 && call.Progress != nil {
		s = &sink{progress: call.Progress}
		c.sinks[token] = s
	}
	return func() {
		c.mu.Lock()
		delete(c.tasks, id)
		delete(c.sinks, token)
		c.mu.Unlock()
		if s != nil {
			s.end()
		}
	}
}

// taskChanged takes notifications/tasks/status. What it says is asked for.
func (c *client) taskChanged(params json.RawMessage) {
	id, _ := unquote(lookup(params, []string{"taskId"}))
	c.mu.Lock()
	wake := c.tasks[id]
	c.mu.Unlock()
	if wake != nil {
		signal(wake)
	}
}

// relatedTask returns the task that a question says that it is about, or "".
func relatedTask(params json.RawMessage) string {
	id, _ := unquote(lookup(params, []string{"_meta", metaRelated, "taskId"}))
	return id
}
