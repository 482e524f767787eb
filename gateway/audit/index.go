package audit

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // The driver.
)

// The index: a SQLite database with a copy of the records, made from the
// segments and made again whenever it does not fit them.
const (
	indexName    = "index.db"
	indexVersion = 3
	indexBatch   = 1000                   // most records in one transaction
	indexEvery   = 200 * time.Millisecond // least pause between looks for more
	indexShare   = 100                    // while nobody asks, at most one part in so many of a CPU goes into the index
	indexEager   = time.Minute            // after a query, the index is kept up to date for so long
	indexRetry   = 5 * time.Second        // pause after a failure
)

const indexSchema = `
CREATE TABLE records (
	seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, type TEXT NOT NULL, op TEXT NOT NULL, via TEXT NOT NULL,
	who TEXT NOT NULL, name TEXT NOT NULL, tenant TEXT NOT NULL, actor TEXT NOT NULL, what TEXT NOT NULL,
	code TEXT NOT NULL, by TEXT NOT NULL, rule TEXT NOT NULL, policy TEXT NOT NULL, login TEXT NOT NULL,
	trace TEXT NOT NULL, id TEXT NOT NULL, parent TEXT NOT NULL, line BLOB NOT NULL
) STRICT;
CREATE INDEX records_time ON records (time);
CREATE INDEX records_who ON records (who) WHERE who != '';
CREATE INDEX records_name ON records (name) WHERE name != '';
CREATE INDEX records_actor ON records (actor) WHERE actor != '';
CREATE INDEX records_what ON records (what) WHERE what != '';
CREATE INDEX records_login ON records (login) WHERE login != '';
CREATE INDEX records_trace ON records (trace) WHERE trace != '';
CREATE INDEX records_id ON records (id) WHERE id != '';
CREATE INDEX records_parent ON records (parent) WHERE parent != '';
CREATE INDEX records_refused ON records (code) WHERE code NOT IN ('', 'OK');
PRAGMA user_version = 3;
`

const indexColumns = 19

// An Index answers queries over a log. It is a copy of the segments that may
// be deleted at any time, and is never on the way of a call. Its methods are
// safe for concurrent use.
type Index struct {
	dir  string
	lock *os.File // nil where another process keeps the index up to date
	db   *sql.DB

	upto atomic.Int64         // the last record in it
	tail *tail                // nil until the first look
	kick chan chan<- struct{} // asks for a look now, and receives when it was taken
}

// OpenIndex opens the index of the log in dir, or makes one. Where the gateway
// that writes the log runs, that keeps the index up to date, and this one only
// reads it; else it is brought up to date by [Index.Update]. The error is
// [ErrNoLog] where there is no log.
func OpenIndex(ctx context.Context, dir string) (*Index, error) {
	if _, err := os.Stat(filepath.Join(dir, pointName)); missing(err) {
		return nil, noLog(dir)
	}
	x := &Index{dir: dir, kick: make(chan chan<- struct{})}
	var err error
	if x.lock, err = lockDir(filepath.Join(dir, "index.lock")); err != nil {
		x.lock = nil
	}
	if x.lock == nil {
		if err := x.open(ctx); err != nil {
			return nil, errors.Join(err, x.Close())
		}
		return x, nil
	}
	if err := x.open(ctx); err != nil { // It is a copy: make a new one.
		if err := x.remake(ctx); err != nil {
			return nil, errors.Join(err, x.Close())
		}
	}
	return x, nil
}

// open opens the database as it is, and makes its tables where it is new.
func (x *Index) open(ctx context.Context) error {
	path, err := filepath.Abs(filepath.Join(x.dir, indexName))
	if err != nil {
		return fmt.Errorf("open audit index: %w", err)
	}
	pragmas := url.Values{"_pragma": {"busy_timeout(5000)", "synchronous(normal)", "trusted_schema(off)"}}
	if x.lock == nil {
		pragmas.Set("mode", "ro")
	} else {
		pragmas.Add("_pragma", "journal_mode(wal)")
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // Its place is configured. SQLite would let others read it.
		if err != nil {
			return fmt.Errorf("open audit index: %w", err)
		}
		if err := f.Close(); err != nil {
			return fmt.Errorf("open audit index: %w", err)
		}
	}
	if x.db, err = sql.Open("sqlite", (&url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: pragmas.Encode()}).String()); err != nil {
		return fmt.Errorf("open audit index: %w", err)
	}
	x.db.SetMaxOpenConns(4)
	var have int
	if err := x.db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return fmt.Errorf("open audit index: %w", err)
	}
	if have == 0 && x.lock != nil {
		if _, err := x.db.ExecContext(ctx, indexSchema); err != nil {
			return fmt.Errorf("make audit index: %w", err)
		}
		have = indexVersion
	}
	if have != indexVersion {
		return fmt.Errorf("the audit index has version %d", have)
	}
	return x.reached(ctx)
}

// reached finds out how far the index goes.
func (x *Index) reached(ctx context.Context) error {
	var upto sql.NullInt64
	if err := x.db.QueryRowContext(ctx, "SELECT max(seq) FROM records").Scan(&upto); err != nil {
		return fmt.Errorf("read audit index: %w", err)
	}
	x.upto.Store(upto.Int64)
	return nil
}

// remake makes the index anew.
func (x *Index) remake(ctx context.Context) error {
	x.reset()
	if x.db != nil {
		_ = x.db.Close() // What it says of a broken file does not matter.
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(filepath.Join(x.dir, indexName+suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove audit index: %w", err)
		}
	}
	return x.open(ctx)
}

func (x *Index) reset() {
	if x.tail != nil {
		x.tail.close()
		x.tail = nil
	}
}

// Close closes the index.
func (x *Index) Close() error {
	x.reset()
	var err error
	if x.db != nil {
		err = x.db.Close()
	}
	if x.lock != nil {
		err = errors.Join(err, x.lock.Close())
	}
	if err != nil {
		return fmt.Errorf("close audit index: %w", err)
	}
	return nil
}

// Update takes into the index what the log has by now. It does nothing where
// another process does that. It must not be called by two goroutines at once.
func (x *Index) Update(ctx context.Context) error {
	for {
		if more, err := x.step(ctx); err != nil || !more {
			return err
		}
	}
}

// step is Update with one batch. It reports whether there are more.
func (x *Index) step(ctx context.Context) (more bool, err error) {
	if x.lock == nil {
		return false, x.reached(ctx)
	}
	if x.tail == nil {
		if err := x.fit(ctx); err != nil {
			return false, err
		}
	}
	if more, err = x.batch(ctx); err != nil {
		x.reset()
	}
	return more, err
}

// fit begins to read the log where the index ends, or makes the index anew
// where it is not one of this log: one that was put in the place of another, or
// that lost what was indexed already in a power failure.
func (x *Index) fit(ctx context.Context) error {
	upto := x.upto.Load()
	x.tail = &tail{dir: x.dir, from: upto}
	if upto == 0 {
		return nil
	}
	var line []byte
	if err := x.db.QueryRowContext(ctx, "SELECT line FROM records WHERE seq = ?", upto).Scan(&line); err != nil {
		return fmt.Errorf("read audit index: %w", err)
	}
	for {
		r, err := x.tail.next()
		switch {
		case err == nil && r.Seq < upto:
		case err == nil && r.Seq == upto && bytes.Equal(x.tail.line, line):
			return nil
		case err == nil || errors.Is(err, io.EOF):
			if err := x.remake(ctx); err != nil {
				return err
			}
			x.tail = &tail{dir: x.dir}
			return nil
		default:
			x.reset()
			return err
		}
	}
}

// batch takes some records into the index and reports whether there are more.
func (x *Index) batch(ctx context.Context) (more bool, err error) {
	r, err := x.tail.next()
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	tx, err := x.db.BeginTx(ctx, nil)
	if err != nil {
		return false, fmt.Errorf("write audit index: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // After Commit it does nothing.
	if x.upto.Load() == 0 || x.tail.first > 1 {
		if _, err := tx.ExecContext(ctx, "DELETE FROM records WHERE seq < ?", x.tail.first); err != nil {
			return false, fmt.Errorf("write audit index: %w", err)
		}
	}
	insert, err := tx.PrepareContext(ctx, "INSERT INTO records VALUES (?"+strings.Repeat(",?", indexColumns-1)+")") //nolint:gosec // Made of question marks.
	if err != nil {
		return false, fmt.Errorf("write audit index: %w", err)
	}
	defer insert.Close() //nolint:errcheck // The transaction says what failed.
	var last int64
	for n := 0; ; n++ {
		if _, err := insert.ExecContext(ctx,
			r.Seq, r.Time.UnixNano(), r.Type, r.Op, r.Via, r.Principal.ID, r.Principal.Name, r.Principal.Tenant, r.Actor, r.what(),
			r.Code, r.By, r.Rule, r.Policy, r.Principal.Login, r.Trace, r.ID, r.Parent, x.tail.line,
		); err != nil {
			return false, fmt.Errorf("write audit index: %w", err)
		}
		last = r.Seq
		if n == indexBatch {
			more = true
			break
		}
		if r, err = x.tail.next(); errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return false, err
		}
	}
	if err := tx.Commit(); err != nil {
		return false, fmt.Errorf("write audit index: %w", err)
	}
	x.upto.Store(last)
	return more, nil
}

// run keeps the index up to date until the context ends. While nobody asks it
// anything it takes only a small share of a CPU, and may fall behind a gateway
// that is busy: calls come first. The first query makes it catch up.
func (x *Index) run(ctx context.Context, failed func(error)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var eager time.Time // until when
	for {
		var asked chan<- struct{}
		select {
		case <-ctx.Done():
			return
		case asked = <-x.kick:
			eager = time.Now().Add(indexEager)
		case <-timer.C:
		}
		look := x.step
		began := time.Now()
		wanted := began.Before(eager)
		if wanted {
			look = func(ctx context.Context) (bool, error) { return false, x.Update(ctx) }
		}
		pause := indexEvery
		if _, err := look(ctx); err != nil && ctx.Err() == nil {
			failed(err)
			pause = indexRetry
		} else if !wanted {
			pause = max(pause, (indexShare-1)*time.Since(began))
		}
		if asked != nil {
			close(asked)
		}
		timer.Reset(pause)
	}
}
