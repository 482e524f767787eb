package grpc

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/schema"
)

// setArguments sets the arguments of a call, or returns the refusal of a text
// that is not a JSON object within bounds.
func setArguments[T string | []byte](call *gateway.Call, text T, b schema.Bounds) error {
	if len(text) == 0 {
		return nil
	}
	return setRaw(call, json.RawMessage(text), b)
}

// setRaw is setArguments for bytes, which the call keeps.
func setRaw(call *gateway.Call, raw json.RawMessage, b schema.Bounds) error {
	if len(raw) == 0 {
		return nil
	}
	if err := schema.Check(raw, b); err != nil {
		return &callError{call: call, err: &gateway.Error{Code: gateway.InvalidArgument, Msg: "arguments: " + err.Error(), Err: err}}
	}
	if bytes.TrimLeft(raw, " \t\r\n")[0] != '{' {
		return refuse(call, gateway.InvalidArgument, "arguments are not a JSON object")
	}
	call.Args = raw
	return nil
}

func toolResponse(res *gateway.Result) *gatewayv1.CallToolResponse {
	return &gatewayv1.CallToolResponse{ResultJson: string(res.Raw), IsError: res.IsError}
}

func toTool(t *gateway.Tool) *gatewayv1.Tool {
	return &gatewayv1.Tool{
		Name: t.Name, Title: t.Title, Description: t.Description, Source: t.Source, Tags: t.Tags,
		InputSchemaJson: string(t.Input.JSON()), OutputSchemaJson: string(t.Output.JSON()),
		Annotations: toAnnotations(t.Annotations),
	}
}

func toAnnotations(a gateway.Annotations) *gatewayv1.ToolAnnotations {
	if a.ReadOnly == nil && a.Destructive == nil && a.Idempotent == nil && a.OpenWorld == nil {
		return nil
	}
	return &gatewayv1.ToolAnnotations{ReadOnly: a.ReadOnly, Destructive: a.Destructive, Idempotent: a.Idempotent, OpenWorld: a.OpenWorld}
}

func toResource(r *gateway.Resource) *gatewayv1.Resource {
	out := &gatewayv1.Resource{
		Uri: r.URI, Name: r.Name, Title: r.Title, Description: r.Description, MimeType: r.MIMEType, Source: r.Source, Tags: r.Tags,
	}
	if r.Size >= 0 {
		out.Size = &r.Size
	}
	return out
}

func toTemplate(t *gateway.Template) *gatewayv1.ResourceTemplate {
	return &gatewayv1.ResourceTemplate{
		UriTemplate: t.URITemplate, Name: t.Name, Title: t.Title, Description: t.Description, MimeType: t.MIMEType,
		Source: t.Source, Tags: t.Tags,
	}
}

func toPrompt(p *gateway.Prompt) *gatewayv1.Prompt {
	out := &gatewayv1.Prompt{Name: p.Name, Title: p.Title, Description: p.Description, Source: p.Source, Tags: p.Tags}
	for _, a := range p.Arguments {
		out.Arguments = append(out.Arguments, &gatewayv1.PromptArgument{
			Name: a.Name, Title: a.Title, Description: a.Description, Required: a.Required,
		})
	}
	return out
}

// toProgress returns a report as an event. A number that is none is left out.
func toProgress(p gateway.Progress) *gatewayv1.CallToolStreamResponse {
	out := &gatewayv1.Progress{Message: strings.ToValidUTF8(p.Message, "\ufffd")}
	out.Progress, _ = number(p.Progress)
	if total, ok := number(p.Total); ok {
		out.Total = &total
	}
	return &gatewayv1.CallToolStreamResponse{Event: &gatewayv1.CallToolStreamResponse_Progress{Progress: out}}
}

// number returns a JSON number, or zero for one that a double cannot hold.
func number(n json.Number) (float64, bool) {
	v, err := strconv.ParseFloat(string(n), 64)
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0, false
	}
	return v, true
}

func toLog(m gateway.LogMessage) *gatewayv1.CallToolStreamResponse {
	return &gatewayv1.CallToolStreamResponse{Event: &gatewayv1.CallToolStreamResponse_Log{
		Log: &gatewayv1.LogMessage{
			Level: strings.ToValidUTF8(m.Level, "\ufffd"), Logger: strings.ToValidUTF8(m.Logger, "\ufffd"), DataJson: string(m.Data),
		},
	}}
}
