package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// A Query asks for a page of records.
type Query struct {
	Filter

	Limit  int    // most records in the page; 0 is 100, and more than 1,000 is 1,000
	Oldest bool   // begin with the oldest record instead of the newest
	Cursor string // [Page.Next] of the page before; "" for the first
}

// A Page is a part of the answer to a query.
type Page struct {
	Records []Record
	Next    string // cursor of the next page; "" where this is the last
	Upto    int64  // the last record that the index has: younger ones are not in the page
	Behind  int64  // how many records the log has beyond that, as far as this process knows
}

// The bounds of queries.
const (
	pageDefault  = 100
	pageMost     = 1000
	queryMost    = 30 * time.Second       // what a query may take
	queryCatchUp = 500 * time.Millisecond // how long a query waits for the index to take in what is new
)

// ErrCursor is returned for a cursor that no page gave.
var ErrCursor = errors.New("not a cursor of an audit query")

// ErrNoIndex is returned where a log was opened without an index, or could not
// open it; see [Options.Index].
var ErrNoIndex = errors.New("the audit log has no index")

// Query returns a page of the records that match. It fails where the filter is
// out of bounds, with [ErrCursor], and after 30 seconds or when ctx ends.
func (x *Index) Query(ctx context.Context, q Query) (Page, error) {
	if err := q.Check(); err != nil {
		return Page{}, err
	}
	limit := q.Limit
	if limit <= 0 {
		limit = pageDefault
	}
	limit = min(limit, pageMost)
	where, ways := q.where()
	page := Page{Upto: x.upto.Load()}
	order := "DESC"
	where.and("seq <= ?", page.Upto)
	if q.Oldest {
		order = "ASC"
	}
	at, err := q.after()
	switch {
	case err != nil:
		return Page{}, err
	case at > 0 && q.Oldest:
		where.and("seq > ?", at)
	case at > 0:
		where.and("seq < ?", at)
	}
	ctx, cancel := context.WithTimeout(ctx, queryMost)
	defer cancel()
	text, args := where.page(ways, order, limit+1)
	rows, err := x.db.QueryContext(ctx, text, args...)
	if err != nil {
		return Page{}, fmt.Errorf("query audit index: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err says what failed.
	for rows.Next() {
		if len(page.Records) == limit {
			page.Next = strconv.FormatInt(page.Records[limit-1].Seq, 10)
			break
		}
		var line []byte
		if err := rows.Scan(&line); err != nil {
			return Page{}, fmt.Errorf("query audit index: %w", err)
		}
		r, err := ParseRecord(line)
		if err != nil {
			return Page{}, fmt.Errorf("query audit index: %w", err)
		}
		page.Records = append(page.Records, r)
	}
	if err := rows.Err(); err != nil {
		return Page{}, fmt.Errorf("query audit index: %w", err)
	}
	return page, nil
}

// page returns a statement that selects the first lines. Where there are ways
// to narrow the condition, as many are taken by each way, and the first of all.
func (c condition) page(ways []condition, order string, limit int) (string, []any) {
	end := " ORDER BY seq " + order + " LIMIT ?"
	if len(ways) == 0 {
		return "SELECT line FROM records WHERE " + c.text + end, append(c.args, limit) // Made of names of columns and question marks.
	}
	var parts []string
	var args []any
	for _, way := range ways {
		parts = append(parts, "SELECT * FROM (SELECT seq, line FROM records WHERE "+way.text+" AND "+c.text+end+")")
		args = append(append(append(args, way.args...), c.args...), limit)
	}
	return "SELECT line FROM (" + strings.Join(parts, " UNION ") + ")" + end, append(args, limit)
}

// after returns the record at which the page before ended, 0 for the first page.
func (q *Query) after() (int64, error) {
	if q.Cursor == "" {
		return 0, nil
	}
	at, err := strconv.ParseInt(q.Cursor, 10, 64)
	if err != nil || at < 1 || strconv.FormatInt(at, 10) != q.Cursor {
		return 0, ErrCursor
	}
	return at, nil
}

// refresh waits until the index has taken in what the log has now, a moment at
// most.
func (x *Index) refresh(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, queryCatchUp)
	defer cancel()
	done := make(chan struct{})
	select {
	case x.kick <- done:
	case <-ctx.Done():
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// Query returns a page of the records that match; see [Index.Query]. It first
// waits a moment for the index to take in what was just written. The error is
// [ErrNoIndex] where there is none.
func (l *Log) Query(ctx context.Context, q Query) (Page, error) {
	if l.index == nil {
		return Page{}, ErrNoIndex
	}
	written := l.written.Load()
	if l.index.upto.Load() < written {
		l.index.refresh(ctx)
	}
	page, err := l.index.Query(ctx, q)
	page.Behind = max(0, l.written.Load()-page.Upto)
	return page, err
}

// openIndex opens the index of the log and keeps it up to date. A log without
// an index is still a log.
func (l *Log) openIndex() {
	if !l.o.Index {
		return
	}
	ctx, cancel := context.WithCancel(context.Background()) //nolint:forbidigo // It lives as long as the log.
	index, err := OpenIndex(ctx, l.o.Dir)
	if err != nil {
		cancel()
		l.o.Logger.Error("audit index not opened", slog.Any("error", err))
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		index.run(ctx, func(err error) { l.o.Logger.Error("audit index not updated", slog.Any("error", err)) })
	}()
	l.index = index
	l.closeIndex = func() error {
		cancel()
		<-done
		return index.Close()
	}
}
