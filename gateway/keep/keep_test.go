package keep_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/trilith-gateway/trilith/gateway/keep"
)

// TestBudget: what was not used for longest goes, and what is too large at once.
func TestBudget(t *testing.T) {
	b := keep.NewBudget(100)
	var gone []string
	add := func(name string, bytes int64) *keep.Item { return b.Add(bytes, func() { gone = append(gone, name) }) }
	check := func(bytes int64, want ...string) {
		t.Helper()
		if b.Bytes() != bytes || !slices.Equal(gone, want) {
			t.Errorf("%d bytes without %v, want %d without %v", b.Bytes(), gone, bytes, want)
		}
	}
	one, two := add("one", 40), add("two", 40)
	b.Use(one)
	add("three", 40)
	check(80, "two")
	b.Use(two)
	b.Remove(two)
	add("huge", 101)
	check(80, "two", "huge")
	b.Remove(one)
	b.Remove(one)
	b.Remove(nil)
	b.Use(nil)
	check(40, "two", "huge")
	add("four", 100)
	check(100, "two", "huge", "three")
}

// TestBudgetUnderLoad is for the race detector.
func TestBudgetUnderLoad(t *testing.T) {
	b := keep.NewBudget(1000)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := range 1000 {
				i := b.Add(int64(n%300), func() {})
				b.Use(i)
				if n%3 == 0 {
					b.Remove(i)
				}
				if got := b.Bytes(); got > 1000 {
					t.Errorf("%d bytes", got)
				}
			}
		})
	}
	wg.Wait()
}
