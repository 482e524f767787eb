package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/trilith-gateway/trilith/gateway/server"
)

// httpMethods are those that a handler may tell apart.
func httpMethods() []string {
	return []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, "QUERY",
	}
}

// ask returns a step's request over HTTP.
func (w *walker) ask(method, path, accept, body string) func(*testing.T, string) answer {
	return func(t *testing.T, token string) answer {
		t.Helper()
		h := http.Header{}
		if accept != "" {
			h.Set("Accept", accept)
		}
		status, header, text := w.http(t, method, path, token, h, body)
		a := answer{unknown: status == http.StatusUnauthorized, text: fmt.Sprint(status, " ", header, " ", text)}
		if status >= http.StatusBadRequest {
			a.code = fmt.Sprint(status)
		}
		return a
	}
}

// TestWalkRoutes goes to every HTTP route by every method.
func TestWalkRoutes(t *testing.T) {
	for mode, dev := range map[string]*server.Dev{"serve": nil, "dev": {}} {
		t.Run(mode, func(t *testing.T) {
			w := startWalk(t, dev)
			var steps []step
			for _, pattern := range server.Routes(w.Server) {
				method, path, one := strings.Cut(pattern, " ")
				if !one {
					method, path = "", pattern
				}
				path = strings.NewReplacer("{$}", "", "{toolset}", sesame).Replace(path)
				methods := httpMethods()
				if one {
					methods = []string{method}
				}
				for _, m := range methods {
					steps = append(steps, step{name: pattern, ask: w.ask(m, path, "", "")})
					if strings.HasSuffix(path, "/") && path != "/" {
						steps = append(steps, step{name: pattern, ask: w.ask(m, path+"x", "", "")})
					}
				}
			}
			public := []string{
				"GET /{$}", "GET /livez", "GET /readyz", "GET /console/", "GET /docs/{$}", "GET /graphql/ui/", "/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/",
				"/", // By GET: the index.
			}
			if dev != nil {
				public = append(public, "/dev/issuer/", "/auth/")
			}
			w.walk(t, steps, public, []string{"/openapi.json", "/sse"})
		})
	}
}

var parameter = regexp.MustCompile(`\{(\w+)[^}]*\}`)

// TestWalkREST goes to every method of every service by its HTTP rule.
func TestWalkREST(t *testing.T) {
	w := startWalk(t, nil)
	var steps []step
	for service := range server.GRPC(w.Server) {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
		if err != nil {
			t.Fatal(err)
		}
		methods := d.(protoreflect.ServiceDescriptor).Methods() //nolint:forcetypeassert // It is registered as one.
		for i := range methods.Len() {
			m := methods.Get(i)
			rule, _ := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
			for verb, path := range map[string]string{
				http.MethodGet: rule.GetGet(), http.MethodPost: rule.GetPost(), http.MethodPut: rule.GetPut(), http.MethodDelete: rule.GetDelete(), http.MethodPatch: rule.GetPatch(),
			} {
				if path != "" {
					method, path, body := restRequest(t, m, verb, path, rule.GetBody())
					steps = append(steps, step{name: string(m.FullName()), by: refuser(m, "rest"), ask: w.ask(method, path, "", body)})
				}
			}
		}
	}
	for _, s := range []struct{ method, path, body, by string }{
		{http.MethodPost, "/v1/call/sesame.thing", "{}", "policy"},
		{http.MethodGet, "/v1/call/sesame.thing", "", "policy"},
		{http.MethodGet, "/v1/read?uri=sesame%3A%2F%2Fthing", "", "policy"},
		{http.MethodPost, "/v1/get/sesame.thing", "{}", "policy"},
		{http.MethodGet, "/v1/get/sesame.thing?x=1", "", "policy"},
	} {
		steps = append(steps,
			step{name: s.method + " " + s.path, by: s.by, ask: w.ask(s.method, s.path, "", s.body)},
			step{name: s.method + " " + s.path + " as a stream", by: s.by, ask: w.ask(s.method, s.path, "text/event-stream", s.body)})
	}
	w.walk(t, steps, nil, openMethods())
}

// refuser is who refuses the guest: the policy, but where a tool is looked for
// in what the policy shows.
func refuser(m protoreflect.MethodDescriptor, door string) string {
	if m.FullName() == "gateway.v1.GatewayService.GetTool" {
		return door
	}
	return "policy"
}

// openMethods are the methods that anybody who is known may call: what they show
// is what the policy lets the caller see.
func openMethods() []string {
	return []string{
		"gateway.v1.GatewayService.ListTools", "gateway.v1.GatewayService.ListResources",
		"gateway.v1.GatewayService.ListResourceTemplates", "gateway.v1.GatewayService.ListPrompts", "gateway.v1.GatewayService.WatchCapabilities",
	}
}

// restRequest returns the request of a method about the sesame.
func restRequest(t *testing.T, m protoreflect.MethodDescriptor, verb, path, body string) (string, string, string) {
	t.Helper()
	in := message(t, m.Input())
	fill(in.ProtoReflect(), 0)
	raw, err := protojson.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	path = parameter.ReplaceAllStringFunc(path, func(p string) string {
		name := m.Input().Fields().ByName(protoreflect.Name(parameter.FindStringSubmatch(p)[1])).JSONName()
		value := strings.Trim(string(fields[name]), `"`)
		delete(fields, name)
		return value
	})
	switch body {
	case "":
		if uri, ok := fields["uri"]; ok {
			path += "?uri=" + strings.Trim(string(uri), `"`)
		}
		return verb, path, ""
	case "*":
	default:
		return verb, path, "{}"
	}
	// What is JSON in a text is JSON in place over REST.
	for name, value := range fields {
		if short, ok := strings.CutSuffix(name, "Json"); ok {
			delete(fields, name)
			fields[short] = json.RawMessage(strings.ReplaceAll(strings.Trim(string(value), `"`), `\`, ""))
		}
	}
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return verb, path, string(text)
}

// fill sets the fields of a request to what is about the sesame.
func fill(m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		name := string(f.Name())
		switch {
		case f.ContainingOneof() != nil && m.WhichOneof(f.ContainingOneof()) != nil, f.IsMap(), f.IsList(), strings.HasPrefix(name, "page_"):
		case f.Kind() == protoreflect.MessageKind && depth < 2 && f.Message().ParentFile().Package() != "google.protobuf":
			fill(m.Mutable(f).Message(), depth+1)
		case f.Kind() == protoreflect.StringKind && strings.HasSuffix(name, "_json"):
			m.Set(f, protoreflect.ValueOfString("{}"))
		case f.Kind() == protoreflect.StringKind && name == "uri":
			m.Set(f, protoreflect.ValueOfString("sesame://thing"))
		case f.Kind() == protoreflect.StringKind:
			m.Set(f, protoreflect.ValueOfString("sesame.thing"))
		case f.Kind() == protoreflect.Int64Kind:
			m.Set(f, protoreflect.ValueOfInt64(1))
		}
	}
}
