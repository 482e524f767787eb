package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/server"
)

const books = `
openapi: 3.1.0
info: {title: Books, version: "1"}
components:
  securitySchemes:
    key: {type: apiKey, in: header, name: X-Key}
security: [{key: []}]
paths:
  /books/{id}:
    get:
      operationId: getBook
      parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
      responses: {"200": {description: a book, content: {application/json: {schema: {type: object}}}}}
    delete:
      operationId: deleteBook
      parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
      responses: {"204": {description: gone}}
`

// TestOpenAPI has a source of a document and one of described calls, each with
// its credential, behind every door.
func TestOpenAPI(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Key") != "secret" || r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"request":"%s %s"}`, r.Method, r.URL)
	}))
	t.Cleanup(srv.Close)
	document := filepath.Join(t.TempDir(), "books.yaml")
	if err := os.WriteFile(document, []byte(books), 0o600); err != nil {
		t.Fatal(err)
	}
	remote := config.Remote{URL: srv.URL + "/v1", AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: 30 * time.Second}
	described := remote
	described.Headers = map[string]config.Secret{"X-Key": "${env:KEY}"}
	policy := withPolicy(t, everything)
	o := server.Options{Dev: &server.Dev{}, LookEnv: func(name string) (string, bool) { return "secret", name == "KEY" }}
	r := startWith(t, o, func(cfg *config.Config) {
		policy(cfg)
		cfg.Sources = []config.Source{
			{Name: "books", Prefix: true, MaxTools: 10, OpenAPI: &config.OpenAPI{
				Document: document, Remote: remote, Methods: []string{"GET"}, Refresh: time.Minute,
				Credentials: []config.SchemeCredential{{Scheme: "key", Secret: "${env:KEY}"}},
			}},
			{Name: "calls", Prefix: true, MaxTools: 10, HTTP: &config.HTTP{Remote: described, Calls: []config.HTTPCall{{
				Name: "search", Method: "POST", Path: "/search",
				Parameters: []config.HTTPParameter{{Name: "q", Required: true, Type: "string"}},
			}}}},
		}
	})
	for path, want := range map[string][2]string{
		"/v1/tools/books.getBook:call": {`{"id":7}`, "GET /v1/books/7"},
		"/v1/tools/calls.search:call":  {`{"q":"a&b"}`, "POST /v1/search?q=a%26b"},
	} {
		poll(t, func() bool {
			status, _ := r.send(t, "admin", http.MethodGet, strings.TrimSuffix(path, ":call"), nil, "")
			return status == http.StatusOK
		})
		status, body := r.send(t, "admin", http.MethodPost, path, jsonHeader(), want[0])
		if status != http.StatusOK || !strings.Contains(body, want[1]) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, body := r.send(t, "admin", http.MethodGet, "/v1/tools/books.deleteBook", nil, ""); status != http.StatusNotFound {
		t.Errorf("an operation that is not selected: %d %s", status, body)
	}
}
