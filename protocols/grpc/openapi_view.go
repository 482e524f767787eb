package grpc

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/keep"
)

// Bounds on the bytes of one caller's document, and of all that are kept.
const (
	documentMost  = 64 << 20
	documentsMost = 256 << 20
)

// A viewDocument is the place of a document with the view that it is of.
type viewDocument struct {
	told    atomic.Bool
	writing sync.Mutex
	kept    atomic.Pointer[writtenDocument] // nil where it has not been written, or was let go
}

// A writtenDocument is what REST is to those who see the same: the routes that are for
// everybody, and a typed path for each tool and prompt.
type writtenDocument struct {
	text  []byte
	etag  string
	plain int // schemas that are described as anything
	err   error
	item  atomic.Pointer[keep.Item]
}

// documentOf returns the document of a view, which one caller at a time writes.
func (h *rest) documentOf(view *gateway.Snapshot) (*viewDocument, *writtenDocument) {
	v := view.Memo(documentKey{h}, func(*gateway.Snapshot) any { return new(viewDocument) }).(*viewDocument) //nolint:forcetypeassert // As built.
	if d := v.kept.Load(); d != nil {
		h.documents.Use(d.item.Load())
		return v, d
	}
	v.writing.Lock()
	defer v.writing.Unlock()
	if d := v.kept.Load(); d != nil {
		return v, d
	}
	d := h.document(view)
	v.kept.Store(d)
	at := weak.Make(v) // The view goes with who sees it.
	d.item.Store(h.documents.Add(int64(len(d.text)), func() {
		if v := at.Value(); v != nil {
			v.kept.Store(nil)
		}
	}))
	return v, d
}

// documentKey is under what a view has its document.
type documentKey struct{ h *rest }

// describeView serves the document of the caller.
func (h *rest) describeView(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", "GET, HEAD")
		return refuseHTTP(http.StatusMethodNotAllowed, gateway.Unimplemented, "the method is not allowed here")
	}
	p := auth.From(r.Context())
	if p == nil {
		return errUnauthenticated()
	}
	view := h.gw.View(p)
	if err := h.gw.Listed(r.Context(), gateway.Listing{Principal: p, Via: "rest", Count: len(view.Tools) + len(view.Prompts)}); err != nil {
		return &callError{err: gateway.AsError(err), recorded: true}
	}
	v, doc := h.documentOf(view)
	if doc.plain > 0 && !v.told.Swap(true) {
		h.options.Logger.InfoContext(r.Context(), "schemas are described as anything in an OpenAPI document", slog.Int("schemas", doc.plain))
	}
	if doc.err != nil {
		return doc.err
	}
	header := w.Header()
	header.Set("Cache-Control", "private, no-cache") // It may be kept, and is to be asked for anew each time.
	header.Set("Vary", h.vary())
	header.Set("Etag", doc.etag)
	if hasTag(r.Header["If-None-Match"], doc.etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	answerJSON(w, doc.text)
	return nil
}

// vary names the request's headers that say who the caller is.
func (h *rest) vary() string {
	if h.options.KeyHeader != "" {
		return "Authorization, " + h.options.KeyHeader
	}
	return "Authorization"
}

// hasTag reports whether If-None-Match names an entity tag (RFC 9110, section
// 13.1.2).
func hasTag(values []string, tag string) bool {
	for _, v := range values {
		for one := range strings.SplitSeq(v, ",") {
			if one = strings.TrimPrefix(strings.TrimSpace(one), "W/"); one == tag || one == "*" {
				return true
			}
		}
	}
	return false
}

// A common is what documents have in common, as members of JSON objects.
type common struct {
	paths, schemas, security []byte
	names                    []string // of schemas
	operations               []string // their ids
}

// newCommon shapes the description of the routes that are for everybody.
func newCommon(o Options) (*common, error) {
	doc, err := gatewayAPI()
	if err != nil {
		return nil, err
	}
	f := &common{}
	paths, _ := doc["paths"].(object)
	for _, item := range paths {
		methods, _ := item.(object)
		for _, op := range methods {
			id, _ := op.(object)["operationId"].(string) //nolint:forcetypeassert // As in openAPI.
			f.operations = append(f.operations, id)
		}
	}
	components, _ := doc["components"].(object)
	schemas, _ := components["schemas"].(object)
	for name := range schemas {
		f.names = append(f.names, name)
	}
	paths[readPath] = object{"get": readOperation()}
	paths[protoPath], paths[protoPath+"/{source}.proto"] = object{"get": protoOperation()}, object{"get": protoFileOperation()}
	f.operations = append(f.operations, "read", "listProto", "getProto")
	if f.paths, err = inner(paths); err == nil {
		f.schemas, err = inner(schemas)
	}
	if err == nil {
		f.security, err = security(o)
	}
	return f, err
}

// inner returns the members of an object without its braces.
func inner(v object) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return b[1 : len(b)-1], nil
}

// security returns the ways to authenticate as members of the document and of
// its components.
func security(o Options) ([]byte, error) {
	schemes := object{"bearer": object{"type": "http", "scheme": "bearer"}}
	any1 := list{object{"bearer": list{}}}
	if o.KeyHeader != "" {
		schemes["key"] = object{"type": "apiKey", "in": "header", "name": o.KeyHeader}
		any1 = append(any1, object{"key": list{}})
	}
	for i, issuer := range o.Issuers {
		name := "issuer" + strconv.Itoa(i+1)
		schemes[name] = object{"type": "openIdConnect", "openIdConnectUrl": strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"}
		any1 = append(any1, object{name: list{}})
	}
	return inner(object{"security": any1, "securitySchemes": schemes})
}

func readOperation() object {
	return object{
		"operationId": "read", "tags": list{"resources"}, "summary": "What a resource holds, as its own media type.",
		"parameters": list{object{"name": "uri", "in": "query", "required": true, "schema": object{"type": "string"}}},
		"responses": object{
			"200":     object{"description": "The content, text or binary.", "content": object{"*/*": object{"schema": object{}}}},
			"default": answer("Problem"),
		},
	}
}

func protoOperation() object {
	text := func(description string) object { return object{"type": "string", "description": description} }
	file := object{"type": "object", "required": list{"source", "package", "service", "path"}, "properties": object{
		"source": text("The source whose tools and prompts are methods."), "package": text("Of its types."),
		"service": text("Its full name."), "path": text("Of the file, as others would import it."),
	}}
	body := object{"type": "object", "required": list{"files"}, "properties": object{"files": object{"type": "array", "items": file}}}
	return object{
		"operationId": "listProto", "tags": list{"proto"}, "summary": "The typed gRPC services, one of each source.",
		"responses": object{
			"200":     object{"description": "The services of which the caller may use something.", "content": object{"application/json": object{"schema": body}}},
			"default": answer("Problem"),
		},
	}
}

func protoFileOperation() object {
	return object{
		"operationId": "getProto", "tags": list{"proto"}, "summary": "The protobuf of a source's typed gRPC service.",
		"parameters": list{object{"name": "source", "in": "path", "required": true, "schema": object{"type": "string"}}},
		"responses": object{
			"200":     object{"description": "What the caller may use, as one file.", "content": object{"text/plain": object{"schema": object{"type": "string"}}}},
			"default": answer("Problem"),
		},
	}
}

// answer refers to one of the commonResponses.
func answer(name string) object { return object{"$ref": "#/components/responses/" + name} }

// A composer writes one document.
type composer struct {
	common         *common
	paths, schemas bytes.Buffer
	components     map[string]int
	operations     map[string]int
	plain          int // schemas that are described as anything
}

// document describes what REST is to who sees a snapshot.
func (h *rest) document(s *gateway.Snapshot) *writtenDocument {
	c := &composer{common: h.common, components: map[string]int{}, operations: map[string]int{}}
	for _, name := range h.common.names {
		c.components[name] = 1
	}
	for _, id := range h.common.operations {
		c.operations[id] = 1
	}
	tooLarge := func() bool { return c.paths.Len()+c.schemas.Len() > documentMost }
	for _, t := range s.Tools {
		if c.tool(s, t); tooLarge() {
			break
		}
	}
	for _, p := range s.Prompts {
		if tooLarge() {
			break
		}
		c.prompt(p)
	}
	if tooLarge() {
		return &writtenDocument{err: refuse(nil, gateway.ResourceExhausted, "the document would be larger than "+strconv.Itoa(documentMost)+" bytes; list the tools at /v1/tools")}
	}
	text := c.text(h.options)
	sum := sha256.Sum256(text)
	return &writtenDocument{text: text, plain: c.plain, etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:18]) + `"`}
}

// text returns the whole document.
func (c *composer) text(o Options) []byte {
	b := make([]byte, 0, c.paths.Len()+c.schemas.Len()+len(c.common.paths)+len(c.common.schemas)+4096)
	b = append(b, `{"openapi":"3.1.0","info":{"title":"Trilith gateway","version":"1.0.0","description":"What the caller may use: a path for each tool and prompt, `+
		`and the registry of all of it. A request may set a deadline with the header Grpc-Timeout, such as 5S or 500m."},`...)
	if o.URL != "" {
		b, _ = jsontext.AppendQuote(append(b, `"servers":[{"url":`...), o.URL) // The error reports invalid UTF-8, already replaced.
		b = append(b, "}],"...)
	}
	security, schemes, _ := bytes.Cut(c.common.security, []byte(`,"securitySchemes":`))
	b = append(append(b, security...), `,"paths":{`...)
	b = append(append(b, c.common.paths...), c.paths.Bytes()...)
	b = append(append(b, `},"components":{"securitySchemes":`...), schemes...)
	b = append(append(b, `,"responses":`...), commonResponses...)
	b = append(append(append(b, `,"schemas":{`...), c.common.schemas...), c.schemas.Bytes()...)
	return append(b, "}}}"...)
}

// commonResponses are the components that every typed path refers to.
const commonResponses = `{"Problem":{"description":"Why the request failed.","headers":{"Retry-After":{"description":` +
	`"Seconds after which trying again may help.","schema":{"type":"integer"}}},"content":{"application/problem+json":{"schema":{"$ref":"#/components/schemas/Problem"}}}},` +
	`"ToolError":{"description":"The tool ran and failed: detail is what it said, data its structured content or its whole result, code is TOOL_ERROR.",` +
	`"content":{"application/problem+json":{"schema":{"$ref":"#/components/schemas/Problem"}}}}}`

// unique returns a name that is not taken yet, and takes it. Taken has the number
// that was last appended to each, so that many of one name take no longer each.
func unique(taken map[string]int, name string) string {
	for base := name; taken[name] > 0; {
		taken[base]++
		name = base + "_" + strconv.Itoa(taken[base])
	}
	taken[name] = 1
	return name
}

// component returns a free name for a component.
func (c *composer) component(name string) string { return unique(c.components, componentName(name)) }

// operation returns a free id for an operation, which generators make the names
// of functions of.
func (c *composer) operation(name string) string {
	return unique(c.operations, strings.ReplaceAll(componentName(name), ".", "_"))
}

// schema adds a schema to the components and returns its name. What cannot be
// moved is described as anything, or any object.
func (c *composer) schema(base string, raw json.RawMessage, otherwise string) string {
	name := c.component(base)
	type one struct {
		name   string
		schema []byte
	}
	var all []one
	err := rebase(jsontext.Value(raw), name, c.component, func(component string, schema []byte) {
		all = append(all, one{component, schema})
	})
	if err != nil {
		c.plain++
		all = []one{{name, []byte(otherwise)}}
	}
	for _, s := range all {
		c.schemas.WriteByte(',')
		c.schemas.Write(quoted(s.name))
		c.schemas.WriteByte(':')
		c.schemas.Write(s.schema)
	}
	return name
}

func quoted(s string) []byte {
	b, _ := jsontext.AppendQuote(nil, s) // As in text.
	return b
}

// tool describes the path of a tool.
func (c *composer) tool(s *gateway.Snapshot, t *gateway.Tool) {
	input, output := "", ref("CallToolResult")
	if t.Input != nil {
		input = c.schema(t.Name+".input", t.Input.JSON(), `{"type":"object"}`)
	}
	if t.Output != nil {
		output = ref(c.schema(t.Name+".output", t.Output.JSON(), `{}`))
	}
	head := object{"tags": list{cmp.Or(t.Source, "tools")}}
	if title := cmp.Or(t.Title, t.Annotations.Title); title != "" {
		head["summary"] = title
	}
	if t.Description != "" {
		head["description"] = t.Description
	}
	responses := func(streams bool) object {
		content := object{"application/json": object{"schema": output}}
		if streams {
			content["text/event-stream"] = object{"schema": object{"type": "string", "description": "Server-Sent Events: progress, log, " +
				"dropped (how many of those were left out), then result with the answer, or error with a problem."}}
		}
		return object{
			"200": object{"description": "What the tool answered.", "content": content},
			"422": answer("ToolError"), "default": answer("Problem"),
		}
	}
	body := object{"type": "object"}
	if input != "" {
		body = ref(input)
	}
	id := c.operation(t.Name)
	post := with(head, object{
		"operationId": id, "responses": responses(true),
		"requestBody": object{"content": object{"application/json": object{"schema": body}}, "description": "The arguments; none is {}."},
	})
	item := object{"post": post}
	if q := queryOf(s, t); q != nil {
		item["get"] = with(head, object{"operationId": c.operation(t.Name + ".get"), "responses": responses(true), "parameters": q.parameters(input)})
	}
	c.path(callPath+url.PathEscape(t.Name), item)
}

// parameters describes a query. The schemas are those of the properties of the
// input schema, which is a component.
func (q *query) parameters(input string) list {
	all := list{}
	for _, name := range q.names {
		p := object{"name": name, "in": "query", "schema": object{"$ref": refPrefix + input + escapeFragment("/properties/"+escapePointer(name))}}
		for _, r := range q.required {
			if r == name {
				p["required"] = true
			}
		}
		if q.by[name].list {
			p["style"], p["explode"] = "form", true
		}
		all = append(all, p)
	}
	return all
}

// prompt describes the path of a prompt.
func (c *composer) prompt(p *gateway.Prompt) {
	head := object{"tags": list{"prompts"}, "responses": object{
		"200":     object{"description": "The prompt, filled in.", "content": object{"application/json": object{"schema": ref("GetPromptResult")}}},
		"default": answer("Problem"),
	}}
	if p.Title != "" {
		head["summary"] = p.Title
	}
	if p.Description != "" {
		head["description"] = p.Description
	}
	parameters, properties, required := list{}, object{}, list{}
	for _, a := range p.Arguments {
		if properties[a.Name] != nil {
			continue
		}
		s := object{"type": "string"}
		if text := cmp.Or(a.Description, a.Title); text != "" {
			s["description"] = text
		}
		properties[a.Name] = s
		one := object{"name": a.Name, "in": "query", "schema": object{"type": "string"}}
		if a.Required {
			one["required"] = true
			required = append(required, a.Name)
		}
		if a.Name != "" {
			parameters = append(parameters, one)
		}
	}
	body := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		body["required"] = required
	}
	id := c.operation("get." + p.Name)
	c.path(getPath+url.PathEscape(p.Name), object{
		"get": with(head, object{"operationId": id, "parameters": parameters}),
		"post": with(head, object{
			"operationId": c.operation("get." + p.Name + ".post"),
			"requestBody": object{"content": object{"application/json": object{"schema": body}}, "description": "The arguments; none is {}."},
		}),
	})
}

// path adds a path.
func (c *composer) path(path string, item object) {
	b, err := json.Marshal(item)
	if err != nil {
		return // Strings and what was JSON before always marshal.
	}
	c.paths.WriteByte(',')
	c.paths.Write(quoted(path))
	c.paths.WriteByte(':')
	c.paths.Write(b)
}

// with returns the members of both objects.
func with(a, b object) object {
	maps.Copy(b, a)
	return b
}
