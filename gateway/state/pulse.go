package state

import "sync"

// pulse wakes everybody who waits, as often as it beats; beats that nobody waits for cost nothing. The zero value is
// ready. Safe for concurrent use.
type pulse struct {
	mu sync.Mutex
	ch chan struct{} // Nil when nobody waits.
}

// next returns a channel that is closed by the first beat after the call.
func (p *pulse) next() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ch == nil {
		p.ch = make(chan struct{})
	}
	return p.ch
}

func (p *pulse) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ch != nil {
		close(p.ch)
		p.ch = nil
	}
}
