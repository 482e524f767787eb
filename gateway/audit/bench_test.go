package audit

import (
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
)

// BenchmarkCall is one call with its record: what Do pays, with the writer's
// share. Compare its CPU time too (go test -bench -cpuprofile), as the writer
// runs beside.
func BenchmarkCall(b *testing.B) {
	for _, mode := range []Mode{ModeWAL, ModeStrict} {
		b.Run(string(mode), func(b *testing.B) {
			l, err := Open(Options{Dir: b.TempDir(), Modes: Modes{Call: mode}})
			if err != nil {
				b.Fatal(err)
			}
			call := testCall("echo")
			res := gateway.TextResult("hello")
			b.ReportAllocs()
			b.SetParallelism(64)
			start := processTime(b)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					do(b.Context(), l, call, res, nil)
				}
			})
			b.StopTimer()
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(processTime(b)-start)/float64(b.N), "cpu-ns/op")
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	dir := b.TempDir()
	l, err := Open(Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	for range 10_000 {
		do(b.Context(), l, testCall("echo"), gateway.TextResult("hello"), nil)
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Verify(dir, Proofs{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_002, "ns/record")
}
