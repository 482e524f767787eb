package egress

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/internal/clip"
)

// What callers are told where the upstream said nothing.
const (
	msgAway       = "the upstream is not available now"
	msgNotAllowed = "the gateway may not use the upstream"
)

// ErrTooLarge says that an upstream's message passes a bound.
var ErrTooLarge = errors.New("the message is too large")

// Fault returns why a request failed, as the caller sees it: a [*gateway.Error],
// or the error of ctx where the caller has left or its deadline has passed. The
// context is that of the request; where its cause is [ErrSlow] or
// [os.ErrDeadlineExceeded] it was too slow.
func (c *Client) Fault(ctx context.Context, err error) error {
	if ready, ok := errors.AsType[*gateway.Error](err); ok {
		return ready
	}
	if need, ok := errors.AsType[*NeedsConnection](err); ok {
		return need.Refusal()
	}
	e := &gateway.Error{Code: gateway.Unavailable, By: c.by, Msg: msgAway, Err: err}
	_, isAuth := errors.AsType[*AuthError](err)
	slow := errors.Is(err, ErrSlow) || errors.Is(err, os.ErrDeadlineExceeded)
	switch {
	case isAuth && ctx.Err() == nil:
		e.Msg = msgNotAllowed
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), ErrSlow) && !errors.Is(context.Cause(ctx), os.ErrDeadlineExceeded):
		return ctx.Err() // The caller's own wish or deadline.
	case slow || ctx.Err() != nil:
		e.Code, e.Msg = gateway.DeadlineExceeded, "the upstream did not answer in time"
	case errors.Is(err, ErrTooLarge):
		e.Code, e.Msg = gateway.ResourceExhausted, "the upstream's answer is too large"
	}
	return e
}

// Refused returns what an HTTP status says about the gateway or the upstream as
// a whole, rather than about what was asked: that the credential will not do,
// that there are too many calls, or that the upstream is away. It returns nil for
// every other status. The context is that of the request: where it is on behalf
// of a caller, the credential is the caller's.
func (c *Client) Refused(ctx context.Context, status int, h http.Header) *gateway.Error {
	e := &gateway.Error{Code: gateway.Unavailable, By: c.by, Msg: msgAway, Err: &StatusError{Status: status}}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		e.Code, e.Msg = gateway.FailedPrecondition, msgNotAllowed
		if CallerOf(ctx) != nil {
			e.Code, e.Msg = gateway.PermissionDenied, "the upstream does not let this caller do that"
		}
		return e
	case http.StatusTooManyRequests:
		e.Code, e.Msg = gateway.ResourceExhausted, "the upstream takes no more calls now"
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
	default:
		return nil
	}
	e.Retry = RetryAfter(h.Get("Retry-After"))
	return e
}

// A StatusError is an HTTP status that is no answer.
type StatusError struct {
	Status int
	Retry  time.Duration // from Retry-After
	Text   string        // the beginning of the body, for the operator
}

// Error returns the status and the text.
func (e *StatusError) Error() string {
	s := "HTTP status " + strconv.Itoa(e.Status) + " " + http.StatusText(e.Status)
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}

// HTTPStatus returns the status, for who finds the error in a chain.
func (e *StatusError) HTTPStatus() int { return e.Status }

// maxRetry bounds how long an upstream can tell callers to wait.
const maxRetry = time.Hour

// RetryAfter reads the header field Retry-After (RFC 9110, section 10.2.3). It is
// at most an hour, and 0 where the field says nothing.
func RetryAfter(v string) time.Duration {
	var d time.Duration
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		d = time.Until(at)
	}
	return max(0, min(d, maxRetry))
}

// ReadAll reads a body of at most so many bytes, and fails with [ErrTooLarge]
// where there are more. What is announced, -1 where nothing is, costs no memory
// before it comes.
func ReadAll(r io.Reader, announced int64, most int) ([]byte, error) {
	if announced > int64(most) {
		return nil, ErrTooLarge
	}
	const trusted = 1 << 20
	size := min(announced, trusted)
	if size < 0 {
		size = 4096
	}
	data := make([]byte, 0, size+1)
	for {
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		n, err := r.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case len(data) > most:
			return nil, ErrTooLarge
		case errors.Is(err, io.EOF):
			return data, nil
		case err != nil:
			return nil, err
		}
	}
}

// OneLine returns a text without control characters, cut to at most n bytes: how
// anything that an upstream said is shown.
func OneLine(s string, n int) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, clip.Text(s, n))
}
