package mcp

import (
	"context"
	"net/http"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/internal/clip"
)

// door names this door in calls and in the refusals that it makes itself.
const door = "mcp"

// maxQuoted bounds what records keep of a request, and tasks of a message, in bytes.
const maxQuoted = 256

// refuse appends the error response to a request. Every error leaves the door
// here, so that each leaves one record: what the road refused has one already,
// and the door's own refusals are shown to the observers now.
func (f *Frontend) refuse(ctx context.Context, b []byte, r *request, e *wireError) []byte {
	f.record(ctx, r, e)
	return appendError(b, r.ID, e)
}

// record is refuse where there is nobody to answer.
func (f *Frontend) record(ctx context.Context, r *request, e *wireError) {
	if !e.recorded {
		call := r.known()
		_ = f.gw.Refuse(ctx, &call, &gateway.Error{Code: e.gatewayCode(), By: door, Msg: e.message})
	}
}

// known is what is known of a request that did not become a call.
func (r *request) known() gateway.Call {
	call := gateway.Call{Via: door, Principal: r.principal, Name: r.Method}
	switch r.Method {
	case "":
		call.Name = r.at
	case "tools/call":
		call.Op = gateway.OpCall
	case "resources/read":
		call.Op = gateway.OpRead
	case "prompts/get":
		call.Op = gateway.OpGet
	}
	if name, ok := r.subject(); ok && name != "" {
		call.Name = name
	}
	call.Name = clip.Text(call.Name, maxQuoted)
	return call
}

// gatewayCode is the code that an error has in records.
func (e *wireError) gatewayCode() gateway.Code {
	switch {
	case e.cause != 0:
		return e.cause
	case e.code == codeMethodNotFound, e.status == http.StatusMethodNotAllowed:
		return gateway.Unimplemented
	case e.status == http.StatusRequestEntityTooLarge:
		return gateway.ResourceExhausted
	case e.status == http.StatusNotFound:
		return gateway.NotFound
	case e.code == codeInternal:
		return gateway.Internal
	default:
		return gateway.InvalidArgument
	}
}
