package mcp

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/internal/clip"
)

// The error codes of JSON-RPC 2.0 and of MCP (2026-07-28, basic, error codes).
const (
	codeParse              = -32700
	codeInvalidRequest     = -32600
	codeMethodNotFound     = -32601
	codeInvalidParams      = -32602
	codeInternal           = -32603
	codeServer             = -32000 // a failure that the protocol has no code for; data.code names it
	codeResourceNotFound   = -32002 // until 2025-11-25
	codeHeaderMismatch     = -32020 // from 2026-07-28
	codeUnsupportedVersion = -32022 // from 2026-07-28
)

// A wireError is a JSON-RPC error and the HTTP status that it travels with.
type wireError struct {
	code    int
	status  int // 0 is 200: the request was understood, and what it asked for failed
	message string
	data    json.RawMessage

	scopes []string // that the caller's credential lacks, for the challenge of HTTP

	cause    gateway.Code // in records; 0 follows from code and status
	recorded bool         // by the road, which refused the call
}

func invalidRequest(msg string) *wireError {
	return &wireError{code: codeInvalidRequest, status: http.StatusBadRequest, message: "Invalid request: " + msg}
}

func invalidParams(msg string) *wireError {
	return &wireError{code: codeInvalidParams, message: "Invalid params: " + msg}
}

func headerMismatch(msg string) *wireError {
	return &wireError{code: codeHeaderMismatch, status: http.StatusBadRequest, message: "Header mismatch: " + msg}
}

// methodNotFound is the answer to an unknown method: with status 404 from
// 2026-07-28 (transports, protocol version header).
func methodNotFound(method string, modern bool) *wireError {
	e := &wireError{code: codeMethodNotFound, message: "Method not found: " + clip.Text(method, 128)}
	if modern {
		e.status = http.StatusNotFound
	}
	return e
}

// unsupportedVersion names what is supported (versioning, protocol version
// negotiation).
func unsupportedVersion(asked string) *wireError {
	data := []byte(`{"supported":[`)
	for i, rev := range revisions() {
		if i > 0 {
			data = append(data, ',')
		}
		data = quote(data, rev)
	}
	data = append(data, `],"requested":`...)
	data = append(quote(data, asked), '}')
	return &wireError{code: codeUnsupportedVersion, status: http.StatusBadRequest, message: "Unsupported protocol version", data: data}
}

// wireCodes is the one table from the gateway's codes to the protocol's. What
// is missing is codeServer with status 200: SDKs take any other status for a
// broken transport, and give up a session for it.
func wireCodes(c gateway.Code) (code, status int) {
	switch c { //nolint:exhaustive // the rest is codeServer.
	case gateway.InvalidArgument, gateway.NotFound, gateway.OutOfRange:
		return codeInvalidParams, http.StatusOK
	case gateway.Internal, gateway.Unknown, gateway.DataLoss:
		return codeInternal, http.StatusOK
	case gateway.Unauthenticated:
		return codeServer, http.StatusUnauthorized
	default:
		return codeServer, http.StatusOK
	}
}

// gatewayCode is the way back for errors that name no code in their data: what
// a peer's error code means.
func gatewayCode(code int) gateway.Code {
	switch code {
	case codeInvalidParams:
		return gateway.InvalidArgument
	case codeResourceNotFound:
		return gateway.NotFound
	case codeMethodNotFound:
		return gateway.Unimplemented
	case codeParse, codeInvalidRequest, codeInternal, codeHeaderMismatch, codeUnsupportedVersion:
		return gateway.Internal
	default:
		return gateway.Unknown
	}
}

// refusal returns the error of a call as the client sees it. The cause stays
// here. Data is the upstream's own, or names the code, the time after which
// trying again may help, the resource that was not found, and the capabilities
// that the client lacks, and the scopes that its credential lacks.
func refusal(e *gateway.Error, call *gateway.Call, modern bool) *wireError {
	w := &wireError{message: e.Msg, data: e.Data, cause: e.Code, recorded: call != nil}
	w.code, w.status = wireCodes(e.Code)
	if e.Scopes != nil { // authorization, scope challenge handling.
		w.status, w.scopes = http.StatusForbidden, e.Scopes
	}
	missing := e.Code == gateway.NotFound && call != nil && (call.Op == gateway.OpRead || call.Op == gateway.OpSubscribe)
	if missing && !modern {
		w.code = codeResourceNotFound
	}
	if e.Needs != nil && modern {
		w.code, w.status = codeMissingCapability, http.StatusBadRequest
	}
	if w.data != nil && e.Needs == nil {
		return w
	}
	data := []byte(`{"code":"`)
	data = append(data, e.Code.String()...)
	data = append(data, '"')
	if e.Retry > 0 {
		data = append(data, `,"retryAfterMs":`...)
		data = strconv.AppendInt(data, (e.Retry + time.Millisecond - 1).Milliseconds(), 10)
	}
	if missing {
		data = append(data, `,"uri":`...)
		data = quote(data, call.Name)
	}
	if e.Scopes != nil {
		data = append(data, `,"scopes":`...)
		data = quote(data, strings.Join(e.Scopes, " "))
	}
	if e.Needs != nil {
		data = append(append(data, `,"requiredCapabilities":`...), e.Needs...)
	}
	w.data = append(data, '}')
	return w
}

// exhausted is the answer to one session, stream or call too many.
func exhausted(msg string) *wireError {
	return refusal(&gateway.Error{Code: gateway.ResourceExhausted, By: "mcp", Msg: msg}, nil, true)
}

// sessionNotFound is the answer to an id that is forged, another principal's or
// of a session that has ended: all read the same (2025-11-25, transports,
// session management).
func sessionNotFound() *wireError {
	return &wireError{code: codeInvalidRequest, status: http.StatusNotFound, message: "Session not found"}
}
