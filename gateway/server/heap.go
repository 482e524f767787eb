package server

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// heapFloor is how large the heap may grow before it is collected, in bytes. A
// gateway keeps little alive and makes much garbage: at the usual twice of what
// is alive the collector would run every few thousand calls.
const heapFloor = 64 << 20

// maxPercent bounds the garbage collector's percentage.
const maxPercent = 800

// KeepHeap lets the garbage of the process grow to some 64 MiB before it is
// collected, and beyond that to what is alive, as usual. It is for programs that
// are a gateway and little else, and whose operator has not set GOGC or
// GOMEMLIMIT. The function that it returns ends it.
func KeepHeap() (stop func()) {
	k := new(heapKeeper)
	k.adjust()
	k.watch()
	return func() {
		k.ended.Store(true)
		debug.SetGCPercent(100)
	}
}

type heapKeeper struct{ ended atomic.Bool }

// watch adjusts the percentage after each collection: that is when an object
// that nobody holds is found.
func (k *heapKeeper) watch() {
	nobody := new([16]byte)
	runtime.AddCleanup(nobody, func(k *heapKeeper) {
		if !k.ended.Load() {
			k.adjust()
			k.watch()
		}
	}, k)
}

func (k *heapKeeper) adjust() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	debug.SetGCPercent(percentFor(live[0].Value.Uint64()))
}

// percentFor returns the percentage at which a heap of which so many bytes are
// alive grows to the floor.
func percentFor(live uint64) int {
	if live == 0 {
		return maxPercent
	}
	return int(min(max(heapFloor*100/live, 200)-100, maxPercent)) //nolint:gosec // It is bounded.
}
