package graphql

import (
	"encoding/json"
	"math"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/graphql/generated"
)

// optional returns nil for "", which the registry writes for what is not given.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func toTool(t *gateway.Tool) *generated.Tool {
	title := t.Title
	if title == "" {
		title = t.Annotations.Title
	}
	return &generated.Tool{
		Name: t.Name, Title: optional(title), Description: optional(t.Description),
		Source: t.Source, Tags: t.Tags, Object: t.Object, Definition: t.Definition,
		InputSchema: t.Input.JSON(), OutputSchema: t.Output.JSON(),
		ReadOnly: t.Annotations.ReadOnly, Destructive: t.Annotations.Destructive,
		Idempotent: t.Annotations.Idempotent, OpenWorld: t.Annotations.OpenWorld,
	}
}

func toResource(r *gateway.Resource) *generated.Resource {
	out := &generated.Resource{
		Name: r.Name, Title: optional(r.Title), Description: optional(r.Description),
		Source: r.Source, Tags: r.Tags, Object: r.Object, Definition: r.Definition,
		URI: r.URI, MimeType: optional(r.MIMEType),
	}
	if r.Size >= 0 {
		size := float64(r.Size)
		out.Size = &size
	}
	return out
}

func toTemplate(t *gateway.Template) *generated.ResourceTemplate {
	return &generated.ResourceTemplate{
		Name: t.Name, Title: optional(t.Title), Description: optional(t.Description),
		Source: t.Source, Tags: t.Tags, Object: t.Object, Definition: t.Definition,
		URITemplate: t.URITemplate, MimeType: optional(t.MIMEType),
	}
}

func toPrompt(p *gateway.Prompt) *generated.Prompt {
	out := &generated.Prompt{
		Name: p.Name, Title: optional(p.Title), Description: optional(p.Description),
		Source: p.Source, Tags: p.Tags, Object: p.Object, Definition: p.Definition,
	}
	for _, a := range p.Arguments {
		out.Arguments = append(out.Arguments, &generated.PromptArgument{
			Name: a.Name, Title: optional(a.Title), Description: optional(a.Description), Required: a.Required,
		})
	}
	return out
}

// toCallResult shows a tool's result. Its decoding also makes sure that what is written through is JSON.
func toCallResult(r *gateway.Result) (*generated.CallResult, error) {
	parts, err := r.Parts()
	if err != nil {
		return nil, err
	}
	return &generated.CallResult{Blocks: parts.Content, Structured: parts.Structured, IsError: r.IsError, Raw: r.Raw}, nil
}

// toBlock shows a content block. One whose members are not as the specification says is shown raw.
func toBlock(raw json.RawMessage) *generated.ContentBlock {
	var b struct {
		Type     string  `json:"type"`
		Text     *string `json:"text"`
		Data     *string `json:"data"`
		MIMEType *string `json:"mimeType"`
		URI      *string `json:"uri"`
		Resource *struct {
			URI      *string `json:"uri"`
			MIMEType *string `json:"mimeType"`
			Text     *string `json:"text"`
			Blob     *string `json:"blob"`
		} `json:"resource"`
	}
	if err := jsonv2.Unmarshal(raw, &b); err != nil || b.Type == "" {
		return &generated.ContentBlock{Type: "unknown", Raw: raw}
	}
	out := &generated.ContentBlock{Type: b.Type, Text: b.Text, Data: b.Data, MimeType: b.MIMEType, URI: b.URI, Raw: raw}
	if r := b.Resource; r != nil && b.Type == "resource" {
		out.Text, out.Data, out.MimeType, out.URI = r.Text, r.Blob, r.MIMEType, r.URI
	}
	return out
}

func toReadResult(r *gateway.Result) (*generated.ReadResult, error) {
	parts, err := r.Parts()
	if err != nil {
		return nil, err
	}
	out := &generated.ReadResult{Raw: r.Raw}
	for _, raw := range parts.Contents {
		var c struct {
			URI      string  `json:"uri"`
			MIMEType *string `json:"mimeType"`
			Text     *string `json:"text"`
			Blob     *string `json:"blob"`
		}
		if err := jsonv2.Unmarshal(raw, &c); err != nil {
			return nil, err
		}
		out.Contents = append(out.Contents, &generated.ResourceContents{URI: c.URI, MimeType: c.MIMEType, Text: c.Text, Blob: c.Blob, Raw: raw})
	}
	return out, nil
}

func toPromptResult(r *gateway.Result) (*generated.PromptResult, error) {
	parts, err := r.Parts()
	if err != nil {
		return nil, err
	}
	out := &generated.PromptResult{Description: optional(parts.Desc), Raw: r.Raw}
	for _, raw := range parts.Messages {
		var m struct {
			Role    string         `json:"role"`
			Content jsontext.Value `json:"content"`
		}
		if err := jsonv2.Unmarshal(raw, &m); err != nil {
			return nil, err
		}
		out.Messages = append(out.Messages, &generated.PromptMessage{Role: m.Role, Content: toBlock(json.RawMessage(m.Content))})
	}
	return out, nil
}

func toCompletion(r *gateway.Result) (*generated.Completion, error) {
	parts, err := r.Parts()
	if err != nil {
		return nil, err
	}
	var c struct {
		Values  []string `json:"values"`
		Total   *int32   `json:"total"`
		HasMore *bool    `json:"hasMore"`
	}
	if len(parts.Completion) > 0 {
		if err := jsonv2.Unmarshal(parts.Completion, &c); err != nil {
			return nil, err
		}
	}
	return &generated.Completion{Values: c.Values, Total: c.Total, HasMore: c.HasMore}, nil
}

// toProgress returns nil for progress that is not a number.
func toProgress(p gateway.Progress) *generated.ToolProgress {
	n, err := p.Progress.Float64()
	if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
		return nil
	}
	out := &generated.ToolProgress{Progress: n, Message: optional(p.Message)}
	if t, err := p.Total.Float64(); err == nil && !math.IsInf(t, 0) && !math.IsNaN(t) {
		out.Total = &t
	}
	return out
}
