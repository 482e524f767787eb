package grpc

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
)

// The typed paths, which the document of each caller describes one by one (see
// describeView): the arguments are the body or the query, and the answer is what
// the tool, resource or prompt holds, without a frame around it.
const (
	callPath = "/v1/call/" // and the name of a tool
	readPath = "/v1/read"  // with the URI of a resource in the query
	getPath  = "/v1/get/"  // and the name of a prompt
)

// queryMost bounds the bytes of a query with arguments.
const queryMost = 16 << 10

// typed returns what serves a typed path or a document, or nil for every other
// path.
func (h *rest) typed(path string) func(http.ResponseWriter, *http.Request) error {
	switch {
	case strings.HasPrefix(path, callPath) && len(path) > len(callPath):
		return h.callTyped
	case path == readPath:
		return h.readTyped
	case strings.HasPrefix(path, getPath) && len(path) > len(getPath):
		return h.getTyped
	case path == "/openapi.json":
		return h.describeView
	case path == adminPath+"openapi.json" && h.forAll != nil:
		return h.describeAdmin
	}
	return nil
}

// callTyped runs a tool. A tool with an output schema answers with its
// structured content alone, any other with the whole result; one that ran and
// failed with a problem.
func (h *rest) callTyped(w http.ResponseWriter, r *http.Request) error {
	call := &gateway.Call{Op: gateway.OpCall, Name: r.URL.Path[len(callPath):]}
	if err := h.arguments(w, r, call, h.toolQuery); err != nil {
		return err
	}
	if acceptsEvents(r) {
		r.Header = http.Header{"Grpc-Timeout": r.Header["Grpc-Timeout"]}
		serveEvents(h, w, r, restEvent(r.Context(), call), call, h.service.streamCall)
		return nil
	}
	res, err := h.do(r, call)
	if err != nil {
		return err
	}
	body, err := typedAnswer(r.Context(), call, res)
	if err != nil {
		return err
	}
	answerJSON(w, body)
	return nil
}

// getTyped fills in a prompt.
func (h *rest) getTyped(w http.ResponseWriter, r *http.Request) error {
	call := &gateway.Call{Op: gateway.OpGet, Name: r.URL.Path[len(getPath):]}
	if err := h.arguments(w, r, call, promptQuery); err != nil {
		return err
	}
	var values map[string]string
	if len(call.Args) > 0 && unmarshalStrings(call.Args, &values) != nil {
		return refuse(call, gateway.InvalidArgument, errNotStrings.Error())
	}
	res, err := h.do(r, call)
	if err != nil {
		return err
	}
	answerJSON(w, res.Raw)
	return nil
}

// arguments sets those of a call: the body of a POST, or what a GET has in its
// query.
func (h *rest) arguments(w http.ResponseWriter, r *http.Request, call *gateway.Call, query func(*http.Request, *gateway.Call, url.Values) error) error {
	switch r.Method {
	case http.MethodPost:
		if r.URL.RawQuery != "" {
			return refuse(call, gateway.InvalidArgument, "a POST has its arguments in the body, not in the query")
		}
		body, err := h.readBody(w, r)
		if err != nil {
			return err
		}
		return setRaw(call, body.raw, h.options.Bounds)
	case http.MethodGet:
		if fromElsewhere(r) {
			return refuseHTTP(http.StatusForbidden, gateway.PermissionDenied, "pages of other sites cannot lead here")
		}
		values, err := parseQuery(r, call)
		if err != nil {
			return err
		}
		return query(r, call, values)
	}
	w.Header().Set("Allow", "GET, HEAD, POST")
	return refuseHTTP(http.StatusMethodNotAllowed, gateway.Unimplemented, "the method is not allowed here")
}

// fromElsewhere reports whether a page of another origin has sent the browser
// here, or embeds what is here, which must not make a call: a certificate or the
// place that the browser is at may be all that lets it in. Pages that the Door
// lets ask say their origin.
func fromElsewhere(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return (site == "cross-site" || site == "same-site") && (r.Header["Origin"] == nil || r.Header.Get("Sec-Fetch-Mode") == "navigate")
}

// parseQuery reads the query of a GET within bounds.
func parseQuery(r *http.Request, call *gateway.Call) (url.Values, error) {
	if len(r.URL.RawQuery) > queryMost {
		return nil, refuseHTTP(http.StatusRequestURITooLong, gateway.ResourceExhausted, "the query is longer than "+strconv.Itoa(queryMost)+" bytes")
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, refuse(call, gateway.InvalidArgument, "the query is malformed")
	}
	return values, nil
}

// toolQuery sets the arguments of a call from a query, as the input schema of
// the tool has them. A tool that the caller does not see is left to the road,
// which refuses it.
func (h *rest) toolQuery(r *http.Request, call *gateway.Call, values url.Values) error {
	view := h.gw.View(auth.From(r.Context()))
	tool := view.Tool(call.Name)
	if tool == nil {
		return nil
	}
	q := queryOf(view, tool)
	if q == nil {
		return refuseHTTP(http.StatusMethodNotAllowed, gateway.Unimplemented, "the arguments of this tool do not fit into a query, or it does more than read: use POST")
	}
	args, err := q.arguments(values)
	if err != nil {
		return refuse(call, gateway.InvalidArgument, err.Error())
	}
	return setRaw(call, args, h.options.Bounds)
}

// promptQuery sets the arguments of a prompt, which are strings, from a query.
func promptQuery(_ *http.Request, call *gateway.Call, values url.Values) error {
	if len(values) == 0 {
		return nil
	}
	args := make(map[string]string, len(values))
	for name, v := range values {
		if len(v) > 1 {
			return refuse(call, gateway.InvalidArgument, "query parameter "+clip(name, 64)+" is given more than once")
		}
		args[name] = v[0]
	}
	raw, err := jsonv2.Marshal(args, jsonv2.Deterministic(true))
	if err != nil {
		return refuse(call, gateway.InvalidArgument, "the arguments are not text")
	}
	call.Args = raw
	return nil
}

// do takes a call along the road, within the deadline that the client set.
func (h *rest) do(r *http.Request, call *gateway.Call) (*gateway.Result, error) {
	ctx := r.Context()
	if r.Header["Grpc-Timeout"] == nil {
		return h.service.do(ctx, call)
	}
	only := &http.Request{Header: http.Header{"Grpc-Timeout": r.Header["Grpc-Timeout"]}, RemoteAddr: r.RemoteAddr}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ctx, err := runtime.AnnotateIncomingContext(ctx, h.mux, only, "")
	if err != nil {
		return nil, err
	}
	return h.service.do(ctx, call)
}

// typedAnswer returns what a tool answered, without the frame of its result, or
// the problem of one that ran and failed.
func typedAnswer(ctx context.Context, call *gateway.Call, res *gateway.Result) (json.RawMessage, error) {
	if res.IsError {
		return nil, &callError{call: call, status: http.StatusUnprocessableEntity, name: codeToolError, recorded: true, err: toolError(res)}
	}
	if call.Tool == nil || call.Tool.Output == nil {
		return res.Raw, nil
	}
	if value := structuredContent(res); value != nil {
		return value, nil
	}
	return nil, failed(ctx, call, mismatch(errors.New("the result has no structured content")))
}

// codeToolError is the code of a problem that the tool itself reports.
const codeToolError = "TOOL_ERROR"

// restEvent returns how the events of a running call are shown: as callEvent
// does, but with the result as callTyped has it.
func restEvent(ctx context.Context, call *gateway.Call) func(*gatewayv1.CallToolStreamResponse) (string, []byte, error) {
	return func(m *gatewayv1.CallToolStreamResponse) (string, []byte, error) {
		event, data, err := callEvent(m)
		if result := m.GetResult(); result != nil && err == nil {
			data, err = typedAnswer(ctx, call, &gateway.Result{Raw: data, IsError: result.GetIsError()})
		}
		return event, data, err
	}
}

func answerJSON(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // The client went away.
}
