package upstream

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trilith-gateway/trilith/auth/connect"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/egress"
)

// How subscriptions reach the server.
const (
	SubscriptionsWebSocket = "websocket" // graphql-transport-ws, at the URL of the server
	SubscriptionsSSE       = "sse"       // distinct connections of GraphQL over SSE
	SubscriptionsOff       = "off"       // they are not offered
)

// Options say which server a source is made of, and how. Zero values take the
// defaults named with each field.
type Options struct {
	// HTTP says where the server is and with which credentials. Its Name, URL and
	// AllowPrivate count for sockets too. Timeout bounds one answer. Reserved is
	// the package's own.
	HTTP egress.Options

	// Schema is a file in the schema definition language, for a server that does
	// not tell its schema; "" asks the server by introspection.
	Schema string

	// Documents is a folder of named operations (*.graphql, *.gql) which are
	// offered instead of the fields of the schema; "" for none.
	Documents string

	// Depth and Fields bound generated selections: levels of fields below the root
	// field, and fields altogether. Defaults are 3 and 100.
	Depth, Fields int

	// Subscriptions is one of the constants; "" is SubscriptionsOff. A call of one
	// ends after MaxEvents events or MaxTime, whichever comes first: 100 and 30
	// seconds.
	Subscriptions string
	MaxEvents     int
	MaxTime       time.Duration

	// Interval is how often the schema and the documents are read anew. The
	// default is 5 minutes.
	Interval time.Duration
}

func (o *Options) setDefaults() {
	for _, d := range []struct {
		field *int
		value int
	}{{&o.Depth, 3}, {&o.Fields, 100}, {&o.MaxEvents, 100}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&o.MaxTime, 30 * time.Second}, {&o.Interval, 5 * time.Minute}, {&o.HTTP.Timeout, 30 * time.Second}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if o.Subscriptions == "" {
		o.Subscriptions = SubscriptionsOff
	}
	if o.HTTP.Logger == nil {
		o.HTTP.Logger = slog.New(slog.DiscardHandler)
	}
	o.HTTP.Reserved = func(name string) bool {
		return name == "Accept" || name == "Content-Type" || strings.HasPrefix(name, "Sec-Websocket-")
	}
}

// An Upstream is a GraphQL server as a source: a [gateway.Upstream] and a
// [gateway.Watcher]. It is safe for concurrent use.
type Upstream struct {
	o      Options
	by     string // who failed, in errors
	client *egress.Client
	socket *http.Client // opens WebSockets

	catalog atomic.Pointer[catalog]
	wake    chan struct{} // look again; buffered

	ctx    context.Context //nolint:containedctx // the life of the Upstream, which ends its calls.
	cancel context.CancelCauseFunc
	mu     sync.Mutex
	closed bool
	calls  sync.WaitGroup
}

// A catalog is what the source offers, and of what it was made.
type catalog struct {
	operations map[string]*operation
	notes      *notes
	of         [sha256.Size]byte
}

// New checks the options and returns an upstream that has not connected yet.
// Close it when it is no longer needed.
func New(o Options) (*Upstream, error) {
	o.setDefaults()
	switch o.Subscriptions {
	case SubscriptionsOff, SubscriptionsSSE, SubscriptionsWebSocket:
	default:
		return nil, fmt.Errorf("subscriptions must be websocket, sse or off, not %q", o.Subscriptions)
	}
	client, err := egress.New(o.HTTP)
	if err != nil {
		return nil, err
	}
	u := &Upstream{o: o, by: "upstream/" + o.HTTP.Name, client: client, wake: make(chan struct{}, 1)}
	u.socket = socketClient(client)
	u.ctx, u.cancel = context.WithCancelCause(context.Background()) //nolint:forbidigo // Close ends it.
	return u, nil
}

// Provider returns the server's authorization server, where users connect, or
// nil where they do not.
func (u *Upstream) Provider() connect.Provider { return u.client.Provider() }

var errClosed = errors.New("the upstream is closed")

// Connections returns the counts of connections to the server, without those of
// subscriptions.
func (u *Upstream) Connections() egress.Connections { return u.client.Connections() }

// Close ends the calls that run and frees what the upstream holds.
func (u *Upstream) Close() error {
	u.mu.Lock()
	u.closed = true
	u.mu.Unlock()
	u.cancel(errClosed)
	u.calls.Wait()
	u.socket.CloseIdleConnections()
	return u.client.Close()
}

// Refresh has Watch read the schema and the documents anew.
func (u *Upstream) Refresh() {
	select {
	case u.wake <- struct{}{}:
	default: // It is about to.
	}
}

// enter notes that a call runs, until leave is called. The context ends with
// the Upstream too.
func (u *Upstream) enter(ctx context.Context) (_ context.Context, leave func(), err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return nil, nil, u.away(errClosed)
	}
	u.calls.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(u.ctx, func() { cancel(u.away(errClosed)) })
	return ctx, func() { stop(); cancel(nil); u.calls.Done() }, nil
}

// away is the refusal of calls that the server cannot answer now.
func (u *Upstream) away(cause error) *gateway.Error {
	return &gateway.Error{Code: gateway.Unavailable, By: u.by, Msg: "the upstream is not available now", Err: cause}
}

// Do makes the call of a tool: it sends the operation with the arguments of the
// call as its variables.
func (u *Upstream) Do(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	ctx, leave, err := u.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	op := u.operation(call)
	if op == nil {
		return nil, gateway.NotFoundError(call, u.by, nil)
	}
	res, err := u.call(ctx, call, op)
	if err != nil && u.ctx.Err() != nil {
		if e, ok := errors.AsType[*gateway.Error](context.Cause(ctx)); ok {
			return nil, e
		}
	}
	return res, err
}

// operation returns what answers a call, or nil.
func (u *Upstream) operation(call *gateway.Call) *operation {
	c := u.catalog.Load()
	if c == nil || call.Op != gateway.OpCall {
		return nil
	}
	return c.operations[call.Target.Origin]
}

func (u *Upstream) call(ctx context.Context, call *gateway.Call, op *operation) (*gateway.Result, error) {
	ctx, err := u.client.Admit(ctx, call)
	if err != nil {
		return nil, err
	}
	if string(op.kind) == "subscription" {
		return u.follow(ctx, call, op)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, u.o.HTTP.Timeout, egress.ErrSlow)
	defer cancel()
	a, err := u.exchange(ctx, op.request(call.Args), maxAnswer)
	if err != nil {
		return nil, err
	}
	return u.result(ctx, op, a)
}
