package upstream

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

const callSchema = `
type Query { user(id: ID!): User  users: [User!]! pick: Pick }
type User { id: ID! name: String friends: [User!] }
enum Pick { ONE TWO }
type Mutation { rename(id: ID!): User }
`

// TestAnswers makes a call of everything that a server can answer, right or
// wrong.
func TestAnswers(t *testing.T) {
	const good = `{"data":{"user":{"id":"1","name":"Ada"}}}`
	for _, tt := range []struct {
		name, tool  string
		status      int
		contentType string
		header      http.Header
		body        string

		code       gateway.Code // of the error, or
		isError    bool
		structured string
		text       string // part of the text or message
		retry      time.Duration
	}{
		{name: "an answer", body: good, structured: `{"id":"1","name":"Ada"}`, text: `"Ada"`},
		{name: "as JSON, with another status", status: 400, contentType: "application/json", body: good, structured: `{"id":"1","name":"Ada"}`},
		{name: "nobody", body: `{"data":{"user":null}}`, structured: `null`, text: "null"},
		{name: "an error alone", body: `{"errors":[{"message":"no such user","path":["user"]}],"data":null}`, isError: true, text: "no such user (at user)"},
		{name: "an error and null", body: `{"errors":[{"message":"no"}],"data":{"user":null}}`, isError: true, text: "no"},
		{
			name: "a part", body: `{"errors":[{"message":"no name today","path":["user","name"]}],"data":{"user":{"id":"1","name":null}}}`,
			structured: `{"id":"1","name":null}`, text: "incomplete:\nno name today (at user.name)",
		},
		{name: "many errors", body: `{"errors":[` + strings.Repeat(`{"message":"x"},`, 499) + `{"message":"x"}]}`, isError: true, text: "and 480 more"},
		{name: "a long error", body: `{"errors":[{"message":"` + strings.Repeat("x", 1<<20) + `"}]}`, isError: true, text: "xxx"},
		{name: "control characters", body: `{"errors":[{"message":"a\u0000\nb"}]}`, isError: true, text: "a  b"},
		{name: "not authenticated", body: `{"errors":[{"message":"who?","extensions":{"code":"UNAUTHENTICATED"}}]}`, code: gateway.FailedPrecondition, text: "the gateway may not"},
		{name: "another schema", body: `{"errors":[{"message":"no field","extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`, isError: true, text: "no field"},
		{name: "extensions of another form", body: `{"errors":[{"message":"no","extensions":[1],"path":{"a":1}}]}`, isError: true, text: "no"},
		{name: "numbers in a list", tool: "users", body: `{"data":{"users":[1]}}`, code: gateway.Unknown, text: "not one of GraphQL"},
		{name: "null where none is", tool: "users", body: `{"data":{"users":null}}`, code: gateway.Unknown},
		{name: "a value that is not of the enum", tool: "pick", body: `{"data":{"pick":"THREE"}}`, code: gateway.Unknown},
		{name: "a missing field", body: `{"data":{"user":{"id":"1"}}}`, code: gateway.Unknown},
		{name: "another member", body: `{"data":{"other":{}}}`, code: gateway.Unknown},
		{name: "data that is a list", body: `{"data":[]}`, code: gateway.Unknown},
		{name: "neither data nor errors", body: `{"data":null}`, code: gateway.Unknown},
		{name: "errors that are none", body: `{"errors":"no","data":{}}`, code: gateway.Unknown},
		{name: "two members of one name", body: `{"data":{"user":null,"user":{"id":"1","name":"x"}}}`, code: gateway.Unknown},
		{name: "no JSON", body: `<html>`, code: gateway.Unknown},
		{name: "half an answer", body: good[:20], code: gateway.Unknown},
		{name: "a page", contentType: "text/html", body: "<h1>Welcome</h1>", code: gateway.Unknown},
		{name: "deep", body: `{"data":{"user":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}}`, code: gateway.Unknown},
		{name: "elsewhere", status: 302, contentType: "text/plain", body: "over there", code: gateway.Unknown},
		{name: "not found", status: 404, contentType: "text/plain", body: "no such page", isError: true, text: "404 Not Found: no such page"},
		{name: "broken", status: 500, contentType: "text/plain", body: strings.Repeat("x", 1<<20), isError: true, text: "500 Internal Server Error: xxx"},
		{name: "broken, in GraphQL", status: 500, contentType: "application/json", body: `{"errors":[{"message":"broken"}]}`, isError: true, text: "broken"},
		{name: "no credential", status: 401, contentType: "application/json", body: good, code: gateway.FailedPrecondition, text: "the gateway may not"},
		{name: "away", status: 503, header: http.Header{"Retry-After": {"7"}}, code: gateway.Unavailable, retry: 7 * time.Second},
		{name: "too many", status: 429, header: http.Header{"Retry-After": {"9"}}, code: gateway.ResourceExhausted, retry: 9 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, callSchema, nil)
			o := s.options()
			u := s.loaded(t, o)
			s.intercept = func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("Content-Type", cmpOr(tt.contentType, typeGraphQL))
				maps.Copy(w.Header(), tt.header)
				w.WriteHeader(max(tt.status, 200))
				fmt.Fprint(w, tt.body)
				return true
			}
			args := ""
			if tt.tool == "" {
				args = `{"id":"1"}`
			}
			res, err := run(t, u, cmpOr(tt.tool, "user"), args)
			if tt.code != 0 {
				if err == nil || err.Code != tt.code || !strings.Contains(err.Msg, tt.text) || err.Retry != tt.retry || err.By != "upstream/suite" {
					t.Fatalf("got %v %s, want %s", err, rawOf(res), tt.code)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			p, perr := res.Parts()
			if perr != nil || p.IsError != tt.isError || res.IsError != tt.isError {
				t.Fatalf("got %s, %v", res.Raw, perr)
			}
			if string(p.Structured) != tt.structured || !strings.Contains(text(res), tt.text) {
				t.Errorf("got %s", res.Raw)
			}
			if len(res.Raw) > 20<<10 {
				t.Errorf("the result has %d bytes", len(res.Raw))
			}
		})
	}
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func rawOf(res *gateway.Result) string {
	if res == nil {
		return ""
	}
	return string(res.Raw)
}

// TestVariables checks that arguments arrive as they are, under a query that is
// the same for every call.
func TestVariables(t *testing.T) {
	var got request
	s := newServer(t, callSchema, func(_ context.Context, r *request, _ func(string) error) string {
		got = *r
		return `{"data":{"user":null}}`
	})
	u := s.loaded(t, s.options())
	const args = `{"id" : "1\u0041", "n":9007199254740993}`
	if _, err := run(t, u, "user", args); err != nil {
		t.Fatal(err)
	}
	if string(got.Variables) != args || got.OperationName != "user" || strings.Contains(got.Query, "1\\u0041") {
		t.Errorf("sent %s with %s", got.Query, got.Variables)
	}
	if _, err := run(t, u, "users", ""); err == nil || string(got.Variables) != `{}` {
		t.Errorf("without arguments %q was sent", got.Variables)
	}
}

// TestHeaders checks that the configured headers go with calls, and that those
// of the protocol cannot be set.
func TestHeaders(t *testing.T) {
	s := newServer(t, callSchema, nil)
	o := s.options()
	o.HTTP.Headers = http.Header{"Authorization": {"Bearer secret"}, "X-Team": {"shop"}}
	u := s.loaded(t, o)
	var got http.Header
	s.intercept = func(w http.ResponseWriter, r *http.Request) bool {
		got = r.Header
		w.Header().Set("Content-Type", typeJSON)
		fmt.Fprint(w, `{"data":{"user":null}}`)
		return true
	}
	if _, err := run(t, u, "user", `{"id":"1"}`); err != nil {
		t.Fatal(err)
	}
	if got.Get("Authorization") != "Bearer secret" || got.Get("X-Team") != "shop" || got.Get("Content-Type") != typeJSON {
		t.Errorf("sent %v", got)
	}
	for _, name := range []string{"Content-Type", "Accept", "Sec-Websocket-Protocol"} {
		o.HTTP.Headers = http.Header{name: {"x"}}
		if u, err := New(o); err == nil {
			_ = u.Close()
			t.Errorf("the header %s can be set", name)
		}
	}
}

// TestSlow gives up a server that does not answer, and an answer that does not
// end.
func TestSlow(t *testing.T) {
	for _, begun := range []bool{false, true} {
		s := newServer(t, callSchema, nil)
		o := s.options()
		o.HTTP.Timeout = 100 * time.Millisecond
		u := s.loaded(t, o)
		s.intercept = func(w http.ResponseWriter, r *http.Request) bool {
			if begun {
				w.Header().Set("Content-Type", typeJSON)
				fmt.Fprint(w, `{"data":`)
				_ = http.NewResponseController(w).Flush()
			}
			_, _ = io.Copy(io.Discard, r.Body) // Only then the server sees the client go.
			<-r.Context().Done()
			return true
		}
		if _, err := run(t, u, "user", `{"id":"1"}`); err == nil || err.Code != gateway.DeadlineExceeded {
			t.Errorf("a server that hangs: %v", err)
		}
	}
}

// TestTooLarge gives up an answer that is larger than any should be.
func TestTooLarge(t *testing.T) {
	s := newServer(t, callSchema, nil)
	u := s.loaded(t, s.options())
	s.intercept = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", typeJSON)
		part := strings.Repeat(" ", 1<<20)
		for range 17 {
			if _, err := fmt.Fprint(w, part); err != nil {
				break
			}
		}
		return true
	}
	if _, err := run(t, u, "user", `{"id":"1"}`); err == nil || err.Code != gateway.ResourceExhausted {
		t.Errorf("an answer without end: %v", err)
	}
}

func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"data":{"user":{"id":"1","name":null}}}`, `{"errors":[{"message":"no","path":["a",1]}],"data":null}`, `{"data":{"user":null},"errors":[]}`,
	} {
		f.Add([]byte(seed))
	}
	op := &operation{root: "user"}
	f.Fuzz(func(t *testing.T, body []byte) {
		a := parseAnswer(body)
		if a == nil {
			return
		}
		if len(a.messages()) > (maxErrors+1)*(2*maxText) {
			t.Errorf("%d bytes of messages", len(a.messages()))
		}
		if a.data == nil {
			return
		}
		if value, _, err := op.value(a.data); err == nil {
			if raw := structured(value, a).Raw; !json.Valid(raw) {
				t.Errorf("result %s", raw)
			}
		}
	})
}
