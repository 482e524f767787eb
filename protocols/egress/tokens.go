package egress

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// How often the authorization server is asked.
const (
	// renewEvery is how often a token may be replaced because the server
	// refused it.
	renewEvery    = 5 * time.Second
	firstAskAgain = time.Second // after a failure, doubling with each further one
	lastAskAgain  = time.Minute
)

var errTokenSlow = errors.New("no token in time")

// tokens is an [Authorizer] that holds the token of one upstream: all callers
// share it, and one request for the next.
type tokens struct {
	o        OAuthOptions
	client   oauthClient  // at the upstream's authorization server
	idp      *oauthClient // at the identity provider; nil without
	dpop     *DPoPKey
	upstream *url.URL
	http     *http.Client                     // the upstream's, with its guard
	spawn    func(func(context.Context)) bool // runs what callers wait for; false where nothing is begun any more
	timeout  time.Duration
	log      *slog.Logger
	told     bool   // the options say all about how the upstream is protected
	subject  string // the caller's access token, which is exchanged; "" for the gateway's own tokens

	mu       sync.Mutex
	issuer   string    // that the credentials are bound to; "" until it is known
	asked    challenge // how the upstream last refused a request without a token that it takes
	found    *protection
	token    *accessToken
	wanted   []string // scopes that challenges named
	flight   *flight
	failures int // in a row
	askAt    time.Time
	lastErr  error
}

// A flight is a request for a token, which many callers may wait for.
type flight struct {
	done chan struct{}
	err  error
}

func newTokens(c *Client, o OAuthOptions) (*tokens, error) {
	if o.DPoP == "" {
		o.DPoP = dpopAuto
	}
	client, idp, err := o.check(c.url)
	if err != nil {
		return nil, err
	}
	return &tokens{
		o: o, client: client, idp: idp, dpop: c.o.DPoP, upstream: c.url, http: c.http,
		told:  !c.o.Metadata && (o.Issuer != "" || o.TokenURL != ""),
		spawn: c.spawn, timeout: c.o.Timeout, issuer: o.Issuer,
		log: c.o.Logger.With(slog.String("source", c.o.Name)),
	}, nil
}

// Authorization returns the token, asking for one where it is known how. One
// that ends soon is still used while the next is asked for.
func (s *tokens) Authorization(ctx context.Context) (string, error) {
	for range 2 { // A token can end while a caller waits.
		s.mu.Lock()
		now := time.Now()
		t := s.token
		if t.usable(now) {
			if !t.renew.IsZero() && !now.Before(t.renew) {
				_, _ = s.ask(now) // Errors are logged; this one is still good.
			}
			s.mu.Unlock()
			return t.value, nil
		}
		if s.found == nil && s.o.TokenURL == "" && s.subject == "" && !s.told {
			s.mu.Unlock()
			return "", nil // The server's challenge says where to ask.
		}
		f, err := s.ask(now)
		s.mu.Unlock()
		if err != nil {
			return "", err
		}
		if err := f.wait(ctx); err != nil {
			return "", err
		}
	}
	return "", errors.New("tokens end before they can be used")
}

// Challenged obtains a token that may satisfy the server: one at all, one in
// place of one that it no longer takes, or one with the scope that it misses.
// What did not help is not tried again.
func (s *tokens) Challenged(ctx context.Context, req *http.Request, res *http.Response) (bool, error) {
	c := readChallenge(res.Header)
	if res.StatusCode == http.StatusForbidden && c.err != "insufficient_scope" {
		return false, nil
	}
	sent := req.Header.Get("Authorization")
	s.mu.Lock()
	now := time.Now()
	t := s.token
	if t.usable(now) && t.value != sent {
		s.mu.Unlock()
		return true, nil // Somebody else has obtained one since.
	}
	more := s.want(c.scopes) || t.unfit(c) && s.o.DPoP == dpopAuto
	if t != nil && !more && (res.StatusCode == http.StatusForbidden || now.Before(t.obtained.Add(renewEvery))) {
		s.mu.Unlock()
		return false, nil
	}
	if res.StatusCode == http.StatusUnauthorized {
		s.token, s.found = nil, nil // How it is protected may have changed too.
	}
	if s.found == nil {
		s.asked = c
	}
	f, err := s.ask(now)
	s.mu.Unlock()
	if err != nil {
		return false, err
	}
	err = f.wait(ctx)
	return err == nil, err
}

// want notes scopes that a challenge names and reports whether the token was
// asked for without one of them. s.mu is held.
func (s *tokens) want(scopes []string) bool {
	if len(scopes) == 0 || len(s.o.Scopes) > 0 {
		return false // The operator has said which.
	}
	all := slices.Clone(s.wanted)
	if s.token != nil {
		all = slices.Clone(s.token.asked) // What it can do already is not lost.
	}
	for _, scope := range scopes {
		if !slices.Contains(all, scope) {
			all = append(all, scope)
		}
	}
	if !validScopes(all) {
		return false
	}
	s.wanted = all
	return slices.ContainsFunc(scopes, func(scope string) bool {
		return s.token == nil || !slices.Contains(s.token.asked, scope)
	})
}

// ask returns the request for a token that is under way, or begins one, or
// returns why the last failed if that was just now. s.mu is held.
func (s *tokens) ask(now time.Time) (*flight, error) {
	if s.flight != nil {
		return s.flight, nil
	}
	if now.Before(s.askAt) {
		return nil, s.lastErr
	}
	f := &flight{done: make(chan struct{})}
	s.flight = f
	if !s.spawn(func(ctx context.Context) { s.fly(ctx, f) }) {
		s.flight = nil
		return nil, ErrClosed
	}
	return f, nil
}

func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// fly obtains a token and keeps it.
func (s *tokens) fly(ctx context.Context, f *flight) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout, errTokenSlow)
	defer cancel()
	t, p, err := s.obtain(ctx)
	if err != nil && context.Cause(ctx) != nil {
		err = context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(f.done)
	s.flight, f.err = nil, err
	if err == nil {
		s.token, s.found, s.issuer = t, p, p.server.Issuer
		s.failures, s.askAt, s.lastErr = 0, time.Time{}, nil
		return
	}
	wait := lastAskAgain
	if s.failures < 6 {
		wait = min(wait, firstAskAgain<<s.failures)
	}
	s.failures++
	s.found = nil // It may have changed.
	s.askAt, s.lastErr = time.Now().Add(wait), err
	if !errors.Is(err, ErrClosed) {
		s.log.WarnContext(ctx, "no access token", slog.Any("error", err))
	}
}

// obtain looks up how the upstream is protected, unless that is known, and asks
// for a token.
func (s *tokens) obtain(ctx context.Context) (*accessToken, *protection, error) {
	s.mu.Lock()
	p, c, wanted := s.found, s.asked, s.wanted
	s.mu.Unlock()
	if p == nil {
		var err error
		if p, err = s.discover(ctx, c); err != nil {
			return nil, nil, err
		}
	}
	scopes := p.scopes
	if len(wanted) > 0 {
		scopes = wanted
	}
	if len(s.o.Scopes) > 0 {
		scopes = s.o.Scopes
	}
	t, err := s.grant(ctx, p, scopes)
	return t, p, err
}
