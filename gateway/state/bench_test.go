package state

import (
	"errors"
	"strings"
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

func benchBucket(b *testing.B, o BucketOptions) (*State, *Bucket[string]) {
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
	bucket, err := OpenBucket[string](b.Context(), s, o)
	if err != nil {
		b.Fatal(err)
	}
	return s, bucket
}
