package mcp

import (
	"context"
	"log/slog"
	"time"
)

// patience bounds one use of the store, which outlives the request.
func (t *task) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), taskPatience)
}

// save writes the task to the store as it is now.
func (t *task) save(ctx context.Context) error {
	t.saving.Lock()
	defer t.saving.Unlock()
	t.mu.Lock()
	stored, record := t.stored, t.record()
	t.mu.Unlock()
	if !stored {
		return nil // Create will, or has failed.
	}
	ctx, done := t.patience(ctx)
	defer done()
	return t.of.o.Store.Update(ctx, t.key, record, t.expires)
}

// saved is save where a failure is made good by the next.
func (t *task) saved(ctx context.Context) {
	if err := t.save(ctx); err != nil {
		t.of.log.WarnContext(ctx, "the state of a task was not stored", slog.Any("cause", err))
	}
}

// beat tells those who share the store that the task still runs.
func (t *task) beat(ctx context.Context) {
	tick := time.NewTicker(taskBeat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			t.saved(ctx)
		case <-t.over:
			return
		}
	}
}

// finish leaves the task to the store, as soon as that takes it.
func (t *task) finish(ctx context.Context) {
	defer t.of.forget(t)
	t.saving.Lock() // detach may be under way.
	t.mu.Lock()
	t.ended = true
	size, stored := len(t.payload)+taskOverhead, t.stored
	t.mu.Unlock()
	t.saving.Unlock()
	if !stored {
		return
	}
	if !time.Now().Before(t.expires) {
		t.erase(ctx)
		return
	}
	t.of.keep(t, size)
	retry := time.NewTicker(taskBeat)
	defer retry.Stop()
	for {
		err := t.save(ctx)
		if err == nil || !time.Now().Before(t.expires) {
			return
		}
		t.of.log.ErrorContext(ctx, "the end of a task was not stored", slog.Any("cause", err))
		select {
		case <-retry.C:
		case <-t.of.closing:
			return
		}
	}
}

// erase takes an expired task out of the store, for good.
func (t *task) erase(ctx context.Context) {
	t.saving.Lock()
	defer t.saving.Unlock()
	t.mu.Lock()
	t.stored = false
	t.mu.Unlock()
	ctx, done := t.patience(ctx)
	defer done()
	if err := t.of.o.Store.Delete(ctx, t.key); err != nil {
		t.of.log.WarnContext(ctx, "an expired task was not deleted", slog.Any("cause", err))
	}
}

// record returns what the store keeps. t.mu is held.
func (t *task) record() []byte {
	r := taskRecord{node: t.of.o.Node, seen: time.Now(), expires: t.expires, status: t.status, state: t.state()}
	if !isFinal(t.status) {
		r.rejoin = t.rejoin
	}
	if t.left {
		r.node = "" // Whoever is asked may go on with it at once.
	}
	return r.append(nil)
}
