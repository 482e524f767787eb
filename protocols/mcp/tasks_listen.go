package mcp

import (
	"context"
	"encoding/json"
	"sync/atomic"
)

// A followedTask is a task whose changes a stream tells (ext-tasks, task status
// notifications).
type followedTask struct {
	id    string
	live  *task           // or nil where the task has ended
	state json.RawMessage // then
	news  atomic.Bool
	stop  func()
}

// followTasks lets the feed tell of tasks and returns the ids of those that it
// can: the principal's own that run here or have ended. What they are now is
// told first, since a task may have ended before its client began to listen.
func (f *Frontend) followTasks(ctx context.Context, req *request, d *feed, ids []string) ([]string, *wireError) {
	if len(ids) == 0 {
		return nil, nil
	}
	if !req.declaresTasks() {
		return nil, refusal(missingTasks(), nil, true)
	}
	var taken []string
	for _, id := range ids {
		live, rec, err := f.tasks.find(ctx, id, req.principal.ID)
		if err != nil || live == nil && !isFinal(rec.status) {
			continue
		}
		ft := &followedTask{id: id, live: live, state: rec.state, stop: func() {}}
		ft.news.Store(true)
		if live != nil {
			ft.stop = live.watch(func() {
				ft.news.Store(true)
				d.poke()
			})
		}
		d.tasks = append(d.tasks, ft)
		taken = append(taken, id)
	}
	return taken, nil
}

// tellTasks sends what has become of the followed tasks since the last time.
func (d *feed) tellTasks(out stream) error {
	for _, ft := range d.tasks {
		if !ft.news.Swap(false) {
			continue
		}
		state := ft.state
		if ft.live != nil {
			ft.live.mu.Lock()
			state = ft.live.state()
			ft.live.mu.Unlock()
		}
		b := append(appendNotification(make([]byte, 0, len(state)+256), "notifications/tasks"), d.tag...)
		b = append(quote(append(b, `,"taskId":`...), ft.id), ',')
		b = append(append(b, state[1:]...), '}')
		if err := out.send(flatten(b)); err != nil {
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
