package openapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/auth/connect"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/egress"
)

// An Upstream is a service that speaks HTTP, behind the gateway. It is a
// [gateway.Upstream] and a [gateway.Watcher], and safe for concurrent use.
//
// Nothing of the caller's credentials goes to the service, and nothing of the
// gateway's to any other origin than the service's.
type Upstream struct {
	o    Options
	by   string   // who failed, in errors
	from *url.URL // where the document is fetched; nil for a file and for calls
	made []byte   // the document of calls

	look chan struct{} // asks Watch to look at the document now

	// ctx is the life of the Upstream.
	ctx    context.Context //nolint:containedctx // see above.
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	closed  bool
	now     *imported                 // what was last read, or nil
	service *egress.Client            // for its base
	clients map[string]*egress.Client // by origin, those with credentials
	other   *egress.Client            // for the document, where that is elsewhere
	calls   sync.WaitGroup
}

// New checks the options and returns an upstream that has read nothing yet. Close
// it when it is no longer needed.
func New(o Options) (*Upstream, error) {
	o.setDefaults()
	fail := func(err error) (*Upstream, error) { return nil, fmt.Errorf("source %q: %w", o.Name, err) }
	if err := o.check(); err != nil {
		return fail(err)
	}
	u := &Upstream{o: o, by: "upstream/" + o.Name, look: make(chan struct{}, 1), clients: map[string]*egress.Client{}}
	var err error
	if u.from, err = o.documentURL(); err != nil {
		return fail(err)
	}
	if len(o.Calls) > 0 {
		if u.made, err = describe(o.Calls); err != nil {
			return fail(err)
		}
	}
	// What is wrong with the credentials is told now, not when the document comes.
	where := o.URL
	if where == "" && u.from != nil {
		where = origin(u.from)
	}
	if where != "" {
		base, err := checkServer(where)
		if err == nil {
			err = u.serve(base)
		}
		if err != nil {
			return nil, err
		}
	}
	if u.from != nil && !sameOrigin(u.from, u.service.URL()) {
		if u.other, err = o.client(origin(u.from), false); err != nil {
			return nil, errors.Join(err, u.service.Close())
		}
	}
	u.ctx, u.cancel = context.WithCancelCause(context.Background()) //nolint:forbidigo // Close ends it.
	return u, nil
}

// serve makes the client for a service that is there the one that is used. u.mu
// is held, or nobody else has u.
func (u *Upstream) serve(base *url.URL) error {
	c := u.clients[origin(base)]
	if c == nil {
		var err error
		if c, err = u.o.client(base.String(), true); err != nil {
			return err
		}
		u.clients[origin(base)] = c
	}
	u.service = c
	return nil
}

// Limit returns how long a call may take: the Timeout of the options.
func (u *Upstream) Limit() time.Duration { return u.o.Timeout }

// Provider returns where the service's users connect, or nil where they do not.
func (u *Upstream) Provider() connect.Provider {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.service == nil {
		return nil
	}
	return u.service.Provider()
}

// Connections returns the counts of connections to the service.
func (u *Upstream) Connections() egress.Connections {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.service == nil {
		return egress.Connections{}
	}
	return u.service.Connections()
}

// Close ends what runs and waits for it. Calls that are running fail, sequences
// of Watch end.
func (u *Upstream) Close() error {
	u.mu.Lock()
	u.closed = true
	u.mu.Unlock()
	u.cancel(egress.ErrClosed)
	u.calls.Wait()
	var err error
	for _, c := range u.clients {
		err = errors.Join(err, c.Close())
	}
	if u.other != nil {
		err = errors.Join(err, u.other.Close())
	}
	return err
}

// away is the failure of a call to a service that is not served.
func (u *Upstream) away(cause error) *gateway.Error {
	return &gateway.Error{Code: gateway.Unavailable, By: u.by, Msg: "the upstream is not available now", Err: cause}
}

// enter notes that something runs, which Close waits for, and returns what is
// known of the service. The caller calls u.calls.Done.
func (u *Upstream) enter() (*imported, *egress.Client, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed || u.now == nil {
		return nil, nil, u.away(egress.ErrClosed)
	}
	u.calls.Add(1)
	return u.now, u.service, nil
}

// Do makes the request that a call asks for, and returns what the service
// answered.
func (u *Upstream) Do(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	now, client, err := u.enter()
	if err != nil {
		return nil, err
	}
	defer u.calls.Done()
	p, args, err := u.find(now, call)
	if err != nil {
		return nil, err
	}
	req, err := p.request(args)
	if err != nil {
		return nil, u.fault(ctx, client, err)
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer context.AfterFunc(u.ctx, func() { end(egress.ErrClosed) })() //nolint:contextcheck // the upstream's own life.
	res, err := u.carry(ctx, client, p, req, call)
	if err != nil && errors.Is(context.Cause(ctx), egress.ErrClosed) {
		return nil, u.away(err)
	}
	return res, err
}

// carry sends a request as its caller, in the time that there is.
func (u *Upstream) carry(ctx context.Context, client *egress.Client, p *plan, req *request, call *gateway.Call) (*gateway.Result, error) {
	ctx, err := client.Admit(ctx, call)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, u.o.Timeout, egress.ErrSlow)
	defer cancel()
	return u.send(ctx, client, p, req, call)
}

// find returns the plan of a call's target, and its arguments.
func (u *Upstream) find(now *imported, call *gateway.Call) (*plan, []byte, error) {
	switch call.Op { //nolint:exhaustive // There is nothing else to do.
	case gateway.OpCall:
		if p := now.plans[call.Target.Origin]; p != nil {
			return p, call.Args, nil
		}
	case gateway.OpRead:
		if r := now.resources[call.Target.Origin]; r != nil {
			return r.plan, r.arguments(call.Name), nil
		}
	case gateway.OpGet:
	default:
		return nil, nil, &gateway.Error{Code: gateway.Unimplemented, By: u.by, Msg: "the upstream cannot do that"}
	}
	return nil, nil, gateway.NotFoundError(call, u.by, nil)
}

// send sends a request and reads the answer.
func (u *Upstream) send(ctx context.Context, client *egress.Client, p *plan, r *request, call *gateway.Call) (*gateway.Result, error) {
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, p.method, r.url, body)
	if err != nil {
		return nil, u.fault(ctx, client, bad("the arguments make a URL that is not valid"))
	}
	req.Header = r.header
	res, err := client.Do(req)
	if err != nil {
		return nil, u.fault(ctx, client, err)
	}
	defer res.Body.Close() //nolint:errcheck // it has been read.
	if u.streams(res) {
		return u.follow(ctx, client, res, call)
	}
	a, err := read(res, u.o.MaxResponse)
	if err != nil {
		return nil, u.fault(ctx, client, err)
	}
	if a.status/100 != 2 {
		return u.failed(ctx, client, p, a, call)
	}
	var result *gateway.Result
	if call.Op == gateway.OpRead {
		result = a.read(call.Name)
	} else {
		result, err = a.result("openapi://" + u.o.Name + "/" + p.name)
	}
	if err != nil {
		return nil, u.fault(ctx, client, err)
	}
	return result, nil
}

// failed returns what an answer that is not a success says: about the gateway or
// the service, an error; about what was asked, the result of a tool.
func (u *Upstream) failed(ctx context.Context, client *egress.Client, p *plan, a *answer, call *gateway.Call) (*gateway.Result, error) {
	cause := &egress.StatusError{Status: a.status, Text: egress.OneLine(a.text(), 256)}
	refused := client.Refused(ctx, a.status, a.header)
	switch {
	case refused != nil && (a.status != http.StatusForbidden || u.shows(p, client)):
		refused.Err = cause
		return nil, refused
	case call.Op != gateway.OpRead:
		return a.failed(), nil
	case a.status == http.StatusNotFound:
		return nil, gateway.NotFoundError(call, u.by, cause)
	}
	return nil, &gateway.Error{Code: gateway.Unknown, By: u.by, Msg: fmt.Sprintf("the upstream answered with status %d", a.status), Err: cause}
}

// shows reports whether a request carries a credential that a refusal can be
// about.
func (u *Upstream) shows(p *plan, client *egress.Client) bool {
	return len(p.secrets) > 0 || len(u.o.Headers) > 0 || u.o.OAuth != nil || client.PerCaller()
}
