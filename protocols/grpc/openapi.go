package grpc

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
)

// gatewayAPI describes the routes of gateway.v1.
func gatewayAPI() (object, error) {
	return openAPI("Trilith gateway", "The registry of capabilities: every tool, resource and prompt that the caller may use. "+
		"A request may set a deadline with the header Grpc-Timeout, such as 5S or 500m.", gatewayv1.OpenAPI())
}

// adminAPI describes the routes of admin.v1.
func adminAPI() (object, error) {
	return openAPI("Trilith administration", "The policy, API keys, sessions, sources and the audit log. "+
		"Each operation asks for the right to read or to admin its area, such as admin/policy.", adminv1.OpenAPI()...)
}

// openAPI shapes generated OpenAPI documents into one of what REST speaks: JSON
// in place of texts that hold JSON (see codec), the streams as Server-Sent
// Events, problem documents, and the bearer token.
func openAPI(title, description string, generated ...string) (object, error) {
	paths, schemas := object{}, object{}
	for _, text := range generated {
		var doc struct {
			Paths      object
			Components struct{ Schemas object }
		}
		if err := json.Unmarshal([]byte(text), &doc); err != nil {
			return nil, err
		}
		maps.Copy(paths, doc.Paths)
		maps.Copy(schemas, doc.Components.Schemas)
	}
	if len(paths) == 0 || len(schemas) == 0 {
		return nil, errors.New("no paths or no schemas")
	}
	doc := object{
		"openapi": "3.1.0",
		"info":    object{"title": title, "version": "1.0.0", "description": description},
		"paths":   paths, "security": list{object{"bearer": list{}}},
		"components": object{"schemas": schemas, "securitySchemes": object{"bearer": object{"type": "http", "scheme": "bearer"}}},
	}
	for _, s := range schemas {
		shape(s)
	}
	maps.Copy(schemas, ownSchemas())
	for path, item := range paths {
		methods, _ := item.(object)
		for _, op := range methods {
			operation(path, op.(object)) //nolint:forcetypeassert // The form of the generator's output; a test walks all of it.
		}
	}
	reached := map[string]bool{}
	reach(paths, schemas, reached)
	maps.DeleteFunc(schemas, func(name string, _ any) bool { return !reached[name] })
	return doc, nil
}

type (
	object = map[string]any
	list   = []any
)

// payloads are the bodies and answers that the generator knows only as text.
func payloads(id string) (request, response object) {
	switch id {
	case "CallTool":
		return object{"type": "object", "description": "What the tool's input schema accepts."}, ref("CallToolResult")
	case "ReadResource":
		return nil, ref("ReadResourceResult")
	case "GetPrompt":
		return nil, ref("GetPromptResult")
	}
	return nil, nil
}

// operation shapes one operation.
func operation(path string, op object) {
	_, id, _ := strings.Cut(op["operationId"].(string), "_") //nolint:forcetypeassert // As in openAPI.
	op["operationId"] = id
	pkg, route := "gateway.v1.", path
	if below, admin := strings.CutPrefix(path, "/admin"); admin {
		pkg, route = "admin.v1.", below
	}
	op["tags"] = list{strings.Trim(strings.FieldsFunc(route, func(r rune) bool { return r == '/' || r == ':' })[1], "{}")}
	parameters, _ := op["parameters"].(list)
	for _, p := range parameters {
		shape(p)
	}
	responses, _ := op["responses"].(object)
	ok, _ := responses["200"].(object)
	content, _ := ok["content"].(object)
	request, response := payloads(id)
	if body, has := op["requestBody"].(object); has {
		delete(body, "required") // An empty body is {}.
		if request != nil {
			body["content"] = object{"application/json": object{"schema": request}}
		}
	}
	if response != nil {
		content["application/json"] = object{"schema": response}
	}
	stream := object{"schema": object{"type": "string", "description": "Server-Sent Events."}}
	switch {
	case id == "CallTool":
		ok["description"] = "What the tool answered; isError says that it ran and failed. As text/event-stream: the events " +
			"progress, log, dropped (how many of those were left out), then result or error, each with JSON."
		content["text/event-stream"] = stream
	case strings.HasSuffix(path, ":watch"), strings.HasSuffix(path, ":tail"):
		stream["x-event-data"] = ref(pkg + id + "Response") // OpenAPI 3.1 has no word for it.
		ok["content"] = object{"text/event-stream": stream}
		ok["description"] = "An event for each message, whose data is a " + id + "Response; at the end an event named error, with a problem."
	}
	responses["default"] = object{
		"description": "Why the request failed.",
		"content":     object{"application/problem+json": object{"schema": ref("Problem")}},
	}
}

// shape renames properties that hold JSON and gives 64-bit integers the form
// that they have here.
func shape(v any) {
	switch v := v.(type) {
	case list:
		for _, e := range v {
			shape(e)
		}
	case object:
		if v["format"] == "int64" {
			v["type"] = "integer"
		}
		if props, ok := v["properties"].(object); ok {
			for _, name := range slices.Sorted(maps.Keys(props)) {
				if short, is := strings.CutSuffix(name, "Json"); is {
					props[short] = props[name]
					delete(props, name)
					p, _ := props[short].(object)
					if items, ok := p["items"].(object); ok {
						p = items
					}
					delete(p, "type")
				}
			}
		}
		for _, e := range v {
			shape(e)
		}
	}
}

// reach notes the schemas that v refers to, directly or not.
func reach(v any, schemas object, reached map[string]bool) {
	switch v := v.(type) {
	case list:
		for _, e := range v {
			reach(e, schemas, reached)
		}
	case object:
		if to, ok := v["$ref"].(string); ok {
			if name := strings.TrimPrefix(to, refPrefix); !reached[name] {
				reached[name] = true
				reach(schemas[name], schemas, reached)
			}
		}
		for _, e := range v {
			reach(e, schemas, reached)
		}
	}
}

const refPrefix = "#/components/schemas/"

func ref(name string) object { return object{"$ref": refPrefix + name} }

// ownSchemas are those of answers that pass through as the upstream wrote them
// and of failures.
func ownSchemas() object {
	text := object{"type": "string"}
	anyObject := object{"type": "object"}
	objects := object{"type": "array", "items": anyObject}
	return object{
		"CallToolResult": object{
			"type": "object", "description": "A tool's answer in the form of MCP's CallToolResult.",
			"properties": object{
				"content":           objects,
				"structuredContent": object{"description": "Any JSON value that the tool's output schema accepts."},
				"isError":           object{"type": "boolean", "description": "The tool ran and failed; the content says how."},
			},
		},
		"ReadResourceResult": object{
			"type": "object", "description": "A resource in the form of MCP's ReadResourceResult.",
			"required": list{"contents"}, "properties": object{"contents": objects},
		},
		"GetPromptResult": object{
			"type": "object", "description": "A prompt in the form of MCP's GetPromptResult.",
			"required": list{"messages"}, "properties": object{"messages": objects, "description": text},
		},
		"Problem": object{
			"type": "object", "description": "A failure (RFC 9457).",
			"required": list{"title", "status", "code", "detail"},
			"properties": object{
				"title": text, "status": object{"type": "integer"}, "detail": text,
				"code": object{"type": "string", "description": "The failure's name, as in gRPC."},
				"violations": object{
					"type": "array", "description": "What is wrong with the arguments.",
					"items": object{
						"type": "object", "required": list{"pointer", "message"},
						"properties": object{"pointer": object{"type": "string", "description": "JSON Pointer (RFC 6901)."}, "message": text},
					},
				},
				"data": object{"description": "What the source said beyond its message: any JSON value."},
			},
		},
	}
}
