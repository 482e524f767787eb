package auth

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// guardedKey is under what Guard leaves what a later call of Authenticate needs.
type guardedKey struct{}

type guarded struct {
	attempt     Attempt
	certificate *x509.Certificate
}

// Handler lets pass only requests from allowed hosts and origins that carry a
// valid credential, or none where the door knows an anonymous principal, and
// hands them on with their principal in the context and without credentials.
// It answers 401 with a challenge (RFC 6750, section 3; RFC 9449, section 7.1;
// RFC 9728, section 5.1), 403 for hosts and origins, 400 for a malformed
// Authorization header. It
// answers the preflight requests of allowed origins itself. A token in the
// query is no credential.
func (d *Door) Handler(next http.Handler) http.Handler { return d.handler(next, false) }

// Console is Handler for what the gateway's own pages call: there the cookie of a
// browser's session is a credential, too. It is one only for requests that the
// gateway's own origin makes; others are refused as PermissionDenied. Whoever
// shows another credential is admitted by that alone.
func (d *Door) Console(next http.Handler) http.Handler { return d.handler(next, d.o.Logins != nil) }

func (d *Door) handler(next http.Handler, cookies bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !d.guard(w, r) {
			return
		}
		v := visit{
			method: r.Method, path: r.URL.Path, rawPath: r.URL.EscapedPath(),
			authorization: r.Header["Authorization"], proof: r.Header["Dpop"], tls: r.TLS,
		}
		if d.o.KeyHeader != "" {
			v.key = r.Header[d.o.KeyHeader]
		}
		if cookies && d.hasLogin(r) {
			v.login = r
			w.Header().Add("Vary", "Cookie")
		}
		p, err := d.admit(r.Context(), &v)
		if v.nonce != "" {
			w.Header().Set("DPoP-Nonce", v.nonce)
		}
		if err != nil {
			d.refuseHTTP(w, r, err)
			return
		}
		d.strip(r.Header)
		next.ServeHTTP(w, r.WithContext(d.keep(With(r.Context(), p), v.token)))
	})
}

// Guard lets pass only requests from allowed hosts and origins, without their
// credentials and without a principal: for public routes, and for those whose
// protocol brings the token itself and calls [Door.Authenticate].
func (d *Door) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !d.guard(w, r) {
			return
		}
		d.strip(r.Header)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), guardedKey{}, guarded{attempt(r), verified(r.TLS)})))
	})
}

// Browser is Guard for pages that know a browser by a cookie of their own. Other
// credentials do not pass.
func (d *Door) Browser(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !d.guard(w, r) {
			return
		}
		cookies := r.Header["Cookie"]
		d.strip(r.Header)
		if cookies != nil {
			r.Header["Cookie"] = cookies
		}
		next.ServeHTTP(w, r)
	})
}

// Sockets is Handler for an endpoint that serves WebSockets too. Browsers cannot
// send a token with a handshake (RFC 6455), so one without a credential passes
// as through Guard: without a principal. The protocol must then bring the token
// and call [Door.Authenticate] before it does anything. Otherwise it is Console.
func (d *Door) Sockets(next http.Handler) http.Handler {
	closed, open := d.Console(next), d.Guard(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		own := d.o.Logins != nil && d.hasLogin(r) && d.checkOwn(r) == nil
		if r.Method == http.MethodGet && r.Header["Authorization"] == nil && r.Header[d.o.KeyHeader] == nil && !own && strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			open.ServeHTTP(w, r)
			return
		}
		closed.ServeHTTP(w, r)
	})
}

// guard checks host and origin and answers preflight requests. It reports
// whether the request may go on.
func (d *Door) guard(w http.ResponseWriter, r *http.Request) bool {
	loopback := onLoopback(r.Context())
	err := d.checkHost(r.Host, loopback)
	if err == nil {
		err = d.checkOrigin(r.Header["Origin"], r.Host, loopback)
	}
	if err == nil && r.Header["Origin"] == nil {
		err = checkSite(r.Header)
	}
	if err != nil {
		d.refuseHTTP(w, r, err)
		return false
	}
	if r.Header["Origin"] == nil {
		return true
	}
	return d.share(w, r)
}

// share tells the browser that the allowed origin may read the answer (Fetch
// standard, CORS protocol), without credentials of the browser's own.
func (d *Door) share(w http.ResponseWriter, r *http.Request) bool {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, DPoP-Nonce, Retry-After, Mcp-Session-Id, Mcp-Protocol-Version")
	h.Add("Vary", "Origin")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return true
	}
	h.Add("Vary", "Access-Control-Request-Headers")
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
	if want := r.Header.Get("Access-Control-Request-Headers"); want != "" {
		h.Set("Access-Control-Allow-Headers", want)
	}
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return false
}

// strip takes off what no one behind the door may see or pass on.
func (d *Door) strip(h http.Header) {
	delete(h, "Authorization")
	delete(h, "Proxy-Authorization")
	delete(h, "Dpop")
	delete(h, "Cookie")
	delete(h, d.o.KeyHeader)
}

func attempt(r *http.Request) Attempt {
	return Attempt{Via: "http", Method: r.Method, Path: r.URL.Path, Remote: r.RemoteAddr}
}

// refuseHTTP reports the refusal and answers with a problem document (RFC 9457).
func (d *Door) refuseHTTP(w http.ResponseWriter, r *http.Request, err error) {
	e := d.refused(r.Context(), attempt(r), err)
	status := statusOf(e.Code)
	h := w.Header()
	for _, c := range d.challenges(r.URL.Path, e, r.Header["Authorization"]) {
		h.Add("WWW-Authenticate", c)
	}
	if e.Retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(e.Retry.Seconds()))))
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/problem+json")
	body, _ := json.Marshal(struct { // Strings and a number always marshal.
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{http.StatusText(status), status, e.Msg})
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // The client went away.
}
