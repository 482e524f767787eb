package server

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/trilith-gateway/trilith/auth/login"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/console"
)

// A route is what answers the requests of a pattern of [http.ServeMux]. Door is
// what stands before it: [auth.Door.Handler] where it needs a principal,
// [auth.Door.Console] where pages of the gateway's own call it,
// [auth.Door.Guard] where it is public and says nothing that depends on the
// caller, nil where the handler has a Door of its own.
type route struct {
	pattern string
	door    func(http.Handler) http.Handler
	handler http.Handler
}

// routes returns every HTTP route. There are no others: what is not here is
// taken by "/", and refused.
func (s *Server) routes() []route {
	known, public, pages := s.door.Handler, s.door.Guard, s.door.Console
	rest, sse := s.grpc.REST(), s.mcp.SSE()
	metadata := http.HandlerFunc(s.toolsets.serveMetadata)
	routes := []route{
		{"/mcp", known, s.mcp},
		{"/sse", known, sse},
		{"/messages", known, sse},
		{toolsetPath("{toolset}"), nil, s.toolsets},
		{"/graphql", s.door.Sockets, s.graphql},
		{"/v1/", pages, rest},
		{"/v1:complete", pages, rest},
		{"/admin/v1/", pages, rest},
		{"/openapi.json", pages, rest},
		{"/", known, rest}, // What nothing serves is refused, and recorded, as REST does it.

		{"GET /{$}", public, http.HandlerFunc(s.index)},
		{"GET " + console.Path, public, console.Handler()},
		{"GET " + console.ReferencePath + "{$}", public, console.Reference()},
		{"GET /graphql/ui/", public, http.StripPrefix("/graphql/ui", s.graphql.UI())},
		{"/.well-known/oauth-protected-resource", nil, metadata},
		{"/.well-known/oauth-protected-resource/", nil, metadata},
		{"GET /livez", public, http.HandlerFunc(live)},
		{"GET /readyz", public, http.HandlerFunc(s.readyz)},
	}
	if s.issuer != nil {
		routes = append(routes, route{issuerPath + "/", public, http.StripPrefix(issuerPath, s.issuer.Handler())})
	}
	if s.logins != nil {
		routes = append(routes, route{login.Path, s.door.Browser, s.logins.Handler()})
	}
	if s.connections != nil {
		routes = append(routes, route{"/connect/", s.door.Browser, s.connections.Handler()})
	}
	return routes
}

// newHTTP mounts every route.
func (s *Server) newHTTP(tlsConfig *tls.Config) *http.Server {
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		if r.door != nil {
			r.handler = r.door(r.handler)
		}
		mux.Handle(r.pattern, r.handler)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(tlsConfig == nil)
	return &http.Server{
		Handler: s.impatient(mux), Protocols: protocols, TLSConfig: tlsConfig,
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

func (s *Server) serveHTTP() error {
	var err error
	if s.http.TLSConfig != nil {
		err = s.http.ServeTLS(s.httpL, "", "")
	} else {
		err = s.http.Serve(s.httpL)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// socketOrigins returns the hosts whose pages may open a WebSocket: those of
// the origins that the Door lets in.
func (s *Server) socketOrigins(cfg *config.Config) []string {
	var hosts []string
	for _, o := range append([]string{s.base}, cfg.Listen.AllowedOrigins...) {
		if u, err := url.Parse(o); err == nil {
			hosts = append(hosts, hostPatterns(u)...)
		}
	}
	if a, ok := s.httpL.Addr().(*net.TCPAddr); ok && a.IP.IsLoopback() {
		hosts = append(hosts, "localhost", "localhost:*", "127.0.0.1", "127.0.0.1:*", `\[::1\]`, `\[::1\]:*`)
	}
	return hosts
}

// hostPatterns returns the patterns (path.Match) of the hosts of an origin's
// pages, however the origin and its default port are written.
func hostPatterns(u *url.URL) []string {
	port := map[string]string{"http": ":80", "https": ":443"}[strings.ToLower(u.Scheme)]
	host := strings.TrimSuffix(strings.ToLower(u.Host), port)
	host = strings.NewReplacer("[", `\[`, "]", `\]`).Replace(host) // Of an IPv6 address.
	if u.Port() != "" && ":"+u.Port() != port {
		return []string{host}
	}
	return []string{host, host + port}
}

func live(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") }

// readyz answers 200 while everything serves, else 503 with the names of what
// does not. The reasons are for the log alone.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	states := map[string]string{}
	checks := map[string]func() error{
		"doors": func() error {
			if !s.serving.Load() {
				return errors.New("starting or stopping")
			}
			return nil
		},
		"state": func() error { return s.state.Healthy(r.Context()) },
		"audit": s.audit.Healthy,
	}
	if s.oidc != nil {
		checks["identity"] = s.oidc.Healthy
	}
	for name, check := range checks {
		states[name] = "ok"
		if err := check(); err != nil {
			s.log.DebugContext(r.Context(), "not ready", slog.String("check", name), slog.Any("cause", err))
			states[name] = "failing"
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	for _, state := range states {
		if state != "ok" {
			w.WriteHeader(http.StatusServiceUnavailable)
			break
		}
	}
	_ = json.NewEncoder(w).Encode(states) // The client has gone; there is nobody to tell.
}

// index tells who opens the address what is here: a browser is shown the console.
func (s *Server) index(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Vary", "Accept")
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.Redirect(w, r, console.Path, http.StatusSeeOther)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, strings.NewReplacer("BASE", s.base, "GRPC", s.grpcBase).Replace(`Trilith `+s.options.Version+`

MCP          BASE/mcp          streamable HTTP, WebSocket; HTTP+SSE at BASE/sse
Console      BASE/console/     for people with a browser
GraphQL      BASE/graphql      queries, mutations, subscriptions; GraphiQL at BASE/graphql/ui/
gRPC         GRPC              gateway.v1, with health and reflection
REST         BASE/v1/tools     typed at BASE/v1/call/; OpenAPI at BASE/openapi.json, reference at BASE/docs/
Health       BASE/livez, BASE/readyz
`))
}

// impatient ends requests whose body does not come or trickles in, whoever
// reads it: the handler, or net/http when it discards what the handler left.
// The deadline is lifted once the handler has read the body to its end, so that
// streams may last; those whose handler does not may not.
func (s *Server) impatient(next http.Handler) http.Handler {
	patience := s.options.patience
	if patience == 0 {
		patience = bodyPatience
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r)
			return
		}
		b := &timedBody{ReadCloser: r.Body, conn: http.NewResponseController(w), by: time.Now().Add(patience)}
		b.arm()
		timed := *r // net/http looks at the body of its own request.
		timed.Body = b
		next.ServeHTTP(w, &timed)
		if !b.ended {
			b.arm()
		}
	})
}

// A timedBody must have been read by a time. Handlers that set deadlines of
// their own do not change that.
type timedBody struct {
	io.ReadCloser
	conn           *http.ResponseController
	by             time.Time
	started, ended bool
}

// Deadline returns when the body must have been read. Who finds it sets none.
func (b *timedBody) Deadline() time.Time { return b.by }

func (b *timedBody) arm() { _ = b.conn.SetReadDeadline(b.by) } // Not every connection has deadlines.

// Read lifts the deadline at the end of the body. After any other error, the
// deadline itself among them, the rest of the body is not worth waiting for.
func (b *timedBody) Read(p []byte) (int, error) {
	if !b.started {
		b.started = true
		b.arm()
	}
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) && !b.ended {
		b.ended = true
		_ = b.conn.SetReadDeadline(time.Time{})
	}
	return n, err
}

// keyHeader returns the header of API keys beside Authorization, or "".
func keyHeader(cfg *config.Config) string {
	if cfg.Auth.APIKeys == nil {
		return ""
	}
	return cfg.Auth.APIKeys.Header
}

// issuerURLs returns the issuers of access tokens.
func issuerURLs(cfg *config.Config) (urls []string) {
	for _, i := range cfg.Auth.Issuers {
		urls = append(urls, i.Issuer)
	}
	return urls
}
