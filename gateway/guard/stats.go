package guard

import (
	"sync/atomic"
)

// counters are what only grows.
type counters struct {
	refused, retries atomic.Uint64
}

// Stats are how the guards of a source do.
type Stats struct {
	Breaker  string // "closed", "half-open" or "open": the worst of its breakers; "" where it has none
	Opened   uint64 // how often a breaker has opened
	Refused  uint64 // calls and attempts that met an open breaker
	Running  int    // calls at the source now, where their number is bounded
	Queued   int    // calls that wait for their turn
	Limit    int    // calls that may run at once; 0 for any number
	Rejected uint64 // calls that found the queue full, or waited for too long
	Retries  uint64 // attempts beyond the first
}

// Stats returns the counts of now. Where rules have limits of their own, Running,
// Queued and Limit are sums.
func (s *Source) Stats() Stats {
	st := Stats{Refused: s.count.refused.Load(), Retries: s.count.retries.Load()}
	worst, guarded := closed, false
	breakers, bulkheads := map[*breakers]bool{}, map[*bulkhead]bool{}
	for _, l := range s.lanes() {
		if b := l.breakers; b.p.Failures > 0 && !breakers[b] {
			breakers[b], guarded = true, true
			state, opened := b.now()
			worst, st.Opened = max(worst, state), st.Opened+opened
		}
		if b := l.bulkhead; b.p.Max > 0 && !bulkheads[b] {
			bulkheads[b] = true
			b.mu.Lock()
			st.Running += b.running
			st.Queued += b.queue.Len()
			st.Limit += b.p.Max
			st.Rejected += b.rejected
			b.mu.Unlock()
		}
	}
	if guarded {
		st.Breaker = worst.String()
	}
	return st
}
