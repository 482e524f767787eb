package mcp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/trilith-gateway/trilith/gateway"
)

// maxRejoin bounds what is kept of a call so that it can be taken up again: one
// with larger arguments ends with its node, and so does what the upstream does.
const maxRejoin = 128 << 10

// A rejoinder is what a call is made again with when its node has ended and the
// upstream goes on with it.
type rejoinder struct {
	Name         string `json:"name"`
	Args         []byte `json:"args,omitempty"`
	Meta         []byte `json:"meta,omitempty"`
	Capabilities []byte `json:"capabilities,omitempty"`
	Handle       []byte `json:"handle"`
}

// began is the call's Began: it keeps how the upstream names its own task, sealed,
// since who reads the store must not be able to do anything with it.
func (t *task) began(handle json.RawMessage) {
	c := t.call
	plain, err := jsonv2.Marshal(rejoinder{c.Name, c.Args, c.Meta, c.Capabilities, handle})
	if err != nil {
		return // Text always goes.
	}
	sealed := base64.RawURLEncoding.EncodeToString(t.of.aead.Seal(nil, nil, plain, rejoinFor(t.key)))
	t.mu.Lock()
	t.rejoin = sealed
	t.mu.Unlock()
	t.saved(context.Background()) //nolint:forbidigo // It is bounded, and outlives the request.
}

func rejoinFor(key string) []byte { return []byte("rejoin\x00" + key) }

// leave lets the task go on at the upstream where the gateway stops, and reports
// whether it does.
func (t *task) leave(ctx context.Context) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rejoin == "" || isFinal(t.status) || !errors.Is(context.Cause(ctx), errTaskStopped) {
		return false
	}
	t.left, t.open, t.status = true, nil, statusWorking // Who takes it up asks again.
	close(t.over)
	return true
}

// adopt takes up a task whose node has ended, where the upstream goes on with
// it, and returns it if this node runs it now. Any other has failed.
func (s *tasks) adopt(ctx context.Context, id, key string, owner *gateway.Principal, rec taskRecord) (*task, taskRecord) {
	if t := s.running(key); t != nil { // It was taken up since the record was looked for.
		return t, rec
	}
	call, ok := s.openRejoin(key, rec)
	switch {
	case !ok:
		s.bury(ctx, key, &rec, time.Now())
		return nil, rec
	case s.gw.View(owner).Tool(call.Name) == nil:
		return nil, rec // Its source may still be away.
	case !s.claim(ctx, key, rec):
		if t := s.running(key); t != nil {
			return t, rec
		}
		if now, failed := s.load(ctx, key); failed == nil {
			rec = now
		}
		return nil, rec
	}
	t := s.revive(ctx, id, key, owner, rec, call)
	if t != nil {
		t.saved(ctx)
	}
	return t, rec
}

// claim reports whether a task may be taken up: of those that find it as it was
// left, one does. Should that one end before it has said so, another may after a
// while.
func (s *tasks) claim(ctx context.Context, key string, rec taskRecord) bool {
	ctx, done := context.WithTimeout(ctx, taskPatience)
	defer done()
	name, now := claimKey(key, rec), strconv.AppendInt(nil, time.Now().UnixMilli(), 10)
	if s.o.Store.Create(ctx, name, now, rec.expires) == nil {
		return true
	}
	data, err := s.o.Store.Get(ctx, name)
	if err != nil {
		return false
	}
	ms, err := strconv.ParseInt(string(data), 10, 64)
	if err != nil || time.Since(time.UnixMilli(ms)) <= taskSilence {
		return false
	}
	return s.o.Store.Update(ctx, name, now, rec.expires) == nil
}

// openRejoin returns the call that a record's task can be taken up with.
func (s *tasks) openRejoin(key string, rec taskRecord) (*gateway.Call, bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(rec.rejoin)
	if err != nil || len(sealed) < s.aead.Overhead() {
		return nil, false
	}
	plain, err := s.aead.Open(nil, nil, sealed, rejoinFor(key))
	var r rejoinder
	if err != nil || jsonv2.Unmarshal(plain, &r) != nil {
		return nil, false
	}
	return &gateway.Call{
		Op: gateway.OpCall, Name: r.Name, Args: r.Args, Meta: r.Meta, Capabilities: r.Capabilities,
		Via: door, Task: true, Rejoin: r.Handle,
	}, true
}

// claimKey names, as keys do, the one taking up of a task as it was left.
func claimKey(key string, rec taskRecord) string {
	h := sha256.Sum256([]byte("claim\x00" + key + "\x00" + rec.node + "\x00" + strconv.FormatInt(rec.seen.UnixMilli(), 10)))
	return base64.RawURLEncoding.EncodeToString(h[:])
}

// revive runs a task that another start of a node began, with the rights that
// its owner has now. It returns the task that runs where there is one, and nil
// where the frontend closes.
func (s *tasks) revive(ctx context.Context, id, key string, owner *gateway.Principal, rec taskRecord, call *gateway.Call) *task {
	now := time.Now()
	t := &task{
		of: s, id: id, key: key, owner: owner.ID, call: call, can: abilities(call.Capabilities),
		created: createdIn(rec, now), updated: now, expires: rec.expires, status: statusWorking, rejoin: rec.rejoin,
		detached: true, stored: true, prefix: newTaskID()[:4] + "-",
		asking: make(chan struct{}), returned: make(chan struct{}), over: make(chan struct{}), watchers: map[*func()]struct{}{},
	}
	call.Principal = owner
	call.Began = func(json.RawMessage) {} // It is kept.
	call.Ask, call.Progress = t.ask, func(p gateway.Progress) { t.note(p.Message) }
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	if running := s.live[key]; running != nil {
		return running
	}
	room := s.rooms[t.owner]
	if room == nil {
		room = &taskRoom{}
		s.rooms[t.owner] = room
	}
	room.running++ // It had its place before.
	s.live[key] = t
	s.launch(ctx, t)
	s.wg.Go(func() { t.beat(context.WithoutCancel(ctx)) })
	s.log.InfoContext(ctx, "a task is taken up again", slog.String("tool", call.Name))
	return t
}

// createdIn returns when a record's task was created.
func createdIn(rec taskRecord, otherwise time.Time) time.Time {
	text := bytes.Trim(lookup(rec.state, []string{"createdAt"}), `"`)
	if at, err := time.Parse(time.RFC3339, string(text)); err == nil {
		return at
	}
	return otherwise
}
