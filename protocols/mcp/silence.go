package mcp

import (
	"sync/atomic"
	"time"
)

// A silence ends with a stream: an answer of which nothing has come for as long
// as a quiet stream may be becomes one, since proxies cut connections on which
// nothing moves. It is used again and again, as there is one for each call.
type silence struct {
	timer *time.Timer
	x     atomic.Pointer[exchange] // nil when it is over
}

// isCall reports whether a request may take as long as its upstream does.
func (r *request) isCall() bool {
	return r.Method == "tools/call" || r.Method == "prompts/get" || r.Method == "resources/read"
}

// hush begins the silence of an exchange.
func (f *Frontend) hush(x *exchange) *silence {
	s, ok := f.silences.Get().(*silence)
	if !ok {
		s = new(silence)
		s.x.Store(x)
		s.timer = time.AfterFunc(f.o.KeepAlive, s.last)
		return s
	}
	s.x.Store(x)
	s.timer.Reset(f.o.KeepAlive)
	return s
}

// last is called when the silence has lasted for too long.
func (s *silence) last() {
	if x := s.x.Load(); x != nil {
		x.stream()
	}
}

// end is for when the answer is there.
func (s *silence) end(f *Frontend) {
	s.x.Store(nil)
	if s.timer.Stop() { // Otherwise last may be about to look.
		f.silences.Put(s)
	}
}
