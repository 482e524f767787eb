package graphql

import (
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// measured counts what would be refused where limits are only measured.
type measured struct {
	log  *slog.Logger
	tell func(limit string) // nil tells nobody

	mu     sync.Mutex
	counts map[string]uint64
	last   map[string]time.Time // when each was logged
}

// quiet is the time between two lines of the log about the same limit.
const quiet = time.Second

// An excess is a limit that a request exceeds, which is only measured.
type excess struct {
	limit   string
	n, most int
}

// excesses are those of one request, each limit once.
type excesses []excess

func (all *excesses) add(more ...excess) {
	for _, e := range more {
		if !slices.ContainsFunc(*all, func(known excess) bool { return known.limit == e.limit }) {
			*all = append(*all, e)
		}
	}
}

func (m *measured) noteAll(all excesses) {
	for _, e := range all {
		m.note(e)
	}
}

// note counts an excess, and logs it unless one of the same limit was logged just before.
func (m *measured) note(e excess) {
	if m.tell != nil {
		m.tell(e.limit)
	}
	limit := e.limit
	m.mu.Lock()
	if m.counts == nil {
		m.counts, m.last = map[string]uint64{}, map[string]time.Time{}
	}
	m.counts[limit]++
	count, now := m.counts[limit], time.Now()
	loud := now.Sub(m.last[limit]) >= quiet
	if loud {
		m.last[limit] = now
	}
	m.mu.Unlock()
	if loud {
		m.log.Warn("a GraphQL document exceeds a limit that is only measured",
			slog.String("limit", limit), slog.Int("value", e.n), slog.Int("most", e.most), slog.Uint64("count", count))
	}
}

// Measured returns how many requests have exceeded each limit that is only measured, by the name of the limit. Under
// "documents" it has those whose documents were not trusted but answered.
func (f *Frontend) Measured() map[string]uint64 {
	f.measured.mu.Lock()
	defer f.measured.mu.Unlock()
	return maps.Clone(f.measured.counts)
}
