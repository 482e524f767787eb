package graphql

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

// graphiql is the page, built by ui/build.sh.
//
//go:embed ui/dist
var graphiql embed.FS

// contentSecurityPolicy lets the page run its own script and talk to this gateway, and nothing else. GraphiQL's
// widgets write style elements, hence 'unsafe-inline' for styles.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; font-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// UI returns GraphiQL, a page for trying out operations, from files inside the program. It belongs one level below
// the endpoint: the page at /graphql/ui/ talks to /graphql. It holds no data and asks for no credential itself.
func (f *Frontend) UI() http.Handler {
	files, tags := map[string][]byte{}, map[string]string{}
	root, err := fs.Sub(graphiql, "ui/dist")
	if err != nil {
		panic(err) // The path is a constant.
	}
	entries, err := fs.ReadDir(root, ".")
	if err != nil {
		panic(err) // The directory is embedded.
	}
	for _, e := range entries {
		b, err := fs.ReadFile(root, e.Name())
		if err != nil {
			panic(err) // The file is embedded.
		}
		sum := sha256.Sum256(b)
		files[e.Name()], tags[e.Name()] = b, `"`+base64.RawURLEncoding.EncodeToString(sum[:12])+`"`
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := path.Base(r.URL.Path)
		switch {
		case strings.HasSuffix(r.URL.Path, "/"):
			name = "index.html"
		case files[name] == nil: // The page without its slash: its files are relative to it.
			if strings.Contains(name, ".") {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("Location", name+"/")
			w.WriteHeader(http.StatusMovedPermanently)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", contentSecurityPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", tags[name])
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(files[name]))
	})
}
