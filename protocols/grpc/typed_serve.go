package grpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/grpc"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/schema/transcode"
)

// serveTyped answers the methods that the server was not built with: those of
// the typed services, and what nobody has.
func (s *service) serveTyped(_ any, stream grpc.ServerStream) error {
	name, _ := grpc.MethodFromServerStream(stream)
	m := s.types.Load().methods[name]
	if m == nil {
		return errUnknown()
	}
	ctx := stream.Context()
	c := &typedCall{service: s, typedMethod: m, json: isJSON(ctx)}
	c.call = &gateway.Call{Op: m.op, Name: m.name}
	if m.structured && !m.stream && !c.json {
		c.call.Into = m.out
	}
	if err := c.read(stream); err != nil {
		return c.concealed(ctx, err)
	}
	if err := auth.Expired(auth.From(ctx)); err != nil { // The message may have been long in coming.
		return c.concealed(ctx, &callError{call: c.call, err: gateway.AsError(err)})
	}
	if m.stream {
		return c.concealed(ctx, c.serveStream(stream))
	}
	res, err := s.do(ctx, c.call)
	if err != nil {
		return c.concealed(ctx, err)
	}
	out := &frame{}
	if out.data, err = c.response(ctx, res); err != nil {
		return err
	}
	return stream.SendMsg(out)
}

// errUnknown is the answer to a method that there is not, and to one that the
// caller may not see.
func errUnknown() *callError {
	return refuse(nil, gateway.Unimplemented, "there is no such method")
}

// A typedCall is one call of a typed method.
type typedCall struct {
	*service
	*typedMethod
	call *gateway.Call
	json bool // the messages are JSON, not protobuf
}

// concealed returns err, or the answer to an unknown method where the caller may
// not see this one.
func (c *typedCall) concealed(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	e := failure(err)
	p := auth.From(ctx)
	if p == nil || e.recorded && e.err.Code != gateway.NotFound || c.seen(p) {
		return err
	}
	unknown := errUnknown()
	unknown.recorded = e.recorded
	return unknown
}

// seen reports whether the principal may see what the method is made of.
func (c *typedCall) seen(p *gateway.Principal) bool {
	view := c.gw.View(p)
	if c.kind == gateway.KindPrompt {
		return view.Prompt(c.name) != nil
	}
	return view.Tool(c.name) != nil
}

// read reads the request into the call's arguments.
func (c *typedCall) read(stream grpc.ServerStream) error {
	var in frame
	switch err := stream.RecvMsg(&in); {
	case errors.Is(err, io.EOF):
		return refuse(c.call, gateway.InvalidArgument, "the call has no message")
	case err != nil:
		return err
	}
	text := in.data
	if !c.json {
		var err error
		if text, err = c.in.AppendJSON(make([]byte, 0, 2*len(in.data)+64), in.data); err != nil {
			return &callError{call: c.call, err: &gateway.Error{Code: gateway.InvalidArgument, Msg: "the request is malformed: " + err.Error(), Err: err}}
		}
	}
	if b := c.options.Bounds; !c.json && len(text) <= min(b.Bytes, b.Tokens) && bytes.Count(text, []byte("{"))+bytes.Count(text, []byte("[")) <= b.Depth {
		c.call.Args = text // The plan has written it well, and it is too short to break a bound.
		return nil
	}
	return setArguments(c.call, text, c.options.Bounds)
}

// response returns a result as the message of the response.
func (c *typedCall) response(ctx context.Context, res *gateway.Result) ([]byte, error) {
	if res.Message != nil {
		return res.Message, c.fits(ctx, res.Message)
	}
	text, err := c.shown(res)
	if err != nil {
		return nil, failed(ctx, c.call, err)
	}
	if c.json {
		return text, c.fits(ctx, text)
	}
	out, err := c.out.AppendWire(make([]byte, 0, len(text)), text)
	if err != nil {
		return nil, failed(ctx, c.call, mismatch(err))
	}
	return out, c.fits(ctx, out)
}

// fits returns the error of a message that is too long.
func (c *typedCall) fits(ctx context.Context, out []byte) error {
	if len(out)+64 <= c.options.MaxMessage {
		return nil
	}
	msg := fmt.Sprintf("the result has %d bytes, more than fit into a message of %d; REST has no such bound", len(out), c.options.MaxMessage)
	return failed(ctx, c.call, &gateway.Error{Code: gateway.ResourceExhausted, Msg: msg})
}

// shown returns the part of a result that the response shows, or the error that
// the tool has reported.
func (c *typedCall) shown(res *gateway.Result) (json.RawMessage, error) {
	switch {
	case res.IsError:
		return nil, toolError(res)
	case !c.structured:
		return res.Raw, nil
	}
	text := structuredContent(res)
	if text == nil {
		return nil, mismatch(errors.New("the result has no structured content"))
	}
	return text, nil
}

// mismatch returns the error of a result that is not what the tool's definition
// says.
func mismatch(err error) *gateway.Error {
	msg := "the result does not match the tool's output schema; CallTool shows it as it is"
	if e, ok := errors.AsType[*transcode.Error](err); ok && e.Pointer != "" {
		msg = clip(e.Pointer, maxName) + ": " + msg
	}
	return &gateway.Error{Code: gateway.Internal, Msg: msg, Err: err}
}

// errTool marks the error of a tool that ran and failed.
var errTool = errors.New("the tool has failed")

// toolError returns the failure that a tool has reported.
func toolError(res *gateway.Result) *gateway.Error {
	e := &gateway.Error{Code: gateway.Unknown, Msg: "the tool has failed", Data: res.Raw, Err: errTool}
	parts, err := res.Parts()
	if err != nil {
		return e
	}
	var texts []string
	for _, block := range parts.Content {
		var text struct {
			Text string `json:"text"`
		}
		if json.Unmarshal(block, &text) == nil && text.Text != "" {
			texts = append(texts, text.Text)
		}
	}
	if len(texts) > 0 {
		e.Msg = clip(strings.Join(texts, "\n"), maxMessage)
	}
	if parts.Structured != nil {
		e.Data = parts.Structured
	}
	return e
}
