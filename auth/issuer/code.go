package issuer

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// LoginClient is the one client that signs people in. It is public.
	LoginClient = "console"

	codeTTL    = time.Minute
	refreshTTL = 24 * time.Hour
	maxUsed    = 10_000 // codes that are remembered

	typeCode    = "code+jwt"
	typeRefresh = "refresh+jwt"
)

// An authorization is what a code or a refresh token stands for. Both are signed,
// so that the issuer need not remember them.
type authorization struct {
	jwt.RegisteredClaims

	Challenge string `json:"challenge,omitempty"` // PKCE
	Nonce     string `json:"nonce,omitempty"`
	Resource  string `json:"resource"`
}

// asked checks an authorization request (RFC 6749, section 4.1.1; RFC 7636;
// RFC 8707). What is wrong is told to the person, not to the client.
func (i *Issuer) asked(q url.Values) (authorization, error) {
	a := authorization{Challenge: q.Get("code_challenge"), Nonce: q.Get("nonce")}
	var ok bool
	a.Resource, ok = i.audience(q["resource"])
	switch {
	case i.redirect == "" || q.Get("redirect_uri") != i.redirect:
		return a, errors.New("the client is sent back somewhere else")
	case q.Get("client_id") != LoginClient, q.Get("response_type") != "code", !ok:
		return a, errors.New("the client or what it asks for is unknown")
	case q.Get("code_challenge_method") != "S256" || len(a.Challenge) != base64.RawURLEncoding.EncodedLen(sha256.Size):
		return a, errors.New("the client does not use PKCE")
	case len(q.Get("state")) > 512 || len(a.Nonce) > 512:
		return a, errors.New("the request is too long")
	}
	return a, nil
}

const chooser = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Sign in</title>
<h1>Sign in to the gateway in development mode</h1>
{{with .Problem}}<p>It did not work: {{.}}.</p>{{else}}<p>Who do you want to be?</p>
<form method="post">{{range $name, $value := .Request}}<input type="hidden" name="{{$name}}" value="{{$value}}">{{end}}
{{range .Personas}}<p><button name="persona" value="{{.Name}}">{{.Title}}</button> with the role {{.Name}}</p>{{end}}</form>{{end}}
</html>
`

// page shows who one can be, or what is wrong.
func (i *Issuer) page(w http.ResponseWriter, request url.Values, problem error) {
	type someone struct{ Name, Title string }
	data := struct {
		Problem  error
		Request  map[string]string
		Personas []someone
	}{Problem: problem, Request: map[string]string{}}
	for _, p := range personas() {
		data.Personas = append(data.Personas, someone{p.name, p.title})
	}
	for name := range request {
		if name != "persona" { // The person's choice, not that of who made the link.
			data.Request[name] = request.Get(name)
		}
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "same-origin") // With no-referrer a browser sends the form with the origin "null".
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' "+i.origin)
	if problem != nil {
		w.WriteHeader(http.StatusBadRequest)
	}
	_ = template.Must(template.New("page").Parse(chooser)).Execute(w, data) // The browser went away.
}

// choose asks who one wants to be.
func (i *Issuer) choose(w http.ResponseWriter, r *http.Request) {
	_, err := i.asked(r.URL.Query())
	i.page(w, r.URL.Query(), err)
}

// chosen sends the browser back with a code for whom it has chosen.
func (i *Issuer) chosen(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	err := errors.Join(r.ParseForm(), new(http.CrossOriginProtection).Check(r))
	var a authorization
	if err == nil {
		a, err = i.asked(r.PostForm)
	}
	if err == nil {
		_, err = find(r.PostForm.Get("persona"))
	}
	var code string
	if err == nil {
		a.Subject = r.PostForm.Get("persona")
		code, err = i.grant(a, typeCode, codeTTL)
	}
	if err != nil {
		i.page(w, nil, errors.New("the request is not one of the gateway's"))
		return
	}
	back := url.Values{"code": {code}, "state": {r.PostForm.Get("state")}, "iss": {i.url}}
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, i.redirect+"?"+back.Encode(), http.StatusSeeOther)
}

// grant signs a code or a refresh token.
func (i *Issuer) grant(a authorization, kind string, ttl time.Duration) (string, error) {
	now := time.Now()
	a.Issuer, a.Audience, a.ID = i.url, jwt.ClaimStrings{i.url}, rand.Text()
	a.IssuedAt, a.ExpiresAt = jwt.NewNumericDate(now), jwt.NewNumericDate(now.Add(ttl))
	t := jwt.NewWithClaims(jwt.SigningMethodES256, a)
	t.Header["typ"], t.Header["kid"] = kind, i.kid
	return t.SignedString(i.key)
}

// granted returns what a code or a refresh token stands for.
func (i *Issuer) granted(text, kind string) (a authorization, err error) {
	t, err := jwt.ParseWithClaims(text, &a, func(*jwt.Token) (any, error) { return i.key.Public(), nil },
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(i.url), jwt.WithAudience(i.url), jwt.WithExpirationRequired())
	if err == nil && t.Header["typ"] != kind {
		err = errors.New("a token of another kind")
	}
	return a, err
}

// once notes that a code is redeemed, and reports whether it is the first time.
func (i *Issuer) once(a authorization) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := time.Now()
	for id, until := range i.used {
		if now.After(until) {
			delete(i.used, id)
		}
	}
	if _, again := i.used[a.ID]; again || len(i.used) >= maxUsed {
		return false
	}
	i.used[a.ID] = a.ExpiresAt.Time
	return true
}

// redeem answers with tokens for a code (RFC 6749, section 4.1.3; OpenID Connect
// Core, section 3.1.3).
func (i *Issuer) redeem(w http.ResponseWriter, r *http.Request) {
	f := r.PostForm
	if f.Get("client_id") != LoginClient {
		fail(w, "invalid_client")
		return
	}
	a, err := i.granted(f.Get("code"), typeCode)
	sum := sha256.Sum256([]byte(f.Get("code_verifier")))
	proof := base64.RawURLEncoding.EncodeToString(sum[:])
	if err != nil || subtle.ConstantTimeCompare([]byte(proof), []byte(a.Challenge)) != 1 || f.Get("redirect_uri") != i.redirect || !i.once(a) {
		fail(w, "invalid_grant")
		return
	}
	i.issue(w, a)
}

// refresh answers with tokens for a refresh token (RFC 6749, section 6).
func (i *Issuer) refresh(w http.ResponseWriter, r *http.Request) {
	if r.PostForm.Get("client_id") != LoginClient {
		fail(w, "invalid_client")
		return
	}
	a, err := i.granted(r.PostForm.Get("refresh_token"), typeRefresh)
	if err != nil {
		fail(w, "invalid_grant")
		return
	}
	i.issue(w, a)
}

// issue answers with tokens.
func (i *Issuer) issue(w http.ResponseWriter, a authorization) {
	access, err := i.mint(a.Subject, LoginClient, a.Resource, tokenTTL)
	now := time.Now()
	id := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": i.url, "sub": a.Subject, "aud": LoginClient, "iat": now.Unix(), "exp": now.Add(codeTTL).Unix(), "nonce": a.Nonce,
	})
	id.Header["kid"] = i.kid
	idToken, err2 := id.SignedString(i.key)
	refresh, err3 := i.grant(authorization{RegisteredClaims: jwt.RegisteredClaims{Subject: a.Subject}, Nonce: a.Nonce, Resource: a.Resource}, typeRefresh, refreshTTL)
	if errors.Join(err, err2, err3) != nil {
		fail(w, "server_error")
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{ // The client went away.
		"access_token": access, "token_type": "Bearer", "expires_in": int(tokenTTL.Seconds()), "id_token": idToken, "refresh_token": refresh,
	})
}
