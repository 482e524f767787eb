package grpc

import (
	"encoding/json"
	"maps"
	"mime"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/schema"
)

type document struct {
	OpenAPI    string                          `json:"openapi"`
	Paths      map[string]map[string]*describe `json:"paths"`
	Components struct {
		Schemas map[string]json.RawMessage `json:"schemas"`
	} `json:"components"`
}

type describe struct {
	OperationID string   `json:"operationId"`
	Tags        []string `json:"tags"`
	Responses   map[string]struct {
		Content map[string]struct {
			Schema json.RawMessage `json:"schema"`
		} `json:"content"`
	} `json:"responses"`
}

// A checker holds answers against the OpenAPI document.
type checker struct {
	doc     document
	schemas map[string]*schema.Schema // by operation, status and media type
}

func newChecker(t *testing.T, describe func() (object, error)) *checker {
	t.Helper()
	doc, err := describe()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	c := &checker{schemas: map[string]*schema.Schema{}}
	if err := json.Unmarshal(raw, &c.doc); err != nil {
		t.Fatal(err)
	}
	for _, methods := range c.doc.Paths {
		for _, op := range methods {
			for status, response := range op.Responses {
				for media, content := range response.Content {
					c.schemas[op.OperationID+" "+status+" "+media] = c.compile(t, content.Schema)
				}
			}
		}
	}
	return c
}

// compile compiles a schema of the document: one of OpenAPI 3.1 is one of JSON
// Schema.
func (c *checker) compile(t *testing.T, s json.RawMessage) *schema.Schema {
	t.Helper()
	root := map[string]any{"allOf": []any{s}, "components": c.doc.Components}
	raw, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := schema.Compile(raw)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return compiled
}

// check holds an answer against what the document says of its operation.
func (c *checker) check(t *testing.T, req *http.Request, res *http.Response, body []byte) {
	t.Helper()
	op := c.operation(req)
	if op == nil {
		if res.StatusCode < 400 && req.URL.Path != "/openapi.json" {
			t.Errorf("%s %s is answered but not described", req.Method, req.URL.Path)
		}
		return
	}
	media, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if err != nil {
		t.Errorf("%s: %v", op.OperationID, err)
	}
	status := "default"
	if res.StatusCode == http.StatusOK {
		status = "200"
	}
	s, ok := c.schemas[op.OperationID+" "+status+" "+media]
	switch {
	case !ok:
		t.Errorf("%s: the document knows no %d of type %s", op.OperationID, res.StatusCode, media)
	case strings.HasSuffix(media, "json") && len(body) > 0:
		if err := s.Validate(body); err != nil {
			t.Errorf("%s: %v\n%s", op.OperationID, err, body)
		}
	}
}

// operation returns what the document says of a request, or nil.
func (c *checker) operation(r *http.Request) *describe {
	method := strings.ToLower(r.Method)
	if method == "head" {
		method = "get"
	}
	var best *describe
	longest := -1
	for path, methods := range c.doc.Paths {
		before, after, _ := strings.Cut(path, "{")
		_, after, _ = strings.Cut(after, "}")
		got := r.URL.Path
		if before == path && got != path || !strings.HasPrefix(got, before) || !strings.HasSuffix(got, after) {
			continue
		}
		if op := methods[method]; op != nil && len(path) > longest {
			best, longest = op, len(path)
		}
	}
	return best
}

// TestOpenAPI holds the document's operations against the rules in the
// service's definition, and demands that everything in it is used.
func TestOpenAPI(t *testing.T) {
	c := newChecker(t, gatewayAPI)
	if c.doc.OpenAPI != "3.1.0" {
		t.Errorf("version %s", c.doc.OpenAPI)
	}
	c.routes(t, gatewayv1.File_gateway_v1_gateway_proto.Services().Get(0))
	names := slices.Sorted(maps.Keys(c.doc.Components.Schemas))
	if d := cmp.Diff([]string{
		"CallToolResult", "GetPromptResult", "Problem", "ReadResourceResult",
		"gateway.v1.CompleteResponse",
		"gateway.v1.ListPromptsResponse", "gateway.v1.ListResourceTemplatesResponse",
		"gateway.v1.ListResourcesResponse", "gateway.v1.ListToolsResponse",
		"gateway.v1.Prompt", "gateway.v1.PromptArgument", "gateway.v1.Resource", "gateway.v1.ResourceTemplate",
		"gateway.v1.Tool", "gateway.v1.ToolAnnotations",
		"gateway.v1.WatchCapabilitiesResponse", "gateway.v1.WatchResourceResponse",
	}, names); d != "" {
		t.Errorf("schemas (-want +got)\n%s", d)
	}
	var tool struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	if err := json.Unmarshal(c.doc.Components.Schemas["gateway.v1.Tool"], &tool); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"annotations", "description", "inputSchema", "name", "outputSchema", "source", "tags", "title"}, slices.Sorted(maps.Keys(tool.Properties))); d != "" {
		t.Errorf("a tool's members (-want +got)\n%s", d)
	}
	for _, broken := range []string{"", "{}", `{"paths":{},"components":{}}`} {
		if _, err := openAPI("", "", broken); err == nil {
			t.Errorf("%q is shaped", broken)
		}
	}
}

// routes holds the document's operations against the rules of services.
func (c *checker) routes(t *testing.T, services ...protoreflect.ServiceDescriptor) {
	t.Helper()
	want := map[string]string{}
	for _, s := range services {
		for i := range s.Methods().Len() {
			if route := routeOf(s.Methods().Get(i)); route != "" {
				want[route] = string(s.Methods().Get(i).Name())
			}
		}
	}
	got := map[string]string{}
	for path, methods := range c.doc.Paths {
		for method, op := range methods {
			got[method+" "+path] = op.OperationID
			if _, ok := op.Responses["default"]; !ok {
				t.Errorf("%s does not say how it fails", op.OperationID)
			}
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("routes (-proto +document)\n%s", d)
	}
}

// TestAdminOpenAPI holds the description of administration against its services,
// and looks at what the generator does not know: JSON in place and streams.
func TestAdminOpenAPI(t *testing.T) {
	c := newChecker(t, adminAPI)
	c.routes(t, adminv1.Services()...)
	for name, want := range map[string]string{
		"ListRecordsResponse":  `{"nextPageToken":{"type":"string","description":"Empty on the last page."},"records":{"type":"array","items":{},"description":"Each one JSON object."}}`,
		"TailRecordsResponse":  `{"dropped":{"type":"integer","description":"How many were left out before it.","format":"int64"},"record":{"description":"One JSON object."}}`,
		"ListSessionsResponse": `{"sessions":{"type":"array","items":{"$ref":"#/components/schemas/admin.v1.Session"},"description":"The oldest first, at most 10,000."},"total":{"type":"integer","description":"How many there are.","format":"int64"},"missingNodes":{"type":"array","items":{"type":"string"},"description":"Nodes that did not answer in time: what is open there is missing."}}`,
	} {
		var s struct{ Properties any }
		if err := json.Unmarshal(c.doc.Components.Schemas["admin.v1."+name], &s); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var properties any
		if err := json.Unmarshal([]byte(want), &properties); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(properties, s.Properties); d != "" {
			t.Errorf("%s (-want +got)\n%s", name, d)
		}
	}
	tail := c.doc.Paths["/admin/v1/audit/records:tail"]["get"]
	if _, ok := tail.Responses["200"].Content["text/event-stream"]; !ok || len(tail.Responses["200"].Content) != 1 || !slices.Equal(tail.Tags, []string{"audit"}) {
		t.Errorf("the tail is described as %+v", tail)
	}
	f := frontend(t, newWorld(t), Options{Admin: newAdministration(t, nil)})
	none := frontend(t, newWorld(t), Options{})
	for _, c := range []struct {
		f            *Frontend
		method, path string
		want         int
	}{
		{f, "GET", "/openapi.json", 200},
		{f, "GET", "/admin/v1/openapi.json", 200},
		{f, "POST", "/admin/v1/openapi.json", 405},
		{none, "GET", "/openapi.json", 200},
		{none, "GET", "/admin/v1/openapi.json", 404},
	} {
		r := httptest.NewRequestWithContext(t.Context(), c.method, c.path, nil)
		r.Header.Set("Who", "alice")
		w := httptest.NewRecorder()
		withPrincipal(c.f.REST()).ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, w.Code, c.want)
		}
	}
}

// routeOf returns where REST has a method, as "get /v1/tools", or "".
func routeOf(m protoreflect.MethodDescriptor) string {
	rule, _ := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
	method, path := "get", rule.GetGet()
	if path == "" {
		method, path = "post", rule.GetPost()
	}
	if path == "" {
		method, path = "put", rule.GetPut()
	}
	if path == "" {
		method, path = "delete", rule.GetDelete()
	}
	if path == "" {
		return ""
	}
	return method + " " + strings.ReplaceAll(path, "=**", "")
}
