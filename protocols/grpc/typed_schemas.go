package grpc

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/trilith-gateway/trilith/gateway"
)

// content is the definition of a content block (MCP 2026-07-28, ContentBlock),
// all kinds in one.
const content = `"$defs": {"Content": {
	"type": "object", "required": ["type"],
	"description": "A text, an image, a sound, a resource or a link to one.",
	"properties": {
		"type": {"type": "string", "description": "One of text, image, audio, resource and resource_link; it says which of the others are there."},
		"text": {"type": "string"},
		"data": {"type": "string", "contentEncoding": "base64", "description": "The bytes of an image or a sound."},
		"mimeType": {"type": "string"},
		"resource": {
			"type": "object",
			"properties": {
				"uri": {"type": "string"},
				"mimeType": {"type": "string"},
				"text": {"type": "string"},
				"blob": {"type": "string", "contentEncoding": "base64"}
			}
		},
		"uri": {"type": "string", "description": "Of the resource that a link is to."},
		"name": {"type": "string"},
		"title": {"type": "string"},
		"description": {"type": "string"},
		"size": {"type": "integer"}
	}
}}`

// resultSchema is what a tool answers that says nothing of its output (MCP
// 2026-07-28, CallToolResult).
const resultSchema = `{
	"type": "object", "required": ["content"],
	"properties": {
		"content": {"type": "array", "items": {"$ref": "#/$defs/Content"}},
		"structuredContent": {"description": "The result as a value, where there is one."}
	}, ` + content + `}`

// messagesSchema is what a prompt answers (MCP 2026-07-28, GetPromptResult).
const messagesSchema = `{
	"type": "object", "required": ["messages"],
	"properties": {
		"description": {"type": "string"},
		"messages": {"type": "array", "items": {
			"type": "object", "required": ["role", "content"],
			"properties": {
				"role": {"type": "string", "description": "user or assistant"},
				"content": {"$ref": "#/$defs/Content"}
			}
		}}
	}, ` + content + `}`

// promptSchema returns the schema of a prompt's arguments.
func promptSchema(p *gateway.Prompt) json.RawMessage {
	type argument struct {
		Type        string `json:"type"`
		Title       string `json:"title,omitempty"`
		Description string `json:"description,omitempty"`
	}
	s := struct {
		Type       string              `json:"type"`
		Properties map[string]argument `json:"properties"`
		Required   []string            `json:"required,omitempty"`
		Additional bool                `json:"additionalProperties"`
	}{Type: "object", Properties: map[string]argument{}}
	for _, a := range p.Arguments {
		s.Properties[a.Name] = argument{"string", a.Title, a.Description}
		if a.Required {
			s.Required = append(s.Required, a.Name)
		}
	}
	raw, _ := json.Marshal(s) // Strings always have a JSON form.
	return raw
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
