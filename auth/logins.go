package auth

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// Logins are the sessions of browsers whose users have signed in at the gateway.
// They are safe for concurrent use.
type Logins interface {
	// CookieName is the name of the cookie that holds a session's secret.
	CookieName() string

	// Find returns the session that a secret is of. It fails as Unauthenticated
	// where there is none, or none any more.
	Find(ctx context.Context, secret string) (Login, error)
}

// A Login is a session of a browser as the Door needs it.
type Login struct {
	ID      string    // for [gateway.Principal.Login]; it gives no access
	User    string    // the ID of the principal that has signed in
	Token   string    // the access token, judged as any other
	Expires time.Time // when the session ends
	End     func(ctx context.Context, why string)
}

// hasLogin reports whether a request brings a cookie of a session.
func (d *Door) hasLogin(r *http.Request) bool {
	return len(r.CookiesNamed(d.o.Logins.CookieName())) > 0
}

// admitLogin returns who makes a request that a cookie is the credential of. Its
// token is judged as if the request had brought it: where that is refused, the
// session ends.
func (d *Door) admitLogin(ctx context.Context, v *visit, c Credential) (*gateway.Principal, error) {
	if err := d.checkOwn(v.login); err != nil {
		return nil, err
	}
	cookies := v.login.CookiesNamed(d.o.Logins.CookieName())
	if len(cookies) != 1 {
		return nil, invalid(errors.New("more than one cookie of a session"))
	}
	session, err := d.o.Logins.Find(ctx, cookies[0].Value)
	if err != nil {
		return nil, err
	}
	c.Token, v.token = session.Token, session.Token
	who, err := d.authenticate(ctx, c)
	switch e := gateway.AsError(err); {
	case err != nil && e.Code == gateway.Unauthenticated:
		session.End(ctx, "its token is not good any more")
		return nil, err
	case err != nil:
		return nil, err
	case who.ID != session.User:
		session.End(ctx, "its token is another user's")
		return nil, invalid(errors.New("the session's token is another user's"))
	}
	p := *who // It may be shared.
	p.Login = session.ID
	if p.Expiry.IsZero() || session.Expires.Before(p.Expiry) {
		p.Expiry = session.Expires
	}
	return &p, nil
}

// checkOwn refuses requests whose cookie the browser may have added to what
// another page asked for: all that do not say that the gateway's own page asked,
// or that it was typed into the address bar and changes nothing (Fetch Metadata
// Request Headers; RFC 6454). Browsers say so in either header wherever they send
// the cookie.
func (d *Door) checkOwn(r *http.Request) error {
	foreign := refuse(gateway.PermissionDenied, "the cookie of a session is good for pages of the gateway's own only", nil)
	own, typed := false, false
	switch r.Header.Get("Sec-Fetch-Site") {
	case "":
	case "same-origin":
		own = true
	case "none":
		typed = r.Header.Get("Sec-Fetch-Mode") == "navigate"
	default:
		return foreign
	}
	if origins := r.Header["Origin"]; len(origins) > 0 {
		o, ok := parseOrigin(origins[0])
		if len(origins) > 1 || !ok || !d.isOwn(o, r) {
			return foreign
		}
		own = true
	}
	changes := r.Method != http.MethodGet && r.Method != http.MethodHead || strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
	if own || typed && !changes {
		return nil
	}
	return foreign
}

// isOwn reports whether an origin is the one that the request went to: that of
// the public URL, or on loopback the one that the browser has reached.
func (d *Door) isOwn(o origin, r *http.Request) bool {
	return o == d.own || onLoopback(r.Context()) && isLoopback(hostName(o.host)) && o.host == strings.ToLower(r.Host)
}
