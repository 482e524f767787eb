package mcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/protocols/egress"
)

const (
	// probeTimeout is how long a program may be silent when asked for its era:
	// some legacy ones answer nothing before initialize.
	probeTimeout = 5 * time.Second
	// stableAfter is how long a connection must have lasted for its end not to
	// count as one more failure in a row.
	stableAfter = 10 * time.Second
)

// An attempt to connect, which many callers may wait for.
type attempt struct {
	done chan struct{}
	conn *client
	err  error
}

// lost forgets a connection that has ended and counts that as a failure, unless
// it lasted or only its session ended. u.mu is held.
func (l *link) lost(c *client) {
	if l.conn != c {
		return
	}
	l.conn = nil
	cause := context.Cause(c.ctx)
	if !errors.Is(cause, errUnused) && !errors.Is(cause, errUpstreamClosed) {
		l.u.stats.Lost++
	}
	if errors.Is(cause, errSessionEnded) {
		return
	}
	if time.Since(c.born) >= stableAfter {
		l.failures = 0
	}
	l.penalize(cause)
}

// tend waits for the end of a connection and clears away what is left of it.
func (l *link) tend(c *client) {
	<-c.ctx.Done()
	l.u.mu.Lock()
	l.lost(c)
	l.u.mu.Unlock()
	c.close(nil)
}

// penalize notes a failure and when to try again. u.mu is held.
func (l *link) penalize(cause error) {
	l.failures++
	o := &l.u.o
	wait := o.MaxBackoff
	if shift := l.failures - 1; shift < 30 && o.Backoff<<shift < wait {
		wait = o.Backoff << shift
	}
	wait = wait/2 + rand.N(wait/2+1) //nolint:gosec // jitter.
	l.retryAt, l.lastErr = time.Now().Add(wait), cause
}

// connect makes one attempt.
func (l *link) connect(a *attempt) {
	u := l.u
	ctx, cancel := context.WithTimeoutCause(withCallerOf(u.ctx, l), u.o.Timeout, errUpstreamSlow)
	defer cancel()
	c, err := u.dial(ctx)
	u.mu.Lock()
	defer u.mu.Unlock()
	defer close(a.done)
	l.attempt = nil
	switch {
	case u.closed:
		a.err = errUpstreamClosed
	case err != nil:
		a.err = err
		u.stats.Failed++
		l.penalize(err)
	case l.gone:
		a.err = &lostError{errUnused}
		c.cancel(a.err)
	default:
		l.conn, a.conn = c, c
	}
	if err == nil {
		u.stats.Opened++
		u.stateless = c.modern() && !c.isProcess()
		u.fill()
		u.wg.Go(func() { l.tend(c) })
		u.o.Logger.InfoContext(u.ctx, "connected", slog.String("source", u.o.Name), slog.String("revision", c.rev))
	}
}

// dial connects and agrees on a revision.
func (u *Upstream) dial(ctx context.Context) (*client, error) {
	u.mu.Lock()
	era, events := u.era, u.events // Empty where it is not known.
	u.mu.Unlock()
	if u.o.Era != eraAuto {
		era = u.o.Era
	}
	if events {
		return u.start(ctx, u.openEvents)
	}
	c, err := u.open(ctx)
	if err != nil {
		return nil, err
	}
	if era != eraLegacy {
		modern, err := c.discover(ctx)
		if modern {
			u.found("", false)
			return c, nil
		}
		if c, err = u.fallBack(ctx, c, era, err); err != nil {
			return nil, err
		}
	}
	err = c.initialize(ctx)
	if err == nil {
		u.found(eraLegacy, false)
		return c, nil
	}
	c.close(err)
	u.found("", false)
	return u.start(ctx, func(ctx context.Context) (*client, error) { return u.tryEvents(ctx, err) })
}

// start opens a connection over HTTP+SSE and begins its session.
func (u *Upstream) start(ctx context.Context, open func(context.Context) (*client, error)) (*client, error) {
	c, err := open(ctx)
	if err != nil {
		u.found("", false)
		return nil, err
	}
	if err := c.initialize(ctx); err != nil {
		u.found("", false)
		c.close(err)
		return nil, err
	}
	u.found(eraLegacy, true)
	return c, nil
}

// fallBack returns the connection over which a server that is not modern is to
// be initialized, or the error of asking it for its era.
func (u *Upstream) fallBack(ctx context.Context, c *client, era string, err error) (*client, error) {
	if err == nil && era == eraModern {
		err = errNotSupported
	}
	if err == nil {
		return c, nil
	}
	ended := c.isProcess() && c.ctx.Err() != nil && ctx.Err() == nil
	c.close(err)
	if ended && era == "" {
		return u.open(ctx) // It may have ended because it knows only initialize.
	}
	return nil, err
}

// found remembers that a server is legacy, and whether it speaks HTTP+SSE, so
// that it is not probed again.
func (u *Upstream) found(era string, events bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.era, u.events = era, events
}

// open begins a connection that has no revision yet.
func (u *Upstream) open(ctx context.Context) (*client, error) {
	c := newClient(ctx, u)
	if u.url != nil {
		c.t = newHTTPTransport(c)
		return c, nil
	}
	if err := startProcess(ctx, c); err != nil {
		c.cancel(err)
		return nil, err
	}
	return c, nil
}

// capabilities are what a server says it can do, as far as it matters here.
type capabilities struct {
	Tools *struct {
		ListChanged bool `json:"listChanged"`
	} `json:"tools"`
	Prompts *struct {
		ListChanged bool `json:"listChanged"`
	} `json:"prompts"`
	Resources *struct {
		ListChanged bool `json:"listChanged"`
		Subscribe   bool `json:"subscribe"`
	} `json:"resources"`
	Completions *struct{} `json:"completions"`
	Logging     *struct{} `json:"logging"`
	Tasks       struct {  // 2025-11-25
		Requests struct {
			Tools struct {
				Call *struct{} `json:"call"`
			} `json:"tools"`
		} `json:"requests"`
	} `json:"tasks"`
	Extensions map[string]jsontext.Value `json:"extensions"`
}

// tasksExtension reports whether a modern server may answer with tasks.
func (c *capabilities) tasksExtension() bool { return c.Extensions[extensionTasks] != nil }

// tasksOfTools reports whether a server of 2025-11-25 makes tasks of calls.
func (c *capabilities) tasksOfTools() bool { return c.Tasks.Requests.Tools.Call != nil }

// discover asks a server whether it is modern, and reports false where it is
// legacy (versioning, backward compatibility).
func (c *client) discover(ctx context.Context) (bool, error) {
	if c.isProcess() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, probeTimeout, errProbe)
		defer cancel()
	}
	c.setRevision(rev20260728)
	raw, err := c.request(ctx, c.begin("server/discover"))
	if slices.Contains(supportedBy(err), rev20260728) {
		// It refuses the revision and names it: a server that is just being
		// replaced, perhaps. Once more, then (versioning, negotiation).
		raw, err = c.request(ctx, c.begin("server/discover"))
	}
	if err != nil {
		return false, legacyAnswer(ctx, err)
	}
	var d struct {
		Supported    []string     `json:"supportedVersions"`
		Capabilities capabilities `json:"capabilities"`
	}
	if err := jsonv2.Unmarshal(raw, &d, halves()); err != nil {
		return false, fmt.Errorf("server/discover: %w", err)
	}
	if !slices.Contains(d.Supported, rev20260728) {
		return false, nil
	}
	c.caps = d.Capabilities
	return true, nil
}

// supportedBy returns the revisions that a server names when it refuses one.
func supportedBy(err error) []string {
	e, ok := errors.AsType[*rpcError](err)
	if !ok || e.code != codeUnsupportedVersion {
		return nil
	}
	var data struct {
		Supported []string `json:"supported"`
	}
	_ = jsonv2.Unmarshal(e.data, &data) // Data of another form names none.
	return data.Supported
}

var errProbe = errors.New("no answer to server/discover")

// legacyAnswer returns nil where an error is what legacy servers say to
// server/discover, and the error itself where it means something else.
func legacyAnswer(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errProbe) {
		return nil
	}
	if e, ok := errors.AsType[*rpcError](err); ok {
		switch e.code {
		case codeHeaderMismatch, codeMissingCapability:
			return err
		case codeUnsupportedVersion:
			revisions := supportedBy(err)
			if slices.ContainsFunc(revisions, isModern) &&
				!slices.ContainsFunc(revisions, func(v string) bool { return supported(v) && !isModern(v) }) {
				return errNotSupported
			}
		}
		return nil
	}
	if e, ok := errors.AsType[*egress.StatusError](err); ok {
		switch e.Status {
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusTooManyRequests,
			http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return err
		}
		if e.Status >= http.StatusBadRequest {
			return nil
		}
	}
	return err
}

// initialize begins a legacy session (2025-11-25, lifecycle, initialization).
func (c *client) initialize(ctx context.Context) error {
	c.setRevision("")
	r := c.begin("initialize")
	r.body = append(append(append(r.body, `"protocolVersion":"`+newestLegacy+`","capabilities":`+askable+`,"clientInfo":`...), c.u.info...), ',')
	raw, err := c.request(ctx, r)
	if err != nil {
		return fmt.Errorf("initialize: %w", err)
	}
	var d struct {
		Version      string       `json:"protocolVersion"`
		Capabilities capabilities `json:"capabilities"`
	}
	if err := jsonv2.Unmarshal(raw, &d, halves()); err != nil {
		return fmt.Errorf("initialize: %w", err)
	}
	if !supported(d.Version) || isModern(d.Version) {
		return fmt.Errorf("%w: the server offers %q", errNotSupported, egress.OneLine(d.Version, 64))
	}
	c.caps = d.Capabilities
	c.setRevision(d.Version)
	if err := c.t.send(ctx, "notifications/initialized", []byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)); err != nil {
		return fmt.Errorf("notifications/initialized: %w", err)
	}
	if c.caps.Logging != nil {
		r := c.begin("logging/setLevel")
		r.body = append(r.body, `"level":"debug",`...) // The doors know what their clients want to read.
		if _, err := c.request(ctx, r); err != nil && ctx.Err() == nil {
			c.u.o.Logger.DebugContext(ctx, "logging/setLevel failed", slog.String("source", c.u.o.Name), slog.Any("error", err))
		}
	}
	return nil
}
