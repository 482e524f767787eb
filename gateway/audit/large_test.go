package audit

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// large is how long the log of BenchmarkLargeLog is: go test ./gateway/audit -run ^$ -bench LargeLog -records 1000000.
var large = flag.Int("records", 20_000, "records of the log of BenchmarkLargeLog")

// BenchmarkLargeLog measures what grows with the log: the index, queries, proofs, and the way to its end.
func BenchmarkLargeLog(b *testing.B) {
	dir := b.TempDir()
	l, err := Open(Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	fillLarge(b, l)
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	x, err := OpenIndex(ctx, dir)
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := x.Update(ctx); err != nil {
		b.Fatal(err)
	}
	b.Logf("%d records indexed in %s", x.upto.Load(), time.Since(began))
	first, err := x.Query(ctx, Query{Filter: Filter{Types: []string{TypeCall}}, Limit: 1, Oldest: true})
	if err != nil {
		b.Fatal(err)
	}
	some := first.Records[0]
	middle := fmt.Sprint(*large / 2)
	for _, q := range []struct {
		name string
		Query
	}{
		{"first page", Query{}},
		{"deep page", Query{Cursor: middle}},
		{"principal", Query{Filter: Filter{Who: "https://issuer.example|user|u7"}}},
		{"principal, deep", Query{Filter: Filter{Who: "https://issuer.example|user|u7"}, Cursor: middle}},
		{"principal by pattern", Query{Filter: Filter{Who: "*|u7"}}},
		{"rare principal", Query{Filter: Filter{Who: "https://issuer.example|user|rare"}}},
		{"rare name", Query{Filter: Filter{Who: "Rare"}}},
		{"nobody, by pattern", Query{Filter: Filter{Who: "*|nobody"}}},
		{"object", Query{Filter: Filter{What: "tool/demo/t3"}}},
		{"rare object", Query{Filter: Filter{What: "tool/demo/rare"}}},
		{"source", Query{Filter: Filter{Source: "demo"}}},
		{"no such source", Query{Filter: Filter{Source: "none"}}},
		{"call", Query{Filter: Filter{ID: some.ID}}},
		{"refused", Query{Filter: Filter{Codes: []string{"PERMISSION_DENIED"}}}},
		{"refused of nobody", Query{Filter: Filter{Codes: []string{"PERMISSION_DENIED"}, Who: "*|nobody"}}},
		{"the first minute", Query{Filter: Filter{Until: some.Time.Add(time.Millisecond)}}},
		{"the last month", Query{Filter: Filter{From: some.Time.AddDate(0, -1, 0)}}},
		{"door and operation", Query{Filter: Filter{Via: []string{"grpc"}, Ops: []string{"read"}}}},
		{"rule", Query{Filter: Filter{Rule: "no such rule"}}},
	} {
		b.Run("query/"+q.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := x.Query(ctx, q.Query); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	if err := x.Close(); err != nil {
		b.Fatal(err)
	}
	b.Run("open index", func(b *testing.B) {
		for b.Loop() {
			x, err := OpenIndex(ctx, dir)
			if err == nil {
				err = x.Update(ctx)
			}
			if err != nil {
				b.Fatal(err)
			}
			if err := x.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("verify", func(b *testing.B) { measure(b, func() error { _, err := Verify(dir, Proofs{}); return err }) })
	b.Run("prove", func(b *testing.B) {
		measure(b, func() error { _, err := Prove(ctx, dir, int64(*large/2)); return err })
	})
	b.Run("tail", func(b *testing.B) {
		measure(b, func() error {
			for _, err := range Tail(ctx, dir, 20, false) {
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// measure reports the memory that is allocated beside the time.
func measure(b *testing.B, f func() error) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		if err := f(); err != nil {
			b.Fatal(err)
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapSys)/1e6, "heap-MB")
}

// fillLarge writes the calls of a few hundred principals, some refused.
func fillLarge(b *testing.B, l *Log) {
	b.Helper()
	const callers = 64
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			for i := range *large / callers {
				call := testCall(fmt.Sprintf("t%d", i%40))
				user := fmt.Sprintf("u%d", (c+i)%300)
				call.Via, call.Object = []string{"mcp", "graphql", "grpc", "rest"}[i%4], "tool/demo/"+call.Name
				call.Principal = &gateway.Principal{ID: "https://issuer.example|user|" + user, Name: user, Kind: "user"}
				if c == 0 && i == 0 {
					call.Principal = &gateway.Principal{ID: "https://issuer.example|user|rare", Name: "Rare", Kind: "user"}
					call.Object = "tool/demo/rare"
				}
				var err error
				if i%50 == 0 {
					err = &gateway.Error{Code: gateway.PermissionDenied, By: "policy", Msg: "no"}
				}
				do(context.WithoutCancel(b.Context()), l, call, gateway.TextResult("hello"), err)
			}
		})
	}
	all.Wait()
}
