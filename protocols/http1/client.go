// Package http1 is an HTTP/1.1 client (RFC 9110, RFC 9112) for one origin that
// is asked many times, such as a server behind the gateway. A request runs on
// the goroutine that makes it: its head and body leave in one write, and the
// answer is read from a buffer that belongs to the connection. It follows no
// redirect, asks no proxy, keeps no cookie and decodes no content.
//
// It is not a general client: that is net/http, to which it passes requests to
// origins that speak HTTP/2 alone.
package http1

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options say how a [Client] connects. Zero values take the defaults named with
// each field.
type Options struct {
	// Dial opens connections; it decides which addresses may be dialled.
	// Required.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	TLS              *tls.Config   // of https origins; nil is the default of crypto/tls. Names and protocols are set by the client.
	HandshakeTimeout time.Duration // of TLS; 10 seconds

	MaxIdle     int           // connections kept without a request; 64
	IdleTimeout time.Duration // how long one is kept; 90 seconds, and less where the server says so
	MaxHead     int           // bytes of a response's head, of those before it with status 1xx, and of trailers; 64 KiB

	// Other carries requests to origins that do not speak HTTP/1.1. Required.
	Other http.RoundTripper
}

// A Client talks to one origin. It is safe for concurrent use.
type Client struct {
	o       Options
	origin  url.URL // scheme and host alone
	address string  // to dial
	tls     *tls.Config
	other   atomic.Bool // the origin does not speak HTTP/1.1

	opened, reused atomic.Uint64 // as in Stats

	mu     sync.Mutex
	idle   []*conn // the one used last at the end
	sweep  *time.Timer
	closed bool
}

// New returns a client of the origin of a URL, whose scheme is http or https.
// Close it when it is no longer needed.
func New(origin *url.URL, o Options) *Client {
	if o.HandshakeTimeout <= 0 {
		o.HandshakeTimeout = 10 * time.Second
	}
	if o.MaxIdle <= 0 {
		o.MaxIdle = 64
	}
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = 90 * time.Second
	}
	if o.MaxHead <= 0 {
		o.MaxHead = 64 << 10
	}
	c := &Client{o: o, origin: url.URL{Scheme: origin.Scheme, Host: origin.Host}}
	host, port := origin.Hostname(), origin.Port()
	if port == "" {
		port = "80"
	}
	if origin.Scheme == "https" {
		if origin.Port() == "" {
			port = "443"
		}
		c.tls = o.TLS.Clone()
		if c.tls == nil {
			c.tls = &tls.Config{}
		}
		if c.tls.ServerName == "" {
			c.tls.ServerName = host
		}
		c.tls.NextProtos = []string{"http/1.1"}
	}
	c.address = net.JoinHostPort(host, port)
	for _, b := range []byte(host) {
		if b >= 0x80 || b == '%' { // Names to be encoded, and zones of addresses, are net/http's to treat.
			c.other.Store(true)
		}
	}
	return c
}

// Do sends a request and returns its response, whose body is still to be read.
// When the context ends, before or after Do has returned, the connection is
// closed, and what was waited for fails with the context's cause.
//
// Do sends a request a second time only where HTTP says that the server has not
// acted on it, or that acting on it again does no harm (RFC 9110, section
// 9.2.2): a connection that was used before fails without a byte of a response,
// and either nothing was sent on it, or the request is idempotent.
func (c *Client) Do(ctx context.Context, r *Request) (*Response, error) {
	for again := false; ; again = true {
		if err := ended(ctx, r); err != nil {
			return nil, err
		}
		if c.other.Load() {
			return c.through(ctx, r)
		}
		res, may, err := c.attempt(ctx, r, again)
		if err == nil {
			return res, nil
		}
		if why := ended(ctx, r); why != nil {
			return nil, why
		}
		if !may {
			return nil, err
		}
	}
}

// attempt sends a request, on a new connection where fresh is set. Where it
// fails, again reports whether it may be sent once more.
func (c *Client) attempt(ctx context.Context, r *Request, fresh bool) (res *Response, again bool, err error) {
	var cn *conn
	if !fresh {
		cn = c.take()
	}
	reused := cn != nil
	if !reused {
		if cn, err = c.dial(ctx, r); err != nil {
			if isOther(err) {
				c.other.Store(true)
			}
			return nil, isOther(err), err
		}
		c.opened.Add(1)
	} else {
		c.reused.Add(1)
	}
	res, err = cn.exchange(ctx, r)
	return res, reused && !cn.heard && (!cn.wrote || r.Idempotent), err
}

// Stats count the connections of a [Client]. There are as many as requests under
// way, and those that were busy a moment ago.
type Stats struct {
	Idle   int    // connections that wait for a request now
	Opened uint64 // connections that were ever opened
	Reused uint64 // requests that found one open
}

// Stats returns the counts of now. Requests that net/http carries are not in
// them.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{Idle: len(c.idle), Opened: c.opened.Load(), Reused: c.reused.Load()}
}

// ended returns why nobody waits for a response any more, or nil.
func ended(ctx context.Context, r *Request) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return r.Group.cause()
}

// take returns an idle connection that is as good as new, or nil.
func (c *Client) take() *conn {
	for {
		c.mu.Lock()
		n := len(c.idle)
		if n == 0 {
			c.mu.Unlock()
			return nil
		}
		cn := c.idle[n-1]
		c.idle[n-1] = nil
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		if time.Now().Before(cn.expires) && cn.quiet() {
			return cn
		}
		cn.close()
	}
}

// put keeps a connection for the next request.
func (c *Client) put(cn *conn) {
	wait := c.o.IdleTimeout
	if cn.linger > 0 {
		wait = min(wait, cn.linger)
	}
	cn.expires = time.Now().Add(wait)
	c.mu.Lock()
	if c.closed || len(c.idle) >= c.o.MaxIdle {
		c.mu.Unlock()
		cn.close()
		return
	}
	c.idle = append(c.idle, cn)
	if c.sweep == nil {
		c.sweep = time.AfterFunc(wait, c.expire)
	}
	c.mu.Unlock()
}

// expire closes what has been idle too long, and comes back as long as there is
// something idle.
func (c *Client) expire() {
	now := time.Now()
	var old []*conn
	next := c.o.IdleTimeout
	c.mu.Lock()
	c.idle = slices.DeleteFunc(c.idle, func(cn *conn) bool {
		left := cn.expires.Sub(now)
		if left <= 0 {
			old = append(old, cn)
			return true
		}
		next = min(next, left)
		return false
	})
	if c.sweep = nil; len(c.idle) > 0 {
		c.sweep = time.AfterFunc(next, c.expire)
	}
	c.mu.Unlock()
	for _, cn := range old {
		cn.close()
	}
}

// Close closes the connections that are idle, and the others as soon as their
// responses have been read. The client can still be used, without keeping
// connections.
func (c *Client) Close() {
	c.mu.Lock()
	idle := c.idle
	c.idle, c.closed = nil, true
	if c.sweep != nil {
		c.sweep.Stop()
	}
	c.mu.Unlock()
	for _, cn := range idle {
		cn.close()
	}
}

// dial opens a connection for a request.
func (c *Client) dial(ctx context.Context, r *Request) (*conn, error) {
	ctx, stop := r.bound(ctx)
	defer stop()
	nc, err := c.o.Dial(ctx, "tcp", c.address)
	if err != nil {
		return nil, err
	}
	e := newEdge(nc)
	if c.tls == nil {
		return newConn(c, e, e), nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.HandshakeTimeout)
	defer cancel()
	secure := tls.Client(e, c.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, ignoreClosed(nc.Close()))
	}
	return newConn(c, e, secure), nil
}

// isOther reports whether a server has refused to speak HTTP/1.1 (RFC 7301,
// section 3.2).
func isOther(err error) bool {
	const noApplicationProtocol tls.AlertError = 120
	remote, ok := errors.AsType[*net.OpError](err)
	return ok && remote.Op == "remote error" && remote.Err.Error() == noApplicationProtocol.Error()
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
