package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// A Request is what [Client.Do] sends. It is not changed and can be sent again.
type Request struct {
	// Head is the request line and all fields but Content-Length, as
	// [AppendRequestLine] and [AppendField] make them.
	Head []byte
	// Body is the content; nil sends no Content-Length. It must not be changed
	// until the response is closed.
	Body []byte
	// Deadline ends the exchange, the reading of its body included, with
	// [os.ErrDeadlineExceeded]; it costs less than a context's. Zero is none.
	Deadline time.Time
	// Group ends the exchange too; nil is none.
	Group *Group
	// Idempotent says that to send the request twice does as much as to send it
	// once (RFC 9110, section 9.2.2).
	Idempotent bool
}

// AppendRequestLine appends the first line of a request for a URL, and the Host
// field. The method is neither HEAD nor CONNECT, whose responses end otherwise.
func AppendRequestLine(b []byte, method string, u *url.URL) []byte {
	b = append(append(b, method...), ' ')
	b = append(append(b, u.RequestURI()...), " HTTP/1.1\r\nHost: "...)
	return append(append(b, u.Host...), "\r\n"...)
}

// AppendField appends a header field. A name or value that cannot stand in a
// message (RFC 9110, section 5) is an error, and nothing is appended.
func AppendField(b []byte, name, value string) ([]byte, error) {
	if !isToken(name) {
		return b, fmt.Errorf("%q is not the name of a header field", name)
	}
	if !isValue(value) {
		return b, fmt.Errorf("the value of header field %s is not valid", name)
	}
	b = append(append(b, name...), ": "...)
	return append(append(b, value...), "\r\n"...), nil
}

// HTTP returns the request as net/http has it, to the origin of a URL.
func (r *Request) HTTP(ctx context.Context, origin *url.URL) (*http.Request, error) {
	text := append(bytes.Clone(r.Head), "\r\n"...)
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
	if err != nil {
		return nil, err
	}
	req.URL.Scheme, req.URL.Host, req.RequestURI = origin.Scheme, origin.Host, ""
	if r.Body != nil {
		req.ContentLength = int64(len(r.Body))
		body := bytes.Clone(r.Body) // Net/http may read on when the response is closed.
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		req.Body, _ = req.GetBody() // It never fails.
	}
	return req.WithContext(ctx), nil
}

// appendLength appends Content-Length and the empty line that ends the head.
func (r *Request) appendLength(b []byte) []byte {
	if r.Body != nil {
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), int64(len(r.Body)), 10), "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// isToken reports whether text is a token (RFC 9110, section 5.6.2).
func isToken[T string | []byte](text T) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-':
		case c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0:
			return false
		}
	}
	return len(text) > 0
}

// isValue reports whether text can be a field's value (RFC 9110, section 5.5).
func isValue[T string | []byte](text T) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// through sends a request by net/http.
func (c *Client) through(ctx context.Context, r *Request) (*Response, error) {
	ctx, stop := r.bound(ctx)
	req, err := r.HTTP(ctx, &c.origin)
	if err != nil {
		stop()
		return nil, err
	}
	res, err := c.o.Other.RoundTrip(req) //nolint:bodyclose // the Response does.
	if err != nil {
		defer stop()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, err
	}
	wrapped := Wrap(ctx, res)
	wrapped.free = stop
	return wrapped, nil
}

// bound returns a context that ends with everything that ends the request.
func (r *Request) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	stop := r.Group.also(end)
	expire := context.CancelFunc(func() {})
	if !r.Deadline.IsZero() {
		ctx, expire = context.WithDeadlineCause(ctx, r.Deadline, os.ErrDeadlineExceeded)
	}
	return ctx, func() {
		stop()
		expire()
		end(nil)
	}
}

// Wrap returns a response of net/http, to a request with that context, as one of
// this package.
func Wrap(ctx context.Context, res *http.Response) *Response {
	return &Response{Status: res.StatusCode, Length: res.ContentLength, ctx: ctx, other: res}
}

var errClosed = errors.New("the response has been closed")
