package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

// variedLog opens a log with an index and fills it with records of all kinds.
func variedLog(t *testing.T, dir string) *Log {
	t.Helper()
	now := clock{at: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	l := mustOpen(t, Options{Dir: dir, Index: true, SegmentBytes: 4 << 10, Now: func() time.Time {
		return now.add(time.Millisecond)
	}, Trace: func(context.Context) string { return fmt.Sprint("t", now.now().UnixMilli()%3) }})
	for i := range 40 {
		call := testCall([]string{"echo", "drop", "a[b]c", "späte"}[i%4])
		call.Via = []string{"mcp", "rest"}[i%2]
		if i%5 == 0 {
			call.Principal = &gateway.Principal{ID: "idp|client|ci", Name: "CI*", Tenant: "acme", Login: "s1"}
		}
		var err error
		if i%3 == 0 {
			err = &gateway.Error{Code: gateway.PermissionDenied, By: "policy", Msg: "no", Err: ruling("p, guest, tool/*, call")}
		}
		do(t.Context(), l, call, gateway.TextResult(""), err)
	}
	if err := l.Gate().(gateway.ListGate).AdmitList(t.Context(), gateway.Listing{Via: "mcp", Kind: gateway.KindTool, Count: 3}); err != nil {
		t.Error(err)
	}
	if err := l.Event(t.Context(), Event{Type: "key.create", Actor: "idp|user|root", Object: "key/7", Outcome: "OK"}); err != nil {
		t.Error(err)
	}
	return l
}

type ruling string

func (r ruling) Error() string { return "denied by " + string(r) }
func (r ruling) Rule() string  { return string(r) }

// all returns every page of a query.
func all(t *testing.T, query func(context.Context, Query) (Page, error), q Query) []int64 {
	t.Helper()
	var out []int64
	for range 1000 {
		page, err := query(t.Context(), q)
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		for _, r := range page.Records {
			out = append(out, r.Seq)
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return out
		}
	}
	t.Fatal("pages without end")
	return nil
}

// TestQuery holds the index against Match, for many filters, page sizes and
// both orders.
func TestQuery(t *testing.T) {
	dir := t.TempDir()
	l := variedLog(t, dir)
	page, err := l.Query(t.Context(), Query{Limit: 1})
	if err != nil || page.Behind != 0 || page.Upto != 43 || page.Records[0].Type != "key.create" {
		t.Fatalf("%+v, %v", page, err)
	}
	records := readAll(t, dir)
	some := records[20]
	for _, f := range []Filter{
		{},
		{Who: "idp|user|alice"},
		{Who: "A*e"},
		{Who: "CI?"},
		{Who: "idp|user|*"},
		{Tenant: "acme"},
		{What: "tool/demo/*"},
		{What: "tool/demo/a[b]*"},
		{What: "tool/demo/sp?te"},
		{What: "*/e*o"},
		{What: "key/7"},
		{What: "none"},
		{Types: []string{"call"}},
		{Types: []string{"list", "key.create"}},
		{Ops: []string{"list"}},
		{Via: []string{"rest"}},
		{Codes: []string{"PERMISSION_DENIED"}},
		{By: "pol*"},
		{Rule: "p, guest*"},
		{Policy: "v7"},
		{Source: "demo"},
		{Source: "d*"},
		{Login: "s1"},
		{Login: "s1", Source: "demo", Via: []string{"mcp"}},
		{Trace: some.Trace},
		{ID: some.ID},
		{From: some.Time},
		{Until: some.Time},
		{From: some.Time, Until: some.Time.Add(5 * time.Millisecond)},
		{Who: "Alice", Via: []string{"mcp"}, Codes: []string{"OK"}, From: some.Time},
	} {
		var want []int64
		for _, r := range records {
			if f.Match(&r) {
				want = append(want, r.Seq)
			}
		}
		for _, limit := range []int{0, 1, 7} {
			if diff := cmp.Diff(want, all(t, l.Query, Query{Filter: f, Limit: limit, Oldest: true})); diff != "" {
				t.Errorf("%+v by %d (-want +got):\n%s", f, limit, diff)
			}
			got := all(t, l.Query, Query{Filter: f, Limit: limit})
			slices.Reverse(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%+v by %d, newest first (-want +got):\n%s", f, limit, diff)
			}
		}
	}
	// Another process only reads what this one indexes.
	reader, err := OpenIndex(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := all(t, reader.Query, Query{}); len(got) != len(records) {
		t.Errorf("a reader beside sees %d records of %d", len(got), len(records))
	}
	if err := reader.Close(); err != nil {
		t.Error(err)
	}
}

func TestQueryBounds(t *testing.T) {
	l := mustOpen(t, Options{Dir: t.TempDir(), Index: true})
	long := strings.Repeat("x", maxPattern+1)
	for _, q := range []Query{
		{Filter: Filter{Who: long}},
		{Filter: Filter{What: strings.Repeat("*a", maxStars+1)}},
		{Filter: Filter{Types: []string{long}}},
		{Filter: Filter{Ops: make([]string, maxAny+1)}},
		{Filter: Filter{From: time.Unix(2, 0), Until: time.Unix(1, 0)}},
		{Cursor: "x"},
		{Cursor: "-1"},
		{Cursor: "01"},
		{Cursor: "9223372036854775808"},
	} {
		if _, err := l.Query(t.Context(), q); err == nil {
			t.Errorf("%.80s was accepted", fmt.Sprint(q))
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Query(ctx, Query{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled query: %v", err)
	}
	without := mustOpen(t, Options{Dir: t.TempDir()})
	if _, err := without.Query(t.Context(), Query{}); !errors.Is(err, ErrNoIndex) {
		t.Errorf("without an index: %v", err)
	}
}

// TestIndexIsACopy deletes, breaks and exchanges the index: it is made anew.
func TestIndexIsACopy(t *testing.T) {
	dir := t.TempDir()
	mustClose(t, variedLog(t, dir))
	path := filepath.Join(dir, indexName)
	other := t.TempDir()
	longer := mustOpen(t, Options{Dir: other, Index: true})
	for range 60 {
		do(t.Context(), longer, testCall("x"), gateway.TextResult(""), nil)
	}
	if _, err := longer.Query(t.Context(), Query{}); err != nil {
		t.Fatal(err)
	}
	mustClose(t, longer)
	for what, change := range map[string]func() error{
		"as it is": func() error { return nil },
		"deleted":  func() error { return os.Remove(path) },
		"broken":   func() error { return os.WriteFile(path, []byte(strings.Repeat("no database", 1000)), 0o600) },
		"of another log": func() error {
			data, err := os.ReadFile(filepath.Join(other, indexName))
			if err != nil {
				return err
			}
			return os.WriteFile(path, data, 0o600)
		},
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		x, err := OpenIndex(t.Context(), dir)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if err := x.Update(t.Context()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got := all(t, x.Query, Query{Oldest: true}); len(got) != 44 || got[43] != 44 {
			t.Errorf("%s: %d records", what, len(got))
		}
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the index: %v, %v", info.Mode(), err)
	}
}

func TestLiveTail(t *testing.T) {
	l := mustOpen(t, Options{Dir: t.TempDir(), SegmentBytes: 1 << 10})
	do(t.Context(), l, testCall("before"), gateway.TextResult(""), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tail := l.Tail(ctx, Filter{What: "*/odd"})
	go func() {
		for i := range 10 {
			do(t.Context(), l, testCall([]string{"even", "odd"}[i%2]), gateway.TextResult(""), nil)
		}
	}()
	var n int
	for r, err := range tail {
		if err != nil || r.Name != "odd" {
			t.Fatalf("%+v, %v", r, err)
		}
		if n++; n == 5 {
			break
		}
	}
	if n != 5 {
		t.Errorf("%d records", n)
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("a*b?c", "axxbyc")
	f.Add("**", "")
	f.Add("?", "ä")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if strings.Count(pattern, "*") > maxStars || len(pattern) > maxPattern || len(text) > maxPattern {
			return
		}
		if plain(pattern) && match(pattern, text) != (pattern == text) {
			t.Errorf("%q matches %q", pattern, text)
		}
		if !match(text, text) && plain(text) || !match("*"+pattern, text) && match(pattern, text) {
			t.Errorf("%q does not match %q", pattern, text)
		}
	})
}
