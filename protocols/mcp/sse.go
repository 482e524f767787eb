package mcp

import (
	"net/http"
	"time"
)

// An sseWriter writes server-sent events (HTML standard, section 9.2), each
// within a deadline, so that a client that does not read is found out. It is
// for one goroutine.
type sseWriter struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	timeout time.Duration
	b       []byte
}

// newSSE begins the answer: from here on its status is 200.
func newSSE(w http.ResponseWriter, timeout time.Duration) (*sseWriter, error) {
	s := &sseWriter{w: w, rc: http.NewResponseController(w), timeout: timeout}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // Or a proxy holds events back.
	s.deadline()
	w.WriteHeader(http.StatusOK)
	return s, s.rc.Flush()
}

// send writes one message, a single line, as an event.
func (s *sseWriter) send(message []byte) error {
	s.b = append(append(append(s.b[:0], "data: "...), message...), "\n\n"...)
	return s.flush()
}

// comment writes a line that clients skip.
func (s *sseWriter) comment(text string) error {
	s.b = append(append(append(s.b[:0], ": "...), text...), "\n\n"...)
	return s.flush()
}

// idle keeps the connection open through proxies that close quiet ones.
func (s *sseWriter) idle() error { return s.comment("keep-alive") }

func (s *sseWriter) flush() error {
	s.deadline()
	if _, err := s.w.Write(s.b); err != nil {
		return err
	}
	return s.rc.Flush()
}

func (s *sseWriter) deadline() {
	_ = s.rc.SetWriteDeadline(time.Now().Add(s.timeout)) // Writers without deadlines are those of tests.
}

// end takes the deadline off the connection, which may carry more requests.
func (s *sseWriter) end() { _ = s.rc.SetWriteDeadline(time.Time{}) } // As in deadline.
