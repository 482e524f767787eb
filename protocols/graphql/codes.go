package graphql

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/schema"
)

// The codes of errors that no call can have: those of the document. All others are gateway.Code's names.
const (
	codeParse      = "GRAPHQL_PARSE_FAILED"
	codeValidation = "GRAPHQL_VALIDATION_FAILED"
	codeLimit      = "GRAPHQL_LIMIT_EXCEEDED"
	codeRequest    = "BAD_REQUEST"

	// Of documents that are named by their hash, or must be trusted.
	codeUnknownDocument = "PERSISTED_QUERY_NOT_FOUND"
	codeUntrusted       = "DOCUMENT_NOT_TRUSTED"

	// Of typed fields.
	codeInput  = "BAD_USER_INPUT"      // arguments or variables are not of their types
	codeTool   = "TOOL_ERROR"          // the tool ran and failed
	codeOutput = "INVALID_TOOL_OUTPUT" // the tool's result does not have the types that it promises
)

// present turns whatever failed into what the caller sees: a message, where it was, a code from gateway.Code and
// what an upstream or the argument check says beyond that. What is not a *gateway.Error is a bug here: it is
// logged, and the caller sees only that something failed.
func (f *Frontend) present(ctx context.Context, err error) *gqlerror.Error {
	at := graphql.DefaultErrorPresenter(ctx, err)
	if long, ok := errors.AsType[*overlongError](err); ok {
		if l := ledgerOf(ctx); l != nil {
			return l.overlong(long, at)
		}
	}
	e := gateway.AsError(err)
	var call string
	if r, ok := errors.AsType[*recordedError](err); ok {
		call = r.call
	} else {
		call = f.record(ctx, fieldCall(ctx), e)
	}
	if e.Code == gateway.Internal && !isGatewayError(err) {
		f.o.Logger.ErrorContext(ctx, "graphql operation failed", slog.String("error", err.Error()), slog.String("path", at.Path.String()))
	}
	out := toError(e, at.Path, at.Locations)
	if call != "" {
		out.Extensions["call"] = call
	}
	if t, ok := errors.AsType[*typedError](err); ok {
		out.Extensions["code"] = t.code
		if t.tool != "" {
			out.Extensions["tool"] = t.tool
		}
	}
	return out
}

func isGatewayError(err error) bool {
	_, ok := errors.AsType[*gateway.Error](err)
	return ok
}

// A recordedError is the failure of a call that has its record, which the caller is told the name of: an administrator
// finds there what callers are not told.
type recordedError struct {
	err  error
	call string // the call's ID; "" where it has no record
}

func (e *recordedError) Error() string { return e.err.Error() }

// Unwrap returns the failure.
func (e *recordedError) Unwrap() error { return e.err }

// recorded returns the failure of a call that was made.
func recorded(call *gateway.Call, err error) error {
	if err == nil {
		return nil
	}
	return &recordedError{err, call.ID}
}

// do takes a call along the road.
func (f *Frontend) do(ctx context.Context, gw *gateway.Gateway, call *gateway.Call) (*gateway.Result, error) {
	res, err := gw.Do(ctx, call)
	if err == nil && res != nil {
		err = ledgerOf(ctx).hold(len(res.Raw))
	}
	return res, recorded(call, err)
}

// toError shows the caller's part of a gateway error.
func toError(e *gateway.Error, path ast.Path, at []gqlerror.Location) *gqlerror.Error {
	ext := map[string]any{"code": e.Code.String()}
	if len(e.Data) > 0 && jsontext.Value(e.Data).IsValid() {
		ext["data"] = e.Data
	}
	if e.Retry > 0 {
		ext["retryAfterMs"] = (e.Retry + time.Millisecond - 1).Milliseconds()
	}
	if e.Scopes != nil {
		ext["scopes"] = strings.Join(e.Scopes, " ")
	}
	if invalid, ok := errors.AsType[*schema.Invalid](e.Err); ok {
		ext["violations"] = violations(invalid)
	}
	return &gqlerror.Error{Err: e, Message: e.Msg, Path: path, Locations: at, Extensions: ext}
}

type violation struct {
	Pointer string `json:"pointer"`
	Message string `json:"message"`
}

func violations(in *schema.Invalid) []violation {
	out := make([]violation, len(in.Violations))
	for i, v := range in.Violations {
		out[i] = violation(v)
	}
	return out
}

// list is toError for a failure that concerns a whole operation.
func list(err error) gqlerror.List {
	return gqlerror.List{toError(gateway.AsError(err), nil, nil)}
}

// fault is an error in what the client sent, outside any field.
func fault(code, message string) *gqlerror.Error {
	cause := invalidArgument(message)
	if code == codeLimit {
		cause.Code = gateway.ResourceExhausted
	}
	return &gqlerror.Error{Err: cause, Message: message, Extensions: map[string]any{"code": code}}
}

// requestFault is a fault of the HTTP request.
func requestFault(status int, message string) gqlerror.List {
	cause := invalidArgument(message)
	switch status {
	case http.StatusMethodNotAllowed:
		cause.Code = gateway.Unimplemented
	case http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong:
		cause.Code = gateway.ResourceExhausted
	}
	err := fault(codeRequest, message)
	err.Err = cause
	return gqlerror.List{err}
}
