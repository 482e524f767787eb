package config

import (
	"bytes"
	"context"
	"iter"
)

// maxWatched bounds a file that [WatchFile] reads.
const maxWatched = 16 << 20

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
		r := &reader{path: path, first: running == nil}
		if running != nil {
			r.running = *running
		}
		for err := range changes(ctx, path) {
			if err != nil {
				if !yield(nil, err) {
					return
				}
				continue
			}
			if !r.read(yield) {
				return
			}
		}
	}
}

// WatchFile reads the file at path now and whenever it changes, and yields what
// is in it when that differs from the time before, up to 16 MiB. It is for the
// other files that the configuration names. An error is yielded once; an empty
// file is one. All else is as in [Watch].
func WatchFile(ctx context.Context, path string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		var last []byte
		fault := ""
		for err := range changes(ctx, path) {
			if err != nil {
				if !yield(nil, err) {
					return
				}
				continue
			}
			data, err := readFile(path, maxWatched)
			switch {
			case err != nil:
				err = fileProblem(path, err)
			case len(data) > maxWatched:
				err = Problems{{File: path, Msg: "the file is longer than " + Size(maxWatched).String()}}
			case isEmpty(data):
				err = emptyFile(path)
			}
			now := ""
			if err != nil {
				now, data = err.Error(), nil
			}
			if now == fault && (err != nil || bytes.Equal(data, last)) {
				continue
			}
			if fault = now; err == nil {
				last = bytes.Clone(data)
			}
			if !yield(data, err) {
				return
			}
		}
	}
}

// reader is the state of one loop of Watch.
type reader struct {
	path    string
	running Config // a copy, because the caller may apply flags to what it got
	first   bool   // there is none running yet

	data  []byte // of the last reading
	fault string // what was wrong with it, or empty
}

// read reads the file once and yields what there is to say. It returns false
// when the caller has left the loop.
func (r *reader) read(yield func(*Config, error) bool) bool {
	next, err := r.load()
	switch {
	case err != nil && err.Error() == r.fault:
		return true
	case err != nil:
		r.fault = err.Error()
		return yield(nil, err)
	case next == nil, r.fault == "" && !r.first && len(Changes(&r.running, next)) == 0:
		return true
	}
	r.fault, r.running, r.first = "", *next, false
	return yield(next, nil)
}

// load returns the configuration, or nil when the file is as it was. A file
// with problems is always parsed again, because they may lie in other files.
func (r *reader) load() (*Config, error) {
	data, err := readFile(r.path, maxFile)
	if err != nil {
		return nil, fileProblem(r.path, err)
	}
	if r.data != nil && r.fault == "" && bytes.Equal(data, r.data) {
		return nil, nil //nolint:nilnil // No news is no error.
	}
	r.data = data
	if isEmpty(data) {
		return nil, emptyFile(r.path)
	}
	return load(r.path, data)
}

func isEmpty(data []byte) bool { return len(bytes.TrimSpace(data)) == 0 }

// emptyFile is the problem of a file that was emptied.
func emptyFile(path string) Problems {
	return Problems{{File: path, Msg: "the file is empty", Hint: "the gateway keeps what it has"}}
}
