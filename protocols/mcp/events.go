package mcp

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrEventsGone says that events were dropped, or that there never was the one
// after which to go on.
var ErrEventsGone = errors.New("events are gone")

// An Event is one event of a stream.
type Event struct {
	Seq  uint64 // grows within the stream, perhaps with gaps; never 0
	Data []byte // not to be changed
}

// An EventStore keeps the latest events of the streams of sessions, so that a
// client whose connection broke can go on where it stopped (2025-11-25,
// transports, resumability and redelivery). Where nodes share a SessionKey they
// should share a store too: then any of them can go on with a stream.
//
// Names of streams are text of up to 128 bytes. What stands before the first
// slash is the same for all streams of one principal. It is safe for concurrent
// use.
type EventStore interface {
	// Append adds an event and returns its number. It does not keep data.
	Append(ctx context.Context, stream string, data []byte) (uint64, error)
	// Read returns at most limit events after the one numbered after, or
	// ErrEventsGone where that one is not kept, so that no event is skipped
	// unknown.
	Read(ctx context.Context, stream string, after uint64, limit int) ([]Event, error)
	// Follow is Read without end: new events follow until ctx ends, which is no
	// error. It ends after ErrEventsGone; other errors may pass.
	Follow(ctx context.Context, stream string, after uint64) iter.Seq2[Event, error]
	// Drop forgets a stream.
	Drop(ctx context.Context, stream string) error
}

// MemoryEvents is an [EventStore] in this process. Its zero value has the
// bounds named with each field. When it is full, the principal that holds most
// loses its stream that was quiet for longest.
type MemoryEvents struct {
	Bytes  int           // in all; 64 MiB
	Stream int           // bytes in one stream, which loses its oldest events first; 4 MiB
	Age    time.Duration // after which a quiet stream is forgotten; 10 minutes

	mu      sync.Mutex
	streams map[string]*memoryStream
	held    map[string]int // bytes by principal
	bytes   int
	swept   time.Time
}

type memoryStream struct {
	events  []Event
	last    uint64
	bytes   int
	used    time.Time
	changed chan struct{} // closed by the next change
}

// eventCost is what an event takes besides its data.
const eventCost = 64

func owner(stream string) string {
	o, _, _ := strings.Cut(stream, "/")
	return o
}

// Append implements [EventStore]. An event that is larger than a stream may be
// is an error.
func (m *MemoryEvents) Append(_ context.Context, stream string, data []byte) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.defaults()
	cost := len(data) + eventCost
	if cost > m.Stream {
		return 0, errors.New("the event is too large to be kept")
	}
	now := time.Now()
	m.sweep(now)
	s := m.streams[stream]
	if s == nil {
		s = &memoryStream{changed: make(chan struct{})}
		m.streams[stream] = s
		m.charge(stream, s, len(stream)+eventCost)
	}
	s.last++
	s.used = now
	s.events = append(s.events, Event{s.last, slices.Clone(data)})
	m.charge(stream, s, cost)
	for s.bytes > m.Stream && len(s.events) > 1 {
		m.charge(stream, s, -len(s.events[0].Data)-eventCost)
		s.events = slices.Delete(s.events, 0, 1)
	}
	close(s.changed)
	s.changed = make(chan struct{})
	for m.bytes > m.Bytes && m.evict(stream) {
	}
	return s.last, nil
}

func (m *MemoryEvents) defaults() {
	if m.streams == nil {
		m.streams, m.held = map[string]*memoryStream{}, map[string]int{}
	}
	if m.Bytes <= 0 {
		m.Bytes = 64 << 20
	}
	if m.Stream <= 0 {
		m.Stream = 4 << 20
	}
	m.Stream = min(m.Stream, m.Bytes)
	if m.Age <= 0 {
		m.Age = 10 * time.Minute
	}
}

func (m *MemoryEvents) charge(stream string, s *memoryStream, cost int) {
	s.bytes += cost
	m.bytes += cost
	o := owner(stream)
	if m.held[o] += cost; m.held[o] == 0 {
		delete(m.held, o)
	}
}

// evict drops the quietest stream of who holds most, but not keep. m.mu is held.
func (m *MemoryEvents) evict(keep string) bool {
	most := ""
	for o, n := range m.held {
		if most == "" || n > m.held[most] {
			most = o
		}
	}
	quietest := ""
	for name, s := range m.streams {
		if name != keep && owner(name) == most && (quietest == "" || s.used.Before(m.streams[quietest].used)) {
			quietest = name
		}
	}
	m.drop(quietest)
	return quietest != ""
}

// sweep forgets quiet streams, now and then. m.mu is held.
func (m *MemoryEvents) sweep(now time.Time) {
	if now.Sub(m.swept) < m.Age/8 {
		return
	}
	m.swept = now
	for name, s := range m.streams {
		if now.Sub(s.used) > m.Age {
			m.drop(name)
		}
	}
}

func (m *MemoryEvents) drop(stream string) {
	if s := m.streams[stream]; s != nil {
		m.charge(stream, s, -s.bytes)
		delete(m.streams, stream)
		close(s.changed)
	}
}

// Read implements [EventStore].
func (m *MemoryEvents) Read(_ context.Context, stream string, after uint64, limit int) ([]Event, error) {
	events, _, err := m.read(stream, after, limit)
	return events, err
}

func (m *MemoryEvents) read(stream string, after uint64, limit int) ([]Event, <-chan struct{}, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.streams[stream]
	if s == nil || len(s.events) == 0 || after > s.last || after > 0 && after < s.events[0].Seq {
		return nil, nil, ErrEventsGone
	}
	from := 0
	if after > 0 {
		from = int(after-s.events[0].Seq) + 1 //nolint:gosec // numbers have no gaps here.
	}
	rest := s.events[from:]
	return slices.Clone(rest[:min(len(rest), limit)]), s.changed, nil
}

// Follow implements [EventStore].
func (m *MemoryEvents) Follow(ctx context.Context, stream string, after uint64) iter.Seq2[Event, error] {
	const page = 64
	return func(yield func(Event, error) bool) {
		for {
			events, changed, err := m.read(stream, after, page)
			if err != nil {
				yield(Event{}, err)
				return
			}
			for _, e := range events {
				if after = e.Seq; !yield(e, nil) {
					return
				}
			}
			if len(events) == page {
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

// Drop implements [EventStore].
func (m *MemoryEvents) Drop(_ context.Context, stream string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(stream)
	return nil
}
