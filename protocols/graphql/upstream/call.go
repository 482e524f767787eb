package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/egress"
)

// Bounds on answers.
const (
	maxAnswer    = 16 << 20
	maxErrors    = 20      // that are told to the caller
	maxErrorBody = 2 << 10 // of what is shown of an answer that is not GraphQL's
)

// Media types (GraphQL over HTTP, 4.1).
const (
	typeGraphQL = "application/graphql-response+json"
	typeJSON    = "application/json"
	typeSSE     = "text/event-stream"
)

// An answer is what the server says to an operation: a GraphQL response, or an
// HTTP status that is none.
type answer struct {
	data   jsontext.Value // nil where the request failed as a whole; else an object
	errors []graphqlError
	other  *egress.StatusError // of an answer that is not GraphQL's
}

// A graphqlError is an error of a response (specification, 7.1.7).
type graphqlError struct {
	Message    string         `json:"message"`
	Path       jsontext.Value `json:"path"`
	Extensions jsontext.Value `json:"extensions"`
}

// code returns what servers by convention say of the kind of an error.
func (e *graphqlError) code() string {
	var x struct {
		Code string `json:"code"`
	}
	if jsonv2.Unmarshal(e.Extensions, &x) != nil {
		return ""
	}
	return x.Code
}

// String returns the message, with the place in the answer.
func (e *graphqlError) String() string {
	text := egress.OneLine(e.Message, maxText)
	var path []any
	if len(e.Path) == 0 || jsonv2.Unmarshal(e.Path, &path) != nil || len(path) == 0 || len(path) > 64 {
		return text
	}
	at := make([]string, len(path))
	for i, p := range path {
		at[i] = fmt.Sprint(p)
	}
	return text + " (at " + egress.OneLine(strings.Join(at, "."), maxText/2) + ")"
}

// has reports whether one of the errors is of a kind.
func (a *answer) has(codes ...string) bool {
	for _, e := range a.errors {
		if slices.Contains(codes, e.code()) {
			return true
		}
	}
	return false
}

// messages returns what the errors say, a line each.
func (a *answer) messages() string {
	var lines []string
	for i, e := range a.errors {
		if i == maxErrors {
			lines = append(lines, fmt.Sprintf("and %d more", len(a.errors)-maxErrors))
			break
		}
		lines = append(lines, e.String())
	}
	return strings.Join(lines, "\n")
}

// newRequest returns a request for the server.
func (u *Upstream) newRequest(ctx context.Context, body []byte, accept string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.client.URL().String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", typeJSON)
	req.Header.Set("Accept", accept)
	return req, nil
}

// exchange sends an operation and reads the answer, which has at most so many
// bytes. The error is one for the caller.
func (u *Upstream) exchange(ctx context.Context, body []byte, most int) (*answer, error) {
	req, err := u.newRequest(ctx, body, typeGraphQL+", "+typeJSON+";q=0.9")
	if err != nil {
		return nil, err
	}
	res, err := u.client.Do(req)
	if err != nil {
		return nil, u.client.Fault(ctx, err)
	}
	defer res.Body.Close() //nolint:errcheck // it has been read.
	return u.read(ctx, res, most)
}

// read reads an answer that is not a stream.
func (u *Upstream) read(ctx context.Context, res *http.Response, most int) (*answer, error) {
	if refusal := u.client.Refused(ctx, res.StatusCode, res.Header); refusal != nil {
		return nil, refusal
	}
	body, err := egress.ReadAll(res.Body, res.ContentLength, most)
	if err != nil {
		return nil, u.client.Fault(ctx, err)
	}
	if media, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err == nil && (media == typeGraphQL || media == typeJSON) {
		if a := parseAnswer(body); a != nil {
			return a, nil
		}
	}
	if res.StatusCode < 400 {
		return nil, u.strange(&egress.StatusError{Status: res.StatusCode, Text: egress.OneLine(string(body), maxText)})
	}
	return &answer{other: &egress.StatusError{Status: res.StatusCode, Text: egress.OneLine(string(body), maxErrorBody)}}, nil
}

// strange is the error of an answer that GraphQL does not allow.
func (u *Upstream) strange(cause error) *gateway.Error {
	return &gateway.Error{Code: gateway.Unknown, By: u.by, Msg: "the upstream's answer is not one of GraphQL", Err: cause}
}

// parseAnswer reads a response (specification, 7.1), or returns nil where it is
// none.
func parseAnswer(body []byte) *answer {
	var r struct {
		Data   jsontext.Value `json:"data"`
		Errors []graphqlError `json:"errors"`
	}
	if jsonv2.Unmarshal(body, &r) != nil {
		return nil
	}
	if r.Data.Kind() == '{' {
		return &answer{data: r.Data, errors: r.Errors}
	}
	if (len(r.Data) == 0 || r.Data.Kind() == 'n') && len(r.Errors) > 0 {
		return &answer{errors: r.Errors}
	}
	return nil
}

// value returns what of the data is the answer of the operation, and whether
// there is none: it is null, or everything in it is.
func (o *operation) value(data jsontext.Value) (value jsontext.Value, none bool, err error) {
	d := jsontext.NewDecoder(bytes.NewReader(data))
	if _, err := d.ReadToken(); err != nil {
		return nil, false, err
	}
	value, none = data, true
	found := o.root == ""
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, false, err
		}
		is := name.String() == o.root
		v, err := d.ReadValue()
		if err != nil {
			return nil, false, err
		}
		none = none && v.Kind() == 'n'
		if is && !found {
			value, found = v.Clone(), true
		}
	}
	if !found {
		return nil, false, fmt.Errorf("data has no member %q", o.root)
	}
	return value, none, nil
}

// result makes the result of a call of the answer.
func (u *Upstream) result(ctx context.Context, op *operation, a *answer) (*gateway.Result, error) {
	if a.other != nil {
		return gateway.ErrorResult(a.other.Error()), nil //nolint:nilerr // It is what the server says.
	}
	if a.data == nil {
		return u.failure(ctx, a)
	}
	value, none, err := op.value(a.data)
	if err == nil && none && len(a.errors) > 0 {
		return u.failure(ctx, a)
	}
	if err == nil {
		err = op.tool.Output.Validate(json.RawMessage(value))
	}
	if err != nil {
		u.Refresh() // The schema may have changed.
		return nil, u.strange(fmt.Errorf("it does not fit the schema: %w", err))
	}
	return structured(value, a), nil
}

// failure is the result of an operation that was answered with errors alone.
func (u *Upstream) failure(ctx context.Context, a *answer) (*gateway.Result, error) {
	switch {
	case a.has("UNAUTHENTICATED"):
		if refusal := u.client.Refused(ctx, http.StatusUnauthorized, nil); refusal != nil {
			refusal.Err = errors.New(a.messages())
			return nil, refusal
		}
	case a.has("GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED"):
		u.Refresh() // What was generated from the schema is always valid, so this is another one.
	}
	return gateway.ErrorResult(a.messages()), nil
}

// structured is a result with a value, and with the errors where it is only a
// part of what was asked for.
func structured(value jsontext.Value, a *answer) *gateway.Result {
	if len(a.errors) == 0 {
		return gateway.StructuredResult(json.RawMessage(value))
	}
	raw := appendText([]byte(`{"content":[`), string(value))
	raw = appendText(append(raw, ','), "The answer is incomplete:\n"+a.messages())
	raw = append(append(raw, `],"structuredContent":`...), value...)
	return &gateway.Result{Raw: append(raw, '}'), Bare: value.Kind() != '{'}
}

func appendText(b []byte, text string) []byte {
	b = append(b, `{"type":"text","text":`...)
	b, _ = jsontext.AppendQuote(b, text) // The error reports invalid UTF-8, already replaced.
	return append(b, '}')
}
