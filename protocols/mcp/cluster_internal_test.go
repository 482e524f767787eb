package mcp

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

// FuzzNode holds that a text names a node for one purpose, principal and session
// alone.
func FuzzNode(f *testing.F) {
	var key [32]byte
	rand.Read(key[:]) // No seed of another process opens.
	door := &Frontend{node: "node", states: newInputSealer(key)}
	session := sessionKey{1}
	good := door.sealNode(nodeOfQuestion, "alice", session)
	for _, seed := range []string{good, good[1:], good + "A", "", "?", strings.Repeat("A", 400)} {
		f.Add(seed, nodeOfQuestion, "alice", byte(1))
	}
	f.Add(good, nodeOfStream, "alice", byte(1))
	f.Add(good, nodeOfQuestion, "bob", byte(1))
	f.Add(good, nodeOfQuestion, "alice", byte(2))
	f.Fuzz(func(t *testing.T, text, purpose, who string, of byte) {
		node, ok := door.openNode(text, purpose, who, sessionKey{of})
		own := text == good && purpose == nodeOfQuestion && who == "alice" && of == 1
		if ok != own || ok && node != "node" {
			t.Fatalf("openNode(%q, %q, %q, %d): %q, %v", text, purpose, who, of, node, ok)
		}
	})
}

// A wireCluster is one whose nodes keep what they are sent.
type wireCluster struct{ sent []byte }

func (*wireCluster) Node() string { return "a" }

func (w *wireCluster) Request(_ context.Context, _ string, _ bool, data []byte) ([]byte, error) {
	w.sent = data
	return []byte(`{}`), nil
}

func (w *wireCluster) Tell(_ context.Context, _ bool, data []byte) error {
	w.sent = data
	return nil
}

// TestPrincipalsArriveAsTheyAre: what a principal may do does not depend on the
// node that its request came to.
func TestPrincipalsArriveAsTheyAre(t *testing.T) {
	w := &wireCluster{}
	door := &Frontend{o: FrontendOptions{Cluster: w}, node: "a"}
	for _, p := range []*gateway.Principal{
		{ID: "unbounded"},
		{ID: "bounded by nothing", Scopes: []string{}, Groups: []string{}, Roles: []string{}},
		{
			ID: "full", Issuer: "i", Subject: "s", Kind: "user", Name: "N", Groups: []string{"g"}, Roles: []string{"r"}, Scopes: []string{"a", "b"},
			Tenant: "t", Expiry: time.Unix(2e9, 5).UTC(), Credential: "c", Session: "sid", Issued: time.Unix(1e9, 0).UTC(),
		},
	} {
		if _, err := door.at(t.Context(), "b", &peerRequest{Op: peerMessage, Principal: p}); err != nil {
			t.Fatal(err)
		}
		var r peerRequest
		if err := jsonv2.Unmarshal(w.sent, &r); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, r.Principal); diff != "" {
			t.Errorf("asked of a node (-sent +arrived):\n%s", diff)
		}
		door.tell(t.Context(), sessionKey{1}, told{Op: toldFollow, Principal: p})
		var said told
		if err := jsonv2.Unmarshal(w.sent, &said); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, said.Principal); diff != "" {
			t.Errorf("told to all (-sent +arrived):\n%s", diff)
		}
	}
}

// FuzzTaskState holds what a server says of a task within its bounds.
func FuzzTaskState(f *testing.F) {
	for _, seed := range []string{
		`{"resultType":"task","taskId":"t","status":"working","pollIntervalMs":5}`, `{"task":{"taskId":"t","status":"completed","pollInterval":1e300}}`,
		`{"taskId":7,"status":[]}`, `[]`, ``, `{"task":{"taskId":"` + strings.Repeat("x", 2000) + `","status":"working"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) {
			return // It has been refused before.
		}
		s := readTaskState(raw)
		if d := s.interval(); d < leastPoll || d > mostPoll {
			t.Errorf("an interval of %v", d)
		}
		for _, err := range []error{modernTask(raw), legacyTask(raw, 1)} {
			if task, ok := err.(*begunTask); ok { //nolint:errorlint // It is never wrapped.
				if task.id == "" || len(task.id) > maxTaskID || task.poll < 0 || task.poll > time.Minute {
					t.Errorf("%+v", task)
				}
			} else if err == nil {
				t.Error("no task and no error")
			}
		}
	})
}

// TestTaskTokenEnds: nothing is left of a task's progress token when nobody
// follows the task over that connection any more.
func TestTaskTokenEnds(t *testing.T) {
	c := &client{sinks: map[uint64]*sink{}, tasks: map[string]chan struct{}{}}
	p := &pursuit{
		t: &begunTask{id: "t", legacy: true, token: 7}, forget: func() {}, wake: make(chan struct{}, 1),
		call: &gateway.Call{Progress: func(gateway.Progress) {}},
	}
	p.attach(c)
	if c.sinks[7] == nil {
		t.Fatal("progress is not heard")
	}
	p.forget()
	if len(c.sinks) != 0 || len(c.tasks) != 0 {
		t.Errorf("left are %d sinks and %d tasks", len(c.sinks), len(c.tasks))
	}
}

// TestMemories holds what a node remembers of sessions within its bounds.
func TestMemories(t *testing.T) {
	var m memories
	key := func(i int) sessionKey { return sessionKey{byte(i), byte(i >> 8), byte(i >> 16)} }
	for i := range maxMemories + 10 {
		m.change(key(i), func(s *memory) { s.level = "error" })
	}
	if len(m.by) != maxMemories || len(m.order) != maxMemories || m.of(key(0)).level != "" || m.of(key(maxMemories)).level != "error" {
		t.Errorf("%d sessions are remembered", len(m.by))
	}
	long := strings.Repeat("x", 1<<20)
	for i := range 20 {
		m.change(key(i), func(s *memory) { s.follow(long); s.follow(long) })
	}
	if m.bytes > maxMemoryBytes || m.of(key(19)).uris == nil {
		t.Errorf("%d bytes are remembered", m.bytes)
	}
	m.change(key(19), func(s *memory) { s.unfollow(long) })
	m.end(key(18))
	if len(m.of(key(19)).uris) != 0 || len(m.of(key(18)).uris) != 0 {
		t.Error("something is remembered that has ended")
	}
}
