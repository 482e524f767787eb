package mcp

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/schema"
)

// ServeHTTP serves the one endpoint of streamable HTTP for every revision: POST
// for messages; GET and DELETE for the streams and the ends of legacy sessions.
// Origin, Host and credentials have been checked before; a request without a
// principal in its context is refused.
func (f *Frontend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := auth.From(r.Context())
	req := &request{principal: p, at: atHTTP(r.Method)}
	if p == nil {
		f.fail(w, r, req, refusal(&gateway.Error{Code: gateway.Unauthenticated, Msg: "authentication required"}, nil, true))
		return
	}
	modern := isModern(r.Header.Get(headerVersion))
	switch {
	case isUpgrade(r):
		f.socket(w, r, req)
	case r.Method == http.MethodPost:
		f.post(w, r, req)
	case r.Method == http.MethodGet && !modern:
		f.get(w, r, req)
	case r.Method == http.MethodDelete && !modern:
		f.delete(w, r, req)
	default:
		w.Header().Set("Allow", "POST")
		if !modern {
			w.Header().Set("Allow", "POST, GET, DELETE")
		}
		f.fail(w, r, req, &wireError{code: codeInvalidRequest, status: http.StatusMethodNotAllowed, message: "Method not allowed"})
	}
}

// atHTTP says where a request arrived, in one of few words: the method is the
// client's to choose.
func atHTTP(method string) string {
	switch method {
	case http.MethodPost:
		return "POST /mcp"
	case http.MethodGet:
		return "GET /mcp"
	case http.MethodDelete:
		return "DELETE /mcp"
	}
	return "/mcp"
}

// bodyTimeout is how long a client may take to send a message.
const bodyTimeout = 30 * time.Second

// post serves one message.
func (f *Frontend) post(w http.ResponseWriter, r *http.Request, req *request) {
	if err := checkMedia(r.Header); err != nil {
		f.fail(w, r, req, err)
		return
	}
	err := f.receive(w, r, req)
	defer f.free(req)
	if err == nil && isBatch(req.body.b) {
		f.postBatch(w, r, req)
		return
	}
	if err == nil {
		req.message, err = f.parse(req.body.b)
	}
	if err != nil {
		f.fail(w, r, req, err)
		return
	}
	req.params = readParams(req.Params)
	version, ok := one(r.Header, headerVersion)
	if !ok {
		f.fail(w, r, req, headerMismatch("MCP-Protocol-Version stands more than once"))
		return
	}
	req.rev = version
	req.meta = readMeta(req.params.meta)
	inBody, _ := revisionName(req.meta.version) // Not a string is not a version.
	if isModern(version) || isModern(inBody) {
		f.postModern(w, r, req, inBody)
	} else {
		f.postLegacy(w, r, req)
	}
}

// free gives back the memory that a request was read into. The request must no
// longer be read.
func (f *Frontend) free(req *request) {
	if req.body != nil {
		f.release(req.body)
		req.body = nil
	}
}

// checkMedia refuses bodies that are not JSON, which also keeps out what a web
// page can send without asking, and clients that could not read the answer.
func checkMedia(h http.Header) *wireError {
	refuse := func(status int, msg string) *wireError {
		return &wireError{code: codeInvalidRequest, status: status, message: msg}
	}
	if t := h.Get("Content-Type"); t != "application/json" {
		if t, _, err := mime.ParseMediaType(t); err != nil || t != "application/json" {
			return refuse(http.StatusUnsupportedMediaType, "Content-Type must be application/json")
		}
	}
	if !accepts(h, "application/json") {
		return refuse(http.StatusNotAcceptable, "Accept must list application/json and text/event-stream")
	}
	return nil
}

// accepts reports whether a client reads a media type. One that does not say
// reads all (RFC 9110, section 12.5.1).
func accepts(h http.Header, media string) bool {
	values := h["Accept"]
	for _, v := range values {
		if strings.Contains(v, media) || strings.Contains(v, "*/*") || strings.Contains(v, media[:strings.IndexByte(media, '/')+1]+"*") {
			return true
		}
	}
	return len(values) == 0
}

// receive reads a request's body, which free gives back. It must come within
// bodyTimeout, or the Deadline that the body has.
func (f *Frontend) receive(w http.ResponseWriter, r *http.Request, req *request) *wireError {
	req.body = f.buffer()
	if _, timed := r.Body.(interface{ Deadline() time.Time }); timed {
		return f.readBody(w, r, req.body)
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout)) // Requests without deadlines are those of tests.
	err := f.readBody(w, r, req.body)
	if err == nil { // Otherwise net/http discards the rest, which may never come.
		_ = rc.SetReadDeadline(time.Time{}) // From here on, reading only finds out that the client has gone.
	}
	return err
}

// readBody reads a request's body, which may be as long as one message.
func (f *Frontend) readBody(w http.ResponseWriter, r *http.Request, into *buffer) *wireError {
	if r.ContentLength > int64(f.o.Bounds.Bytes) {
		return f.tooLarge()
	}
	body := r.Body
	if r.ContentLength < 0 { // Otherwise net/http reads no more than was announced.
		body = http.MaxBytesReader(w, body, int64(f.o.Bounds.Bytes))
	}
	for {
		if len(into.b) == cap(into.b) {
			into.b = append(into.b, 0)[:len(into.b)]
		}
		n, err := body.Read(into.b[len(into.b):cap(into.b)])
		into.b = into.b[:len(into.b)+n]
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return nil
		default:
			if over := new(http.MaxBytesError); errors.As(err, &over) {
				return f.tooLarge()
			}
			return invalidRequest("the body ended early")
		}
	}
}

func (f *Frontend) tooLarge() *wireError {
	return &wireError{
		code: codeInvalidRequest, status: http.StatusRequestEntityTooLarge,
		message: "The body is larger than " + strconv.Itoa(f.o.Bounds.Bytes) + " bytes",
	}
}

// parse makes the one strict pass over a text and reads the envelope.
func (f *Frontend) parse(data []byte) (message, *wireError) {
	if err := schema.Check(data, f.o.Bounds); err != nil {
		return message{}, malformed(err)
	}
	return readMessage(data)
}

// malformed is the answer to a text that is no JSON, or more than is read.
func malformed(err error) *wireError {
	return &wireError{code: codeParse, status: http.StatusBadRequest, message: "Parse error: " + err.Error()}
}

// postModern serves a message of a stateless revision.
func (f *Frontend) postModern(w http.ResponseWriter, r *http.Request, req *request, inBody string) {
	if !req.isRequest() {
		f.noteModern(w, r, req)
		return
	}
	if err := f.checkModern(r.Header, req, inBody); err != nil {
		f.fail(w, r, req, err)
		return
	}
	if req.Method == "subscriptions/listen" {
		f.listenHTTP(w, r, req)
		return
	}
	serve := methodOf(req.Method, true)
	if serve == nil {
		f.fail(w, r, req, methodNotFound(req.Method, true))
		return
	}
	f.answer(r.Context(), w, r, req, serve)
}

// noteModern takes a notification. None means anything to a stateless server: a
// client ends a request by closing its answer.
func (f *Frontend) noteModern(w http.ResponseWriter, r *http.Request, req *request) {
	if !req.isNotification() {
		req.ID = nil // It is not that of a request.
		f.fail(w, r, req, invalidRequest("clients do not send responses"))
		return
	}
	if err := checkMirror(r.Header, &req.message, ""); err != nil {
		f.fail(w, r, req, err)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// checkModern holds a request's _meta against the revision, and its headers
// against its body.
func (f *Frontend) checkModern(h http.Header, req *request, inBody string) *wireError {
	if err := checkMeta(req, inBody); err != nil {
		return err
	}
	switch {
	case req.rev == "":
		return headerMismatch("MCP-Protocol-Version is missing")
	case req.rev != inBody:
		return headerMismatch("MCP-Protocol-Version does not match the body")
	case !supported(inBody):
		return unsupportedVersion(inBody)
	}
	name, ok := req.subject()
	if err := checkMirror(h, &req.message, name); err != nil || !ok || req.Method != "tools/call" {
		return err
	}
	return checkParams(h, bindings(f.gw.View(req.principal))[name], req.params.arguments)
}

// checkMeta checks what every modern request carries in _meta (basic, _meta).
func checkMeta(req *request, version string) *wireError {
	missing := func(msg string) *wireError {
		return &wireError{code: codeInvalidParams, status: http.StatusBadRequest, message: "Invalid params: _meta must have " + msg}
	}
	switch {
	case version == "":
		return missing(metaVersion + ", a string")
	case !isObject(req.meta.capabilities):
		return missing(metaCapabilities + ", an object")
	}
	return nil
}

// write sends a whole JSON answer. A client that does not take it in time loses
// its connection.
func (f *Frontend) write(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h["Content-Type"], h["Cache-Control"] = f.typeJSON, f.noStore
	h.Set("Content-Length", strconv.Itoa(len(body)))
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Now().Add(f.o.WriteTimeout)) // Writers without deadlines are those of tests.
	w.WriteHeader(status)
	if _, err := w.Write(body); err == nil && rc.Flush() == nil {
		_ = rc.SetWriteDeadline(time.Time{}) // As above.
	}
}

// fail sends an error response.
func (f *Frontend) fail(w http.ResponseWriter, r *http.Request, req *request, e *wireError) {
	out := f.buffer()
	defer f.release(out)
	out.b = f.refuse(r.Context(), out.b, req, e)
	status := e.status
	if status == 0 {
		status = http.StatusOK
	}
	f.write(w, status, out.b)
}
