package egress

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/auth/connect"
	"github.com/trilith-gateway/trilith/protocols/http1"
)

// Options say where a [Client] speaks to and with which credentials. Zero
// values take the defaults named with each field.
type Options struct {
	Name string // of the source; errors name it. Required

	// URL of the upstream, http or https. Requests go to its origin and nowhere
	// else; its path matters to credentials alone, as the name of the resource.
	// Required.
	URL string

	// Headers go with every request. Those that HTTP itself sets cannot be set,
	// nor those for which Reserved reports true, which gets canonical names.
	Headers   http.Header
	Reserved  func(name string) bool // nil reserves no others
	UserAgent string                 // where Headers have none; "trilith"

	// Credentials beyond what Headers hold: tokens, or what an Authorizer gives.
	// At most one is set. DPoP is the key that tokens of the scheme DPoP are bound
	// to, for an Authorizer that obtains such; nil makes one.
	OAuth      *OAuthOptions
	Authorizer Authorizer
	DPoP       *DPoPKey

	// Metadata says that the upstream tells how it is protected (RFC 9728), as MCP
	// servers do. Without, an OAuth issuer or token URL is believed to be all that
	// is needed: a token is asked for before the first request, and for a resource
	// only where OAuth names one.
	Metadata bool

	// Only public addresses are dialled, and those in AllowPrivate.
	AllowPrivate []netip.Prefix

	Timeout time.Duration // for obtaining one token, and for a user who says to have connected; 30 seconds
	Logger  *slog.Logger  // for the operator; nil discards
}

// A Client speaks to one origin. It is safe for concurrent use.
type Client struct {
	o      Options
	by     string // who failed, in errors
	url    *url.URL
	dial   dialFunc
	http   *http.Client  // for authorization servers, and what wire cannot carry
	wire   *http1.Client // for the upstream itself
	fields []byte        // of every request
	set    http.Header   // the same, as net/http has them
	auth   Authorizer    // nil without
	each   callers       // the same where each caller has credentials; nil where all share them

	// ctx is the life of the Client, which obtains tokens for many callers.
	ctx    context.Context //nolint:containedctx // see above.
	cancel context.CancelCauseFunc

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

var (
	// ErrClosed says that a [Client] has been closed.
	ErrClosed = errors.New("the upstream is closed")
	// ErrSlow is the cause of a context that has ended because an upstream, or
	// who issues tokens for it, took longer than Options.Timeout.
	ErrSlow = errors.New("the server did not answer in time")
)

// New checks the options and returns a client that has not connected yet. Close
// it when it is no longer needed.
func New(o Options) (*Client, error) {
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.UserAgent == "" {
		o.UserAgent = "trilith"
	}
	c := &Client{o: o, by: "upstream/" + o.Name, dial: guardedDial(o.AllowPrivate)}
	if o.Name == "" {
		return nil, errors.New("name is missing")
	}
	var err error
	if c.url, err = checkURL(o.URL); err != nil {
		return nil, err
	}
	if err = checkHeaders(o.Headers, o.Reserved); err != nil {
		return nil, err
	}
	c.setFields()
	c.http = guardedClient(c.dial)
	c.wire = guardedWire(c.url, c.dial, c.http.Transport)
	if err = c.setAuth(); err != nil {
		return nil, err
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background()) //nolint:forbidigo // Close ends it.
	return c, nil
}

// setFields makes the fields of every request.
func (c *Client) setFields() {
	c.set = http.Header{}
	for name, values := range c.o.Headers {
		c.set[http.CanonicalHeaderKey(name)] = values
	}
	if c.set["User-Agent"] == nil {
		c.set.Set("User-Agent", c.o.UserAgent)
	}
	for _, name := range slices.Sorted(maps.Keys(c.set)) {
		for _, value := range c.set[name] {
			c.fields, _ = http1.AppendField(c.fields, name, value) // Checked by New.
		}
	}
}

// URL returns the address of the upstream. It must not be changed.
func (c *Client) URL() *url.URL { return c.url }

// Fields returns the header fields of every request, as [http1.AppendField]
// makes them, for who uses [Client.Send]. They must not be changed.
func (c *Client) Fields() []byte { return c.fields }

// PerCaller reports whether each caller has credentials of its own.
func (c *Client) PerCaller() bool { return c.each != nil }

// Dial opens a connection, to a public address or one that is allowed: what a
// name leads to is judged when it is dialled.
func (c *Client) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return c.dial(ctx, network, address)
}

// Provider returns the upstream's authorization server, where users connect, or
// nil where they do not.
func (c *Client) Provider() connect.Provider {
	if s, ok := c.each.(*userTokens); ok {
		return s
	}
	return nil
}

// Connections count those to the upstream.
type Connections = http1.Stats

// Connections returns the counts of now.
func (c *Client) Connections() Connections { return c.wire.Stats() }

// Close ends what obtains tokens, waits for it, and closes idle connections.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel(ErrClosed)
	c.wg.Wait()
	c.http.CloseIdleConnections()
	c.wire.Close()
	return nil
}

// spawn runs f in a goroutine that Close waits for, with the client's own
// context. It reports false, and does nothing, where the client is closed.
func (c *Client) spawn(f func(context.Context)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.wg.Go(func() { f(c.ctx) })
	return true
}

// setAuth makes the Authorizer that the options ask for.
func (c *Client) setAuth() error {
	o := &c.o
	if o.OAuth == nil && o.Authorizer == nil {
		return nil
	}
	if o.OAuth != nil && o.Authorizer != nil {
		return errors.New("credentials come either from OAuth or from an Authorizer")
	}
	if c.set["Authorization"] != nil {
		return errors.New("credentials come either from OAuth or from the header Authorization")
	}
	if o.DPoP == nil {
		var err error
		if o.DPoP, err = NewDPoPKey(); err != nil {
			return err
		}
	}
	if c.auth = o.Authorizer; o.OAuth == nil {
		return nil
	}
	t, err := newTokens(c, *o.OAuth)
	if err != nil {
		return err
	}
	c.auth = t
	switch {
	case o.OAuth.Exchange != nil:
		c.each = newExchanger(t, c.by)
	case o.OAuth.Users != nil:
		c.each = &userTokens{own: t, users: o.OAuth.Users, name: o.Name}
	default:
		return nil
	}
	c.auth = c.each
	return nil
}
