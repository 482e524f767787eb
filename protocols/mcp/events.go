package mcp

import (
	"cmp"
	"container/list"
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
	Age    time.Duration // after which a quiet stream is forgotten; an hour

	mu      sync.Mutex
	streams map[string]*memoryStream
	owners  map[string]*memoryOwner
	last    uint64 // numbers are never used again, so that no id comes to mean another event
	bytes   int
	swept   time.Time
}

// A memoryOwner is what one principal holds.
type memoryOwner struct {
	bytes   int
	streams list.List // of *memoryStream, the quietest first
}

type memoryStream struct {
	name    string
	owner   string
	place   *list.Element
	events  []Event
	bytes   int
	used    time.Time
	changed chan struct{} // closed by the next change; nil while nobody waits for it
}

// What an event, and a stream, take besides their data.
const (
	eventCost  = 64
	streamCost = 512
)

// Append implements [EventStore]. An event that is larger than a stream may be
// is an error.
func (m *MemoryEvents) Append(_ context.Context, stream string, data []byte) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.defaults()
	cost := len(data) + eventCost
	if cost+streamCost > m.Stream {
		return 0, errors.New("the event is too large to be kept")
	}
	now := time.Now()
	m.sweep(now)
	s := m.streams[stream]
	if s == nil {
		s = m.open(stream)
	}
	m.last++
	s.used = now
	m.owners[s.owner].streams.MoveToBack(s.place)
	s.events = append(s.events, Event{m.last, slices.Clone(data)})
	m.charge(s, cost)
	for s.bytes > m.Stream && len(s.events) > 1 {
		m.charge(s, -len(s.events[0].Data)-eventCost)
		s.events = slices.Delete(s.events, 0, 1)
	}
	s.change()
	for m.bytes > m.Bytes && m.evict(s) {
	}
	return m.last, nil
}

func (m *MemoryEvents) defaults() {
	if m.streams == nil {
		m.streams, m.owners = map[string]*memoryStream{}, map[string]*memoryOwner{}
	}
	if m.Bytes <= 0 {
		m.Bytes = 64 << 20
	}
	if m.Stream <= 0 {
		m.Stream = 4 << 20
	}
	m.Stream = min(m.Stream, m.Bytes)
	if m.Age <= 0 {
		m.Age = time.Hour
	}
}

// open makes a stream. m.mu is held.
func (m *MemoryEvents) open(name string) *memoryStream {
	owner, _, _ := strings.Cut(name, "/")
	s := &memoryStream{name: name, owner: owner}
	m.streams[name] = s
	o := m.owners[owner]
	if o == nil {
		o = &memoryOwner{}
		m.owners[owner] = o
	}
	s.place = o.streams.PushBack(s)
	m.charge(s, streamCost)
	return s
}

func (m *MemoryEvents) charge(s *memoryStream, cost int) {
	s.bytes += cost
	m.bytes += cost
	m.owners[s.owner].bytes += cost
}

// evict drops the quietest stream of who holds most, but not keep. m.mu is held.
func (m *MemoryEvents) evict(keep *memoryStream) bool {
	var most *memoryOwner
	for _, o := range m.owners {
		if most == nil || o.bytes > most.bytes {
			most = o
		}
	}
	quietest, _ := most.streams.Front().Value.(*memoryStream) // It holds nothing else.
	if quietest == keep {
		return false
	}
	m.drop(quietest)
	return true
}

// sweep forgets quiet streams, now and then. m.mu is held.
func (m *MemoryEvents) sweep(now time.Time) {
	if now.Sub(m.swept) < m.Age/8 {
		return
	}
	m.swept = now
	for _, s := range m.streams {
		if now.Sub(s.used) > m.Age {
			m.drop(s)
		}
	}
}

func (m *MemoryEvents) drop(s *memoryStream) {
	m.charge(s, -s.bytes)
	o := m.owners[s.owner]
	o.streams.Remove(s.place)
	if o.streams.Len() == 0 {
		delete(m.owners, s.owner)
	}
	delete(m.streams, s.name)
	s.change()
}

// change tells those who wait.
func (s *memoryStream) change() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
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
	if s == nil {
		return nil, nil, ErrEventsGone
	}
	rest := s.events
	if after > 0 {
		at, found := slices.BinarySearchFunc(s.events, after, func(e Event, seq uint64) int { return cmp.Compare(e.Seq, seq) })
		if !found {
			return nil, nil, ErrEventsGone
		}
		rest = s.events[at+1:]
	}
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
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
	if s := m.streams[stream]; s != nil {
		m.drop(s)
	}
	return nil
}
