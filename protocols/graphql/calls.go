package graphql

import (
	"context"
	"encoding/json"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/graphql/generated"
)

// newCall returns a call of the operation's caller.
func newCall(ctx context.Context, op gateway.Op, name string, arguments json.RawMessage) (*gateway.Call, error) {
	args, err := object("arguments", arguments)
	if err != nil {
		return nil, err
	}
	return &gateway.Call{Op: op, Name: name, Args: args, Principal: caller(ctx), Via: door}, nil
}

// object checks that a JSON argument is an object, or nil for none.
func object(name string, v json.RawMessage) (json.RawMessage, error) {
	kind := jsontext.Value(v).Kind()
	switch {
	case len(v) == 0 || kind == jsontext.KindNull:
		return nil, nil
	case kind == jsontext.KindBeginObject:
		return v, nil
	}
	return nil, invalidArgument(name + " must be an object")
}

// CallTool calls a tool.
func (m mutation) CallTool(ctx context.Context, name string, arguments json.RawMessage) (*generated.CallResult, error) {
	call, err := newCall(ctx, gateway.OpCall, name, arguments)
	if err != nil {
		return nil, err
	}
	res, err := m.do(ctx, m.gw, call)
	if err != nil {
		return nil, err
	}
	return toCallResult(res)
}

// Content decodes the blocks of a tool's result.
func (callResult) Content(_ context.Context, r *generated.CallResult) ([]*generated.ContentBlock, error) {
	out := make([]*generated.ContentBlock, len(r.Blocks))
	for i, raw := range r.Blocks {
		out[i] = toBlock(raw)
	}
	return out, nil
}

// ReadResource reads a resource.
func (q query) ReadResource(ctx context.Context, uri string) (*generated.ReadResult, error) {
	call, err := newCall(ctx, gateway.OpRead, uri, nil)
	if err != nil {
		return nil, err
	}
	res, err := q.do(ctx, q.gw, call)
	if err != nil {
		return nil, err
	}
	return toReadResult(res)
}

// GetPrompt renders a prompt.
func (q query) GetPrompt(ctx context.Context, name string, arguments json.RawMessage) (*generated.PromptResult, error) {
	call, err := newCall(ctx, gateway.OpGet, name, arguments)
	if err != nil {
		return nil, err
	}
	res, err := q.do(ctx, q.gw, call)
	if err != nil {
		return nil, err
	}
	return toPromptResult(res)
}

// Complete suggests values for an argument. The arguments of the call are those of MCP's completion/complete
// (revision 2026-07-28) without the reference.
func (q query) Complete(ctx context.Context, ref generated.CompletionRef, argument, value string, known json.RawMessage) (*generated.Completion, error) {
	if (ref.Prompt == nil) == (ref.Template == nil) {
		return nil, invalidArgument("ref must name either a prompt or a template")
	}
	known, err := object("known", known)
	if err != nil {
		return nil, err
	}
	text := []byte(`{"argument":{"name":`)
	text, _ = jsontext.AppendQuote(text, argument) // The request is valid UTF-8.
	text, _ = jsontext.AppendQuote(append(text, `,"value":`...), value)
	text = append(text, '}')
	if known != nil {
		text = append(append(append(text, `,"context":{"arguments":`...), known...), '}')
	}
	text = append(text, '}')
	kind, name := gateway.KindPrompt, ref.Prompt
	if ref.Template != nil {
		kind, name = gateway.KindTemplate, ref.Template
	}
	res, err := q.do(ctx, q.gw, &gateway.Call{Op: gateway.OpComplete, Kind: kind, Name: *name, Args: text, Principal: caller(ctx), Via: door})
	if err != nil {
		return nil, err
	}
	return toCompletion(res)
}
