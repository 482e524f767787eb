package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"

	"github.com/trilith-gateway/trilith/protocols/http1"
)

// maxReplay bounds the body of a request that is sent from memory; larger ones
// are read as they are sent.
const maxReplay = 16 << 20

var errElsewhere = errors.New("the request is not to the origin of the upstream")

// Do sends a request to the upstream's origin, with the fields of Options.Headers,
// which come before its own of the same name, and the credential of its context,
// and again where the Authorizer has an answer to the upstream's challenge: a
// request with a body has GetBody for that. No redirect is followed and no
// cookie is kept. The error is an [*AuthError] where there is no credential;
// [Client.Fault] tells it to the caller. The body of the response is to be closed.
//
// Fields that HTTP itself sets are not sent, whatever the request has of them.
//
// When the request's context ends, before or after Do has returned, so does the
// reading of the response.
func (c *Client) Do(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != c.url.Scheme || !strings.EqualFold(req.URL.Host, c.url.Host) || req.URL.User != nil {
		return nil, errElsewhere
	}
	ctx := req.Context()
	req = req.Clone(ctx)
	req.Host = ""
	for name := range req.Header {
		// Whoever made the request, where it ends is not in its fields.
		canonical := http.CanonicalHeaderKey(name)
		if ofHTTP(canonical) || c.set[canonical] != nil || canonical == "Authorization" && c.auth != nil {
			delete(req.Header, name)
		}
	}
	maps.Copy(req.Header, c.set)
	res, err := c.carry(ctx, req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, err
	}
	return res.HTTP(), nil
}

func (c *Client) carry(ctx context.Context, req *http.Request) (*http1.Response, error) {
	wire, err := c.toWire(req)
	switch {
	case err != nil:
		return nil, err
	case wire != nil:
		return c.Send(ctx, wire)
	case c.auth == nil:
		return (&httpRequest{c: c, req: req}).send(ctx, "")
	}
	return c.authorized(ctx, &httpRequest{c: c, req: req})
}

// toWire returns the request as the client for one origin sends it, or nil where
// it cannot: responses to HEAD end otherwise, and a body that cannot be read
// twice is not kept here.
func (c *Client) toWire(req *http.Request) (*http1.Request, error) {
	hasBody := req.Body != nil && req.Body != http.NoBody
	if req.Method == http.MethodHead || hasBody && (req.GetBody == nil || req.ContentLength < 0 || req.ContentLength > maxReplay) {
		return nil, nil //nolint:nilnil // As the comment says.
	}
	r := &http1.Request{Idempotent: idempotent(req.Method)}
	var err error
	if r.Head, err = head(req); err != nil {
		return nil, err
	}
	if !hasBody {
		if req.Method == http.MethodPost || req.Method == http.MethodPut || req.Method == http.MethodPatch {
			r.Body = []byte{} // It has a length, which is none (RFC 9110, section 8.6).
		}
		return r, nil
	}
	defer req.Body.Close() //nolint:errcheck // it has been read.
	r.Body = make([]byte, req.ContentLength)
	if _, err := io.ReadFull(req.Body, r.Body); err != nil {
		return nil, fmt.Errorf("the body of the request: %w", err)
	}
	return r, nil
}

// head returns a request's line and fields.
func head(req *http.Request) (b []byte, err error) {
	b = http1.AppendRequestLine(make([]byte, 0, 512), req.Method, req.URL)
	for name, values := range req.Header {
		for _, v := range values {
			if b, err = http1.AppendField(b, name, v); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

// idempotent reports whether to send a request twice does as much as to send it
// once (RFC 9110, section 9.2.2).
func idempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// An httpRequest is sent by net/http.
type httpRequest struct {
	c     *Client
	req   *http.Request
	again bool
}

func (r *httpRequest) repeatable() bool {
	return r.req.Body == nil || r.req.Body == http.NoBody || r.req.GetBody != nil
}

func (r *httpRequest) sent(context.Context) (*http.Request, error) { return r.req, nil }

func (r *httpRequest) send(ctx context.Context, value string) (*http1.Response, error) {
	if r.again && r.req.GetBody != nil {
		body, err := r.req.GetBody()
		if err != nil {
			return nil, err
		}
		r.req.Body = body
	}
	r.again = true
	if value != "" {
		if _, err := http1.AppendField(nil, "Authorization", value); err != nil {
			return nil, &AuthError{err}
		}
		r.req.Header.Set("Authorization", value)
	}
	send := roundTripper(r.c.http.Transport.RoundTrip)
	if boundToKey(value) {
		send = func(req *http.Request) (*http.Response, error) {
			return r.c.o.DPoP.do(req, r.c.http.Transport.RoundTrip)
		}
	}
	res, err := send(r.req) //nolint:bodyclose // the http1.Response does.
	if err != nil {
		return nil, err
	}
	return http1.Wrap(ctx, res), nil
}

// Authorization returns the value of the header Authorization for a request with
// that context, or "" for none: what an [Authorizer] gives, or the header of the
// options. It is for protocols that are not sent by [Client.Do]; a token of the
// scheme DPoP is of no use to them, so that they set [OAuthOptions].DPoP to
// "never".
func (c *Client) Authorization(ctx context.Context) (string, error) {
	if c.auth == nil {
		return c.set.Get("Authorization"), nil
	}
	value, err := c.auth.Authorization(ctx)
	if err != nil {
		return "", &AuthError{err}
	}
	return value, nil
}

// Renew is told that the upstream no longer takes what [Client.Authorization]
// returned, and reports whether to ask again. The error is an [*AuthError].
func (c *Client) Renew(ctx context.Context, stale string) (bool, error) {
	if c.auth == nil {
		return false, nil
	}
	req := &http.Request{Method: http.MethodPost, URL: c.url, Header: http.Header{}}
	if stale != "" {
		req.Header.Set("Authorization", stale)
	}
	again, err := c.auth.Challenged(ctx, req, &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{}, Body: http.NoBody})
	if err != nil {
		return false, &AuthError{err}
	}
	return again, nil
}
