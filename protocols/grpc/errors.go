package grpc

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/schema"
)

// domain is that of google.rpc.ErrorInfo.
const domain = "trilith"

// Bounds of a status, which travels in a header: many clients refuse more than
// 8 KiB of them.
const (
	maxMessage    = 512
	maxDetail     = 1024
	maxViolations = 2048
)

// httpStatus maps each gateway.Code to HTTP. To gRPC they map by number.
var httpStatus = [gateway.CodeCount]int{ //nolint:gochecknoglobals // a constant table.
	gateway.Canceled:           499, // Client closed request; nobody is there to read it.
	gateway.Unknown:            http.StatusBadGateway,
	gateway.InvalidArgument:    http.StatusBadRequest,
	gateway.DeadlineExceeded:   http.StatusGatewayTimeout,
	gateway.NotFound:           http.StatusNotFound,
	gateway.AlreadyExists:      http.StatusConflict,
	gateway.PermissionDenied:   http.StatusForbidden,
	gateway.ResourceExhausted:  http.StatusTooManyRequests,
	gateway.FailedPrecondition: http.StatusBadRequest,
	gateway.Aborted:            http.StatusConflict,
	gateway.OutOfRange:         http.StatusBadRequest,
	gateway.Unimplemented:      http.StatusNotImplemented,
	gateway.Internal:           http.StatusInternalServerError,
	gateway.Unavailable:        http.StatusServiceUnavailable,
	gateway.DataLoss:           http.StatusInternalServerError,
	gateway.Unauthenticated:    http.StatusUnauthorized,
}

// A callError is a failure on its way to the caller: a gateway.Error that
// grpc-go turns into a status and REST into a problem document.
type callError struct {
	err      *gateway.Error
	call     *gateway.Call // what was asked for, or nil
	status   int           // of HTTP, where it is not that of the code
	name     string        // in a problem document, where it is not that of the code
	recorded bool          // whether no record is left to be made: Do has made it
}

// Error returns the message for the caller, without the cause.
func (e *callError) Error() string { return e.err.Msg }

// Unwrap returns the gateway's error.
func (e *callError) Unwrap() error { return e.err }

// GRPCStatus returns the status with its details.
func (e *callError) GRPCStatus() *status.Status {
	s := status.New(codes.Code(e.code()), clip(e.err.Msg, maxMessage))
	with, err := s.WithDetails(e.details()...)
	if err != nil { // A detail that does not marshal; the status itself must not be lost.
		return s
	}
	return with
}

// code returns the error's code; one that is none of the set is a fault of who
// made it.
func (e *callError) code() gateway.Code {
	if c := e.err.Code; c > 0 && int(c) < gateway.CodeCount {
		return c
	}
	return gateway.Internal
}

func (e *callError) details() []protoadapt.MessageV1 {
	info := &errdetails.ErrorInfo{Reason: e.code().String(), Domain: domain}
	details := []protoadapt.MessageV1{info}
	if e.call != nil && e.call.Kind != 0 { // Else it was refused before it was resolved.
		name := clip(e.call.Name, 256)
		info.Metadata = map[string]string{"kind": e.call.Kind.String(), "name": name}
		if e.err.Code == gateway.NotFound {
			details = append(details, &errdetails.ResourceInfo{ResourceType: e.call.Kind.String(), ResourceName: name})
		}
	}
	if e.err.Scopes != nil {
		if info.Metadata == nil {
			info.Metadata = map[string]string{}
		}
		info.Reason, info.Metadata["scopes"] = "INSUFFICIENT_SCOPE", clip(strings.Join(e.err.Scopes, " "), maxDetail)
	}
	if errors.Is(e.err.Err, errTool) {
		info.Reason = codeToolError
	}
	if vs := e.violations(); len(vs) > 0 {
		info.Reason = "INVALID_ARGUMENTS"
		bad := &errdetails.BadRequest{}
		room := maxViolations
		for _, v := range vs {
			if room -= len(v.Pointer) + len(v.Message); room < 0 {
				break
			}
			bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{Field: v.Pointer, Description: v.Message})
		}
		details = append(details, bad)
	}
	if e.err.Retry > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.err.Retry)})
	}
	if n := len(e.err.Data); n > 0 && n <= maxDetail {
		details = append(details, &gatewayv1.UpstreamDetail{DataJson: string(e.err.Data)})
	}
	return details
}

// violations returns what is wrong with the arguments, for an error that is
// about them.
func (e *callError) violations() []schema.Violation {
	if bad, ok := errors.AsType[*schema.Invalid](e.err.Err); ok {
		return bad.Violations
	}
	if bad, ok := errors.AsType[*schema.Malformed](e.err.Err); ok {
		return []schema.Violation{{Message: bad.Error()}}
	}
	return nil
}

// refuse returns a refusal by this frontend, of a call or, where that is not
// known, of nil.
func refuse(call *gateway.Call, code gateway.Code, msg string) *callError {
	return &callError{call: call, err: &gateway.Error{Code: code, Msg: msg}}
}

var errUnreadable = errors.New("the request cannot be read")

// failure returns an error as a callError, and nil for nil. A status that
// grpc-go or grpc-gateway made keeps its code and message; as that may quote
// the request, the record does not have it.
func failure(err error) *callError {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*callError](err); ok {
		return known
	}
	if _, ok := errors.AsType[*gateway.Error](err); !ok {
		if s, ok := status.FromError(err); ok {
			return &callError{err: &gateway.Error{Code: gateway.Code(s.Code()), Msg: s.Message(), Err: errUnreadable}} //nolint:gosec // Codes are below 17.
		}
	}
	return &callError{err: gateway.AsError(err)}
}

// failed returns the failure of a call that took the road. Where its context was ended for a
// reason of ours, such as an expired credential, the caller is told that.
func failed(ctx context.Context, call *gateway.Call, err error) error {
	e := gateway.AsError(err)
	if ctx.Err() != nil && (e.Code == gateway.Canceled || e.Code == gateway.DeadlineExceeded) {
		if reason, ok := errors.AsType[*gateway.Error](context.Cause(ctx)); ok {
			e = reason
		}
	}
	return &callError{err: e, call: call, recorded: true}
}

// clip shortens s to at most n bytes, at the boundary of a character.
func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "")
}
