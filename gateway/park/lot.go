package park

import (
	"cmp"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// A Lot holds parked streams. Make it with [New]. It is safe for concurrent
// use. It runs nothing before the first stream, and until Close two goroutines
// for all of them.
type Lot struct {
	o Options

	mu      sync.Mutex
	streams map[uint64]*Stream
	last    uint64 // id given to a stream
	quiet   ring   // all streams, the one that was written to longest ago first
	first   *Stream
	end     *Stream // of the queue of streams to run
	workers int
	opened  bool
	poller  *poller       // nil where there is none
	closed  chan struct{} // by Close
	running sync.WaitGroup
}

// New returns an empty lot.
func New(o Options) *Lot {
	o.KeepAlive = cmp.Or(o.KeepAlive, 25*time.Second)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 10*time.Second)
	o.QueueBytes = cmp.Or(o.QueueBytes, 64<<10)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Lot{o: o, streams: map[uint64]*Stream{}, closed: make(chan struct{})}
	l.quiet.init()
	return l
}

// Can reports whether the answer to a request could be parked. It should then
// say "Connection: close", since the connection ends with it.
func Can(r *http.Request) bool { return r.ProtoMajor == 1 }

// Park takes the connection of an answer without a Content-Length that has
// begun. It calls handler for what is written from then on, before anything else
// happens to the stream. The caller returns from serving the request, whose
// context ends, and must not touch w and r any more.
//
// False says that this connection cannot be parked; then nothing has changed,
// and handler has not been called.
func (l *Lot) Park(w http.ResponseWriter, r *http.Request, handler func(*Stream) Handler) bool {
	rc := http.NewResponseController(w)
	if !Can(r) || !hijackable(w) || !l.open() || rc.Flush() != nil {
		return false
	}
	conn, _, err := rc.Hijack() // What the client may have sent after its request is not for us.
	if err != nil {
		return false
	}
	s := &Stream{lot: l, conn: conn, chunked: r.ProtoAtLeast(1, 1), state: running}
	s.do = handler(s)
	if err := l.admit(s); err != nil {
		s.close(false)
		s.do.Ended(err)
	}
	return true
}

// hijackable reports whether Hijack has a chance, as http.ResponseController finds
// it out.
func hijackable(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case http.Hijacker:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}

// open starts what serves all streams, once.
func (l *Lot) open() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over() {
		return false
	}
	if l.opened {
		return true
	}
	l.opened = true
	var err error
	if l.poller, err = newPoller(); err == nil {
		l.running.Go(func() { l.poller.wait(l.ready) })
	} else if !errors.Is(err, errors.ErrUnsupported) {
		l.o.Logger.Warn("parked connections take a goroutine each", slog.Any("cause", err))
	}
	l.running.Go(l.attend)
	return true
}

// over reports whether the lot has been closed.
func (l *Lot) over() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

// admit makes a stream one of those that are served, and lets it run.
func (l *Lot) admit(s *Stream) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over() {
		return ErrClosed
	}
	l.last++
	s.id = l.last
	_, s.secure = s.conn.(*tls.Conn)
	if raw := socket(s.conn); raw != nil && l.poller != nil && l.poller.add(raw, s.id) == nil {
		s.raw = raw
	} else {
		l.running.Go(func() { l.watch(s) })
	}
	l.streams[s.id] = s
	l.quiet.touch(s)
	s.state = parked
	l.queue(s)
	return nil
}

// socket returns the socket of a connection, under TLS too, or nil for one that
// is none of the operating system.
func socket(c net.Conn) syscall.RawConn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// watch finds out that a client has gone where the poller cannot.
func (l *Lot) watch(s *Stream) {
	var b [64]byte
	for err := error(nil); err == nil; {
		_, err = s.conn.Read(b[:])
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.give(s, ErrGone)
}

// Len returns how many streams are parked.
func (l *Lot) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.streams)
}

// WakeAll wakes every stream.
func (l *Lot) WakeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.streams {
		l.queue(s)
	}
}

// Close ends every stream at once with [ErrClosed], refuses later ones, and
// returns when everything has ended. Streams whose handlers should say something
// before are to be woken, and waited for, first.
func (l *Lot) Close() {
	l.mu.Lock()
	if !l.over() {
		close(l.closed)
	}
	for _, s := range l.streams {
		l.give(s, ErrClosed)
	}
	p := l.poller
	l.mu.Unlock()
	if p != nil {
		p.close()
	}
	l.running.Wait()
}
