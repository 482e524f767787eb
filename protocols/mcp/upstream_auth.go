package mcp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"

	"github.com/trilith-gateway/trilith/protocols/http1"
)

// An Authorizer gives the credentials of requests to one upstream. They go to
// the upstream's URL and nowhere else. Its methods are safe for concurrent use.
type Authorizer interface {
	// Authorization returns the value of the Authorization header, or "" to send
	// none: the server then says what it wants. A token of the scheme DPoP is
	// sent with a proof by the key of the [UpstreamOptions]. An error fails the request and is
	// the operator's to read.
	Authorization(ctx context.Context) (string, error)
	// Challenged is told that a request was answered 401 or 403, and reports
	// whether to send it once more. The body of the answer is the caller's.
	Challenged(ctx context.Context, req *http.Request, res *http.Response) (again bool, err error)
}

// maxChallenges bounds how often one request is sent again: once for a token
// and once for one with more scope.
const maxChallenges = 2

// An authError is a failure to obtain a credential.
type authError struct{ cause error }

func (e *authError) Error() string { return "authorization: " + e.cause.Error() }
func (e *authError) Unwrap() error { return e.cause }

// setAuth makes the Authorizer that the options ask for.
func (u *Upstream) setAuth() error {
	o := &u.o
	if o.OAuth == nil && o.Authorizer == nil {
		return nil
	}
	switch {
	case u.url == nil:
		return errors.New("a program takes no credentials; use the environment")
	case o.OAuth != nil && o.Authorizer != nil:
		return errors.New("credentials come either from OAuth or from an Authorizer")
	}
	for name := range o.Headers {
		if http.CanonicalHeaderKey(name) == "Authorization" {
			return errors.New("credentials come either from OAuth or from the header Authorization")
		}
	}
	if o.DPoP == nil {
		var err error
		if o.DPoP, err = NewDPoPKey(); err != nil {
			return err
		}
	}
	if u.auth = o.Authorizer; o.OAuth != nil {
		return u.setTokens()
	}
	return nil
}

// setTokens makes the Authorizer that gets tokens: for the gateway itself, or
// for each caller.
func (u *Upstream) setTokens() error {
	o := &u.o
	t, err := newTokens(u, *o.OAuth)
	if err != nil {
		return err
	}
	u.auth = t
	switch {
	case o.OAuth.Exchange != nil:
		u.each = newExchanger(t, u.by)
	case o.OAuth.Users != nil:
		u.each = &userTokens{own: t, users: o.OAuth.Users, name: o.Name}
	default:
		return nil
	}
	if o.MinSessions > 0 {
		return errors.New("sessions for callers to come cannot be opened where each caller has credentials")
	}
	o.Sessions, u.auth = sessionsPrincipal, u.each
	return nil
}

// spawn runs f in a goroutine that Close waits for, with the upstream's own
// context. It reports false, and does nothing, where the upstream is closed.
func (u *Upstream) spawn(f func(context.Context)) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return false
	}
	u.wg.Go(func() { f(u.ctx) })
	return true
}

// authorized sends a request with the upstream's credential, and again where
// the Authorizer has an answer to the server's challenge (authorization, access
// token usage and error handling).
func (u *Upstream) authorized(ctx context.Context, r *http1.Request) (*http1.Response, error) {
	if u.auth == nil {
		return u.wire.Do(ctx, r)
	}
	for challenges := 0; ; challenges++ {
		value, err := u.auth.Authorization(ctx)
		if err != nil {
			return nil, &authError{err}
		}
		sent := *r
		if value != "" {
			if sent.Head, err = http1.AppendField(slices.Clip(r.Head), "Authorization", value); err != nil {
				return nil, &authError{err}
			}
		}
		res, err := u.sendWith(ctx, &sent, value)
		if err != nil || challenges == maxChallenges ||
			res.Status != http.StatusUnauthorized && res.Status != http.StatusForbidden {
			return res, err
		}
		again, err := u.challenged(ctx, &sent, res)
		if err == nil && !again {
			return res, nil
		}
		_, _ = io.CopyN(io.Discard, res, maxErrorBody) // So that the connection can be used again.
		_ = res.Close()                                // It has been read.
		if err != nil {
			return nil, &authError{err}
		}
	}
}

// sendWith sends a request whose credential is value. One that is bound to a key
// goes with a proof.
func (u *Upstream) sendWith(ctx context.Context, r *http1.Request, value string) (*http1.Response, error) {
	if !boundToKey(value) {
		return u.wire.Do(ctx, r)
	}
	req, err := r.HTTP(ctx, u.url)
	if err != nil {
		return nil, err
	}
	res, err := u.o.DPoP.do(req, u.http.Do) //nolint:bodyclose // the http1.Response does.
	if err != nil {
		return nil, err
	}
	return http1.Wrap(ctx, res), nil
}

func (u *Upstream) challenged(ctx context.Context, r *http1.Request, res *http1.Response) (bool, error) {
	req, err := r.HTTP(ctx, u.url)
	if err != nil {
		return false, err
	}
	return u.auth.Challenged(ctx, req, res.HTTP()) //nolint:bodyclose // as above.
}
