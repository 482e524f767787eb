package mcp

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
	"time"

	"github.com/trilith-gateway/trilith/protocols/egress"
)

var errTooLarge = egress.ErrTooLarge

// An sseEvent is one server-sent event. Its data is valid until the next one is
// read.
type sseEvent struct {
	name string // "" is "message"
	data []byte
}

// An sseReader reads server-sent events (HTML standard, section 9.2.6), each
// no longer than most. It is for one goroutine.
type sseReader struct {
	r      *bufio.Reader
	most   int
	begun  bool
	skipLF bool
	text   []byte // of the current line
	data   []byte

	lastID string        // of the last event that has one
	retry  time.Duration // that the server asks for, or 0
}

func newSSEReader(r io.Reader, most int) *sseReader {
	return &sseReader{r: bufio.NewReader(r), most: most}
}

// next returns the next event that has data. An event that the stream's end
// cuts off is not one.
func (s *sseReader) next() (sseEvent, error) {
	var e sseEvent
	s.data = s.data[:0]
	some := false
	id := s.lastID
	for {
		line, err := s.line()
		if err != nil {
			return sseEvent{}, err
		}
		if len(line) == 0 {
			s.lastID = id
			if !some {
				e.name = ""
				continue
			}
			e.data = s.data[:max(len(s.data)-1, 0)] // Without the last line's end.
			if len(e.data) == 0 {
				some, e = false, sseEvent{}
				s.data = s.data[:0]
				continue
			}
			return e, nil
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "data":
			if len(s.data)+len(value)+1 > s.most+1 {
				return sseEvent{}, errTooLarge
			}
			s.data, some = append(append(s.data, value...), '\n'), true
		case "event":
			e.name = string(value[:min(len(value), 64)])
		case "id":
			const most = 1024
			if bytes.IndexByte(value, 0) < 0 && len(value) <= most {
				id = string(value)
			}
		case "retry":
			if ms, err := strconv.ParseUint(string(value), 10, 31); err == nil {
				s.retry = time.Duration(ms) * time.Millisecond
			}
		}
	}
}

// line returns the next line without its end, which is LF, CR or both.
func (s *sseReader) line() ([]byte, error) {
	s.text = s.text[:0]
	for {
		if _, err := s.r.Peek(1); err != nil {
			return nil, err
		}
		chunk, _ := s.r.Peek(s.r.Buffered()) // No more than there is.
		if s.skipLF {
			s.skipLF = false
			if chunk[0] == '\n' {
				s.discard(1)
				continue
			}
		}
		end := bytes.IndexByte(chunk, '\n')
		part := chunk
		if end >= 0 {
			part = chunk[:end]
		}
		if cr := bytes.IndexByte(part, '\r'); cr >= 0 {
			end, part, s.skipLF = cr, part[:cr], true
		}
		const field = 16 // The field's name and what is around it.
		if len(s.text)+len(part) > s.most+field {
			return nil, errTooLarge
		}
		s.text = append(s.text, part...)
		if end < 0 {
			s.discard(len(chunk))
			continue
		}
		s.discard(end + 1)
		if !s.begun {
			s.begun = true
			s.text = bytes.TrimPrefix(s.text, []byte("\xef\xbb\xbf"))
		}
		return s.text, nil
	}
}

func (s *sseReader) discard(n int) { _, _ = s.r.Discard(n) } // No more than is buffered.
