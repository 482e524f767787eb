package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/yosida95/uritemplate/v3"

	"github.com/trilith-gateway/trilith/schema"
)

// A Capability is what tools, resources, templates and prompts have in common.
// Capabilities in a registry are never changed.
type Capability struct {
	Kind        Kind
	Name        string   // for tools and prompts unique in the registry, such as "demo.echo"
	Title       string   // for people; "" where the source gave none
	Description string   // for people and models
	Source      string   // the source that offers it; set by the registry
	Origin      string   // what the source calls it: its name, URI or URI template
	Object      string   // the policy's name for it: "<kind>/<source>/<origin>", or "admin/<area>"; set by the registry
	Tags        []string // set by configuration

	// Definition is the whole definition as the source wrote it, a JSON object
	// in MCP's form, with the name replaced by Name where the registry adds a
	// prefix. Doors that speak MCP forward it untouched.
	Definition json.RawMessage
}

// A Tool is an action that a caller may ask an upstream to take.
type Tool struct {
	Capability
	Input       *schema.Schema // what Call.Args must satisfy; nil accepts any object
	Output      *schema.Schema // what a result's structured content satisfies; nil says nothing
	Annotations Annotations

	// Accepts is what Call.Args must satisfy where the source takes more than
	// Input says, such as numbers in several forms; nil is Input.
	Accepts *schema.Schema

	// Waits says that the source can make tasks of calls and wait for them too,
	// so that callers need not know of tasks, whatever the definition says.
	Waits bool
}

// adminObjects is how the objects of tools of administration begin.
const adminObjects = "admin/"

// administers reports whether the tool is one of administration.
func (t *Tool) administers() bool { return strings.HasPrefix(t.Object, adminObjects) }

// adminOp is what using a tool of administration means. Only this process makes
// such tools, so their annotations are true.
func (t *Tool) adminOp() Op {
	if t.Annotations.ReadOnly != nil && *t.Annotations.ReadOnly {
		return OpInspect
	}
	return OpAdmin
}

// Annotations are a tool's own claims about its behaviour: hints for people
// and clients, never a basis for decisions. A nil hint was not given.
type Annotations struct {
	Title       string `json:"title"`
	ReadOnly    *bool  `json:"readOnlyHint"`
	Destructive *bool  `json:"destructiveHint"`
	Idempotent  *bool  `json:"idempotentHint"`
	OpenWorld   *bool  `json:"openWorldHint"`
}

// A Resource is data that a caller may read under a URI.
type Resource struct {
	Capability
	URI      string // unique in the registry
	MIMEType string // "" when unknown
	Size     int64  // bytes before encoding; -1 when unknown
}

// A Template is a family of resources, named by an RFC 6570 URI template.
type Template struct {
	Capability
	URITemplate string // unique in the registry
	MIMEType    string // of every resource of the family; "" when it varies
	match       *regexp.Regexp
}

// Matches reports whether the URI can have come from the template.
func (t *Template) Matches(uri string) bool { return t.match.MatchString(uri) }

// A Prompt is a message template that a caller may have filled in.
type Prompt struct {
	Capability
	Arguments []PromptArgument
}

// A PromptArgument is a value that a prompt asks for. Values are strings.
type PromptArgument struct {
	Name        string `json:"name"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Required    bool   `json:"required"`
}

// head are the members that every definition may have.
type head struct {
	Name        string `json:"name"`
	Title       string `json:"title"`
	Description string `json:"description"`
}

func (h head) capability(k Kind, origin string, def json.RawMessage) Capability {
	return Capability{Kind: k, Name: h.Name, Title: h.Title, Description: h.Description, Origin: origin, Definition: def}
}

var errNoName = errors.New("definition has no name")

// ParseTool reads a tool's definition (MCP 2026-07-28, Tool) and compiles its
// schemas. The tool keeps def; the caller must not change it.
func ParseTool(def json.RawMessage) (*Tool, error) {
	var d struct {
		head
		InputSchema  json.RawMessage `json:"inputSchema"`
		OutputSchema json.RawMessage `json:"outputSchema"`
		Annotations  Annotations     `json:"annotations"`
	}
	if err := jsonv2.Unmarshal(def, &d, jsontext.AllowInvalidUTF8(true)); err != nil {
		return nil, fmt.Errorf("tool definition: %w", err)
	}
	if d.Name == "" {
		return nil, errNoName
	}
	t := &Tool{Capability: d.capability(KindTool, d.Name, def), Annotations: d.Annotations}
	var err error
	if d.InputSchema != nil {
		if t.Input, err = schema.Compile(d.InputSchema); err != nil {
			return nil, fmt.Errorf("tool %q: inputSchema: %w", d.Name, err)
		}
	}
	if d.OutputSchema != nil {
		if t.Output, err = schema.Compile(d.OutputSchema); err != nil {
			return nil, fmt.Errorf("tool %q: outputSchema: %w", d.Name, err)
		}
	}
	return t, nil
}

// ParseResource reads a resource's definition (MCP 2026-07-28, Resource).
func ParseResource(def json.RawMessage) (*Resource, error) {
	var d struct {
		head
		URI      string `json:"uri"`
		MIMEType string `json:"mimeType"`
		Size     *int64 `json:"size"`
	}
	if err := jsonv2.Unmarshal(def, &d, jsontext.AllowInvalidUTF8(true)); err != nil {
		return nil, fmt.Errorf("resource definition: %w", err)
	}
	if d.URI == "" {
		return nil, errors.New("resource definition has no uri")
	}
	r := &Resource{Capability: d.capability(KindResource, d.URI, def), URI: d.URI, MIMEType: d.MIMEType, Size: -1}
	if d.Size != nil {
		r.Size = *d.Size
	}
	return r, nil
}

// ParseTemplate reads a resource template's definition (MCP 2026-07-28,
// ResourceTemplate).
func ParseTemplate(def json.RawMessage) (*Template, error) {
	var d struct {
		head
		URITemplate string `json:"uriTemplate"`
		MIMEType    string `json:"mimeType"`
	}
	if err := jsonv2.Unmarshal(def, &d, jsontext.AllowInvalidUTF8(true)); err != nil {
		return nil, fmt.Errorf("template definition: %w", err)
	}
	if d.URITemplate == "" {
		return nil, errors.New("template definition has no uriTemplate")
	}
	t, err := uritemplate.New(d.URITemplate)
	if err != nil {
		return nil, fmt.Errorf("template %q: %w", d.URITemplate, err)
	}
	return &Template{Capability: d.capability(KindTemplate, d.URITemplate, def), URITemplate: d.URITemplate, MIMEType: d.MIMEType, match: t.Regexp()}, nil
}

// ParsePrompt reads a prompt's definition (MCP 2026-07-28, Prompt).
func ParsePrompt(def json.RawMessage) (*Prompt, error) {
	var d struct {
		head
		Arguments []PromptArgument `json:"arguments"`
	}
	if err := jsonv2.Unmarshal(def, &d, jsontext.AllowInvalidUTF8(true)); err != nil {
		return nil, fmt.Errorf("prompt definition: %w", err)
	}
	if d.Name == "" {
		return nil, errNoName
	}
	return &Prompt{Capability: d.capability(KindPrompt, d.Name, def), Arguments: d.Arguments}, nil
}
