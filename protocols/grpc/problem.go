package grpc

import (
	"cmp"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
)

// A problem is the body of an error (RFC 9457). Code names the failure as gRPC
// does.
type problem struct {
	Title      string          `json:"title"`
	Status     int             `json:"status"`
	Code       string          `json:"code"`
	Detail     string          `json:"detail"`
	Violations []violation     `json:"violations,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
}

// A violation is a place in the arguments that is wrong.
type violation struct {
	Pointer string `json:"pointer"` // RFC 6901
	Message string `json:"message"`
}

// toProblem returns what the caller is told of a failure.
func toProblem(e *callError) problem {
	p := problem{Status: cmp.Or(e.status, httpStatus[e.code()]), Code: cmp.Or(e.name, e.code().String()), Detail: e.err.Msg, Data: e.err.Data}
	for _, v := range e.violations() {
		p.Violations = append(p.Violations, violation(v))
	}
	return p
}

// failed records a failure that has no record and returns it as what the caller
// is told.
func (h *rest) failed(r *http.Request, err error) *callError {
	return h.record(r.Context(), "rest", r.Method+" "+r.URL.Path, err)
}

// fail answers a request with a failure.
func (h *rest) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := h.failed(r, err)
	p := toProblem(e)
	if e.err.Retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.err.Retry.Seconds()))))
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if e.err.Scopes != nil && h.options.Challenge != nil {
		w.Header().Set("WWW-Authenticate", h.options.Challenge(r.URL.Path, e.err.Scopes))
	}
	body := p.json()
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // A client that has gone away needs no answer.
}

func (p problem) json() []byte {
	if p.Title = http.StatusText(p.Status); p.Title == "" {
		p.Title = "Client Closed Request"
	}
	body, err := json.Marshal(p)
	if err != nil { // An upstream's data is not JSON.
		p.Data = nil
		body, _ = json.Marshal(p)
	}
	return body
}
