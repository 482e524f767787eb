package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/egress"
)

// Errors that only servers send.
const (
	codeMissingCapability = -32021 // from 2026-07-28: the client lacks what the request needs
	codeURLElicitation    = -32042 // 2025-11-25: somebody must first visit a URL
)

// Bounds on what a server's error may say.
const (
	maxErrorText = 1 << 10
	maxErrorData = 64 << 10
)

// What callers are told where the server said nothing.
const (
	msgAway       = "the upstream is not available now"
	msgBroken     = "the upstream's answer is not valid"
	msgNotAllowed = "the gateway may not use the upstream"
)

// An rpcError is an error response.
type rpcError struct {
	code    int
	message string
	data    json.RawMessage
}

func (e *rpcError) Error() string { return fmt.Sprintf("error %d: %s", e.code, e.message) }

// readError reads an error member. One without a proper code is code 0.
func readError(raw json.RawMessage) *rpcError {
	e := &rpcError{}
	o, _ := openObject(raw) // Anything else says nothing.
	for o.next() {
		switch string(o.name) {
		case "code":
			if jsonv2.Unmarshal(o.value, &e.code) != nil {
				e.code = 0
			}
		case "message":
			e.message, _ = unquote(o.value)
			e.message = egress.OneLine(e.message, maxErrorText)
		case "data":
			if len(o.value) <= maxErrorData && !isNull(o.value) {
				e.data = o.value
			}
		}
	}
	return e
}

// A lostError is a connection that could not be made or was lost.
type lostError struct{ cause error }

func (e *lostError) Error() string { return "connection lost: " + e.cause.Error() }
func (e *lostError) Unwrap() error { return e.cause }

func isLost(err error) bool {
	_, ok := errors.AsType[*lostError](err)
	return ok
}

// fault returns a failed call's error as the caller sees it. The context is the
// one of the call with the upstream's own time limit.
func (u *Upstream) fault(ctx context.Context, call *gateway.Call, err error) error {
	if ready, ok := errors.AsType[*gateway.Error](err); ok {
		return ready
	}
	if need, ok := errors.AsType[*egress.NeedsConnection](err); ok {
		return need.Refusal()
	}
	e := &gateway.Error{Code: gateway.Unavailable, By: u.by, Msg: msgAway, Err: err}
	rpc, isRPC := errors.AsType[*rpcError](err)
	status, isStatus := errors.AsType[*egress.StatusError](err)
	_, isAuth := errors.AsType[*egress.AuthError](err)
	switch {
	case isAuth && ctx.Err() == nil:
		e.Msg = msgNotAllowed
	case isRPC:
		rpc.describe(e, call)
	case isStatus:
		describeStatus(e, status)
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), errUpstreamSlow):
		return ctx.Err() // The caller's own wish or deadline.
	case errors.Is(err, errUpstreamSlow) || ctx.Err() != nil:
		e.Code, e.Msg = gateway.DeadlineExceeded, "the upstream did not answer in time"
	case errors.Is(err, errBusy):
		e.Code, e.Msg = gateway.ResourceExhausted, "too many calls to the upstream at once"
	case errors.Is(err, errTooLarge):
		e.Code, e.Msg = gateway.ResourceExhausted, "the upstream's answer is too large"
	case errors.Is(err, errBadAnswer):
		e.Code, e.Msg = gateway.Internal, msgBroken
	}
	return e
}

// describe turns an error response into the gateway's terms. The message is the
// server's own; the cause is for the operator.
func (e *rpcError) describe(g *gateway.Error, call *gateway.Call) {
	g.Code, g.Msg, g.Data = gatewayCode(e.code), e.message, e.data
	switch e.code { // These are about the request; an internal error is not.
	case codeParse, codeInvalidRequest, codeHeaderMismatch:
		g.Answered = true
	}
	if g.Msg == "" {
		g.Msg = "the upstream refused the call"
	}
	var data struct {
		Code  string          `json:"code"`
		Retry int64           `json:"retryAfterMs"`
		URI   any             `json:"uri"`
		Needs json.RawMessage `json:"requiredCapabilities"`
	}
	if isObject(e.data) {
		_ = jsonv2.Unmarshal(e.data, &data, halves()) // Data of another form says nothing here.
	}
	resource := call.Op == gateway.OpRead || call.Op == gateway.OpSubscribe
	switch {
	case e.code == codeMissingCapability && isObject(data.Needs):
		g.Code, g.Needs = gateway.FailedPrecondition, data.Needs
	case e.code == codeMissingCapability:
		g.Code = gateway.Unimplemented
	case e.code == codeURLElicitation:
		g.Code = gateway.FailedPrecondition
	case e.code == codeHeaderMismatch:
		g.Code, g.Msg, g.Data = gateway.Unavailable, msgAway, nil // The definition has changed; it is being listed again.
	case e.code == codeInvalidParams && resource && data.URI != nil:
		g.Code = gateway.NotFound
	}
	if c, ok := passedCode(data.Code); ok {
		g.Code = c
	}
	if data.Retry > 0 {
		g.Retry = time.Duration(min(data.Retry, maxRetry.Milliseconds())) * time.Millisecond
	}
}

// maxRetry bounds how long a server can tell callers to wait.
const maxRetry = time.Hour

// passedCode reads the code that a gateway names in its errors' data. What only
// this gateway can know of its caller is not taken from a server.
func passedCode(name string) (gateway.Code, bool) {
	for c := gateway.Canceled; int(c) < gateway.CodeCount; c++ {
		if c.String() == name {
			return c, c != gateway.Canceled && c != gateway.Unauthenticated
		}
	}
	return 0, false
}

// describeStatus turns an HTTP status into the gateway's terms.
func describeStatus(g *gateway.Error, e *egress.StatusError) {
	g.Retry = e.Retry
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		g.Msg, g.Answered = msgNotAllowed, true // One caller's credential may be the reason.
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestHeaderFieldsTooLarge:
		g.Answered = true
	case http.StatusTooManyRequests:
		g.Code, g.Msg = gateway.ResourceExhausted, "the upstream takes no more calls now"
	case http.StatusRequestEntityTooLarge:
		g.Code, g.Msg = gateway.ResourceExhausted, "the call is too large for the upstream"
	}
}
