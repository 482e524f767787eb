package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"sync/atomic"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// A followedTask is a task whose changes a stream tells (ext-tasks, task status
// notifications).
type followedTask struct {
	id    string
	live  *task                           // or nil where the task has ended or runs elsewhere
	state atomic.Pointer[json.RawMessage] // then
	news  atomic.Bool
	stop  func()
}

// followTasks lets the feed tell of tasks and returns the ids of those that it
// can: the principal's own. What they are now is told first, since a task may
// have ended before its client began to listen.
func (f *Frontend) followTasks(ctx context.Context, req *request, d *feed, ids []string) ([]string, *wireError) {
	if len(ids) == 0 {
		return nil, nil
	}
	if !req.declaresTasks() {
		return nil, refusal(missingTasks(), nil, true)
	}
	var taken []string
	for _, id := range ids {
		if slices.Contains(taken, id) {
			continue
		}
		live, rec, err := f.tasks.find(ctx, id, req.principal)
		if err != nil {
			continue
		}
		ft := &followedTask{id: id, live: live, stop: func() {}}
		ft.state.Store(&rec.state)
		ft.news.Store(true)
		changed := func() {
			ft.news.Store(true)
			d.poke()
		}
		switch {
		case live != nil:
			ft.stop = live.watch(changed)
		case !isFinal(rec.status):
			following, stop := context.WithCancel(context.WithoutCancel(ctx)) // The stream may outlive the handler of its request.
			ft.stop = stop
			go f.tasks.follow(following, id, req.principal, rec, func(state json.RawMessage) {
				ft.state.Store(&state)
				changed()
			})
		}
		d.tasks = append(d.tasks, ft)
		taken = append(taken, id)
	}
	return taken, nil
}

// follow looks what has become of a task that runs on another node until it has
// ended or nobody wants to know.
func (s *tasks) follow(ctx context.Context, id string, owner *gateway.Principal, rec taskRecord, changed func(json.RawMessage)) {
	key := taskKey(id, owner.ID)
	tick := time.NewTicker(s.o.Poll)
	defer tick.Stop()
	for !isFinal(rec.status) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now, err := s.load(ctx, key)
		if err != nil {
			if err.code == codeInvalidParams {
				return // It has expired.
			}
			continue
		}
		if !isFinal(now.status) && s.orphaned(ctx, now, time.Now()) {
			_, now = s.adopt(ctx, id, key, owner, now)
		}
		if !bytes.Equal(now.state, rec.state) {
			changed(now.state)
		}
		rec = now
	}
}

// tellTasks sends what has become of the followed tasks since the last time.
func (d *feed) tellTasks(out stream) error {
	for _, ft := range d.tasks {
		if !ft.news.Swap(false) {
			continue
		}
		state := *ft.state.Load()
		if ft.live != nil {
			ft.live.mu.Lock()
			state = ft.live.state()
			ft.live.mu.Unlock()
		}
		b := append(appendNotification(make([]byte, 0, len(state)+256), "notifications/tasks"), d.tag...)
		b = append(quote(append(b, `,"taskId":`...), ft.id), ',')
		b = append(append(b, state[1:]...), '}')
		if err := out.send(flatten(b)); err != nil {
			ft.news.Store(true)
			return err
		}
	}
	return nil
}

// leaveTasks ends the following.
func (d *feed) leaveTasks() {
	for _, ft := range d.tasks {
		ft.stop()
	}
}
