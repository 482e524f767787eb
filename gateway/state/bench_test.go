package state

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Run them with TMPDIR on the disk of interest: on a tmpfs a sync costs nothing.
func BenchmarkPut(b *testing.B) {
	for name, o := range map[string]BucketOptions{"synced": {Name: "synced"}, "async": {Name: "async", Async: true}} {
		b.Run(name, func(b *testing.B) {
			_, bucket := benchBucket(b, o)
			for b.Loop() {
				if _, err := bucket.Put(b.Context(), "k", benchValue); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	_, bucket := benchBucket(b, BucketOptions{Name: "get"})
	if _, err := bucket.Put(b.Context(), "k", benchValue); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bucket.Get(b.Context(), "k"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMirrorGet(b *testing.B) {
	_, bucket := benchBucket(b, BucketOptions{Name: "mirror"})
	if _, err := bucket.Put(b.Context(), "k", benchValue); err != nil {
		b.Fatal(err)
	}
	m, err := bucket.Mirror(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, ok := m.Get("k"); !ok {
				b.Error("missing")
			}
		}
	})
}

func BenchmarkPublish(b *testing.B) {
	s, _ := benchBucket(b, BucketOptions{Name: "publish"})
	ch, err := s.Subscribe(b.Context(), "t")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := uint64(1); b.Loop(); i++ {
		if err := s.Publish(b.Context(), "t", i); err != nil {
			b.Fatal(err)
		}
		if n := <-ch; n.Revision != i {
			b.Fatal("out of step")
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		s, err := Open(b.Context(), Options{Dir: dir})
		if err = errors.Join(err, s.Close()); err != nil {
			b.Fatal(err)
		}
	}
}

var benchValue = strings.Repeat("v", 510)

func benchState(b *testing.B) *State {
	b.Helper()
	s, err := Open(b.Context(), Options{Dir: b.TempDir(), Name: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

func benchBucket(b *testing.B, o BucketOptions) (*State, *Bucket[string]) {
	b.Helper()
	s := benchState(b)
	bucket, err := OpenBucket[string](b.Context(), s, o)
	if err != nil {
		b.Fatal(err)
	}
	return s, bucket
}

// BenchmarkLogAppend spreads 500-byte entries over ten thousand keys; "parallel" appends from several goroutines.
func BenchmarkLogAppend(b *testing.B) {
	data, keys := []byte(benchValue[:500]), make([]string, 10_000)
	for i := range keys {
		keys[i] = fmt.Sprint("session-", i)
	}
	for name, o := range map[string]LogOptions{"synced": {Name: "synced"}, "async": {Name: "async", Async: true}} {
		b.Run(name, func(b *testing.B) {
			l := openLog(b, benchState(b), o)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := l.Append(b.Context(), keys[i%len(keys)], data); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"-parallel", func(b *testing.B) {
			l := openLog(b, benchState(b), o)
			var n atomic.Uint32
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := l.Append(b.Context(), keys[int(n.Add(1))%len(keys)], data); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkLogRead replays 100 entries of one of ten thousand keys.
func BenchmarkLogRead(b *testing.B) {
	s := benchState(b)
	l := openLog(b, s, LogOptions{Name: "read", Async: true})
	for i := range 10_000 {
		if i%100 == 0 {
			if _, err := l.Append(b.Context(), "k", []byte(benchValue)); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := l.Append(b.Context(), fmt.Sprint("other-", i), []byte(benchValue)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if e, err := l.Read(b.Context(), "k", 0, 1000); err != nil || len(e) != 100 {
			b.Fatal(len(e), err)
		}
	}
}

// BenchmarkLogFollow is the way of an entry from Append to a follower, among a thousand other followers.
func BenchmarkLogFollow(b *testing.B) {
	l := openLog(b, benchState(b), LogOptions{Name: "follow", Async: true})
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for i := range 1000 {
		wg.Go(func() {
			for range l.Follow(ctx, fmt.Sprint("idle-", i), 0) {
				b.Error("an entry out of nowhere")
			}
		})
	}
	told := make(chan uint64)
	wg.Go(func() {
		for e := range l.Follow(ctx, "k", 0) {
			told <- e.Seq
		}
	})
	b.ReportAllocs()
	for b.Loop() {
		seq, err := l.Append(ctx, "k", []byte(benchValue))
		if err != nil {
			b.Fatal(err)
		}
		if got := <-told; got != seq {
			b.Fatal("out of step")
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	s := benchState(b)
	serve(b, s, "echo", echo)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Request(b.Context(), s.Instance(), "echo", []byte(benchValue)); err != nil {
			b.Fatal(err)
		}
	}
}
