// Package console is the page for administrators and for everybody who wants to
// see what the gateway does, and the API reference: programs for browsers, whose
// files are inside the gateway's. Their sources are in web, what is built of them
// in dist.
//
// It is not a way into the gateway: the pages call the GraphQL and REST doors as
// any web application does, with the cookie of a person who has signed in, and
// hold no data themselves.
package console

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// The paths of the pages. Their programs are built for them.
const (
	Path          = "/console/"
	ReferencePath = "/docs/"
)

const (
	// nonceMark stands in the pages where the nonce of an answer belongs.
	nonceMark = "CSP_NONCE"
	// sources lets a page run the gateway's own programs and talk to the gateway,
	// and nothing else. What it writes into style elements needs the nonce.
	sources = "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-" + nonceMark + "'; img-src 'self' data: blob:; media-src blob:; " +
		"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	// trusted adds that no text becomes markup. Swagger UI turns Markdown to markup.
	trusted = sources + "; require-trusted-types-for 'script'"
)

//go:embed all:dist
var dist embed.FS

// A file is one of those that the pages are made of.
type file struct {
	body  []byte
	kind  string // its media type
	tag   string // its ETag
	small func() []byte
}

// Handler serves the console, with Path still in the URL, and the files of both
// pages. Every path that names no file is one of the program's own, and answered
// with the page.
func Handler() http.Handler {
	files := map[string]*file{}
	err := fs.WalkDir(dist, "dist", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(name) == ".html" {
			return err
		}
		body, err := fs.ReadFile(dist, name)
		files[strings.TrimPrefix(name, "dist/")] = newFile(name, body)
		return err
	})
	if err != nil {
		panic(err) // The files are part of the program.
	}
	index := page("index.html", trusted)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(path.Clean(r.URL.Path)+"/", Path)
		name = strings.TrimSuffix(name, "/")
		f := files[name]
		switch {
		case f != nil:
			f.serve(w, r, name)
		case strings.HasPrefix(name+"/", "assets/"): // Of an older build: the page must not take HTML for a program.
			http.NotFound(w, r)
		default:
			index.ServeHTTP(w, r)
		}
	})
}

// Reference serves the API reference, whose files are among those of [Handler].
func Reference() http.Handler { return page("docs.html", sources) }

// page serves one of the HTML files, each time with a nonce that is good for that
// answer alone.
func page(name, policy string) http.Handler {
	body, err := fs.ReadFile(dist, "dist/"+name)
	if err != nil {
		panic(err) // The files are part of the program.
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		nonce := rand.Text()
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", strings.ReplaceAll(policy, nonceMark, nonce))
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(bytes.ReplaceAll(body, []byte(nonceMark), []byte(nonce))))
	})
}

func (f *file) serve(w http.ResponseWriter, r *http.Request, name string) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox") // Should a browser be led to it.
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Vary", "Accept-Encoding")
	h.Set("Content-Type", f.kind)
	h.Set("ETag", f.tag)
	h.Set("Cache-Control", "no-cache")
	if strings.HasPrefix(name, "assets/") { // The name changes with the content.
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	body := f.body
	if small := f.small(); len(small) < len(body) && acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		h.Set("ETag", strings.TrimSuffix(f.tag, `"`)+`-gzip"`)
		body = small
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(body))
}

func newFile(name string, body []byte) *file {
	sum := sha256.Sum256(body)
	kind := mime.TypeByExtension(path.Ext(name))
	if kind == "" {
		kind = "application/octet-stream"
	}
	return &file{body: body, kind: kind, tag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`, small: sync.OnceValue(func() []byte { return compress(body) })}
}

func compress(body []byte) []byte {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		panic(err) // The level is a constant.
	}
	_, _ = z.Write(body) // A buffer takes everything.
	_ = z.Close()
	return out.Bytes()
}

// acceptsGzip tells whether a client takes gzip (RFC 9110, section 12.5.3). A
// weight of zero refuses it; other weights do not matter with one choice.
func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		coding, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			return strings.Trim(strings.TrimPrefix(strings.TrimSpace(weight), "q="), "0.") != "" || weight == ""
		}
	}
	return false
}
