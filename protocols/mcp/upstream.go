package mcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/egress"
	"github.com/trilith-gateway/trilith/schema"
)

// UpstreamOptions say which MCP server an [Upstream] is and what it bears of
// it. Either URL or Command is given. Zero values take the defaults named with
// each field.
type UpstreamOptions struct {
	Name string // of the source; errors name it

	// A server behind streamable HTTP, or HTTP+SSE of 2024-11-05. Headers go with every request to URL's
	// origin and nowhere else: redirects are refused. Only public addresses are
	// dialled, and those in AllowPrivate.
	URL          string
	Headers      http.Header
	AllowPrivate []netip.Prefix

	// Credentials for the URL, beyond what Headers hold: the gateway's own at an
	// authorization server, or what an Authorizer gives. At most one is set.
	// DPoP is the key that tokens of the scheme DPoP are bound to, for an
	// Authorizer that obtains such; nil makes one.
	OAuth      *egress.OAuthOptions
	Authorizer egress.Authorizer
	DPoP       *egress.DPoPKey

	// A server that is a program, spoken to through its standard input and
	// output. Beyond Env ("NAME=value") it gets only what programs need to run:
	// PATH, HOME and the like. What it writes to standard error is logged.
	Command string
	Args    []string
	Env     []string
	Dir     string // "" is the current directory

	Timeout time.Duration // for one answer, and for connecting; 30 seconds
	Era     string        // "modern", "legacy", or "auto" to find out; "auto"
	Version string        // of this gateway, as servers see it; "0"

	// Whose calls share a connection: those of "shared" all, which is the
	// default, those of "principal" only one principal's, so that a legacy server
	// that keeps something in its session keeps it for one caller, and questions
	// that do not say whose they are find theirs. At most MaxSessions principals
	// have one at a time; one that is unused for Idle ends. While the upstream is
	// watched, MinSessions are open even where fewer principals have one: the next
	// to come take them. Modern servers behind HTTP have no sessions, and one
	// connection.
	Sessions    string
	MinSessions int           // none
	MaxSessions int           // 64
	Idle        time.Duration // 5 minutes

	MaxMessage int           // bytes of one message from the server; 16 MiB
	Backoff    time.Duration // after the first failure to connect, doubling with each further one; 200 milliseconds
	MaxBackoff time.Duration // between attempts to connect; 30 seconds
	Grace      time.Duration // for a program to end once asked, twice; 2 seconds

	Logger *slog.Logger // for the operator; nil discards

	listEvery time.Duration // at most, however often the server's lists change; a second
}

func (o *UpstreamOptions) setDefaults() {
	orTime := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	orTime(&o.Timeout, 30*time.Second)
	orTime(&o.Backoff, 200*time.Millisecond)
	orTime(&o.MaxBackoff, 30*time.Second)
	orTime(&o.Grace, 2*time.Second)
	orTime(&o.Idle, 5*time.Minute)
	orTime(&o.listEvery, time.Second)
	if o.MaxSessions <= 0 {
		o.MaxSessions = 64
	}
	if o.Sessions == "" {
		o.Sessions = sessionsShared
	}
	if o.MaxMessage <= 0 {
		o.MaxMessage = 16 << 20
	}
	if o.Era == "" {
		o.Era = eraAuto
	}
	if o.Version == "" {
		o.Version = "0"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// The values of UpstreamOptions.Era.
const (
	eraAuto   = "auto"
	eraModern = "modern"
	eraLegacy = "legacy"
)

// maxPending bounds the requests that one connection may have waiting.
const maxPending = 1024

// An Upstream is an MCP server behind the gateway. It speaks both eras, and
// what the server answers reaches the caller byte for byte. It is a
// [gateway.Upstream] and a [gateway.Watcher], and safe for concurrent use: calls
// share a connection, as Sessions says, and none waits for another.
//
// Nothing of the caller's credentials goes to the server. What the server asks
// of a client (elicitation, sampling, roots) reaches the caller whose call it is
// about, and nobody else: a legacy server's question by [gateway.Call.Ask], a
// modern one's as [gateway.Result.Input].
type Upstream struct {
	o    UpstreamOptions
	by   string         // who failed, in errors
	url  *url.URL       // nil for a program
	http *egress.Client // the same
	info []byte         // clientInfo, an object

	// ctx is the life of the Upstream, which begins no work of its own but
	// connects for many callers.
	ctx    context.Context //nolint:containedctx // see above.
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup

	buffers sync.Pool // of *buffer

	bound atomic.Pointer[map[*schema.Schema][]binding] // by input schema, as last listed

	mu        sync.Mutex
	closed    bool
	shared    *link
	links     map[string]*link    // by principal
	spares    []*link             // for principals that have none yet
	watched   bool                // spares are kept
	stats     UpstreamStats       // what only grows
	stateless bool                // it has no sessions
	era       string              // found out, or "" to find out
	events    bool                // it speaks HTTP+SSE
	told      map[string]struct{} // definitions that were refused and logged
}

var (
	errUpstreamClosed = egress.ErrClosed
	errUpstreamSlow   = egress.ErrSlow
	errSessionEnded   = errors.New("the server no longer knows the session")
	errBusy           = fmt.Errorf("more than %d requests are waiting", maxPending)
	errNotSupported   = errors.New("no protocol revision that both sides can speak")
)

// NewUpstream checks the options and returns an upstream that has not connected
// yet. Close it when it is no longer needed.
func NewUpstream(o UpstreamOptions) (*Upstream, error) {
	o.setDefaults()
	u := &Upstream{o: o, by: "upstream/" + o.Name, told: map[string]struct{}{}, links: map[string]*link{}}
	u.shared = &link{u: u}
	fail := func(format string, args ...any) (*Upstream, error) {
		return nil, fmt.Errorf("MCP upstream %q: "+format, append([]any{o.Name}, args...)...)
	}
	switch {
	case o.Name == "":
		return fail("name is missing")
	case (o.URL == "") == (o.Command == ""):
		return fail("either a URL or a command is needed")
	case o.Sessions != sessionsShared && o.Sessions != sessionsPrincipal:
		return fail("sessions must be shared or principal, not %q", o.Sessions)
	case o.MinSessions < 0 || o.MinSessions > o.MaxSessions:
		return fail("at least %d sessions and at most %d cannot be", o.MinSessions, o.MaxSessions)
	case o.Era != eraAuto && o.Era != eraModern && o.Era != eraLegacy:
		return fail("era must be auto, modern or legacy, not %q", o.Era)
	}
	if slices.ContainsFunc(o.Env, badVariable) {
		return fail("an environment entry must be NAME=value")
	}
	if err := u.setHTTP(); err != nil {
		return fail("%w", err)
	}
	u.info = append(quote([]byte(`{"name":"trilith","version":`), o.Version), '}')
	u.ctx, u.cancel = context.WithCancelCause(context.Background()) //nolint:forbidigo // Close ends it.
	return u, nil
}

// buffer returns memory for a message, which release takes back.
func (u *Upstream) buffer() *buffer {
	if b, ok := u.buffers.Get().(*buffer); ok {
		return b
	}
	return &buffer{make([]byte, 0, 1<<10)}
}

func (u *Upstream) release(b *buffer) {
	if cap(b.b) <= maxBuffer {
		b.b = b.b[:0]
		u.buffers.Put(b)
	}
}

func badVariable(e string) bool {
	name, _, ok := strings.Cut(e, "=")
	return !ok || name == "" || strings.ContainsRune(e, 0)
}

// Do carries a call to the server, connecting first where there is no
// connection, and returns its answer.
func (u *Upstream) Do(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	if call.Op == gateway.OpSubscribe {
		return u.subscribe(ctx, call)
	}
	whole := call
	long, err := u.admit(ctx, call)
	if need, ok := errors.AsType[*egress.NeedsConnection](err); ok {
		if long, err = u.connect(ctx, call, need); err == nil && long == nil {
			return askToConnect(need), nil
		}
	}
	if err != nil {
		return nil, err
	}
	ctx, call = long, unconnected(call)
	timed, by, call, cancel := patiently(ctx, call, u.o.Timeout)
	defer cancel()
	l, err := u.enter(ctx, call)
	if err != nil {
		return nil, u.fault(timed, call, err)
	}
	defer l.leave()
	if call.Rejoin != nil {
		return u.rejoin(ctx, l, call)
	}
	for again := true; ; again = false {
		c, err := l.client(timed, by)
		if err != nil {
			return nil, u.fault(timed, call, err)
		}
		res, err := c.do(timed, by, call)
		if err == nil {
			return res, nil
		}
		if t, ok := errors.AsType[*begunTask](err); ok {
			cancel() // It bounds one answer.
			return u.pursue(ctx, l, c, whole, t)
		}
		if again && errors.Is(err, errSessionEnded) && !isLost(err) { // Nothing was done, or it may be done twice.
			continue
		}
		c.doubtful(err)
		return nil, u.fault(timed, call, err)
	}
}

// Limit returns how long a call may take that asks nothing: the Timeout of the
// options.
func (u *Upstream) Limit() time.Duration { return u.o.Timeout }

// Close ends the connection, and the program with everything that it started:
// its input is closed, then it is asked to stop, then it is killed. It returns
// when nothing is left of it. Calls that are running fail, sequences of Watch
// end.
func (u *Upstream) Close() error {
	u.mu.Lock()
	u.closed = true
	for _, l := range u.links {
		if l.expiry != nil {
			l.expiry.Stop()
		}
	}
	u.mu.Unlock()
	u.cancel(errUpstreamClosed)
	u.wg.Wait()
	if u.http != nil {
		return u.http.Close()
	}
	return nil
}
