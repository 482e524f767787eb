package login

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"golang.org/x/oauth2"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/auth/browser"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/internal/clip"
)

// The paths of the pages, below the public URL.
const (
	Path         = "/auth/"
	CallbackPath = "/auth/callback" // that issuers redirect to
	loginPath    = "/auth/login"
	logoutPath   = "/auth/logout"
)

const (
	// pendingName is the cookie of a browser that has gone to sign in.
	pendingName = "__Host-trilith-login"
	pendingLife = 10 * time.Minute
	maxReturn   = 1024 // bytes of a path
	maxReason   = 256  // bytes of why somebody has not signed in
)

// A pending is what a browser that has gone to sign in brings back: sealed in a
// cookie, so that nobody can have the gateway remember anything.
type pending struct {
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"` // PKCE
	Return   string    `json:"return"`   // the path to go on with
	Expires  time.Time `json:"expires"`
}

var errForged = errors.New("the browser did not begin this sign-in, or too long ago")

// Handler serves the pages, below [Path]. They need cookies, and no other
// credential.
func (l *Sessions) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+loginPath, l.login)
	mux.HandleFunc("GET "+CallbackPath, l.callback)
	mux.HandleFunc("POST "+logoutPath, l.logout)
	return browser.Page(mux)
}

// login sends the browser to the issuer.
func (l *Sessions) login(w http.ResponseWriter, r *http.Request) {
	to, err := local(r.URL.Query().Get("return"))
	if err != nil {
		l.fail(w, r, err)
		return
	}
	p := pending{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Return: to, Expires: time.Now().Add(pendingLife)}
	var target, sealed string
	release, err := l.enter()
	if err == nil {
		defer release()
		target, err = l.o.Client.Start(r.Context(), p.State, p.Nonce, p.Verifier)
	}
	if err == nil {
		sealed, err = l.sealPending(p)
	}
	if err != nil {
		l.fail(w, r, err)
		return
	}
	browser.SetCookie(w, pendingName, sealed, pendingLife)
	http.Redirect(w, r, target, http.StatusSeeOther)
}

// local returns a path of the gateway's own to which a browser may be sent; "" is
// "/". Whatever a browser could take for another host is refused.
func local(to string) (string, error) {
	refused := &gateway.Error{Code: gateway.InvalidArgument, By: by, Msg: "the page to return to is not one of the gateway's"}
	if to == "" {
		return "/", nil
	}
	u, err := url.Parse(to)
	if err != nil || len(to) > maxReturn || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" ||
		to[0] != '/' || strings.HasPrefix(to, "//") || strings.ContainsFunc(to, func(c rune) bool { return c == '\\' || c > unicode.MaxASCII || !unicode.IsPrint(c) }) {
		return "", refused
	}
	return to, nil
}

var pendingBound = []byte("sign-in") //nolint:gochecknoglobals // A constant.

func (l *Sessions) sealPending(p pending) (string, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	sealed, err := json.Marshal(browser.Seal(l.o.Key, pendingBound, text))
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

// pending returns what the browser has gone to sign in with.
func (l *Sessions) pending(r *http.Request) (p pending, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(browser.Cookie(r, pendingName))
	var sealed browser.Sealed
	if err == nil {
		err = json.Unmarshal(raw, &sealed)
	}
	var text []byte
	if err == nil {
		text, err = sealed.Open(l.o.Key, pendingBound)
	}
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil || time.Now().After(p.Expires) {
		return p, errForged
	}
	return p, nil
}

// enter takes a place among those who wait for the issuer.
func (l *Sessions) enter() (release func(), err error) {
	select {
	case l.slots <- struct{}{}:
		return func() { <-l.slots }, nil
	default:
		return nil, &gateway.Error{Code: gateway.ResourceExhausted, By: by, Msg: "too many people sign in at the moment", Retry: time.Second}
	}
}

// callback makes a session of what the issuer sends back, for the browser that
// has gone there.
func (l *Sessions) callback(w http.ResponseWriter, r *http.Request) {
	browser.SetCookie(w, pendingName, "", 0) // It is good once.
	p, err := l.pending(r)
	var who *gateway.Principal
	var grant browser.Grant
	if err == nil {
		who, grant, err = l.redeem(r, p)
	}
	var secret, id string
	if err == nil {
		secret, id, err = l.begin(r.Context(), who, tokens{grant.Access, grant.Refresh, grant.Expires})
	}
	if err == nil {
		named := *who
		named.Login = id
		if err = l.o.Event(r.Context(), "login", &named, ""); err != nil { // No record, no login.
			_ = l.end(r.Context(), id, "it could not be recorded") // Nobody has its secret.
		}
	}
	if err != nil {
		l.fail(w, r, err)
		return
	}
	if old := browser.Cookie(r, cookieName); old != "" { // The browser forgets it.
		_ = l.end(r.Context(), key(old), "its browser has signed in again") // There may be none.
	}
	browser.SetCookie(w, cookieName, secret, l.o.Life)
	http.Redirect(w, r, p.Return, http.StatusSeeOther)
}

// redeem returns who has signed in.
func (l *Sessions) redeem(r *http.Request, p pending) (*gateway.Principal, browser.Grant, error) {
	q := r.URL.Query()
	iss := q.Get("iss") // RFC 9207
	switch {
	case subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(p.State)) != 1, iss != "" && iss != l.o.Client.Issuer():
		return nil, browser.Grant{}, errForged
	case q.Get("error") != "" || q.Get("code") == "":
		return nil, browser.Grant{}, errors.New("the issuer gave no code")
	}
	release, err := l.enter()
	if err != nil {
		return nil, browser.Grant{}, err
	}
	defer release()
	ctx := context.WithoutCancel(r.Context()) // The code is used up, whether the browser waits or not.
	grant, err := l.o.Client.Finish(ctx, q.Get("code"), p.Nonce, p.Verifier)
	if err != nil {
		return nil, grant, err
	}
	who, err := l.o.Judge.Authenticate(ctx, auth.Credential{Token: grant.Access})
	if err != nil {
		return nil, grant, err
	}
	if who.Kind != "user" || who.Issuer != l.o.Client.Issuer() || who.Subject != grant.Subject {
		return nil, grant, errors.New("the access token is not that of the user who has signed in")
	}
	return who, grant, nil
}

// logout ends the session of the browser.
func (l *Sessions) logout(w http.ResponseWriter, r *http.Request) {
	if err := new(http.CrossOriginProtection).Check(r); err != nil {
		l.fail(w, r, errForged)
		return
	}
	if secret := browser.Cookie(r, cookieName); secret != "" {
		if err := l.end(r.Context(), key(secret), "its user has signed out"); err != nil && !errors.Is(err, ErrNoSession) {
			l.fail(w, r, err)
			return
		}
	}
	browser.SetCookie(w, cookieName, "", 0)
	l.render(w, r, http.StatusOK, page{Title: "Signed out", Text: "You can close this window."})
}

// fail tells the browser no more than that it did not work.
func (l *Sessions) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := gateway.AsError(err)
	status, text := http.StatusForbidden, "Your account cannot sign in here, or the sign-in has taken too long."
	switch e.Code { //nolint:exhaustive // The rest reads as the text above.
	case gateway.InvalidArgument:
		status, text = http.StatusBadRequest, "The link is wrong."
	case gateway.Unavailable, gateway.ResourceExhausted:
		status, text = http.StatusServiceUnavailable, "Try again in a moment."
	}
	code := e.Code
	if code == gateway.Internal {
		code = gateway.Unauthenticated
	}
	l.o.Logger.InfoContext(r.Context(), "a user has not signed in", slog.Any("cause", err))
	l.o.Refused(r.Context(), auth.Attempt{
		Via: "http", Method: clip.Text(r.Method, maxReason), Path: clip.Text(r.URL.Path, maxReason), Remote: r.RemoteAddr,
		Reason: clip.Text(err.Error(), maxReason), Code: code, Time: time.Now(),
	})
	l.render(w, r, status, page{Title: "Not signed in", Text: text, Again: true})
}

// A page is what one says.
type page struct {
	Title, Text string
	Again       bool // shows a link to sign in
}

const pageText = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{.Title}}</title>
<h1>{{.Title}}</h1>
<p>{{.Text}}</p>{{if .Again}}
<p><a href="/auth/login">Sign in</a></p>{{end}}
</html>
`

func (l *Sessions) render(w http.ResponseWriter, r *http.Request, status int, p page) {
	w.WriteHeader(status)
	if err := template.Must(template.New("page").Parse(pageText)).Execute(w, p); err != nil { // The browser went away.
		l.o.Logger.DebugContext(r.Context(), "a page was not sent", slog.Any("cause", err))
	}
}
