package config

import (
	"bytes"
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

// Watch reads the file at path whenever it changes, and yields every new
// configuration that differs in meaning from the one before, beginning with
// running. With running nil the first one is yielded as soon as it is read.
//
// A bad edit yields [Problems] once; the caller keeps what it has. After an
// error the next good configuration is yielded even if it is the running one,
// which says that the file is good again. Any other error means that the file
// system cannot be watched; the file is then read every 30 seconds.
//
// An empty file is a bad edit here, although [Load] takes it: some programs write
// a file by emptying it first, and nobody means to drop every source that way.
//
// Editors that write twice, renames and the swapped symbolic links of a
// Kubernetes ConfigMap count as one change. The loop ends when ctx is done or
// the caller leaves it. Nothing is held before it begins or after it ended.
func Watch(ctx context.Context, path string, running *Config) iter.Seq2[*Config, error] {
	return func(yield func(*Config, error) bool) {
		w := &watcher{path: path, running: running}
		var events <-chan fsnotify.Event // Without a watcher nil, which leaves the recheck.
		var errs <-chan error
		if notify, err := fsnotify.NewWatcher(); err == nil {
			defer notify.Close() //nolint:errcheck // Nothing is lost.
			w.notify, events, errs = notify, notify.Events, notify.Errors
		} else if !yield(nil, fmt.Errorf("watch %s: %w", path, err)) {
			return
		}
		for w.follow(yield) && w.read(yield) && settle(ctx, events, errs) {
		}
	}
}

// watcher is the state of one loop of Watch.
type watcher struct {
	path    string
	notify  *fsnotify.Watcher // nil when the system gives none
	running *Config

	data  []byte // of the last reading
	fault string // what was wrong with it, or empty
	blind bool   // a directory cannot be watched, and the caller knows
}

// follow watches the directory of the file and, when the file is a symbolic
// link, that of its target, which may be another one every time. It returns
// false when the caller has left the loop.
func (w *watcher) follow(yield func(*Config, error) bool) bool {
	if w.notify == nil {
		return true
	}
	dirs := []string{filepath.Dir(w.path)}
	if target, err := filepath.EvalSymlinks(w.path); err == nil {
		dirs = append(dirs, filepath.Dir(target))
	}
	for _, old := range w.notify.WatchList() {
		if !slices.Contains(dirs, old) {
			_ = w.notify.Remove(old) // It may be gone already.
		}
	}
	var errs []error
	for _, dir := range dirs {
		errs = append(errs, w.notify.Add(dir))
	}
	err := errors.Join(errs...)
	news := err != nil && !w.blind
	w.blind = err != nil
	return !news || yield(nil, fmt.Errorf("watch %s: %w", w.path, err))
}

// read reads the file once and yields what there is to say. It returns false
// when the caller has left the loop.
func (w *watcher) read(yield func(*Config, error) bool) bool {
	next, err := w.load()
	switch {
	case err != nil && err.Error() == w.fault:
		return true
	case err != nil:
		w.fault = err.Error()
		return yield(nil, err)
	case next == nil, w.fault == "" && w.running != nil && len(Changes(w.running, next)) == 0:
		return true
	}
	w.fault, w.running = "", next
	return yield(next, nil)
}

// load returns the configuration, or nil when the file is as it was. A file
// with problems is always parsed again, because they may lie in other files.
func (w *watcher) load() (*Config, error) {
	data, err := readFile(w.path)
	if err != nil {
		return nil, fileProblem(w.path, err)
	}
	if w.data != nil && w.fault == "" && bytes.Equal(data, w.data) {
		return nil, nil //nolint:nilnil // No news is no error.
	}
	w.data = data
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, Problems{{File: w.path, Msg: "the file is empty", Hint: "the gateway keeps what it has"}}
	}
	return load(w.path, data)
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
