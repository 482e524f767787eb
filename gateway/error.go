package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// A Code says what kind of failure an [Error] is. The set is closed, with the
// names and numbers of gRPC's status codes; each protocol maps every Code to
// its own in one table, so a caller sees the same failure through all doors.
type Code uint8

// The codes. Zero, gRPC's OK, is not a failure and has no name here.
const (
	Canceled           Code = iota + 1 // the caller went away or cancelled
	Unknown                            // the upstream failed and did not say how
	InvalidArgument                    // the call or its arguments are malformed
	DeadlineExceeded                   // the call took longer than it was given
	NotFound                           // no such capability, or not one this principal may see
	AlreadyExists                      // what was to be made exists
	PermissionDenied                   // a policy refused a call on a capability the principal may see
	ResourceExhausted                  // a limit or quota refused the call
	FailedPrecondition                 // the state of the system does not allow the call
	Aborted                            // a concurrent change won
	OutOfRange                         // past the end, such as an expired cursor
	Unimplemented                      // the capability exists but cannot do that
	Internal                           // a bug, here or in the upstream
	Unavailable                        // the upstream is away; trying again later may help
	DataLoss                           // what was stored cannot be read
	Unauthenticated                    // no principal, or a bad credential
)

// CodeCount is one more than the highest Code: the length of a table by Code.
const CodeCount = int(Unauthenticated) + 1

var codeNames = [CodeCount]string{ //nolint:gochecknoglobals // a constant table.
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
	"PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
	"UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

// String returns the code's name as google.rpc.Code spells it, such as
// "NOT_FOUND".
func (c Code) String() string {
	if int(c) < CodeCount {
		return codeNames[c]
	}
	return "UNKNOWN"
}

// An Error is a call that did not reach its upstream or did not come back.
// Code, Msg, Data and Retry are for the caller; By and Err are for the
// operator, Answered is for guards; they never leave through a door.
//
// A tool that ran and failed is not an Error but a [Result] with IsError.
type Error struct {
	Code   Code
	By     string          // who refused: a gate ("policy", "arguments", …), "registry", "upstream/<source>", a door, "caller" or "gateway"
	Msg    string          // one line, safe to show to the caller
	Data   json.RawMessage // what an upstream said beyond its message, or nil
	Retry  time.Duration   // when trying again may help; 0 says nothing
	Scopes []string        // the scopes that a credential needs for this, all of them, where those of the caller's are too few; or nil
	Needs  json.RawMessage // the client capabilities that the call needs and the client lacks, as MCP's ClientCapabilities; or nil
	Err    error           // the cause, or nil

	// Answered says that the upstream is well, whatever the Code: it took the
	// request and answered that this one will not do. What a caller can bring about
	// by what it asks must not count against the upstream.
	Answered bool
}

// NeedsCapability returns the refusal of a call that wants to ask the caller
// something that the caller's client cannot answer. The capability is that of
// [Question.Capability].
func NeedsCapability(capability string) *Error {
	return &Error{
		Code: FailedPrecondition, By: "gateway",
		Msg:   "this call needs a client that can answer questions (" + capability + ")",
		Needs: json.RawMessage(`{"` + capability + `":{}}`),
	}
}

// Error returns the whole story, for the operator: do not send it to a caller.
func (e *Error) Error() string {
	s := e.By + ": " + e.Code.String() + ": " + e.Msg
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// AsError returns err as an [*Error]: the first in its chain, or a new one that
// hides its text. A context's error becomes Canceled or DeadlineExceeded. It
// returns nil for nil.
func AsError(err error) *Error {
	var e *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.Canceled):
		return &Error{Code: Canceled, By: "caller", Msg: "the call was cancelled", Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Code: DeadlineExceeded, By: "gateway", Msg: "the call took too long", Err: err}
	default:
		return &Error{Code: Internal, By: "gateway", Msg: "internal error", Err: err}
	}
}
