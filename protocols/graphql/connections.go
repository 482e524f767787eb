package graphql

import (
	"sync"

	"github.com/trilith-gateway/trilith/gateway"
)

// connections counts what stays open, in all and for each principal, and knows how to end it.
type connections struct {
	limit, total int
	sessions     *gateway.Sessions

	mu     sync.Mutex
	closed bool
	open   map[*connection]bool
	count  map[string]int // by principal
	nobody int            // open without a principal yet
	wg     sync.WaitGroup
}

// A connection is a WebSocket or an event stream.
type connection struct {
	in    *connections
	owned bool   // whether the principal is known
	owner string // its ID
	stop  func() // asks it to end; returns when it has been asked

	session gateway.OpenSession
}

var (
	errClosed     = &gateway.Error{Code: gateway.Unavailable, By: door, Msg: "the gateway is shutting down"}
	errTooMany    = &gateway.Error{Code: gateway.ResourceExhausted, By: door, Msg: "too many connections"}
	errNobody     = &gateway.Error{Code: gateway.Unauthenticated, By: door, Msg: "authentication required"}
	errBusy       = &gateway.Error{Code: gateway.ResourceExhausted, By: door, Msg: "too many operations on this connection"}
	errDuplicate  = &gateway.Error{Code: gateway.AlreadyExists, By: door, Msg: "an operation of that id is running"}
	errSilent     = &gateway.Error{Code: gateway.DeadlineExceeded, By: door, Msg: "connection_init did not come in time"}
	errOtherOwner = &gateway.Error{Code: gateway.Unauthenticated, By: door, Msg: "the credential stands for somebody else now"}

	// These end what runs; the record of a call that they end is that of Do.
	errShutdown = &gateway.Error{Code: gateway.Unavailable, By: "gateway", Msg: errClosed.Msg}
	errSlow     = &gateway.Error{Code: gateway.DeadlineExceeded, By: "gateway", Msg: "the operation took too long"}
	errExpired  = &gateway.Error{Code: gateway.Unauthenticated, By: "gateway", Msg: "the credential has expired"}
)

// enter admits a connection, which must leave again. Strangers, who have yet to say who they are, get a tenth of the
// places, so that they cannot keep out those who are known.
func (c *connections) enter(stranger bool, stop func()) (*connection, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, errClosed
	case len(c.open) >= c.total || stranger && c.nobody > c.total/10:
		return nil, errTooMany
	case c.open == nil:
		c.open, c.count = map[*connection]bool{}, map[string]int{}
	}
	n := &connection{in: c, stop: stop}
	c.open[n] = true
	c.nobody++
	c.wg.Add(1)
	return n, nil
}

// own counts the connection for a principal, once, and notes it as a session, which end ends without blocking.
func (n *connection) own(p *gateway.Principal, kind string, end func(*gateway.Error)) error {
	if err := n.countFor(p.ID); err != nil {
		return err
	}
	n.session = n.in.sessions.Open(gateway.Session{Via: door, Kind: kind, Principal: p, End: end})
	return nil
}

func (n *connection) countFor(principal string) error {
	c := n.in
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count[principal] >= c.limit {
		return errTooMany
	}
	c.count[principal]++
	c.nobody--
	n.owned, n.owner = true, principal
	return nil
}

func (n *connection) leave() {
	n.session.Close()
	c := n.in
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, n)
	if !n.owned {
		c.nobody--
	} else if c.count[n.owner]--; c.count[n.owner] == 0 {
		delete(c.count, n.owner)
	}
	c.wg.Done()
}

func (c *connections) close() {
	c.mu.Lock()
	c.closed = true
	for n := range c.open {
		c.wg.Go(n.stop)
	}
	c.mu.Unlock()
	c.wg.Wait()
}
