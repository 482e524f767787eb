package config

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Times of [Watch].
const (
	quiet    = 100 * time.Millisecond // without events before the file is read
	patience = time.Second            // after which it is read in spite of events
	recheck  = 30 * time.Second       // for file systems that send no events
)

// changes yields nil whenever the file at path should be read, the first time
// at once, and an error when it cannot be watched, which is not the end.
func changes(ctx context.Context, path string) iter.Seq[error] {
	return func(yield func(error) bool) {
		f := &follower{path: path}
		var events <-chan fsnotify.Event // Without a watcher nil, which leaves the recheck.
		var errs <-chan error
		if notify, err := fsnotify.NewWatcher(); err == nil {
			defer notify.Close() //nolint:errcheck // Nothing is lost.
			f.notify, events, errs = notify, notify.Events, notify.Errors
		} else if !yield(fmt.Errorf("watch %s: %w", path, err)) {
			return
		}
		for ctx.Err() == nil {
			if err := f.follow(); err != nil && !yield(err) {
				return
			}
			if !yield(nil) || !settle(ctx, events, errs) {
				return
			}
		}
	}
}

// follower watches the directories of one file.
type follower struct {
	path   string
	notify *fsnotify.Watcher // nil when the system gives none
	blind  bool              // a directory cannot be watched, and the caller knows
}

// follow watches the directory of the file and, when the file is a symbolic
// link, that of its target, which may be another one every time. It returns an
// error once when it cannot.
func (f *follower) follow() error {
	if f.notify == nil {
		return nil
	}
	dirs := []string{filepath.Dir(f.path)}
	if target, err := filepath.EvalSymlinks(f.path); err == nil {
		dirs = append(dirs, filepath.Dir(target))
	}
	for _, old := range f.notify.WatchList() {
		if !slices.Contains(dirs, old) {
			_ = f.notify.Remove(old) // It may be gone already.
		}
	}
	var errs []error
	for _, dir := range dirs {
		errs = append(errs, f.notify.Add(dir))
	}
	err := errors.Join(errs...)
	news := err != nil && !f.blind
	f.blind = err != nil
	if !news {
		return nil
	}
	return fmt.Errorf("watch %s: %w", f.path, err)
}

// settle waits until something happened and then nothing more, so that several
// events of one edit count once. It returns false when ctx is done.
func settle(ctx context.Context, events <-chan fsnotify.Event, errs <-chan error) bool {
	timer := time.NewTimer(recheck)
	defer timer.Stop()
	var first time.Time
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return ctx.Err() == nil
		case <-events:
		case <-errs: // Events were lost.
		}
		if first.IsZero() {
			first = time.Now()
		}
		timer.Reset(min(quiet, patience-time.Since(first)))
	}
}
