package openapi

import (
	"encoding/json"
	"fmt"
	"strings"
)

// A Call is a tool that is described without a document: one request.
type Call struct {
	Name        string // of the tool
	Title       string // for people; "" for none
	Description string
	Method      string // in capitals
	Path        string // with parameters in braces, as in /users/{id}
	Parameters  []CallParameter
	Body        *CallBody // nil for none
}

// A CallParameter is a value that stands outside the body.
type CallParameter struct {
	Name        string // in the request; it is the argument's too
	In          string // "path", "query", "header" or "cookie"; "" is the path where it has the name, else the query
	Type        string // of JSON; "" is string
	Schema      string // JSON Schema, instead of Type; "" for none
	Description string
	Required    bool
}

// A CallBody is the body of a request.
type CallBody struct {
	Type        string // media type; "" is application/json
	Schema      string // JSON Schema; "" admits anything
	Description string
	Required    bool
}

type (
	object = map[string]any
	list   = []any
)

// describe returns the calls as an OpenAPI document, so that they are read as
// operations of one are.
func describe(calls []Call) ([]byte, error) {
	paths := map[string]object{}
	for _, c := range calls {
		if !isMethod(c.Method) {
			return nil, fmt.Errorf("call %q: there is no method %q", c.Name, c.Method)
		}
		if !strings.HasPrefix(c.Path, "/") {
			return nil, fmt.Errorf("call %q: %w", c.Name, errNoPath)
		}
		op := object{"operationId": c.Name, "summary": c.Title, "description": c.Description}
		var params list
		for _, p := range c.Parameters {
			made, err := p.describe(c.Path)
			if err != nil {
				return nil, fmt.Errorf("call %q: parameter %q: %w", c.Name, p.Name, err)
			}
			params = append(params, made)
		}
		op["parameters"] = params
		if c.Body != nil {
			content := object{}
			if c.Body.Schema != "" {
				if err := checkSchema(c.Body.Schema); err != nil {
					return nil, fmt.Errorf("call %q: the body's schema: %w", c.Name, err)
				}
				content["schema"] = json.RawMessage(c.Body.Schema)
			}
			media := c.Body.Type
			if media == "" {
				media = "application/json"
			}
			op["requestBody"] = object{"required": c.Body.Required, "description": c.Body.Description, "content": object{media: content}}
		}
		method := strings.ToLower(c.Method)
		path := c.Path
		if paths[path] == nil {
			paths[path] = object{}
		}
		if paths[path][method] != nil {
			return nil, fmt.Errorf("call %q: another call has its method and path", c.Name)
		}
		paths[path][method] = op
	}
	return json.Marshal(object{"openapi": "3.1.0", "paths": paths})
}

func (p *CallParameter) describe(path string) (object, error) {
	made := object{"name": p.Name, "in": p.In, "description": p.Description, "required": p.Required}
	if p.In == "" {
		if made["in"] = "query"; strings.Contains(path, "{"+p.Name+"}") {
			made["in"] = "path"
		}
	}
	switch {
	case p.Schema != "":
		if err := checkSchema(p.Schema); err != nil {
			return nil, fmt.Errorf("its schema: %w", err)
		}
		made["schema"] = json.RawMessage(p.Schema)
	case p.Type != "":
		made["schema"] = object{"type": p.Type}
	default:
		made["schema"] = object{"type": "string"}
	}
	return made, nil
}
