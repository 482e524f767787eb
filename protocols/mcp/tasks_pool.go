package mcp

import (
	"bytes"
	"context"
	"crypto/cipher"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

const (
	taskBeat      = 10 * time.Second // between two notes in the store that a task still runs
	taskSilence   = 6 * taskBeat     // after which it does not
	taskPatience  = 5 * time.Second  // for the store
	taskQuestions = 32               // that a task may have open
	taskOverhead  = 1 << 10          // bytes of a record beside the result
)

// tasks are the calls of a frontend that run as tasks, or may come to.
type tasks struct {
	gw   *gateway.Gateway
	o    TaskOptions
	log  *slog.Logger
	aead cipher.AEAD // seals what tasks are taken up again with

	// gone reports whether another node has certainly ended.
	gone func(ctx context.Context, node string) bool

	mu      sync.Mutex
	live    map[string]*task // by key: those whose last word is not in the store
	rooms   map[string]*taskRoom
	closed  bool
	closing chan struct{}
	wg      sync.WaitGroup
}

// A taskRoom is what a principal's tasks take up.
type taskRoom struct{ running, bytes int }

func newTasks(gw *gateway.Gateway, o TaskOptions, log *slog.Logger, aead cipher.AEAD, gone func(context.Context, string) bool) *tasks {
	return &tasks{
		gw: gw, o: o, log: log, aead: aead, gone: gone,
		live: map[string]*task{}, rooms: map[string]*taskRoom{}, closing: make(chan struct{}),
	}
}

// start runs a call that may become a task. The call is copied out of the
// request, whose memory ends with its answer.
func (s *tasks) start(ctx context.Context, r *request, call *gateway.Call) (*task, *gateway.Error) {
	now := time.Now()
	id := newTaskID()
	t := &task{
		of: s, id: id, key: taskKey(id, r.principal.ID), owner: r.principal.ID,
		created: now, updated: now, expires: now.Add(s.o.TTL), status: statusWorking,
		asking: make(chan struct{}), returned: make(chan struct{}), over: make(chan struct{}),
		prefix: "q", watchers: map[*func()]struct{}{},
	}
	own := *call
	own.Args, own.Meta, own.Capabilities = bytes.Clone(call.Args), bytes.Clone(call.Meta), bytes.Clone(call.Capabilities)
	t.can = abilities(own.Capabilities)
	own.Ask, own.Log, own.Task = t.ask, nil, true
	own.Progress = func(p gateway.Progress) { t.note(p.Message) }
	if len(own.Args)+len(own.Meta)+len(own.Capabilities) <= maxRejoin {
		own.Began = t.began
	}
	t.call = &own

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, &gateway.Error{Code: gateway.Unavailable, By: door, Msg: "the server is shutting down"}
	}
	room := s.rooms[t.owner]
	if room == nil {
		room = &taskRoom{}
	}
	if room.running >= s.o.PerPrincipal || room.bytes >= s.o.Retained {
		return nil, &gateway.Error{Code: gateway.ResourceExhausted, By: door, Msg: "too many tasks", Retry: s.o.Poll}
	}
	s.rooms[t.owner] = room
	room.running++
	s.launch(ctx, t)
	return t, nil
}

// launch runs a task's call, for which there is room. s.mu is held.
func (s *tasks) launch(ctx context.Context, t *task) {
	long, cancel := context.WithDeadlineCause(context.WithoutCancel(ctx), t.expires, errTaskExpired)
	long, t.cancel = context.WithCancelCause(long)
	s.wg.Go(func() {
		defer cancel()
		t.run(long)
		s.leave(t.owner, 1, 0)
	})
}

// leave gives room back.
func (s *tasks) leave(owner string, running, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	room := s.rooms[owner]
	room.running -= running
	if room.bytes -= size; *room == (taskRoom{}) {
		delete(s.rooms, owner)
	}
}

// keep counts what an ended task holds until it expires.
func (s *tasks) keep(t *task, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rooms[t.owner].bytes += size // The room is there for as long as the task runs.
	time.AfterFunc(time.Until(t.expires), func() { s.leave(t.owner, 0, size) })
}

// enlist makes a task one that is found, and reports whether it has to end.
func (s *tasks) enlist(t *task) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live[t.key] = t
	return s.closed
}

func (s *tasks) forget(t *task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, t.key)
}

// close ends every task and waits for the calls, no longer than patience. Later
// calls do not become tasks.
func (s *tasks) close(patience time.Duration) {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	live := slices.Collect(maps.Values(s.live))
	s.mu.Unlock()
	for _, t := range live {
		t.cancel(errTaskStopped)
	}
	idle := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(idle)
	}()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-idle:
	case <-limit.C:
		s.log.Warn("tasks go on after their end: their upstreams do not listen")
	}
}
