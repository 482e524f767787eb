package mcp

import (
	"encoding/json"

	"github.com/trilith-gateway/trilith/gateway"
)

// listLegacyTools is listTools for clients of a revision before 2026-07-28,
// which take nothing but objects for structured content: to them an output
// schema of anything else is an error in the whole list.
const listLegacyTools listKey = 'T'

// legacyDefinition returns a tool's definition as clients of earlier revisions
// take it: an output schema that does not say that it is one of objects is left
// out (2025-11-25, schema, Tool).
func legacyDefinition(t *gateway.Tool) json.RawMessage {
	if t.Output == nil {
		return t.Definition
	}
	o, _ := openObject(t.Output.JSON()) // It compiled; a boolean has no members.
	for o.next() {
		if string(o.name) == "type" && string(o.value) == `"object"` {
			return t.Definition
		}
	}
	return without(t.Definition, "outputSchema")
}

// legacyResult returns a tool's result as clients of earlier revisions take it:
// structured content that is no object is left out, and its text stays.
func legacyResult(raw json.RawMessage) json.RawMessage { return without(raw, "structuredContent") }

// without returns an object without a member, and the others as they were.
func without(raw json.RawMessage, name string) json.RawMessage {
	out := make(json.RawMessage, 0, len(raw))
	out = append(out, '{')
	o, _ := openObject(raw) // It is one.
	for o.next() {
		if string(o.name) == name {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(quote(out, string(o.name)), ':'), o.value...)
	}
	return append(out, '}')
}
