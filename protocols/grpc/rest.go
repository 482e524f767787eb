package grpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/keep"
)

// rest is the REST door: checks that hold for every request, then
// grpc-gateway's routes.
type rest struct {
	*Frontend
	service *service
	admin   *administration // nil without administration
	mux     *runtime.ServeMux
	common  *common // of the documents of callers
	forAll  []byte  // the document of administration; nil without

	documents *keep.Budget // of the documents of callers
}

func newREST(f *Frontend) (http.Handler, error) {
	h := &rest{Frontend: f, service: &service{Frontend: f, via: "rest"}, documents: keep.NewBudget(documentsMost)}
	var err error
	if h.common, err = newCommon(f.options); err != nil {
		return nil, fmt.Errorf("OpenAPI document: %w", err)
	}
	h.mux = runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, codec{f.options.Bounds}),
		runtime.WithErrorHandler(func(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
			h.fail(w, r, err)
		}),
		runtime.WithRoutingErrorHandler(func(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, status int) {
			h.fail(w, r, noRoute(w, r, status))
		}),
		runtime.WithMiddlewares(h.route),
		// The method is the method.
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithStrictDeepWildcardMatching(),
		runtime.WithWriteContentLength(),
	)
	ctx := context.Background() //nolint:forbidigo // It is for connections, of which there are none.
	if f.options.Admin != nil {
		h.admin = &administration{Frontend: f, via: "rest"}
		doc, err := adminAPI()
		if err == nil {
			h.forAll, err = json.MarshalIndent(doc, "", "  ")
		}
		if err != nil {
			return nil, fmt.Errorf("OpenAPI document of administration: %w", err)
		}
		if err := h.adminRoutes(ctx, h.mux); err != nil {
			return nil, err
		}
	}
	return h, gatewayv1.RegisterGatewayServiceHandlerServer(ctx, h.mux, h.service)
}

// ServeHTTP answers one request.
func (h *rest) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer h.recover(w, r)
	header := w.Header()
	header.Set("Cache-Control", "private, no-store") // Every answer depends on the caller.
	header.Set("X-Content-Type-Options", "nosniff")
	r = r.WithContext(r.Context()) // A copy, to be changed.
	if r.Method == http.MethodHead && !strings.HasSuffix(r.URL.Path, ":watch") && !strings.HasSuffix(r.URL.Path, ":tail") {
		// net/http looks at the original and leaves the body out. A watch has no
		// end that could be waited for.
		r.Method = http.MethodGet
	}
	if serve := h.typed(r.URL.Path); serve != nil {
		if err := serve(w, r); err != nil {
			h.fail(w, r, err)
		}
		return
	}
	if r.URL.Path == protoPath || strings.HasPrefix(r.URL.Path, protoPath+"/") {
		h.serveProto(w, r)
		return
	}
	if err := knownQuery(r); err != nil {
		h.fail(w, r, err)
		return
	}
	body, err := h.readBody(w, r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	r.Body = body
	// Nothing else that the client says is anything to the routes.
	r.Header = http.Header{"Accept": r.Header["Accept"], "Grpc-Timeout": r.Header["Grpc-Timeout"]}
	h.mux.ServeHTTP(w, r)
}

func (h *rest) recover(w http.ResponseWriter, r *http.Request) {
	switch p := recover(); p {
	case nil:
	case http.ErrAbortHandler: // What net/http asks for where the answer has begun.
		panic(p)
	default:
		h.fail(w, r, h.panicked(r.Context(), r.URL.Path, p))
	}
}

// route sees a request when its route is found. It sends streams to where they
// are served: grpc-gateway has none in process.
func (h *rest) route(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		pattern, _ := runtime.HTTPPattern(r.Context())
		name := params["name"]
		switch {
		case pattern.Verb() == "tail":
			h.tail(w, r)
		case strings.Contains(name, ":"): // No name has one: it is a verb of the other method.
			h.fail(w, r, noRoute(w, r, http.StatusMethodNotAllowed))
		case pattern.Verb() == "call" && acceptsEvents(r):
			req := &gatewayv1.CallToolStreamRequest{Name: name, ArgumentsJson: string(textOf(r.Body))}
			serveEvents(h, w, r, callEvent, req, h.service.CallToolStream)
		case pattern.Verb() == "watch" && strings.HasPrefix(r.URL.Path, adminPath+"sources:"):
			h.sources(w, r)
		case pattern.Verb() == "watch" && strings.HasPrefix(r.URL.Path, adminPath):
			h.traffic(w, r)
		case pattern.Verb() == "watch" && strings.HasPrefix(r.URL.Path, "/v1/resources:"):
			req := &gatewayv1.WatchResourceRequest{Uri: r.URL.Query().Get("uri")}
			serveEvents(h, w, r, messageEvent, req, h.service.WatchResource)
		case pattern.Verb() == "watch":
			serveEvents(h, w, r, messageEvent, &gatewayv1.WatchCapabilitiesRequest{}, h.service.WatchCapabilities)
		default:
			next(w, r, params)
		}
	}
}

// noRoute returns the refusal of a request that no route takes.
func noRoute(w http.ResponseWriter, r *http.Request, status int) error {
	allow := allowed(r.URL.Path)
	if allow == "" && status == http.StatusMethodNotAllowed {
		status = http.StatusNotFound
	}
	switch status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", allow)
		return refuseHTTP(status, gateway.Unimplemented, "the method is not allowed here")
	case http.StatusNotFound:
		return refuse(nil, gateway.NotFound, "there is nothing at this path")
	default:
		return refuseHTTP(status, gateway.InvalidArgument, "the path is malformed")
	}
}

// allowed returns the methods that a path allows, or "" where nothing is there.
func allowed(path string) string {
	if strings.HasPrefix(path, adminPath) {
		return adminMethods(path)
	}
	switch _, verb, _ := strings.Cut(path[strings.LastIndexByte(path, '/')+1:], ":"); verb {
	case "", "read":
		return "GET, HEAD"
	case "watch":
		return "GET"
	case "call", "get", "complete":
		return "POST"
	default: // The name of a tool, to the pattern that found it.
		return ""
	}
}

// refuseHTTP returns a refusal with a status of its own.
func refuseHTTP(status int, code gateway.Code, msg string) error {
	e := refuse(nil, code, msg)
	e.status = status
	return e
}

// knownQuery refuses query parameters that no route has: a misspelt pageToken
// would be the first page again and again.
func knownQuery(r *http.Request) error {
	if r.URL.RawQuery == "" {
		return nil
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return refuse(nil, gateway.InvalidArgument, "the query is malformed")
	}
	if strings.HasPrefix(r.URL.Path, adminPath) {
		return knownAdminQuery(values)
	}
	for key, v := range values {
		switch key {
		case "pageSize", "page_size":
			if _, err := strconv.ParseInt(v[0], 10, 32); err != nil {
				return refuse(nil, gateway.InvalidArgument, "query parameter "+key+" is not a number")
			}
		case "pageToken", "page_token", "uri":
		default:
			return refuse(nil, gateway.InvalidArgument, fmt.Sprintf("unknown query parameter %q", clip(key, 64)))
		}
		if len(v) > 1 {
			return refuse(nil, gateway.InvalidArgument, "query parameter "+key+" is given more than once")
		}
	}
	return nil
}

// text is a request's body, read and bounded.
type text struct {
	bytes.Reader
	raw []byte
}

// Close does nothing.
func (*text) Close() error { return nil }

// textOf returns the whole of a body.
func textOf(r io.Reader) []byte {
	if t, ok := r.(*text); ok {
		return t.raw
	}
	return nil
}

// readBody reads the body within bounds, or returns the refusal.
func (h *rest) readBody(w http.ResponseWriter, r *http.Request) (*text, error) {
	body := &text{}
	most := h.options.Bounds.Bytes
	var buf bytes.Buffer
	if r.ContentLength > 0 && r.ContentLength <= int64(most) {
		buf.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, int64(most))); err != nil {
		if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
			return nil, refuseHTTP(http.StatusRequestEntityTooLarge, gateway.ResourceExhausted, fmt.Sprintf("the body is longer than %d bytes", most))
		}
		return nil, refuse(nil, gateway.InvalidArgument, "the body could not be read")
	}
	// Browsers send other types across origins without asking first.
	if t := r.Header.Get("Content-Type"); (r.Method == http.MethodPost || r.Method == http.MethodPut) && (t != "" || buf.Len() > 0) {
		if media, _, err := mime.ParseMediaType(t); t != "application/json" && (err != nil || media != "application/json") {
			return nil, refuseHTTP(http.StatusUnsupportedMediaType, gateway.InvalidArgument, "the Content-Type of a body must be application/json")
		}
	}
	body.raw = buf.Bytes()
	body.Reset(body.raw)
	return body, nil
}

// describeAdmin serves the OpenAPI document of administration.
func (h *rest) describeAdmin(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", "GET, HEAD")
		return refuseHTTP(http.StatusMethodNotAllowed, gateway.Unimplemented, "the method is not allowed here")
	}
	answerJSON(w, h.forAll)
	return nil
}
