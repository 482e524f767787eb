package connect

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/trilith-gateway/trilith/auth/browser"
	"github.com/trilith-gateway/trilith/gateway/state"
)

// cookieName is the cookie of a browser, as [browser.SetCookie] has it.
const cookieName = "__Host-trilith"

// A session is a browser whose user has signed in.
type session struct {
	Issuer  string `json:"issuer"`
	Subject string `json:"subject"`
}

// A pending is a redirect to an authorization server that is to come back.
type pending struct {
	Path     string `json:"path"`            // that it comes back to
	Invite   string `json:"invite"`          // the id of the invitation
	Browser  string `json:"browser"`         // digest of the cookie of the browser that it went out with
	Issuer   string `json:"issuer"`          // that is to answer
	Server   Server `json:"server,omitzero"` // that the user consented to, unless it is a sign-in
	Verifier string `json:"verifier"`        // PKCE
	Nonce    string `json:"nonce,omitempty"` // of a sign-in
}

// Handler serves the pages, below /connect/. They need cookies, and no other
// credential.
func (c *Connections) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+loginPath, c.signedIn)
	mux.HandleFunc("GET "+donePath, c.done)
	mux.HandleFunc("GET /connect/{id}", c.show)
	mux.HandleFunc("POST /connect/{id}", c.consent)
	return browser.Page(mux)
}

// cookie returns the value of the browser's cookie, or "".
func cookie(r *http.Request) string { return browser.Cookie(r, cookieName) }

// setCookie gives the browser a new random value and returns it.
func setCookie(w http.ResponseWriter) string {
	value := rand.Text()
	browser.SetCookie(w, cookieName, value, inviteLife)
	return value
}

// invited returns the invitation that a page is about and, where the browser's
// user has signed in, whether it is theirs.
func (c *Connections) invited(ctx context.Context, id, visitor string) (i state.Entry[invite], signedIn, own bool, err error) {
	if i, err = c.invites.Get(ctx, browser.Digest(id)); err != nil || visitor == "" {
		return i, false, false, err
	}
	s, err := c.users.Get(ctx, browser.Digest(visitor))
	if errors.Is(err, state.ErrNotFound) {
		return i, false, false, nil
	}
	return i, err == nil, s.Value == session{i.Value.Issuer, i.Value.Subject}, err
}

// show asks the user for consent, once they have signed in.
func (c *Connections) show(w http.ResponseWriter, r *http.Request) {
	id, visitor := r.PathValue("id"), cookie(r)
	i, signedIn, own, err := c.invited(r.Context(), id, visitor)
	switch {
	case err != nil:
		c.fail(w, r, err)
	case !signedIn:
		c.signIn(w, r, id, i.Value)
	case !own:
		c.fail(w, r, errNotYours)
	default:
		target, issuer, scopes, _, err := c.authorize(r.Context(), i.Value, Request{State: "-", Challenge: "-", Redirect: c.o.URL + donePath})
		if err != nil {
			c.fail(w, r, err)
			return
		}
		// Browsers apply form-action to where a form is redirected to, too.
		w.Header().Set("Content-Security-Policy", browser.Policy("'self' "+origin(target)))
		c.render(w, r, http.StatusOK, page{
			Title: "Connect " + i.Value.Owner.Upstream, Upstream: i.Value.Owner.Upstream, Server: issuer, Scopes: scopes, Token: csrf(visitor, id),
		})
	}
}

func (c *Connections) authorize(ctx context.Context, i invite, r Request) (target, issuer string, scopes []string, s Server, err error) {
	provider, s := c.o.Provider(i.Owner.Upstream)
	if provider == nil {
		return "", "", nil, s, errGone
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	target, issuer, scopes, err = provider.Authorize(ctx, r)
	return target, issuer, scopes, s, err
}

// signIn sends the browser to the issuer of the user who was invited. What comes
// back counts in this browser only.
func (c *Connections) signIn(w http.ResponseWriter, r *http.Request, id string, i invite) {
	l := c.logins[i.Issuer]
	if l == nil {
		c.fail(w, r, errors.New("connect: users of the issuer cannot sign in any more"))
		return
	}
	p := pending{Path: loginPath, Invite: id, Browser: browser.Digest(setCookie(w)), Issuer: i.Issuer, Verifier: oauth2.GenerateVerifier(), Nonce: rand.Text()}
	st := rand.Text()
	target, err := l.Start(r.Context(), st, p.Nonce, p.Verifier)
	if err == nil {
		_, err = c.states.Create(r.Context(), browser.Digest(st), p)
	}
	if err != nil {
		c.fail(w, r, err)
		return
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
}

// take returns what a redirect came back from, once, to the browser and the path
// that it began with.
func (c *Connections) take(r *http.Request) (p pending, code string, err error) {
	q := r.URL.Query()
	e, err := c.states.Get(r.Context(), browser.Digest(q.Get("state")))
	if err != nil {
		return p, "", err
	}
	p = e.Value
	visitor := browser.Digest(cookie(r))
	if p.Path != r.URL.Path || subtle.ConstantTimeCompare([]byte(visitor), []byte(p.Browser)) != 1 {
		return p, "", errNotYours
	}
	if err := c.states.Delete(r.Context(), e.Key, e.Revision); err != nil {
		return p, "", err // Somebody was faster.
	}
	switch iss := q.Get("iss"); { // RFC 9207
	case iss != "" && iss != p.Issuer:
		return p, "", errors.New("connect: another issuer answered")
	case q.Get("error") != "" || q.Get("code") == "":
		return p, "", errDeclined
	}
	return p, q.Get("code"), nil
}

// signedIn notes who has signed in, and goes on with the invitation.
func (c *Connections) signedIn(w http.ResponseWriter, r *http.Request) {
	p, code, err := c.take(r)
	var who browser.Grant
	if err == nil {
		l := c.logins[p.Issuer]
		if l == nil {
			err = errNotYours
		} else {
			who, err = l.Finish(r.Context(), code, p.Nonce, p.Verifier)
		}
	}
	if err == nil { // A new cookie, so that none that was planted gains anything.
		_, err = c.users.Create(r.Context(), browser.Digest(setCookie(w)), session{p.Issuer, who.Subject})
	}
	if err != nil {
		c.fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/connect/"+url.PathEscape(p.Invite), http.StatusSeeOther)
}

// csrf returns the token that a form of this browser and invitation has.
func csrf(visitor, id string) string {
	mac := hmac.New(sha256.New, []byte(visitor))
	mac.Write([]byte("consent/" + id))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// consent sends the browser of a user who agreed to the upstream's authorization
// server.
func (c *Connections) consent(w http.ResponseWriter, r *http.Request) {
	id, visitor := r.PathValue("id"), cookie(r)
	i, _, own, err := c.invited(r.Context(), id, visitor)
	forged := !hmac.Equal([]byte(r.PostFormValue("token")), []byte(csrf(visitor, id)))
	if err == nil && (!own || forged || new(http.CrossOriginProtection).Check(r) != nil) {
		err = errNotYours
	}
	if err != nil {
		c.fail(w, r, err)
		return
	}
	p := pending{Path: donePath, Invite: id, Browser: browser.Digest(visitor), Verifier: oauth2.GenerateVerifier()}
	st := rand.Text()
	target, issuer, _, server, err := c.authorize(r.Context(), i.Value, Request{
		Redirect: c.o.URL + donePath, State: st, Challenge: oauth2.S256ChallengeFromVerifier(p.Verifier),
	})
	if p.Issuer, p.Server = issuer, server; err == nil {
		_, err = c.states.Create(r.Context(), browser.Digest(st), p)
	}
	if err != nil {
		c.fail(w, r, err)
		return
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
}

// done keeps what the upstream's authorization server issues.
func (c *Connections) done(w http.ResponseWriter, r *http.Request) {
	p, code, err := c.take(r)
	var i state.Entry[invite]
	if err == nil {
		var own bool
		if i, _, own, err = c.invited(r.Context(), p.Invite, cookie(r)); err == nil && !own {
			err = errNotYours
		}
	}
	if err == nil {
		err = c.redeem(r.Context(), i.Value, p.Server, Grant{Code: code, Verifier: p.Verifier, Redirect: c.o.URL + donePath})
	}
	if err != nil {
		c.fail(w, r, err)
		return
	}
	if err := c.invites.Delete(r.Context(), i.Key, i.Revision); err != nil { // It ends by itself.
		c.o.Logger.DebugContext(r.Context(), "an invitation stays", slog.Any("cause", err))
	}
	c.render(w, r, http.StatusOK, page{Title: i.Value.Owner.Upstream + " is connected", Text: "You can close this window and go on."})
}

// redeem gets and keeps the tokens of the server that the user consented to.
func (c *Connections) redeem(ctx context.Context, i invite, consented Server, g Grant) error {
	provider, s := c.o.Provider(i.Owner.Upstream)
	switch {
	case provider == nil:
		return errGone
	case s != consented:
		return errors.New("connect: the upstream became another one before the user came back")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout) // The code is used up, whether the browser waits or not.
	defer cancel()
	t, err := provider.Redeem(ctx, g)
	if err != nil {
		return err
	}
	return c.keep(ctx, i.Owner, s, t)
}

var (
	errNotYours = errors.New("connect: another user or browser")
	errDeclined = errors.New("connect: the authorization server issued no code")
	errGone     = errors.New("connect: the upstream is not configured any more")
)

// fail tells the browser no more than that it did not work.
func (c *Connections) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, text := http.StatusBadGateway, "It did not work. Call the tool again for a new link."
	switch {
	case errors.Is(err, state.ErrNotFound) || errors.Is(err, state.ErrConflict) || errors.Is(err, state.ErrInvalid):
		status, text = http.StatusNotFound, "This link has ended. Call the tool again for a new one."
	case errors.Is(err, errNotYours):
		status, text = http.StatusForbidden, "This link is for somebody else, or was opened in another browser."
	case errors.Is(err, errDeclined):
		status, text = http.StatusForbidden, "Nothing was connected: access was not granted."
	case errors.Is(err, state.ErrUnavailable):
		status, text = http.StatusServiceUnavailable, "Try again in a moment."
	}
	c.o.Logger.InfoContext(r.Context(), "a user was not connected", slog.Any("cause", err))
	c.render(w, r, status, page{Title: "Not connected", Text: text})
}

// origin returns that of a URL.
func origin(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
