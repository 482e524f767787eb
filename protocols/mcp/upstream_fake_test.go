package mcp_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A received is a request as a fake server sees it.
type received struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Name      string                     `json:"name"`
		URI       string                     `json:"uri"`
		Cursor    string                     `json:"cursor"`
		RequestID json.RawMessage            `json:"requestId"`
		Meta      map[string]json.RawMessage `json:"_meta"`
	} `json:"params"`
	http   *http.Request
	answer http.ResponseWriter
}

// result answers with a result, raw.
func (r *received) result(raw string) {
	r.answer.Header().Set("Content-Type", "application/json")
	io.WriteString(r.answer, `{"jsonrpc":"2.0","id":`+string(r.ID)+`,"result":`+raw+`}`)
}

// fails answers with an error, raw, and a status.
func (r *received) fails(status int, raw string) {
	r.answer.Header().Set("Content-Type", "application/json")
	r.answer.WriteHeader(status)
	io.WriteString(r.answer, `{"jsonrpc":"2.0","id":`+string(r.ID)+`,"error":`+raw+`}`)
}

// event writes a server-sent event.
func (r *received) event(lines ...string) {
	if r.answer.Header().Get("Content-Type") == "" {
		r.answer.Header().Set("Content-Type", "text/event-stream")
	}
	io.WriteString(r.answer, strings.Join(lines, "\n")+"\n\n")
	http.NewResponseController(r.answer).Flush()
}

const (
	modernDiscover = `{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{},"resources":{}},"ttlMs":0,"cacheScope":"private"}`
	noVersion      = `{"code":-32022,"message":"no","data":{"supported":["2025-11-25"],"requested":"2026-07-28"}}`
	legacyServer   = `{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"fake","version":"1"}}`
)

// modernServer serves discovery by itself and leaves the rest to the test.
func modernServer(t *testing.T, serveRest func(*received)) string {
	return serve(t, fake(t, func(r *received) {
		if r.Method == "server/discover" {
			r.result(modernDiscover)
			return
		}
		serveRest(r)
	}))
}

func fake(t *testing.T, f func(*received)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r := &received{http: req, answer: w}
		if req.Method == http.MethodPost {
			if err := json.NewDecoder(req.Body).Decode(r); err != nil {
				t.Errorf("the request's body: %v", err)
				return
			}
		}
		f(r)
	})
}
