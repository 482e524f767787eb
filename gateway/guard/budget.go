package guard

import "sync/atomic"

// A budget bounds retries to a share of calls, so that a source that fails for
// everybody is not asked several times as much. It is a bucket of thousandths:
// each call puts its share in, each retry takes a thousand out.
type budget struct {
	share int64 // thousandths of a retry per call
	left  atomic.Int64
}

// fullBudget is how many retries a budget begins with and saves at most, in
// thousandths: so many are there for sources with few calls.
const fullBudget = 10_000

// newBudget returns a budget of so many retries in a hundred calls.
func newBudget(percent int) *budget {
	b := &budget{share: int64(percent) * 10}
	b.left.Store(fullBudget)
	return b
}

// deposit notes a call.
func (b *budget) deposit() {
	for {
		left := b.left.Load()
		if left >= fullBudget || b.left.CompareAndSwap(left, min(left+b.share, fullBudget)) {
			return
		}
	}
}

// take reports whether there may be one more retry.
func (b *budget) take() bool {
	for {
		left := b.left.Load()
		if left < 1000 {
			return false
		}
		if b.left.CompareAndSwap(left, left-1000) {
			return true
		}
	}
}
