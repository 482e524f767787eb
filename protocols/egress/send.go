package egress

import (
	"context"
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
	// sent with a proof by the key of the [Options]. An error fails the request and is
	// the operator's to read.
	Authorization(ctx context.Context) (string, error)
	// Challenged is told that a request was answered 401 or 403, and reports
	// whether to send it once more. The body of the answer is the caller's.
	Challenged(ctx context.Context, req *http.Request, res *http.Response) (again bool, err error)
}

// maxChallenges bounds how often one request is sent again: once for a token
// and once for one with more scope.
const maxChallenges = 2

// An AuthError is a failure to obtain a credential of the gateway's.
type AuthError struct{ Cause error }

// Error returns the cause, for the operator.
func (e *AuthError) Error() string { return "authorization: " + e.Cause.Error() }

// Unwrap returns the cause.
func (e *AuthError) Unwrap() error { return e.Cause }

// Send sends a request with the credential of its context, and again where the
// Authorizer has an answer to the upstream's challenge (RFC 6750, section 3). The
// request is to the upstream's origin, and its Head holds the [Client.Fields]
// that it is to have. The error is an [*AuthError] where there is no credential.
func (c *Client) Send(ctx context.Context, r *http1.Request) (*http1.Response, error) {
	if c.auth == nil {
		return c.wire.Do(ctx, r)
	}
	return c.authorized(ctx, &wireRequest{c: c, r: r})
}

// A request is one that can be sent with one credential after another.
type request interface {
	// send sends it with a value of Authorization, or "" for none.
	send(ctx context.Context, value string) (*http1.Response, error)
	// sent returns it as net/http has it, as it was sent last, without its body.
	sent(ctx context.Context) (*http.Request, error)
	// repeatable reports whether it can be sent once more.
	repeatable() bool
}

// authorized sends a request with a credential, and once more for each challenge
// that the Authorizer has an answer to.
func (c *Client) authorized(ctx context.Context, r request) (*http1.Response, error) {
	for challenges := 0; ; challenges++ {
		value, err := c.auth.Authorization(ctx)
		if err != nil {
			return nil, &AuthError{err}
		}
		res, err := r.send(ctx, value)
		if err != nil || challenges == maxChallenges || !r.repeatable() ||
			res.Status != http.StatusUnauthorized && res.Status != http.StatusForbidden {
			return res, err
		}
		req, err := r.sent(ctx)
		if err != nil {
			_ = res.Close() // The other error says more.
			return nil, err
		}
		again, err := c.auth.Challenged(ctx, req, res.HTTP()) //nolint:bodyclose // the http1.Response does.
		if err == nil && !again {
			return res, nil
		}
		_, _ = io.CopyN(io.Discard, res, maxErrorBody) // So that the connection can be used again.
		_ = res.Close()                                // It has been read.
		if err != nil {
			return nil, &AuthError{err}
		}
	}
}

// maxErrorBody bounds what is read of an answer that is none.
const maxErrorBody = 64 << 10

// A wireRequest is sent by the client for one origin.
type wireRequest struct {
	c    *Client
	r    *http1.Request
	last http1.Request // as it was sent
}

func (w *wireRequest) repeatable() bool { return true }

func (w *wireRequest) sent(ctx context.Context) (*http.Request, error) {
	return w.last.HTTP(ctx, w.c.url)
}

// send sends the request; one whose credential is bound to a key goes with a
// proof.
func (w *wireRequest) send(ctx context.Context, value string) (*http1.Response, error) {
	w.last = *w.r
	if value != "" {
		var err error
		if w.last.Head, err = http1.AppendField(slices.Clip(w.r.Head), "Authorization", value); err != nil {
			return nil, &AuthError{err}
		}
	}
	if !boundToKey(value) {
		return w.c.wire.Do(ctx, &w.last)
	}
	req, err := w.last.HTTP(ctx, w.c.url)
	if err != nil {
		return nil, err
	}
	res, err := w.c.o.DPoP.do(req, w.c.http.Do) //nolint:bodyclose // the http1.Response does.
	if err != nil {
		return nil, err
	}
	return http1.Wrap(ctx, res), nil
}
