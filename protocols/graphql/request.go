package graphql

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/schema"
)

// A request is what a client wants executed. Of the extensions only persistedQuery has a meaning.
type request struct {
	Query         string // "" where only its id is given
	OperationID   string // SHA-256 of the document in hex, or ""
	OperationName string
	Variables     map[string]json.RawMessage
}

// A refusal is a request that cannot be understood, with the HTTP status that says so.
type refusal struct {
	status  int
	message string
}

func (r *refusal) Error() string { return r.message }

// parseRequest reads the parameters from a JSON object (GraphQL over HTTP, section 5.1). The text is strict JSON:
// no member twice, bounded in length and depth.
func parseRequest(data []byte, b schema.Bounds) (*request, error) {
	if err := schema.Check(data, b); err != nil {
		return nil, &refusal{http.StatusBadRequest, "the request is not acceptable JSON: " + err.Error()}
	}
	switch kind := jsontext.Value(data).Kind(); {
	case kind == jsontext.KindBeginArray:
		return nil, &refusal{http.StatusBadRequest, "batches are not supported: send one request at a time"}
	case kind != jsontext.KindBeginObject:
		return nil, &refusal{http.StatusBadRequest, "the request is not a JSON object"}
	}
	var p struct {
		Query         *string        `json:"query"`
		OperationName *string        `json:"operationName"`
		Variables     jsontext.Value `json:"variables"`
		Extensions    jsontext.Value `json:"extensions"`
		DocumentID    *string        `json:"documentId"`
	}
	if err := jsonv2.Unmarshal(data, &p); err != nil {
		return nil, &refusal{http.StatusBadRequest, "query, operationName and documentId must be strings"}
	}
	r := &request{}
	for _, s := range []struct {
		from *string
		to   *string
	}{{p.Query, &r.Query}, {p.OperationName, &r.OperationName}, {p.DocumentID, &r.OperationID}} {
		if s.from != nil {
			*s.to = *s.from
		}
	}
	if !objectOrNull(p.Extensions) {
		return nil, &refusal{http.StatusBadRequest, "extensions must be an object"}
	}
	if err := r.identify(p.Extensions); err != nil {
		return nil, err
	}
	return r, r.setVariables(p.Variables)
}

func objectOrNull(v jsontext.Value) bool {
	return len(v) == 0 || v.Kind() == jsontext.KindBeginObject || v.Kind() == jsontext.KindNull
}

func (r *request) setVariables(v jsontext.Value) error {
	if !objectOrNull(v) {
		return &refusal{http.StatusBadRequest, "variables must be an object"}
	}
	if len(v) == 0 || v.Kind() == jsontext.KindNull {
		return nil
	}
	if err := jsonv2.Unmarshal(v, &r.Variables); err != nil {
		return &refusal{http.StatusBadRequest, "variables must be an object"}
	}
	return nil
}

// parsePost reads a request from the body of a POST.
func (f *Frontend) parsePost(w http.ResponseWriter, r *http.Request) (*request, error) {
	// The type is one that a page cannot send to another origin without asking first.
	ct, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if cs := params["charset"]; err != nil || ct != typeJSON || cs != "" && !strings.EqualFold(cs, "utf-8") {
		return nil, &refusal{http.StatusUnsupportedMediaType, "Content-Type must be application/json in UTF-8"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(f.o.Bounds.Bytes)))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return nil, &refusal{http.StatusRequestEntityTooLarge, "the request is too long"}
	case err != nil:
		return nil, &refusal{http.StatusBadRequest, "the request could not be read"}
	}
	return parseRequest(body, f.o.Bounds)
}

// parseGet reads a request from the query of a URL (GraphQL over HTTP, section 5.3).
func (f *Frontend) parseGet(rawQuery string) (*request, error) {
	if len(rawQuery) > f.o.Bounds.Bytes {
		return nil, &refusal{http.StatusRequestURITooLong, "the URL is too long"}
	}
	q, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, "the URL's query is malformed"}
	}
	r := &request{Query: q.Get("query"), OperationName: q.Get("operationName")}
	r.OperationID = q.Get("documentId")
	for _, name := range []string{"variables", "extensions"} {
		v := q.Get(name)
		if v == "" {
			continue
		}
		if err := schema.Check([]byte(v), f.o.Bounds); err != nil || !objectOrNull(jsontext.Value(v)) {
			return nil, &refusal{http.StatusBadRequest, name + " must be a JSON object"}
		}
	}
	if err := r.identify(jsontext.Value(q.Get("extensions"))); err != nil {
		return nil, err
	}
	return r, r.setVariables(jsontext.Value(q.Get("variables")))
}
