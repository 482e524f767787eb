package grpc

import (
	"context"
	"sync"

	"github.com/trilith-gateway/trilith/gateway"
)

// streams are the streaming methods that run now: counted for each principal,
// and, where they have no end of their own, ended together.
type streams struct {
	most int // for each principal

	mu      sync.Mutex
	count   map[string]int // by principal
	watches map[*ticket]context.CancelCauseFunc
	closed  bool
}

// A ticket stands for one watch.
type ticket struct{ _ byte }

func newStreams(most int) *streams {
	return &streams{most: most, count: map[string]int{}, watches: map[*ticket]context.CancelCauseFunc{}}
}

// enter counts a stream in and returns the function that counts it out. A
// stream with an end function is a watch, which shut ends.
func (s *streams) enter(p *gateway.Principal, end context.CancelCauseFunc) (leave func(), err error) {
	id := ""
	if p != nil {
		id = p.ID
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, errStopping()
	case s.count[id] >= s.most:
		return nil, refuse(nil, gateway.ResourceExhausted, "too many streams are open")
	}
	s.count[id]++
	t := &ticket{}
	if end != nil {
		s.watches[t] = end
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watches, t)
		if s.count[id]--; s.count[id] == 0 {
			delete(s.count, id)
		}
	}, nil
}

// shut ends all watches and refuses new streams.
func (s *streams) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, end := range s.watches {
		end(errStopping())
	}
}
