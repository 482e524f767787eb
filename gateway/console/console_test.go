package console

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, h http.Handler, path string, headers ...string) *http.Response {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w.Result()
}

func text(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPage: every path of the program is the page, each time with a nonce of its
// own, and nothing but the gateway may give it programs or data.
func TestPage(t *testing.T) {
	nonces := map[string]bool{}
	for _, path := range []string{"/console/", "/console", "/console/audit", "/console/capabilities/tool/demo.echo", "/console/index.html", "/console/docs.html", "/console/../console/x", "/docs/"} {
		handler := Handler()
		if path == ReferencePath {
			handler = Reference()
		}
		res := get(t, handler, path)
		page, policy := text(t, res.Body), res.Header.Get("Content-Security-Policy")
		nonce := regexp.MustCompile(`'nonce-([A-Z2-7]+)'`).FindStringSubmatch(policy)
		if res.StatusCode != http.StatusOK || nonce == nil || !strings.Contains(page, `nonce="`+nonce[1]+`"`) || strings.Contains(page, nonceMark) {
			t.Fatalf("%s: %d %s\n%s", path, res.StatusCode, policy, page)
		}
		if strings.Contains(policy, "unsafe") || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", path, res.Header)
		}
		if nonces[nonce[1]] {
			t.Errorf("%s: a nonce comes twice", path)
		}
		nonces[nonce[1]] = true
		if strings.Contains(page, "<script>") || strings.Contains(page, "http://") || strings.Contains(page, "https://") {
			t.Errorf("the page has an inline script, or names another host:\n%s", page)
		}
	}
}

// TestFiles: what the page names is there, compressed for who takes that, and kept
// by browsers for good.
func TestFiles(t *testing.T) {
	h := Handler()
	page := text(t, get(t, h, "/console/").Body) + text(t, get(t, Reference(), "/docs/").Body)
	files := regexp.MustCompile(`(?:src|href)="(/console/assets/[^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(files) < 4 {
		t.Fatalf("the page names %d files", len(files))
	}
	for _, f := range files {
		plain, small := get(t, h, f[1]), get(t, h, f[1], "Accept-Encoding", "br, gzip;q=0.5")
		if small.Header.Get("Content-Encoding") != "gzip" || small.Header.Get("ETag") == plain.Header.Get("ETag") {
			t.Fatalf("%s: %v", f[1], small.Header)
		}
		z, err := gzip.NewReader(small.Body)
		if err != nil {
			t.Fatal(err)
		}
		if text(t, z) != text(t, plain.Body) {
			t.Errorf("%s: compressed it is another", f[1])
		}
		if !strings.Contains(plain.Header.Get("Cache-Control"), "immutable") || plain.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", f[1], plain.Header)
		}
		if again := get(t, h, f[1], "If-None-Match", plain.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
			t.Errorf("%s again: %d", f[1], again.StatusCode)
		}
	}
	for _, path := range []string{"/console/assets/index-old.js", "/console/assets/"} {
		if res := get(t, h, path); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
	for header, want := range map[string]bool{"": false, "gzip": true, "gzip;q=0": false, "gzip; q=0.0": false, "br": false, "GZIP": true, "deflate, gzip;q=1": true} {
		if got := acceptsGzip(&http.Request{Header: http.Header{"Accept-Encoding": {header}}}); got != want {
			t.Errorf("Accept-Encoding %q: %t", header, got)
		}
	}
}
