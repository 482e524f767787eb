package grpc

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write the answers into testdata/rest")

// TestREST plays testdata/rest: each file NAME holds a request and NAME.answer
// what comes back.
func TestREST(t *testing.T) {
	h := frontend(t, newWorld(t), Options{}).REST()
	server := httptest.NewServer(withPrincipal(h))
	defer server.Close()
	files, err := filepath.Glob("testdata/rest/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d transcripts: %v", len(files), err)
	}
	checker := newChecker(t, gatewayAPI)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			answers := map[string]string{}
			for _, f := range archive.Files {
				answers[f.Name] = string(f.Data)
			}
			out := &txtar.Archive{Comment: archive.Comment}
			for _, f := range archive.Files {
				if strings.HasSuffix(f.Name, ".answer") {
					continue
				}
				answer := play(t, server, f.Data, checker)
				out.Files = append(out.Files, f, txtar.File{Name: f.Name + ".answer", Data: []byte(answer)})
				if !*update {
					if d := cmp.Diff(answers[f.Name+".answer"], answer); d != "" {
						t.Errorf("%s (-want +got)\n%s", f.Name, d)
					}
				}
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(out), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// play sends a request and returns the answer as text.
func play(t *testing.T, server *httptest.Server, text []byte, c *checker) string {
	t.Helper()
	head, body, _ := strings.Cut(string(text), "\n\n")
	body = strings.TrimSuffix(body, "\n")
	line, headers, _ := strings.Cut(head, "\n")
	method, path, _ := strings.Cut(strings.TrimSpace(line), " ")
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for h := range strings.Lines(headers) {
		key, value, _ := strings.Cut(strings.TrimSpace(h), ": ")
		req.Header.Set(key, value)
	}
	res, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	c.check(t, req, res, got)
	var b strings.Builder
	fmt.Fprintln(&b, res.StatusCode)
	for _, key := range []string{"Allow", "Content-Type", "Retry-After", "Www-Authenticate"} {
		if v := res.Header.Get(key); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", key, v)
		}
	}
	if cc := res.Header.Get("Cache-Control"); cc != "private, no-store" {
		t.Errorf("Cache-Control: %s", cc)
	}
	if len(got) > 0 {
		fmt.Fprintf(&b, "\n%s\n", bytes.TrimRight(got, "\n"))
	}
	return b.String()
}

// call makes a request of a handler in this goroutine.
func call(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Who", "alice")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	withPrincipal(h).ServeHTTP(w, r)
	return w
}

func TestRESTBounds(t *testing.T) {
	o := Options{}
	o.Bounds.Bytes = 1000
	h := frontend(t, newWorld(t), o).REST()
	for name, test := range map[string]struct {
		body string
		want int
	}{
		"fits":      {`{"x":"` + strings.Repeat("y", 900) + `"}`, 200},
		"too long":  {strings.Repeat(" ", 1001), 413},
		"too deep":  {`{"x":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}`, 400},
		"endless":   {`{"x":`, 400},
		"not UTF-8": {"{\"x\":\"\xff\"}", 400},
	} {
		if got := call(h, "POST", "/v1/tools/demo.echo:call", test.body); got.Code != test.want {
			t.Errorf("%s: %d, want %d: %.200s", name, got.Code, test.want, got.Body)
		}
	}
	// A length that is a lie costs nothing.
	r := httptest.NewRequest("POST", "/v1/tools/demo.echo:call", strings.NewReader("{}"))
	r.ContentLength = 1 << 60
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Who", "alice")
	w := httptest.NewRecorder()
	withPrincipal(h).ServeHTTP(w, r)
	if w.Code != 200 {
		t.Errorf("lying length: %d %s", w.Code, w.Body)
	}
}

func TestRESTHasNoBoundOnResults(t *testing.T) {
	h := frontend(t, newWorld(t), Options{}).REST()
	if got := call(h, "POST", "/v1/tools/demo.big:call", "{}"); got.Code != 200 || got.Body.Len() < 5<<20 {
		t.Errorf("%d, %d bytes", got.Code, got.Body.Len())
	}
}

func TestRESTDeadline(t *testing.T) {
	h := frontend(t, newWorld(t), Options{}).REST()
	for _, accept := range []string{"application/json", "text/event-stream"} {
		if got := call(h, "POST", "/v1/tools/demo.wait:call", "{}", "Grpc-Timeout", "20m", "Accept", accept); got.Code != 504 {
			t.Errorf("%s: %d %s", accept, got.Code, got.Body)
		}
		if got := call(h, "POST", "/v1/tools/demo.wait:call", "{}", "Grpc-Timeout", "soon", "Accept", accept); got.Code != 400 {
			t.Errorf("%s: %d %s", accept, got.Code, got.Body)
		}
	}
}

// TestRESTPanic has a panic outside of the road answered and logged, not shown.
func TestRESTPanic(t *testing.T) {
	h := frontend(t, newWorld(t), Options{}).REST().(*rest)
	h.service.gw = nil
	if got := call(h, "POST", "/v1/tools/demo.add:call", "{}"); got.Code != 500 || !strings.Contains(got.Body.String(), `"detail":"internal error"`) {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}

// TestRESTWatch follows a resource and the capabilities over a real connection.
func TestRESTWatch(t *testing.T) {
	w := newWorld(t)
	f := frontend(t, w, Options{})
	server := httptest.NewServer(withPrincipal(f.REST()))
	defer server.Close()
	watch := func(path string) (*bufio.Scanner, func()) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Who", "alice")
		res, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		if ct := res.Header.Get("Content-Type"); res.StatusCode != 200 || ct != "text/event-stream" {
			t.Fatalf("%d %s", res.StatusCode, ct)
		}
		return bufio.NewScanner(res.Body), cancel
	}
	expect := func(s *bufio.Scanner, want ...string) {
		t.Helper()
		for _, line := range want {
			if !s.Scan() || s.Text() != line {
				t.Fatalf("got %q (%v), want %q", s.Text(), s.Err(), line)
			}
		}
	}
	resource, cancel := watch("/v1/resources:watch?uri=demo://motd")
	defer cancel()
	expect(resource, `data: {"uri":"demo://motd"}`, "")
	w.funcs.Updated("demo://motd")
	expect(resource, `data: {"uri":"demo://motd"}`, "")

	capabilities, cancel := watch("/v1/capabilities:watch")
	defer cancel()
	expect(capabilities, `data: {"tools":true,"resources":true,"prompts":true}`, "")
	w.funcs.Remove(2, "demo://motd")
	expect(capabilities, `data: {"resources":true}`, "")

	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	f.Shutdown(ctx)
	problem := `data: {"title":"Service Unavailable","status":503,"code":"UNAVAILABLE","detail":"the gateway is shutting down"}`
	expect(resource, "event: error", problem, "")
	expect(capabilities, "event: error", problem, "")
	if capabilities.Scan() {
		t.Errorf("more: %q", capabilities.Text())
	}
}
