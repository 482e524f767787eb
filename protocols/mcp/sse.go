package mcp

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/gateway/park"
)

// An sseWriter writes server-sent events (HTML standard, section 9.2), each
// within a deadline, so that a client that does not read is found out. With a
// log, every message has an id and is kept.
type sseWriter struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	timeout time.Duration
	log     *eventLog    // nil for none
	outlive bool         // the stream goes on in its log when the connection is gone
	parked  *park.Stream // what the answer has become; nil before

	mu    sync.Mutex
	b     []byte
	begun bool
	gone  bool // the connection must not be touched any more
}

// The errors of writing to a stream that has no connection, and to a parked one
// whose client must read first. The latter is none of its end.
var (
	errConnectionGone = errors.New("the connection is gone")
	errFull           = errors.New("too much waits for the client")
)

// newSSE begins the answer: from here on its status is 200.
func newSSE(w http.ResponseWriter, timeout time.Duration) (*sseWriter, error) {
	s := &sseWriter{w: w, rc: http.NewResponseController(w), timeout: timeout}
	return s, s.begin()
}

// comeBackMs is how long clients wait before they come back, in milliseconds.
const comeBackMs = 1000

// begin begins the answer once, with the event that lets the client come back
// where the log has one (2025-11-25, transports, sending messages).
func (s *sseWriter) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun {
		return nil
	}
	s.begun = true
	s.b = s.b[:0]
	if s.log != nil && (s.log.prime || s.log.owner != nil) {
		if seq := s.log.append(eventPrime, s.log.owner); seq > 0 && s.log.prime {
			s.b = append(appendEventID(append(s.b, "id: "...), s.log.name, seq), "\nretry: "...)
			s.b = append(strconv.AppendInt(s.b, comeBackMs, 10), "\ndata:\n\n"...)
		}
	}
	if s.gone {
		return s.lost(errConnectionGone)
	}
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // Or a proxy holds events back.
	s.deadline()
	s.w.WriteHeader(http.StatusOK)
	return s.flush()
}

// send writes one message, a single line, as an event.
func (s *sseWriter) send(message []byte) error { return s.event(eventMessage, message) }

// last writes the response, after which the stream ends. Where it cannot be kept
// for a client that has gone, what is kept says so.
func (s *sseWriter) last(id, response []byte) error {
	if s.log == nil {
		return s.event(eventMessage, response)
	}
	s.mu.Lock()
	gone := s.gone
	s.mu.Unlock()
	seq := s.log.append(eventLast, response)
	if seq == 0 && gone {
		s.log.append(eventLast, appendError(nil, id, exhausted("the answer is too large to be kept for later")))
	}
	return s.write("", seq, response)
}

func (s *sseWriter) event(kind byte, message []byte) error {
	if s.full() {
		return errFull
	}
	var seq uint64
	if s.log != nil {
		seq = s.log.append(kind, message)
	}
	return s.write("", seq, message)
}

// park makes the stream go on where it has been parked.
func (s *sseWriter) park(p *park.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parked, s.w, s.rc, s.b = p, nil, nil, nil
}

func (s *sseWriter) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parked != nil && s.parked.Full()
}

// named writes an event of a type, without an id.
func (s *sseWriter) named(event string, data []byte) error { return s.write(event, 0, data) }

// write writes an event; 0 is no number.
func (s *sseWriter) write(event string, seq uint64, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	const frame = 64 // What stands around the data, usually.
	s.b = slices.Grow(s.b[:0], len(data)+frame)
	if event != "" {
		s.b = append(append(append(s.b, "event: "...), event...), '\n')
	}
	if seq > 0 {
		s.b = append(appendEventID(append(s.b, "id: "...), s.log.name, seq), '\n')
	}
	s.b = append(append(append(s.b, "data: "...), data...), "\n\n"...)
	return s.flush()
}

// comment writes a line that clients skip.
func (s *sseWriter) comment(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b = append(append(append(s.b[:0], ": "...), text...), "\n\n"...)
	return s.flush()
}

// idle keeps the connection open through proxies that close quiet ones.
func (s *sseWriter) idle() error { return s.comment("keep-alive") }

// keepAlive is the same on a parked stream.
const keepAlive = ": keep-alive\n\n"

// flush writes s.b. s.mu is held.
func (s *sseWriter) flush() error {
	if s.gone {
		return s.lost(errConnectionGone)
	}
	if s.parked != nil {
		s.parked.Write(s.b)
		s.b = nil // It may stay quiet for long.
		return nil
	}
	s.deadline()
	if len(s.b) > 0 {
		if _, err := s.w.Write(s.b); err != nil {
			return s.lost(err)
		}
	}
	if err := s.rc.Flush(); err != nil {
		return s.lost(err)
	}
	return nil
}

// lost notes that the connection is gone, which is no error for a stream that
// goes on without it. s.mu is held.
func (s *sseWriter) lost(err error) error {
	s.gone = true
	if s.outlive {
		return nil
	}
	return err
}

// detach takes the stream off its connection, which the caller may then end.
func (s *sseWriter) detach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.gone && s.parked == nil {
		s.end()
	}
	s.gone = true
}

func (s *sseWriter) deadline() {
	_ = s.rc.SetWriteDeadline(time.Now().Add(s.timeout)) // Writers without deadlines are those of tests.
}

// end takes the deadline off the connection, which may carry more requests.
func (s *sseWriter) end() { _ = s.rc.SetWriteDeadline(time.Time{}) } // As in deadline.
