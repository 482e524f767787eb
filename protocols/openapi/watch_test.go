package openapi_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/gatewaytest"
	"github.com/trilith-gateway/trilith/protocols/openapi"
)

func document(operations ...string) string {
	var paths []string
	for _, o := range operations {
		paths = append(paths, fmt.Sprintf(`"/%s":{"get":{"operationId":%q}}`, o, o))
	}
	return `{"openapi":"3.1.0","paths":{` + strings.Join(paths, ",") + `}}`
}

func names(c gateway.Catalog) string {
	var all []string
	for _, t := range c.Tools {
		all = append(all, t.Name)
	}
	return strings.Join(all, " ")
}

// TestFileChanges follows a file, and keeps what it had when the file turns bad.
func TestFileChanges(t *testing.T) {
	srv, _ := echo(t)
	path := file(t, document("a"))
	s := watch(t, openapi.Options{Document: path, URL: srv.URL, Refresh: 10 * time.Millisecond})
	if got := names(s.catalog(t)); got != "a" {
		t.Errorf("offered: %s", got)
	}
	for _, tt := range []struct{ text, want string }{{document("a", "b"), "a b"}, {"{broken", ""}, {document("c"), "c"}} {
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if tt.want == "" {
			s.Refresh()
			if _, err := s.call(t, "b", `{}`); err != nil {
				t.Errorf("a call while the document is broken: %v", err)
			}
			continue
		}
		if got := names(s.catalog(t)); got != tt.want {
			t.Errorf("offered: %s, want %s", got, tt.want)
		}
	}
	if _, err := s.call(t, "a", `{}`); gateway.AsError(err) == nil || gateway.AsError(err).Code != gateway.NotFound {
		t.Errorf("a tool that is gone: %v", err)
	}
	select {
	case err := <-s.errors:
		t.Errorf("the source was away: %v", err)
	default:
	}
}

// TestFileAppears waits for a document that is not there yet.
func TestFileAppears(t *testing.T) {
	path := file(t, "")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s := watch(t, openapi.Options{Document: path, URL: "https://api.example", Refresh: 10 * time.Millisecond})
	select {
	case err := <-s.errors:
		if !strings.Contains(err.Error(), "no such file") {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("nothing is said")
	}
	if _, err := s.call(t, "a", `{}`); gateway.AsError(err).Code != gateway.Unavailable {
		t.Errorf("a call before there is a document: %v", err)
	}
	if err := os.WriteFile(path, []byte(document("a")), 0o600); err != nil {
		t.Fatal(err)
	}
	for {
		select {
		case <-s.errors:
			continue
		case c := <-s.catalogs:
			if names(c) != "a" {
				t.Errorf("offered: %s", names(c))
			}
		case <-time.After(patience):
			t.Error("the document is not seen")
		}
		return
	}
}

// TestFetch fetches a document with conditions, and shows credentials to the
// service alone.
func TestFetch(t *testing.T) {
	var version atomic.Value
	version.Store(document("a"))
	var fetched, unchanged, leaked atomic.Int32
	docs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Key") != "" || r.Header.Get("Authorization") != "" {
			leaked.Add(1)
		}
		tag := fmt.Sprintf(`"%d"`, len(version.Load().(string)))
		w.Header().Set("Etag", tag)
		if r.Header.Get("If-None-Match") == tag {
			unchanged.Add(1)
			w.WriteHeader(http.StatusNotModified)
			return
		}
		fetched.Add(1)
		_, _ = io.WriteString(w, version.Load().(string))
	}))
	t.Cleanup(docs.Close)
	srv, last := echo(t)
	s := watch(t, openapi.Options{
		Document: docs.URL + "/openapi.json", URL: srv.URL, Headers: http.Header{"X-Key": {"k"}}, Refresh: 5 * time.Millisecond,
	})
	s.catalog(t)
	for deadline := time.Now().Add(patience); unchanged.Load() < 3; {
		if time.Now().After(deadline) {
			t.Fatal("it is not asked whether it changed")
		}
		s.Refresh()
		_, _ = s.call(t, "a", `{}`)
	}
	if fetched.Load() != 1 {
		t.Errorf("fetched %d times", fetched.Load())
	}
	version.Store(document("a", "b"))
	if got := names(s.catalog(t)); got != "a b" {
		t.Errorf("offered: %s", got)
	}
	if _, err := s.call(t, "b", `{}`); err != nil || last.Load().header.Get("X-Key") != "k" {
		t.Errorf("%v, %v", err, last.Load())
	}
	if leaked.Load() > 0 {
		t.Error("credentials went to where the document is")
	}
}

// TestPrivate neither fetches from nor calls addresses that are not allowed.
func TestPrivate(t *testing.T) {
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(srv.Close)
	for _, o := range []openapi.Options{
		{Name: "test", Document: srv.URL + "/openapi.json"},
		{Name: "test", Document: file(t, `{"openapi":"3.1.0","servers":[{"url":"`+srv.URL+`"}],"paths":{"/":{"get":{"operationId":"get"}}}}`)},
	} {
		u := upstream(t, o)
		ctx, stop := context.WithCancel(t.Context())
		for _, err := range u.Watch(ctx) {
			if err == nil {
				_, err = u.Do(t.Context(), &gateway.Call{
					Op: gateway.OpCall, Name: "get", Principal: gatewaytest.Caller(), Target: &gateway.Capability{Kind: gateway.KindTool, Origin: "get"},
				})
			}
			if err == nil {
				t.Error("a private address was reached")
			}
			break
		}
		stop()
	}
	if asked.Load() > 0 {
		t.Error("a private address was asked")
	}
}

// TestSwap calls tools while the document changes under them.
func TestSwap(t *testing.T) {
	srv, _ := echo(t)
	path := file(t, document("a"))
	s := watch(t, openapi.Options{Document: path, URL: srv.URL, Refresh: time.Millisecond})
	s.catalog(t)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := s.call(t, "a", `{}`); err != nil { //nolint:contextcheck // the calls outlive it.
					t.Errorf("a call: %v", err)
					return
				}
			}
		})
	}
	for i := range 20 {
		if err := os.WriteFile(path+".new", []byte(document("a", fmt.Sprint("b", i))), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		s.Refresh()
		for !strings.HasSuffix(names(s.catalog(t)), fmt.Sprint("b", i)) {
		}
	}
	stop()
	wg.Wait()
}

// TestStreams shows events as they come, and ends streams that do not end.
func TestStreams(t *testing.T) {
	more := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		switch r.URL.Path {
		case "/slow":
			for _, event := range []string{": hello\n\n", "data: one\r\ndata\r\n\r\n", "event: x\rdata:two\r\r", "id: 7\n\n", "data: cut off"} {
				_, _ = io.WriteString(w, event)
				w.(http.Flusher).Flush()
				if strings.HasPrefix(event, "data: one") {
					<-more
				}
			}
		case "/endless":
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, "data: more\n\n")
			}
		case "/line":
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, "data: never ends ")
			}
		case "/silent":
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	}))
	t.Cleanup(srv.Close)
	s := watch(t, openapi.Options{
		Document: file(t, document("slow", "endless", "line", "silent")), URL: srv.URL, Timeout: 500 * time.Millisecond, MaxResponse: 64 << 10,
	})
	s.catalog(t)
	var shown []string
	res, err := s.Do(t.Context(), &gateway.Call{
		Op: gateway.OpCall, Name: "slow", Principal: gatewaytest.Caller(), Target: &gateway.Capability{Kind: gateway.KindTool, Origin: "slow"},
		Progress: func(p gateway.Progress) {
			if shown = append(shown, string(p.Progress)+" "+p.Message); len(shown) == 1 {
				close(more)
			}
		},
	})
	if err != nil || string(res.Raw) != `{"content":[{"type":"text","text":"one\n"},{"type":"text","text":"two"}]}` {
		t.Errorf("%v, %+v", err, res)
	}
	if strings.Join(shown, "|") != "1 one\n|2 two" {
		t.Errorf("shown: %q", shown)
	}
	for tool, want := range map[string]gateway.Code{"endless": gateway.ResourceExhausted, "line": gateway.ResourceExhausted, "silent": gateway.DeadlineExceeded} {
		if _, err := s.call(t, tool, `{}`); gateway.AsError(err) == nil || gateway.AsError(err).Code != want {
			t.Errorf("%s: %v", tool, err)
		}
	}
}

// TestCalls offers calls that are described without a document.
func TestCalls(t *testing.T) {
	srv, last := echo(t)
	s := watch(t, openapi.Options{URL: srv.URL + "/api/", Calls: []openapi.Call{
		{
			Name: "rename", Title: "Rename", Description: "Give it a name.", Method: "PUT", Path: "/things/{id}",
			Parameters: []openapi.CallParameter{{Name: "id", Type: "integer", Description: "which"}, {Name: "dry", Schema: `{"type":"boolean"}`}, {Name: "X-Why", In: "header"}},
			Body:       &openapi.CallBody{Schema: `{"type":"object","required":["name"]}`, Required: true},
		},
		{Name: "list", Method: "GET", Path: "/things"},
	}})
	c := s.catalog(t)
	if got := names(c); got != "list rename" || len(c.Notes) != 0 {
		t.Errorf("offered: %s, %v", got, c.Notes)
	}
	const want = `{"type":"object","properties":{"id":{"description":"which","type":"integer"},"dry":{"type":"boolean"},"X-Why":{"type":"string"},` +
		`"body":{"type":"object","required":["name"]}},"required":["id","body"],"additionalProperties":false}`
	if got := string(c.Tools[1].Input.JSON()); got != want {
		t.Errorf("schema %s\nwant %s", got, want)
	}
	if _, err := s.call(t, "rename", `{"id":7,"dry":true,"X-Why":"fun","body":{"name":"n"}}`); err != nil {
		t.Fatal(err)
	}
	if r := last.Load(); r.method != "PUT" || r.url != "/api/things/7?dry=true" || r.header.Get("X-Why") != "fun" || r.body != `{"name":"n"}` {
		t.Errorf("%+v", r)
	}
	for _, bad := range []openapi.Call{
		{Name: "a", Method: "EAT", Path: "/"},
		{Name: "a", Method: "GET", Path: "x"},
		{Name: "a", Method: "GET", Path: "/", Parameters: []openapi.CallParameter{{Name: "p", Schema: `{"type":7}`}}},
		{Name: "a", Method: "POST", Path: "/", Body: &openapi.CallBody{Schema: `{`}},
	} {
		if _, err := openapi.New(openapi.Options{Name: "x", URL: srv.URL, Calls: []openapi.Call{bad}}); err == nil || !strings.Contains(err.Error(), `call "a"`) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
