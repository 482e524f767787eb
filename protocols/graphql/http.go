package graphql

import (
	"errors"
	"net/http"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/trilith-gateway/trilith/gateway"
)

// serveHTTP answers everything but WebSockets (GraphQL over HTTP, sections 5 and 6).
func (f *Frontend) serveHTTP(w http.ResponseWriter, r *http.Request, p *gateway.Principal) {
	as := accept(r.Header.Values("Accept"))
	if as == "" {
		f.refuse(w, r, "", typeJSON, http.StatusNotAcceptable,
			requestFault(http.StatusNotAcceptable, "the response is application/graphql-response+json, application/json or text/event-stream"))
		return
	}
	plain := as
	if as == typeEvents {
		plain = typeJSON
	}
	if p == nil { // The door has answered already; a frontend without a door must not be open.
		f.refuse(w, r, "", plain, http.StatusUnauthorized, list(errNobody))
		return
	}
	req, err := f.parse(w, r)
	if no, ok := errors.AsType[*refusal](err); ok {
		f.refuse(w, r, "", plain, no.status, requestFault(no.status, no.message))
		return
	}
	op, errs := f.prepare(r.Context(), p, req)
	switch {
	case as == typeEvents && (errs != nil || r.Method == http.MethodPost || op.Operation.Operation == ast.Query):
		f.serveEvents(w, r, p, req.OperationName, op, errs)
	case errs != nil:
		f.refuse(w, r, req.OperationName, as, statusOfErrors(as), errs)
	case op.Operation.Operation == ast.Subscription && as != typeEvents:
		f.refuse(w, r, req.OperationName, as, http.StatusNotAcceptable,
			requestFault(http.StatusNotAcceptable, "a subscription needs a WebSocket, or a POST that accepts text/event-stream"))
	case r.Method == http.MethodGet && op.Operation.Operation != ast.Query:
		w.Header().Set("Allow", http.MethodPost)
		f.refuse(w, r, req.OperationName, plain, http.StatusMethodNotAllowed,
			requestFault(http.StatusMethodNotAllowed, "only queries may be sent by GET"))
	case onlyIntrospects(op):
		f.serveIntrospection(w, r, p, req.OperationName, as, op)
	default:
		f.serveOnce(w, r, p, req.OperationName, as, op)
	}
}

// serveOnce runs an operation that gives one response.
func (f *Frontend) serveOnce(w http.ResponseWriter, r *http.Request, p *gateway.Principal, operation, as string, op *graphql.OperationContext) {
	next, ctx, stop := f.start(r.Context(), p, op)
	defer stop()
	resp := next(ctx)
	if resp == nil { // The context ended before the operation began.
		f.refuse(w, r, operation, as, http.StatusServiceUnavailable, list(ctx.Err()))
		return
	}
	write(w, as, http.StatusOK, appendResponse(make([]byte, 0, len(resp.Data)+64), resp.Data, resp.Errors))
}

// serveIntrospection answers with what is kept of the view, if it can.
func (f *Frontend) serveIntrospection(w http.ResponseWriter, r *http.Request, p *gateway.Principal, operation, as string, op *graphql.OperationContext) {
	if kept := f.answer(r.Context(), p, op); kept != nil {
		kept.serve(w, r, as)
		return
	}
	f.serveOnce(w, r, p, operation, as, op)
}

// parse reads the request, or returns a *refusal.
func (f *Frontend) parse(w http.ResponseWriter, r *http.Request) (*request, error) {
	switch r.Method {
	case http.MethodPost:
		return f.parsePost(w, r)
	case http.MethodGet:
		return f.parseGet(r.URL.RawQuery)
	default:
		w.Header().Set("Allow", "GET, POST")
		return nil, &refusal{http.StatusMethodNotAllowed, "the method must be GET or POST"}
	}
}

// statusOfErrors is the status of a document that cannot be executed: 400, but 200 for clients of the older media
// type, which take any other status for the failure of something on the way (GraphQL over HTTP, section 6.4).
func statusOfErrors(mediaType string) int {
	if mediaType == typeGraphQL {
		return http.StatusBadRequest
	}
	return http.StatusOK
}
