// Package graphql is the GraphQL door: it opens the registry to web applications under one endpoint, over HTTP,
// server-sent events and WebSocket.
//
// The schema has two parts: that of schema/*.graphqls, the same for everybody, and a typed field for each tool and
// prompt that the caller may use (package gqlschema), which comes and goes with them. A schema of both is a view; callers
// who may use the same share one. The generated code (package generated) runs all operations; the typed fields run as
// hidden fields of it. What comes before and after is here, because the road asks for more than a general GraphQL server
// gives: every document is measured before anything expensive looks at it, values stay text from the wire to the
// upstream, and the transports follow their specifications to the letter:
//
//   - GraphQL over HTTP, draft of 2026 (graphql.github.io/graphql-over-http), without batches;
//   - graphql-transport-ws (github.com/enisdenjo/graphql-ws, PROTOCOL.md);
//   - GraphQL over Server-Sent Events, distinct connections mode (github.com/enisdenjo/graphql-sse, PROTOCOL.md).
//
// It does not know what a token looks like.
package graphql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/keep"
	"github.com/trilith-gateway/trilith/protocols/graphql/generated"
	"github.com/trilith-gateway/trilith/schema"
)

// Options say how a [Frontend] serves. Every number and duration that is zero or negative takes its default.
type Options struct {
	// Authenticate judges the token of a WebSocket's connection_init, at the start of the connection and again
	// with each operation; "" is a connection without a token. Nil accepts only connections whose upgrade
	// request had a principal.
	Authenticate func(ctx context.Context, token string) (*gateway.Principal, error)

	// OriginPatterns are hosts, such as "app.example" or "*.example", whose pages may open a WebSocket besides
	// those of the gateway's own host. The door has judged the Origin header already; this is the second lock.
	OriginPatterns []string

	Bounds        schema.Bounds // of a request's JSON; the length is also that of a WebSocket message; default 1 MiB, else schema's defaults
	Limits        Limits        // of a document
	Introspection bool          // whether everybody may ask for __schema and __type

	IntrospectionRoles []string                          // who has one of these roles may ask for them, too
	Budgets            map[string]int                    // cost of an operation by role, in place of Limits.Cost; the largest counts
	ToolCost           func(tool string) int             // of a call; nil or 0 is 100
	Roles              func(*gateway.Principal) []string // all roles of a principal; nil is those of the credential
	Documents          *Documents                        // those that are trusted; nil trusts all
	Timeout            time.Duration                     // of a query or mutation; default 5 minutes
	Response           int                               // bytes of one response, and of the results that it is made of; default 32 MiB

	Connections      int           // WebSockets and event streams of one principal at a time; default 32
	TotalConnections int           // and of all principals, a tenth of them before authentication; default 10,000
	Operations       int           // running on one WebSocket; default 64
	AnswerTimeout    time.Duration // for the answer to a question of a call; default 15 minutes
	QueueLength      int           // events that wait for a slow reader, for each subscription; default 64
	InitTimeout      time.Duration // from the upgrade to connection_init; default 5 s
	WriteTimeout     time.Duration // for one message, after which the connection ends; default 10 s
	KeepAlive        time.Duration // between pings on an idle connection; default 25 s

	Doors    Doors             // as callers reach them
	Sessions *gateway.Sessions // what connections are noted in; nil notes none
	Cluster  Cluster           // the other nodes that take answers for this one; nil for none

	Admin *gateway.Gateway // of administration, which fields of admin.v1 call; with nil they answer NOT_FOUND

	// Exceeded is told of each request that exceeds a limit which is only measured, by the limit's name, and by
	// "documents" where its document is not trusted and yet answered. It is called concurrently; nil is not told.
	Exceeded func(limit string)

	Rights   func(*gateway.Principal) []AdminRight // what a principal may administer, by area; nil is nothing
	Toolsets func() []Toolset                      // those that there are, by name; nil is none

	Logger *slog.Logger // receives failures that callers see as INTERNAL; required
}

// Frontend is the GraphQL door. It is an [http.Handler] and safe for concurrent use.
type Frontend struct {
	gw           *gateway.Gateway
	o            Options
	views        *views
	executor     *executor.Executor
	documents    *lru.LRU[*document]
	introspected *keep.Budget // of answers to introspection, of all views
	conns        connections
	measured     measured
	questions    questions
	work         sync.WaitGroup // what subscriptions do besides being read
	following    sync.WaitGroup
	done         chan struct{} // closed by Close
	closing      sync.Once
}

// documentCache and maxCachedDocument bound what prepared documents hold of memory. Parsed, a document takes up to
// two hundred times the space of its text.
const (
	documentCache     = 200
	maxCachedDocument = 4 << 10
)

// NewFrontend returns a frontend over a gateway. Close it to end what it serves.
func NewFrontend(gw *gateway.Gateway, o Options) (*Frontend, error) {
	if gw == nil || o.Logger == nil {
		return nil, errors.New("graphql: a gateway and a logger are required")
	}
	if o.Bounds.Bytes <= 0 {
		o.Bounds.Bytes = 1 << 20
	}
	o.Limits = o.Limits.withDefaults()
	for _, d := range []struct {
		field *int
		value int
	}{{&o.Connections, 32}, {&o.TotalConnections, 10_000}, {&o.Operations, 64}, {&o.QueueLength, 64}, {&o.Response, 32 << 20}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&o.AnswerTimeout, 15 * time.Minute}, {&o.InitTimeout, 5 * time.Second}, {&o.WriteTimeout, 10 * time.Second}, {&o.KeepAlive, 25 * time.Second}, {&o.Timeout, 5 * time.Minute}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}

	if o.Rights == nil {
		o.Rights = func(*gateway.Principal) []AdminRight { return nil }
	}
	if o.Toolsets == nil {
		o.Toolsets = func() []Toolset { return nil }
	}
	if o.Roles == nil {
		o.Roles = func(p *gateway.Principal) []string { return p.Roles }
	}

	f := &Frontend{gw: gw, o: o, documents: lru.New[*document](documentCache), introspected: keep.NewBudget(introspectionsMost), done: make(chan struct{})}
	f.measured.log, f.measured.tell = o.Logger, o.Exceeded
	f.conns.limit, f.conns.total, f.conns.sessions = o.Connections, o.TotalConnections, o.Sessions
	// Incremental delivery needs a transport of its own, so @defer is not offered. The parsed schema belongs to
	// the generated package: take a copy.
	static := *generated.NewExecutableSchema(generated.Config{}).Schema()
	static.Directives = maps.Clone(static.Directives)
	delete(static.Directives, "defer")
	f.views = newViews(gw, &static)
	f.executor = executor.New(generated.NewExecutableSchema(generated.Config{Schema: &static, Resolvers: resolvers{f}}))
	f.executor.SetErrorPresenter(f.present)
	f.executor.SetRecoverFunc(recovered)
	f.executor.AroundResponses(f.respond)
	f.following.Go(f.follow)
	return f, nil
}

// ServeHTTP answers the endpoint: queries by GET, all operations by POST, event streams where the client accepts
// text/event-stream, and upgrades to WebSocket. The principal is that of the request's context (auth.From);
// without one only an upgrade goes on, to be authenticated by its first message.
func (f *Frontend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if isUpgrade(r) {
		f.serveSocket(w, r)
		return
	}
	f.serveHTTP(w, r, auth.From(r.Context()))
}

// Close ends all WebSockets (1001) and event streams and waits until they have ended. Later connections are
// refused; plain requests are still answered.
func (f *Frontend) Close() error {
	f.closing.Do(func() { close(f.done) })
	f.conns.close()
	f.work.Wait()
	f.following.Wait()
	return nil
}

func recovered(_ context.Context, p any) error { return fmt.Errorf("panic: %v", p) }

// callerKey is the key of the principal in the context of an operation.
type callerKey struct{}

func withCaller(ctx context.Context, p *gateway.Principal) context.Context {
	return context.WithValue(ctx, callerKey{}, p)
}

// caller returns who asks for the operation, which is never nil in a resolver.
func caller(ctx context.Context) *gateway.Principal {
	p, _ := ctx.Value(callerKey{}).(*gateway.Principal)
	return p
}

// start begins an operation that was prepared. Each call of the handler gives one response, and nil at the end; calls
// must use the context that is returned with it. Stop must be called when no more responses are wanted.
func (f *Frontend) start(ctx context.Context, p *gateway.Principal, op *graphql.OperationContext) (next graphql.ResponseHandler, run context.Context, stop context.CancelFunc) {
	ctx, stop = withCaller(ctx, p), func() {}
	if op.Operation.Operation != ast.Subscription {
		ctx, stop = context.WithTimeoutCause(ctx, f.o.Timeout, errSlow)
	}
	next, run = f.executor.DispatchOperation(ctx, op)
	return next, run, stop
}
