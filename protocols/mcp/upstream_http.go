package mcp

import (
	"context"
	"errors"
	"strings"

	"github.com/trilith-gateway/trilith/auth/connect"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/egress"
)

// setHTTP makes the client of a server behind HTTP.
func (u *Upstream) setHTTP() error {
	o := &u.o
	if o.URL == "" {
		if o.OAuth != nil || o.Authorizer != nil {
			return errors.New("a program takes no credentials; use the environment")
		}
		return nil
	}
	c, err := egress.New(egress.Options{
		Name: o.Name, URL: o.URL, Headers: o.Headers, Reserved: reservedHeader, UserAgent: "trilith/" + o.Version,
		OAuth: o.OAuth, Authorizer: o.Authorizer, DPoP: o.DPoP, Metadata: true, AllowPrivate: o.AllowPrivate, Timeout: o.Timeout, Logger: o.Logger,
	})
	if err != nil {
		return err
	}
	if c.PerCaller() {
		if o.MinSessions > 0 {
			_ = c.Close() // It holds nothing yet.
			return errors.New("sessions for callers to come cannot be opened where each caller has credentials")
		}
		o.Sessions = sessionsPrincipal
	}
	u.http, u.url = c, c.URL()
	return nil
}

// reservedHeader reports whether the protocol sets a header itself.
func reservedHeader(name string) bool {
	switch name {
	case "Accept", "Content-Encoding", "Content-Type", "Last-Event-Id":
		return true
	}
	return strings.HasPrefix(name, "Mcp-")
}

// perCaller reports whether each caller has credentials at the server.
func (u *Upstream) perCaller() bool { return u.http != nil && u.http.PerCaller() }

// Provider returns the upstream's authorization server, where users connect, or
// nil where they do not.
func (u *Upstream) Provider() connect.Provider {
	if u.http == nil {
		return nil
	}
	return u.http.Provider()
}

// withCallerOf returns a context for what is done for a link as a whole: with
// the credential that its caller showed last.
func withCallerOf(ctx context.Context, l *link) context.Context {
	if !l.u.perCaller() || l == l.u.shared {
		return ctx
	}
	return egress.WithCaller(ctx, func() *egress.Caller {
		l.u.mu.Lock()
		defer l.u.mu.Unlock()
		return l.caller
	})
}

// admit returns the context for a call that is to be made on its caller's
// behalf, once there is a token for it.
func (u *Upstream) admit(ctx context.Context, call *gateway.Call) (context.Context, error) {
	if u.http == nil {
		return ctx, nil
	}
	return u.http.Enter(ctx, call)
}

const (
	connectKey   = "connect"
	connectState = "urn:trilith:connect" // of a call that goes on once its user has connected
)

// askToConnect returns the result of a call that goes on once its user has
// connected.
func askToConnect(need *egress.NeedsConnection) *gateway.Result {
	return &gateway.Result{Input: &gateway.InputRequest{Questions: map[string]gateway.Question{connectKey: need.Question()}, State: connectState}}
}

// connect has the user of a call visit the URL. It returns no context where the
// caller is to be asked, the context to go on with where the user has connected
// meanwhile, or the refusal.
func (u *Upstream) connect(ctx context.Context, call *gateway.Call, need *egress.NeedsConnection) (context.Context, error) {
	if call.Resume == nil || call.Resume.State != connectState {
		if !asks(call.Op) || !egress.ShowsURLs(call) {
			return nil, need.Refusal()
		}
		return nil, nil //nolint:nilnil // As the comment says.
	}
	return need.Await(ctx, call.Resume.Answers[connectKey])
}

// unconnected returns a call as the server is to get it: what it was asked here
// is not the server's.
func unconnected(call *gateway.Call) *gateway.Call {
	if call.Resume == nil || call.Resume.State != connectState {
		return call
	}
	first := *call
	first.Resume = nil
	return &first
}
