package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	jsonv2 "github.com/go-json-experiment/json"

	"github.com/trilith-gateway/trilith/gateway"
)

const (
	believeFor    = time.Minute      // what an issuer said of a valid token
	disbelieveFor = 10 * time.Second // and of one that is not
	maxAsking     = 64               // requests to the issuer at a time
	tooManyFails  = 5                // in a row, after which the issuer is left alone
	leaveAlone    = 5 * time.Second
)

// IntrospectionOptions say how the issuer of opaque tokens is asked about them.
type IntrospectionOptions struct {
	// Issuer says whose tokens these are and by which rules they are judged. What
	// it says of keys and signatures does not matter.
	Issuer IssuerOptions

	URL          string // of the introspection endpoint; "" is found through the issuer's metadata
	ClientID     string // of the gateway at the issuer. Required
	ClientSecret string // required

	Revocations *Revocations // consulted for each request; nil revokes nothing
	Logger      *slog.Logger // required
}

// Introspection accepts opaque tokens that their issuer says are active (RFC
// 7662). What the issuer said holds for a minute at most. An issuer that does
// not answer lets nobody in: tokens that are not known are then refused as
// Unavailable, and after some failures without asking. It is an [Authenticator]
// and safe for concurrent use.
type Introspection struct {
	o       IntrospectionOptions
	issuer  *issuer
	client  *http.Client
	own     bool // whether the client is ours to close
	active  cache
	refused cache
	life    context.Context //nolint:containedctx // a request serves all callers, so none of theirs may end it.
	stop    context.CancelFunc

	mu      sync.Mutex
	asking  map[[32]byte]*question
	fails   int       // in a row
	resting time.Time // until when the issuer is not asked
	found   string    // the URL that discovery gave
	closed  bool
	work    sync.WaitGroup
}

// A question is one request to the issuer, with everybody who waits for it.
type question struct {
	done chan struct{}
	c    *credential
	err  error
}

// NewIntrospection returns an authenticator for the opaque tokens of one issuer,
// or an error that says what is missing or malformed. Close it in the end; the
// end of ctx does not end it.
func NewIntrospection(ctx context.Context, o IntrospectionOptions) (*Introspection, error) {
	rules, err := newRules(o.Issuer)
	switch {
	case err != nil:
		return nil, fmt.Errorf("introspection: issuer %q: %w", o.Issuer.URL, err)
	case o.Logger == nil:
		return nil, errors.New("introspection: no logger")
	case o.ClientID == "" || o.ClientSecret == "":
		return nil, errors.New("introspection: without credentials the issuer answers nobody")
	}
	if o.URL != "" {
		if err := secureURL(o.URL); err != nil {
			return nil, fmt.Errorf("introspection: %w", err)
		}
	}
	v := &Introspection{o: o, issuer: rules, found: o.URL, asking: map[[32]byte]*question{}}
	v.active.life, v.refused.life = believeFor, disbelieveFor
	v.client, v.own = guardedClient(o.Issuer.Client)
	v.life, v.stop = context.WithCancel(context.WithoutCancel(ctx))
	return v, nil
}

// Close ends what is under way. It returns nil and may be called again.
func (v *Introspection) Close() error {
	v.mu.Lock()
	v.closed = true
	v.mu.Unlock()
	v.stop()
	v.work.Wait()
	if v.own {
		v.client.CloseIdleConnections()
	}
	return nil
}

// Authenticate accepts a token that its issuer says is active and meant for the
// gateway, that is not revoked, and that is bound to no key or to one whose
// possession the credential shows.
func (v *Introspection) Authenticate(ctx context.Context, c Credential) (*gateway.Principal, error) {
	if len(c.Token) > maxToken {
		return nil, invalid(fmt.Errorf("token of %d bytes, at most %d", len(c.Token), maxToken))
	}
	key := digest(c.Token)
	known, err := v.judge(ctx, c.Token, key)
	if err != nil {
		return nil, err
	}
	if err := known.binding.check(c); err != nil {
		return nil, invalid(err)
	}
	if v.o.Revocations.Revoked(known.principal) {
		return nil, invalid(fmt.Errorf("the token of %q is revoked", known.principal.ID))
	}
	return known.principal, nil
}

var errInactive = errors.New("the issuer said a moment ago that the token is not valid")

// judge returns what is known of a token, and asks the issuer where nothing is.
func (v *Introspection) judge(ctx context.Context, token string, key [32]byte) (*credential, error) {
	now := time.Now()
	if known, ok := v.active.get(key, now); ok {
		return known, nil
	}
	if _, ok := v.refused.get(key, now); ok {
		return nil, invalid(errInactive)
	}
	q, err := v.ask(token, key, now) //nolint:contextcheck // It serves all callers: see life.
	if err != nil {
		return nil, err
	}
	select {
	case <-q.done:
		return q.c, q.err
	case <-ctx.Done():
		return nil, gateway.AsError(context.Cause(ctx))
	}
}

// unknown returns the refusal of a token of which nobody knows whether it is
// valid.
func unknown(cause error) *gateway.Error {
	e := refuse(gateway.Unavailable, "the token cannot be checked now", cause)
	e.Retry = leaveAlone
	return e
}

// ask begins a request to the issuer about a token, or joins the one under way.
func (v *Introspection) ask(token string, key [32]byte, now time.Time) (*question, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if q := v.asking[key]; q != nil {
		return q, nil
	}
	switch {
	case v.closed:
		return nil, unknown(errClosed)
	case now.Before(v.resting):
		return nil, unknown(errors.New("the issuer failed too often, a moment ago"))
	case len(v.asking) >= maxAsking:
		return nil, unknown(fmt.Errorf("the issuer is being asked about %d tokens", maxAsking))
	}
	if v.fails >= tooManyFails { // One may try; the others wait for what comes of it.
		v.resting = now.Add(fetchFor)
	}
	q := &question{done: make(chan struct{})}
	v.asking[key] = q
	v.work.Go(func() { v.answer(q, token, key) })
	return q, nil
}

// answer asks the issuer and tells all who wait.
func (v *Introspection) answer(q *question, token string, key [32]byte) {
	ctx, cancel := context.WithTimeout(v.life, fetchFor)
	defer cancel()
	said, err := v.fetch(ctx, token)
	now := time.Now()
	switch {
	case err != nil:
		v.o.Logger.WarnContext(ctx, "issuer does not say whether a token is valid", slog.String("issuer", v.issuer.Name), slog.Any("cause", err))
		q.err = unknown(err)
	default:
		if q.c, err = v.issuer.introspected(said, now); err != nil {
			q.err = invalid(fmt.Errorf("token of %s: %w", v.issuer.Name, err))
			v.refused.put(key, &credential{issuer: v.issuer, until: now.Add(disbelieveFor)}, now)
			err = nil
		} else {
			v.active.put(key, q.c, now)
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.asking, key)
	if err == nil {
		v.fails, v.resting = 0, time.Time{}
	} else if v.fails++; v.fails >= tooManyFails {
		v.resting = now.Add(leaveAlone)
		if v.o.URL == "" {
			v.found = "" // The issuer may have moved its endpoint.
		}
	}
	close(q.done)
}

// introspected judges what an issuer said of a token (RFC 7662, section 2.2).
func (i *issuer) introspected(c claims, now time.Time) (*credential, error) {
	if string(c["active"]) != "true" {
		return nil, errors.New("not active")
	}
	r := reader{claims: c}
	iss, kind := r.text("iss"), r.text("token_type")
	switch {
	case r.err != nil:
		return nil, r.err
	case iss != "" && iss != i.URL:
		return nil, fmt.Errorf("issued by %.100q", iss)
	case kind != "" && !strings.EqualFold(kind, "Bearer") && !strings.EqualFold(kind, "DPoP"):
		return nil, fmt.Errorf("a token of type %.40q", kind)
	}
	if err := c.notOther(); err != nil {
		return nil, err
	}
	return i.credential(c, now)
}

// fetch returns what the issuer says of a token (RFC 7662, section 2.1).
func (v *Introspection) fetch(ctx context.Context, token string) (claims, error) {
	address, err := v.address(ctx)
	if err != nil {
		return nil, err
	}
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(url.QueryEscape(v.o.ClientID), url.QueryEscape(v.o.ClientSecret)) // RFC 6749, section 2.3.1.
	resp, err := v.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end, or given up.
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", address, resp.Status)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var c claims
	if err := jsonv2.Unmarshal(body, &c); err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	return c, nil
}

// address returns where the issuer is asked.
func (v *Introspection) address(ctx context.Context) (string, error) {
	v.mu.Lock()
	found := v.found
	v.mu.Unlock()
	if found != "" {
		return found, nil
	}
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, v.client), v.issuer.URL)
	if err != nil {
		return "", err
	}
	var metadata struct {
		Introspection string `json:"introspection_endpoint"`
	}
	if err := p.Claims(&metadata); err != nil {
		return "", err
	}
	if err := secureURL(metadata.Introspection); err != nil {
		return "", fmt.Errorf("introspection_endpoint: %w", err)
	}
	v.mu.Lock()
	v.found = metadata.Introspection
	v.mu.Unlock()
	return metadata.Introspection, nil
}
