package openapi_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/gatewaytest"
	"github.com/trilith-gateway/trilith/protocols/openapi"
)

// A source is an upstream that is watched.
type source struct {
	*openapi.Upstream
	catalogs chan gateway.Catalog
	errors   chan error
}

// watch opens an upstream and watches it until the test ends.
func watch(t *testing.T, o openapi.Options) *source {
	t.Helper()
	if o.Name == "" {
		o.Name = "test"
	}
	o.AllowPrivate = loopback
	s := &source{upstream(t, o), make(chan gateway.Catalog, 100), make(chan error, 100)}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for c, err := range s.Watch(ctx) {
			if err != nil {
				s.errors <- err
			} else {
				s.catalogs <- c
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	return s
}

const patience = 10 * time.Second

// catalog waits for the next one.
func (s *source) catalog(t *testing.T) gateway.Catalog {
	t.Helper()
	select {
	case c := <-s.catalogs:
		return c
	case err := <-s.errors:
		t.Fatalf("no catalog: %v", err)
	case <-time.After(patience):
		t.Fatal("no catalog")
	}
	return gateway.Catalog{}
}

func (s *source) call(t *testing.T, tool, args string) (*gateway.Result, error) {
	t.Helper()
	return s.Do(t.Context(), &gateway.Call{
		Op: gateway.OpCall, Kind: gateway.KindTool, Name: "test." + tool, Args: json.RawMessage(args), Principal: gatewaytest.Caller(),
		Target: &gateway.Capability{Kind: gateway.KindTool, Name: "test." + tool, Origin: tool, Source: "test"},
	})
}

// file writes a document and returns its path.
func file(t *testing.T, document string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "openapi.json")
	if err := os.WriteFile(path, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAnswers turns what services answer into results and errors.
func TestAnswers(t *testing.T) {
	big := strings.Repeat("x", 100<<10)
	for _, tt := range []struct {
		name, media, body string
		status            int
		header            http.Header
		want              string // the result, or the code of the error and its message
		retry             time.Duration
	}{
		{name: "JSON", media: "application/json", body: `{"n": 9007199254740993}`, want: `{"content":[{"type":"text","text":"{\"n\": 9007199254740993}"}],"structuredContent":{"n": 9007199254740993}}`},
		{name: "problem", status: 422, media: "application/problem+json", body: `{"title":"no"}`, want: `{"content":[{"type":"text","text":"HTTP 422 Unprocessable Entity\n{\"title\":\"no\"}"}],"isError":true}`},
		{name: "JSON of another name", media: "application/vnd.api+json; charset=utf-8", body: `[]`, want: `{"content":[{"type":"text","text":"[]"}],"structuredContent":[]}`},
		{name: "text", media: "text/plain", body: "Grüße", want: `{"content":[{"type":"text","text":"Grüße"}]}`},
		{name: "latin 1", media: "text/plain; charset=ISO-8859-1", body: "Gr\xfc\xdfe", want: `{"content":[{"type":"text","text":"Grüße"}]}`},
		{name: "XML", media: "application/xml", body: "<a/>", want: `{"content":[{"type":"text","text":"<a/>"}]}`},
		{name: "image", media: "image/png", body: "\x89PNG", want: `{"content":[{"type":"image","mimeType":"image/png","data":"iVBORw=="}]}`},
		{name: "sound", media: "audio/ogg", body: "Ogg", want: `{"content":[{"type":"audio","mimeType":"audio/ogg","data":"T2dn"}]}`},
		{name: "bytes", media: "application/pdf", body: "%PDF", want: `{"content":[{"type":"resource","resource":{"uri":"openapi://test/get","mimeType":"application/pdf","blob":"JVBERg=="}}]}`},
		{name: "nothing", status: 204, want: `{"content":[{"type":"text","text":"HTTP 204 No Content"}]}`},
		{name: "not JSON", media: "application/json", body: `{"a":`, want: `UNKNOWN the upstream's answer is not valid`},
		{name: "a member twice", media: "application/json", body: `{"a":1,"a":2}`, want: `UNKNOWN the upstream's answer is not valid`},
		{name: "deep JSON", media: "application/json", body: strings.Repeat("[", 1000) + strings.Repeat("]", 1000), want: `UNKNOWN the upstream's answer is not valid`},
		{name: "too long", media: "text/plain", body: big, want: `RESOURCE_EXHAUSTED the upstream's answer is too large`},
		{name: "too long when decoded", media: "text/plain", body: big, header: http.Header{"Content-Encoding": {"gzip"}}, want: `RESOURCE_EXHAUSTED the upstream's answer is too large`},
		{name: "gzip", media: "text/plain", body: "short", header: http.Header{"Content-Encoding": {"gzip"}}, want: `{"content":[{"type":"text","text":"short"}]}`},
		{name: "another coding", media: "text/plain", body: "x", header: http.Header{"Content-Encoding": {"br"}}, want: `UNKNOWN the upstream's answer is not valid`},
		{name: "not found", status: 404, media: "text/plain", body: "no such thing", want: `{"content":[{"type":"text","text":"HTTP 404 Not Found\nno such thing"}],"isError":true}`},
		{name: "a long error", status: 500, media: "text/html", body: strings.Repeat("e", 60<<10), want: `{"content":[{"type":"text","text":"HTTP 500 Internal Server Error\n` + strings.Repeat("e", 16<<10-3) + `…"}],"isError":true}`},
		{name: "redirect", status: 302, header: http.Header{"Location": {"http://169.254.169.254/"}}, want: `{"content":[{"type":"text","text":"HTTP 302 Found\nLocation: http://169.254.169.254/"}],"isError":true}`},
		{name: "unauthorized", status: 401, body: "who are you", want: "FAILED_PRECONDITION the gateway may not use the upstream"},
		{name: "forbidden without a credential", status: 403, media: "text/plain", body: "no", want: `{"content":[{"type":"text","text":"HTTP 403 Forbidden\nno"}],"isError":true}`},
		{name: "too many", status: 429, header: http.Header{"Retry-After": {"7"}}, want: "RESOURCE_EXHAUSTED the upstream takes no more calls now", retry: 7 * time.Second},
		{name: "away", status: 503, header: http.Header{"Retry-After": {"3"}}, want: "UNAVAILABLE the upstream is not available now", retry: 3 * time.Second},
		{name: "bad gateway", status: 502, want: "UNAVAILABLE the upstream is not available now"},
		{
			name: "next page", media: "application/json", body: `[1]`, header: http.Header{"Link": {`<https://api.example/?page=2>; rel="next"`}},
			want: `{"content":[{"type":"text","text":"[1]"},{"type":"text","text":"Link: <https://api.example/?page=2>; rel=\"next\""}],"structuredContent":[1]}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				maps.Copy(w.Header(), tt.header)
				if tt.media != "" {
					w.Header().Set("Content-Type", tt.media)
				}
				if tt.status != 0 {
					w.WriteHeader(tt.status)
				}
				if tt.header.Get("Content-Encoding") != "gzip" {
					_, _ = io.WriteString(w, tt.body)
					return
				}
				z := gzip.NewWriter(w)
				_, _ = io.WriteString(z, tt.body)
				_ = z.Close()
			}))
			t.Cleanup(srv.Close)
			s := watch(t, openapi.Options{
				Document: file(t, `{"openapi":"3.1.0","paths":{"/":{"get":{"operationId":"get"}}}}`), URL: srv.URL, MaxResponse: 64 << 10,
			})
			s.catalog(t)
			res, err := s.call(t, "get", `{}`)
			var got string
			if e, ok := errors.AsType[*gateway.Error](err); ok {
				if got = e.Code.String() + " " + e.Msg; e.Retry != tt.retry || e.By != "upstream/test" {
					t.Errorf("retry after %v, by %s", e.Retry, e.By)
				}
			} else if err != nil {
				t.Fatal(err)
			} else if got = string(res.Raw); res.IsError != strings.HasSuffix(got, `"isError":true}`) || !json.Valid(res.Raw) {
				t.Errorf("IsError is %v in %s", res.IsError, got)
			}
			if got != tt.want {
				t.Errorf("got %.300s\nwant %.300s", got, tt.want)
			}
		})
	}
}

// asked is the request that a service got last.
type asked struct {
	method, url, body string
	header            http.Header
}

// echo is a service that remembers what it was asked.
func echo(t *testing.T) (*httptest.Server, *atomic.Pointer[asked]) {
	t.Helper()
	last := &atomic.Pointer[asked]{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		last.Store(&asked{r.Method, r.URL.String(), string(body), r.Header})
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(srv.Close)
	return srv, last
}

// TestBodies writes bodies of every type, and prefers JSON.
func TestBodies(t *testing.T) {
	srv, last := echo(t)
	const properties = `{"type":"object","properties":{"name":{"type":"string"},"tags":{"type":"array","items":{"type":"string"}},"file":{"type":"string","format":"binary"},"meta":{"type":"object"}}}`
	for _, tt := range []struct{ name, content, body, media, want string }{
		{"JSON as it is", `"application/xml":{},"application/json":{"schema":{}}`, `{"n": 1.0, "big":9007199254740993}`, "application/json", `{"n": 1.0, "big":9007199254740993}`},
		{"null", `"application/json":{}`, `null`, "application/json", `null`},
		{"a list", `"application/json":{}`, `[1,2]`, "application/json", `[1,2]`},
		{"patch", `"application/merge-patch+json":{}`, `{"a":null}`, "application/merge-patch+json", `{"a":null}`},
		{"anything", `"*/*":{}`, `"x"`, "application/json", `"x"`},
		{
			"a form", `"application/x-www-form-urlencoded":{"schema":` + properties + `}`,
			`{"name":"a b&c","tags":["x","y"],"meta":{"k":[1, 2]}}`, "application/x-www-form-urlencoded", `name=a%20b%26c&tags=x&tags=y&meta=%7B%22k%22%3A%5B1%2C2%5D%7D`,
		},
		{
			"a form with an encoding", `"application/x-www-form-urlencoded":{"schema":` + properties + `,"encoding":{"meta":{"style":"deepObject","explode":true},"tags":{"style":"form","explode":false}}}`,
			`{"tags":["x","y"],"meta":{"k":[1,{"z":true}]}}`, "application/x-www-form-urlencoded", `tags=x,y&meta%5Bk%5D%5B0%5D=1&meta%5Bk%5D%5B1%5D%5Bz%5D=true`,
		},
		{"text", `"text/csv":{}`, `"a,b\nc"`, "text/csv", "a,b\nc"},
		{"bytes", `"image/png":{}`, `"iVBORw"`, "image/png", "\x89PNG"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := watch(t, openapi.Options{URL: srv.URL, Document: file(t, `{"openapi":"3.1.0","paths":{"/":{"post":{"operationId":"post","requestBody":{"content":{`+tt.content+`}}}}}}`)})
			s.catalog(t)
			if _, err := s.call(t, "post", `{"body":`+tt.body+`}`); err != nil {
				t.Fatal(err)
			}
			if got := last.Load(); got.body != tt.want || got.header.Get("Content-Type") != tt.media {
				t.Errorf("%s\n got %s\nwant %s", got.header.Get("Content-Type"), got.body, tt.want)
			}
		})
	}
	t.Run("parts", func(t *testing.T) {
		s := watch(t, openapi.Options{URL: srv.URL, Document: file(t, `{"openapi":"3.0.3","paths":{"/":{"post":{"operationId":"post","requestBody":{"content":{
			"multipart/form-data":{"schema":`+properties+`,"encoding":{"file":{"contentType":"image/png"}}}}}}}}}`)})
		s.catalog(t)
		if _, err := s.call(t, "post", `{"body":{"name":"n","tags":["x","y"],"file":"iVBORw==","meta":{"a":1}}}`); err != nil {
			t.Fatal(err)
		}
		got := last.Load()
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(got.body))
		req.Header = got.header
		if err := req.ParseMultipartForm(1 << 20); err != nil {
			t.Fatal(err)
		}
		f := req.MultipartForm.File["file"][0]
		open, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, _ := io.ReadAll(open)
		if string(data) != "\x89PNG" || f.Header.Get("Content-Type") != "image/png" || f.Filename != "file" {
			t.Errorf("%q %v", data, f.Header)
		}
		if diff := cmp.Diff(map[string][]string{"name": {"n"}, "tags": {"x", "y"}, "meta": {`{"a":1}`}}, req.MultipartForm.Value); diff != "" {
			t.Error(diff)
		}
		if _, err := s.call(t, "post", `{"body":{"file":"not base64!"}}`); err == nil || gateway.AsError(err).Code != gateway.InvalidArgument {
			t.Errorf("bytes that are none: %v", err)
		}
	})
}

// TestCredentials sends each operation's credentials where its scheme says.
func TestCredentials(t *testing.T) {
	srv, last := echo(t)
	document := file(t, `{"openapi":"3.1.0","security":[{"none":[]},{"header":[]}],"components":{"securitySchemes":{
		"header":{"type":"apiKey","in":"header","name":"x-key"},"query":{"type":"apiKey","in":"query","name":"key"},"cookie":{"type":"apiKey","in":"cookie","name":"sid"},
		"basic":{"type":"http","scheme":"Basic"},"bearer":{"type":"http","scheme":"bearer"},"token":{"type":"http","scheme":"Token"},"none":{"type":"oauth2"}}},
		"paths":{"/header":{"get":{"operationId":"header","parameters":[{"name":"X-Key","in":"header","schema":{}}]}},
		"/query":{"get":{"operationId":"query","security":[{"query":[]}],"parameters":[{"name":"q","in":"query","schema":{}}]}},
		"/cookie":{"get":{"operationId":"cookie","security":[{"cookie":[]}]}},
		"/basic":{"get":{"operationId":"basic","security":[{"basic":[]}]}},
		"/bearer":{"get":{"operationId":"bearer","security":[{},{"bearer":[]}]}},
		"/token":{"get":{"operationId":"token","security":[{"token":[],"header":[]}]}},
		"/open":{"get":{"operationId":"open","security":[]}},
		"/lacking":{"get":{"operationId":"lacking","security":[{"none":[]}]}}}}`)
	s := watch(t, openapi.Options{URL: srv.URL, Document: document, Credentials: map[string]openapi.Credential{
		"header": {Value: "h"}, "query": {Value: "q&1"}, "cookie": {Value: "c"}, "basic": {Username: "u", Password: "p:"}, "bearer": {Value: "b"}, "token": {Value: "t"},
	}})
	c := s.catalog(t)
	if len(c.Notes) != 1 || !strings.Contains(c.Notes[0].Reason, "scheme none") || !strings.Contains(c.Notes[0].Reason, "1 operations") {
		t.Errorf("notes: %v", c.Notes)
	}
	for tool, want := range map[string]string{
		"header": "/header h  ", "query": "/query?q=1&key=q%261   ", "cookie": "/cookie   sid=c", "basic": "/basic  Basic dTpwOg== ",
		"bearer": "/bearer  Bearer b ", "token": "/token h Token t ", "open": "/open   ", "lacking": "/lacking   ",
	} {
		args := `{}`
		if tool == "query" {
			args = `{"q":1}`
		}
		if _, err := s.call(t, tool, args); err != nil {
			t.Fatal(err)
		}
		r := last.Load()
		if got := fmt.Sprint(r.url, " ", r.header.Get("X-Key"), " ", r.header.Get("Authorization"), " ", r.header.Get("Cookie")); got != want {
			t.Errorf("%s: %q, want %q", tool, got, want)
		}
	}
	if _, err := s.call(t, "header", `{"X-Key":"mine"}`); err == nil {
		t.Error("a caller sets the header of the credential")
	}
	for _, c := range []map[string]openapi.Credential{{"nothing": {Value: "x"}}, {"header": {Username: "u"}}, {"basic": {Value: "x"}}, {"header": {Value: "a\r\nb"}}} {
		s := watch(t, openapi.Options{URL: srv.URL, Document: document, Credentials: c})
		select {
		case err := <-s.errors:
			if strings.Contains(err.Error(), "a\r\nb") {
				t.Errorf("the secret is in %v", err)
			}
		case c := <-s.catalogs:
			t.Errorf("taken: %v", c.Notes)
		case <-time.After(patience):
			t.Error("nothing")
		}
	}
}

// TestRefused blames the gateway's credential, never the caller.
func TestRefused(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "secret reason", http.StatusForbidden) }))
	t.Cleanup(srv.Close)
	s := watch(t, openapi.Options{
		URL: srv.URL, Document: file(t, `{"openapi":"3.1.0","paths":{"/":{"get":{"operationId":"get"}}}}`), Headers: http.Header{"Authorization": {"Bearer x"}},
	})
	s.catalog(t)
	_, err := s.call(t, "get", `{}`)
	if e := gateway.AsError(err); e.Code != gateway.FailedPrecondition || strings.Contains(e.Msg, "secret") || !strings.Contains(e.Error(), "secret reason") {
		t.Errorf("%+v", e)
	}
}

// TestResources reads operations under URIs.
func TestResources(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/none/1":
			http.NotFound(w, r)
		case "/v1/logo":
			w.Header().Set("Content-Type", "image/png")
			_, _ = io.WriteString(w, "\x89PNG")
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w, `{"url":%q}`, r.URL)
		}
	}))
	t.Cleanup(srv.Close)
	s := watch(t, openapi.Options{URL: srv.URL + "/v1", Resources: []string{"*"}, Document: file(t, `{"openapi":"3.1.0","paths":{
		"/logo":{"get":{"operationId":"logo","parameters":[{"name":"size","in":"query","schema":{}}],"responses":{"200":{"content":{"image/png":{}}}}}},
		"/books/{book-id}":{"get":{"operationId":"book"}},
		"/none/{id}":{"get":{"operationId":"none"}},
		"/find":{"get":{"operationId":"find","parameters":[{"name":"q","in":"query","required":true,"schema":{}}]},"post":{"operationId":"add"}}}}`)})
	c := s.catalog(t)
	var uris []string
	for _, r := range c.Resources {
		uris = append(uris, r.URI+" "+r.MIMEType)
	}
	for _, r := range c.Templates {
		uris = append(uris, r.URITemplate)
	}
	if diff := cmp.Diff([]string{"openapi://test/logo image/png", "openapi://test/books/{book_id}", "openapi://test/none/{id}", "openapi://test/find{?q}"}, uris); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
	read := func(origin, uri string) (*gateway.Result, error) {
		return s.Do(t.Context(), &gateway.Call{
			Op: gateway.OpRead, Kind: gateway.KindResource, Name: uri, Principal: gatewaytest.Caller(),
			Target: &gateway.Capability{Kind: gateway.KindResource, Name: uri, Origin: origin, Source: "test"},
		})
	}
	for _, tt := range []struct{ origin, uri, want string }{
		{"openapi://test/logo", "openapi://test/logo", `{"contents":[{"uri":"openapi://test/logo","mimeType":"image/png","blob":"iVBORw=="}]}`},
		{"openapi://test/books/{book_id}", "openapi://test/books/a%20b", `{"contents":[{"uri":"openapi://test/books/a%20b","mimeType":"application/json","text":"{\"url\":\"/v1/books/a%20b\"}"}]}`},
		{"openapi://test/find{?q}", "openapi://test/find?q=x%26y", `{"contents":[{"uri":"openapi://test/find?q=x%26y","mimeType":"application/json","text":"{\"url\":\"/v1/find?q=x%26y\"}"}]}`},
		{"openapi://test/books/{book_id}", "openapi://test/books/..%2Fadmin", "INVALID_ARGUMENT"},
		{"openapi://test/none/{id}", "openapi://test/none/1", "NOT_FOUND"},
		{"openapi://test/gone", "openapi://test/gone", "NOT_FOUND"},
	} {
		res, err := read(tt.origin, tt.uri)
		var got string
		if err != nil {
			got = gateway.AsError(err).Code.String()
		} else {
			got = string(res.Raw)
		}
		if got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.uri, got, tt.want)
		}
	}
}
