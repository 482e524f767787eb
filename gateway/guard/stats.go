package guard

import "sync/atomic"

// counters are what only grows.
type counters struct {
	refused, retries, hedges, fallbacks atomic.Uint64
}

// Stats are how the guards of a source do. Where rules or endpoints have guards of
// their own, they are sums.
type Stats struct {
	Breaker string // "closed", "half-open" or "open": the worst of its breakers; "" where it has none
	Opened  uint64 // how often a breaker has opened
	Refused uint64 // calls and attempts that met an open breaker

	Running  int    // calls at the source now, where their number is bounded
	Queued   int    // calls that wait for their turn
	Limit    int    // calls that may run at once; 0 for any number
	Rejected uint64 // calls that found the queue full, or waited for too long

	Retries   uint64 // attempts beyond the first
	Hedges    uint64 // calls that were made beside a slow one
	Fallbacks uint64 // calls that were answered from elsewhere

	CacheHits    uint64 // calls that were answered from memory
	CacheMisses  uint64 // those that could have been
	CacheStale   uint64 // calls that were answered with an old answer, as the source failed
	CacheJoined  uint64 // misses that another call's answer was good for
	CacheEntries int    // answers that are kept
	CacheBytes   int64  // and their bytes
}

// Stats returns the counts of now. It is safe for concurrent use.
func (s *Source) Stats() Stats {
	st := Stats{
		Refused: s.count.refused.Load(), Retries: s.count.retries.Load(),
		Hedges: s.count.hedges.Load(), Fallbacks: s.count.fallbacks.Load(),
	}
	seen := map[any]bool{}
	first := func(part any) bool {
		again := seen[part]
		seen[part] = true
		return !again
	}
	worst, guarded := closed, false
	for _, l := range s.lanes() {
		if b := l.breakers; b.p.Failures > 0 && first(b) {
			state, opened := b.now()
			guarded, worst, st.Opened = true, max(worst, state), st.Opened+opened
		}
		if first(l.wall) {
			w := l.wall.now()
			st.Running, st.Queued, st.Limit, st.Rejected = st.Running+w.running, st.Queued+w.queued, st.Limit+w.limit, st.Rejected+w.rejected
		}
		if c := l.cache; first(c) {
			entries, bytes := c.held()
			st.CacheEntries, st.CacheBytes = st.CacheEntries+entries, st.CacheBytes+bytes
			st.CacheHits, st.CacheMisses = st.CacheHits+c.hits.Load(), st.CacheMisses+c.misses.Load()
			st.CacheStale, st.CacheJoined = st.CacheStale+c.stale.Load(), st.CacheJoined+c.joined.Load()
		}
	}
	if guarded {
		st.Breaker = worst.String()
	}
	if e, ok := s.up.(*Endpoints); ok {
		for _, p := range e.all {
			if inner, ok := p.Up.(*Source); ok {
				st.add(inner.Stats())
			}
		}
	}
	return st
}

// add adds those of an endpoint, which has a breaker and a bulkhead.
func (st *Stats) add(o Stats) {
	for _, state := range []breakerState{open, halfOpen, closed} { // The worst comes first.
		if name := state.String(); st.Breaker == name || o.Breaker == name {
			st.Breaker = name
			break
		}
	}
	st.Opened, st.Refused = st.Opened+o.Opened, st.Refused+o.Refused
	st.Running, st.Queued, st.Limit, st.Rejected = st.Running+o.Running, st.Queued+o.Queued, st.Limit+o.Limit, st.Rejected+o.Rejected
}
