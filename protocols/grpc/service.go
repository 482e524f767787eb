package grpc

import (
	"context"
	"encoding/json"
	"fmt"

	jsonv2 "github.com/go-json-experiment/json"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
)

// service is gateway.v1.GatewayService for one of the two protocols.
type service struct {
	gatewayv1.UnsafeGatewayServiceServer
	*Frontend

	via  string // "grpc" or "rest"
	most int    // the bytes that a message may have; 0 for no bound
}

// nameMost is the bytes that the name or URI of a capability may have. Those in
// the registry are shorter; this also bounds what a template may describe.
const nameMost = 8 << 10

// do takes a call along the road.
func (s *service) do(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	if len(call.Name) > nameMost {
		return nil, refuse(call, gateway.InvalidArgument, fmt.Sprintf("the name or URI is longer than %d bytes", nameMost))
	}
	call.Principal, call.Via = auth.From(ctx), s.via
	res, err := s.gw.Do(ctx, call)
	if err != nil {
		return nil, failed(ctx, call, err)
	}
	if s.most > 0 && len(res.Raw)+64 > s.most {
		msg := fmt.Sprintf("the result has %d bytes, more than fit into a message of %d; REST has no such bound", len(res.Raw), s.most)
		return nil, failed(ctx, call, &gateway.Error{Code: gateway.ResourceExhausted, Msg: msg})
	}
	return res, nil
}

// CallTool runs a tool.
func (s *service) CallTool(ctx context.Context, req *gatewayv1.CallToolRequest) (*gatewayv1.CallToolResponse, error) {
	call := &gateway.Call{Op: gateway.OpCall, Name: req.GetName()}
	if err := setArguments(call, req.GetArgumentsJson(), s.options.Bounds); err != nil {
		return nil, err
	}
	res, err := s.do(ctx, call)
	if err != nil {
		return nil, err
	}
	return toolResponse(res), nil
}

// ReadResource reads a resource.
func (s *service) ReadResource(ctx context.Context, req *gatewayv1.ReadResourceRequest) (*gatewayv1.ReadResourceResponse, error) {
	res, err := s.do(ctx, &gateway.Call{Op: gateway.OpRead, Name: req.GetUri()})
	if err != nil {
		return nil, err
	}
	return &gatewayv1.ReadResourceResponse{ResultJson: string(res.Raw)}, nil
}

// GetPrompt fills in a prompt.
func (s *service) GetPrompt(ctx context.Context, req *gatewayv1.GetPromptRequest) (*gatewayv1.GetPromptResponse, error) {
	call := &gateway.Call{Op: gateway.OpGet, Name: req.GetName()}
	if len(req.GetArguments()) > 0 {
		args, err := jsonv2.Marshal(req.GetArguments(), jsonv2.Deterministic(true))
		if err != nil {
			return nil, refuse(call, gateway.InvalidArgument, "arguments are not text")
		}
		call.Args = args
	}
	res, err := s.do(ctx, call)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.GetPromptResponse{ResultJson: string(res.Raw)}, nil
}

// Complete suggests values for an argument.
func (s *service) Complete(ctx context.Context, req *gatewayv1.CompleteRequest) (*gatewayv1.CompleteResponse, error) {
	call := &gateway.Call{Op: gateway.OpComplete}
	switch target := req.GetTarget().(type) {
	case *gatewayv1.CompleteRequest_Prompt:
		call.Kind, call.Name = gateway.KindPrompt, target.Prompt
	case *gatewayv1.CompleteRequest_UriTemplate:
		call.Kind, call.Name = gateway.KindTemplate, target.UriTemplate
	default:
		return nil, refuse(call, gateway.InvalidArgument, "neither prompt nor uri_template is set")
	}
	var err error
	if call.Args, err = completionArgs(req); err != nil {
		return nil, refuse(call, gateway.InvalidArgument, "arguments are not text")
	}
	res, err := s.do(ctx, call)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Completion struct {
			Values  []string `json:"values"`
			Total   *int64   `json:"total"`
			HasMore bool     `json:"hasMore"`
		} `json:"completion"`
	}
	if err := jsonv2.Unmarshal(res.Raw, &answer); err != nil {
		return nil, failed(ctx, call, &gateway.Error{Code: gateway.Internal, Msg: "the upstream's answer is malformed", Err: err})
	}
	c := answer.Completion
	return &gatewayv1.CompleteResponse{Values: c.Values, Total: c.Total, HasMore: c.HasMore}, nil
}

// completionArgs returns the parameters of MCP's completion/complete without
// the reference.
func completionArgs(req *gatewayv1.CompleteRequest) (json.RawMessage, error) {
	type argument struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	type known struct {
		Arguments map[string]string `json:"arguments"`
	}
	params := struct {
		Argument argument `json:"argument"`
		Context  *known   `json:"context,omitempty"`
	}{Argument: argument{req.GetArgument(), req.GetValue()}}
	if len(req.GetContext()) > 0 {
		params.Context = &known{req.GetContext()}
	}
	return jsonv2.Marshal(params, jsonv2.Deterministic(true))
}
