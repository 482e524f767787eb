package upstream

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	"github.com/trilith-gateway/trilith/protocols/egress"
)

const (
	// perConnection is how many calls share a connection before there is another. How many streams a connection may
	// have is the server's to say, 100 being what is recommended at the least (RFC 9113, section 6.5.2) and usual: a call
	// beyond them would wait for another's end.
	perConnection = 100

	// idleConnection is how long a connection besides the first is kept without a call.
	idleConnection = 90 * time.Second
)

// pool is the connections to one server. The first is kept for as long as the server is there: on it the server is
// asked what it offers and how it is. A call goes to the first that has room, so that those opened last are the first
// without calls; grpc-go then closes them. No call waits until another connection is open, or fails because it could
// not be opened: it goes to the one that is least busy.
type pool struct {
	dial func(idle time.Duration) (*grpc.ClientConn, error)
	most int           // connections
	idle time.Duration // that one besides the first is kept without a call

	wires  atomic.Pointer[[]*wire] // never empty
	reused atomic.Uint64           // as in [egress.Connections]

	mu     sync.Mutex // for growing and closing
	closed bool
}

// wire is one connection, or the place for one.
type wire struct {
	*grpc.ClientConn
	busy atomic.Int64 // calls under way
}

func (w *wire) ready() bool { return w.GetState() == connectivity.Ready }

// free says that a call that took the connection has ended.
func (w *wire) free() { w.busy.Add(-1) }

// newPool returns a pool of at most so many connections, none of which is made yet. Dial makes one that is closed when
// it was without calls for so long, or never where that is 0.
func newPool(most int, dial func(idle time.Duration) (*grpc.ClientConn, error)) (*pool, error) {
	conn, err := dial(0)
	if err != nil {
		return nil, err
	}
	p := &pool{dial: dial, most: most, idle: idleConnection}
	p.wires.Store(&[]*wire{{ClientConn: conn}})
	return p, nil
}

// first returns the connection that is kept.
func (p *pool) first() *grpc.ClientConn { return (*p.wires.Load())[0].ClientConn }

// take returns a connection for a call, which frees it when it has ended.
func (p *pool) take() *wire {
	w := p.choose()
	if w.ready() {
		p.reused.Add(1)
	}
	return w
}

func (p *pool) choose() *wire {
	all := *p.wires.Load()
	least, growing := all[0], false
	if least.busy.Add(1) <= perConnection {
		return least
	}
	for _, w := range all[1:] {
		switch {
		case !w.ready():
			if !growing {
				growing = true
				w.Connect()
			}
		case w.busy.Add(1) <= perConnection:
			least.free()
			return w
		case w.busy.Load() < least.busy.Load():
			least.free()
			least = w
		default:
			w.free()
		}
	}
	if !growing && len(all) < p.most {
		p.grow(len(all))
	}
	return least
}

// grow opens another connection where there are still so many.
func (p *pool) grow(have int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := *p.wires.Load()
	if p.closed || len(all) != have {
		return
	}
	conn, err := p.dial(p.idle)
	if err != nil {
		return // It cannot be: the first was made alike. There is still that.
	}
	conn.Connect()
	next := append(slices.Clip(all), &wire{ClientConn: conn})
	p.wires.Store(&next)
}

// invoke makes a call with one response.
func (p *pool) invoke(ctx context.Context, path string, in, out *frame) error {
	w := p.take()
	defer w.free()
	return w.Invoke(ctx, path, in, out, grpc.ForceCodecV2(frames{}))
}

// connections returns the counts of now, but for those that were opened.
func (p *pool) connections() egress.Connections {
	n := egress.Connections{Reused: p.reused.Load()}
	for _, w := range *p.wires.Load() {
		if w.busy.Load() == 0 && w.ready() {
			n.Idle++
		}
	}
	return n
}

// close ends all connections, with the calls that run.
func (p *pool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var all []error
	for _, w := range *p.wires.Load() {
		all = append(all, w.Close())
	}
	return errors.Join(all...)
}
