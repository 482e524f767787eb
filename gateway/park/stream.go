package park

import (
	"crypto/tls"
	"net"
	"strconv"
	"syscall"
	"time"
)

// A Stream is one parked answer.
type Stream struct {
	lot     *Lot
	conn    net.Conn
	raw     syscall.RawConn // of the socket, under TLS too; nil where nothing says that it has room
	do      Handler
	secure  bool
	chunked bool // HTTP/1.1 (RFC 9112, section 7.1)
	id      uint64

	// Guarded by lot.mu.
	state      state
	beat       bool        // the comment is due
	why        error       // it is to be given up
	stuck      *time.Timer // gives it up; nil while the client reads
	wrote      time.Time
	behind     *Stream // in the queue
	prev, next *Stream // in the ring of quiet ones

	// Used by whoever runs it.
	out  []byte // to be written
	last bool   // nothing comes after out
}

type state byte

const (
	parked state = iota
	queued
	running
	again // running, and woken meanwhile
	over
)

// Wake lets the handler write. It never blocks, and does nothing for a stream
// that has ended. It is safe for concurrent use.
func (s *Stream) Wake() {
	s.lot.mu.Lock()
	defer s.lot.mu.Unlock()
	s.lot.queue(s)
}

// Write adds to the answer. It takes everything, keeps nothing of b and does not
// block. It is for [Handler.Next] alone.
func (s *Stream) Write(b []byte) {
	if len(b) == 0 {
		return
	}
	if s.out == nil {
		s.out = make([]byte, 0, len(b)+16)
	}
	if !s.chunked {
		s.out = append(s.out, b...)
		return
	}
	s.out = append(strconv.AppendInt(s.out, int64(len(b)), 16), "\r\n"...)
	s.out = append(append(s.out, b...), "\r\n"...)
}

// Full reports whether so much waits that what can wait should. It is for
// [Handler.Next] alone.
func (s *Stream) Full() bool { return len(s.out) >= s.lot.o.QueueBytes }

// A progress is how far a stream has come.
type progress struct {
	wrote bool  // something
	stuck bool  // until the client reads
	more  bool  // its handler has more to write, now that there is room
	ended bool  // everything was written
	err   error // it is given up
}

// step lets a stream go on.
func (s *Stream) step(beat bool) (p progress) {
	defer s.lot.recovered(s)
	if !s.flush(&p) {
		return p
	}
	if s.last {
		p.ended = true
		return p
	}
	switch {
	case !s.do.Next(s):
		s.last = true
		if s.chunked {
			s.out = append(s.out, "0\r\n\r\n"...)
		}
	case beat && !p.wrote && len(s.out) == 0:
		s.Write(s.lot.o.Comment)
	}
	p.more = !s.last && s.Full()
	p.ended = s.flush(&p) && s.last
	return p
}

// flush writes what the client takes without waiting and reports whether that
// was everything.
func (s *Stream) flush(p *progress) bool {
	for len(s.out) > 0 {
		n, err := s.some()
		s.out = s.out[n:]
		p.wrote = p.wrote || n > 0
		if p.err = err; err != nil {
			return false
		}
		if n == 0 {
			p.stuck = true
			return false
		}
	}
	s.out = nil // It may stay empty for long.
	return true
}

// piece is how much TLS is given at once, which cannot take back what the socket
// does not take: less than there is room for in a socket that says that there is
// some. On Linux it does when a third of its buffer is free, which is several
// times as much.
const piece = 4 << 10

// some writes some of what is to be written, or nothing where the client must
// read first. The deadline is for connections of which nothing is known, and for
// what is not foreseen, such as a kernel without memory.
func (s *Stream) some() (int, error) {
	switch {
	case s.raw != nil && !s.secure:
		return write(s.raw, s.out)
	case s.raw != nil && !writable(s.raw):
		return 0, nil
	}
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.lot.o.WriteTimeout)); err != nil {
		return 0, err
	}
	if s.raw == nil {
		return s.conn.Write(s.out)
	}
	return s.conn.Write(s.out[:min(len(s.out), piece)])
}

// close closes the connection. Only after a whole answer may that wait for TLS
// to say so.
func (s *Stream) close(whole bool) {
	c := s.conn
	if t, ok := c.(*tls.Conn); ok && !whole {
		c = t.NetConn()
	}
	_ = c.Close() // There is nobody to tell.
}

// A ring is the streams of a lot, the one that was written to longest ago first.
type ring struct{ root Stream }

func (r *ring) init() { r.root.prev, r.root.next = &r.root, &r.root }

func (r *ring) front() *Stream {
	if s := r.root.next; s != &r.root {
		return s
	}
	return nil
}

// touch makes a stream the last.
func (r *ring) touch(s *Stream) {
	r.remove(s)
	s.wrote = time.Now()
	s.prev, s.next = r.root.prev, &r.root
	s.prev.next, r.root.prev = s, s
}

func (r *ring) remove(s *Stream) {
	if s.prev != nil {
		s.prev.next, s.next.prev = s.next, s.prev
		s.prev, s.next = nil, nil
	}
}
