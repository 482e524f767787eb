package auth

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

const (
	refreshEvery = 10 * time.Minute // in the background, give or take a tenth
	askEvery     = 15 * time.Second // for a key id that is not known
	retryAfter   = time.Second      // after a fetch that failed
	fetchFor     = 5 * time.Second
	maxKeySet    = 1 << 20
)

// A keySet holds an issuer's keys and keeps them current. Reads take no lock.
// Who brings a token cannot make it fetch at will:
//   - A bad signature by a known key never fetches.
//   - An unknown key id fetches once in askEvery, for all callers together;
//     until then unknown ids are refused at once.
//   - A fetch that failed does not count, but for a short pause: so a rotation
//     is seen as soon as the issuer answers.
//
// Known keys outlive an issuer that does not answer.
type keySet struct {
	name, issuer string
	url          string // of the key set, from configuration; "" is to be discovered
	client       *http.Client
	own          bool // whether the client is ours to close
	log          *slog.Logger
	life         context.Context //nolint:containedctx // fetches serve all callers, so none of theirs may end one.

	snapshot atomic.Pointer[keys] // nil until the first answer

	mu     sync.Mutex
	next   time.Time // when an unknown key id may fetch again
	flight *flight   // the fetch under way, or nil
	found  string    // the URL that discovery gave
	closed bool
	work   sync.WaitGroup
}

// A flight is one fetch, with everybody who waits for it.
type flight struct {
	done chan struct{}
	err  error
}

var (
	errUnknownKey = errors.New("signed by a key that the issuer does not list")
	errWrongKey   = errors.New("the key is not for this algorithm")
	errLimited    = errors.New("the issuer was asked a moment ago")
	errClosed     = errors.New("closed")
)

func newKeySet(o IssuerOptions, log *slog.Logger) (*keySet, error) {
	k := &keySet{name: o.Name, issuer: o.URL, url: o.JWKSURL, log: log}
	if o.Keys != nil {
		set, err := parseKeys(o.Keys)
		k.snapshot.Store(set)
		return k, err
	}
	if k.url != "" {
		if err := secureURL(k.url); err != nil {
			return nil, err
		}
	}
	k.client, k.own = guardedClient(o.Client)
	return k, nil
}

// guardedClient returns a client whose answers are bounded, made of the given
// one or, for nil, of one of ours that follows no redirects. Own says which.
func guardedClient(given *http.Client) (c *http.Client, own bool) {
	base := http.DefaultTransport
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if given != nil {
		client = *given
		if client.Transport != nil {
			base = client.Transport
		}
	} else if t, ok := base.(*http.Transport); ok {
		base = t.Clone()
	}
	client.Transport = capped{base}
	return &client, given == nil
}

// fixed reports whether the keys came with the configuration.
func (k *keySet) fixed() bool { return k.client == nil }

// find returns the key of that id for that algorithm, with the set that it is
// in. It may ask the issuer when the id is not known.
func (k *keySet) find(ctx context.Context, id, alg string) (*keys, crypto.PublicKey, error) {
	set := k.snapshot.Load()
	public, known := set.get(id, alg)
	if !known && !k.fixed() {
		if err := k.refresh(ctx, false); err != nil {
			return nil, nil, fmt.Errorf("%w (key id %.60q): %w", errUnknownKey, id, err)
		}
		set = k.snapshot.Load()
		public, known = set.get(id, alg)
	}
	switch {
	case !known:
		return nil, nil, fmt.Errorf("%w (key id %.60q)", errUnknownKey, id)
	case public == nil:
		return nil, nil, fmt.Errorf("%w (key id %.60q, algorithm %s)", errWrongKey, id, alg)
	}
	return set, public, nil
}

// refresh fetches the keys, or waits for the fetch under way, until ctx ends.
// Unless scheduled, it is subject to the limit for unknown key ids.
func (k *keySet) refresh(ctx context.Context, scheduled bool) error {
	k.mu.Lock()
	f := k.flight
	switch {
	case k.closed:
		k.mu.Unlock()
		return errClosed
	case f != nil:
	case !scheduled && time.Now().Before(k.next):
		k.mu.Unlock()
		return errLimited
	default:
		f = &flight{done: make(chan struct{})}
		k.flight = f
		k.work.Go(func() { k.fly(f, scheduled) }) //nolint:contextcheck // it serves all callers: see life.
	}
	k.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (k *keySet) fly(f *flight, scheduled bool) {
	ctx, cancel := context.WithTimeout(k.life, fetchFor)
	defer cancel()
	set, err := k.fetch(ctx)
	if err == nil {
		if old := k.snapshot.Load(); old == nil || old.print != set.print {
			k.snapshot.Store(set) // The cache of verified tokens goes with the old one.
			k.log.InfoContext(ctx, "keys of issuer loaded", slog.String("issuer", k.name), slog.Int("keys", len(set.byID)))
		}
	} else {
		k.log.WarnContext(ctx, "keys of issuer not loaded", slog.String("issuer", k.name), slog.Any("cause", err))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case err != nil:
		k.next = time.Now().Add(retryAfter)
		k.found = "" // The issuer may have moved its keys.
	case !scheduled:
		k.next = time.Now().Add(askEvery)
	}
	k.flight, f.err = nil, err
	close(f.done)
}

// keepFresh refreshes the keys until ctx ends: every refreshEvery, and sooner
// while the issuer does not answer.
func (k *keySet) keepFresh(ctx context.Context) {
	pause := retryAfter
	for {
		wait := jitter(refreshEvery)
		if k.snapshot.Load() == nil || pause > retryAfter {
			wait = jitter(pause)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		pause = min(2*pause, refreshEvery)
		if k.refresh(ctx, true) == nil {
			pause = retryAfter
		}
	}
}

func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5) //nolint:gosec // no secret.
}

// close ends what is under way. The context of life has ended already.
func (k *keySet) close() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.work.Wait()
	if k.own {
		k.client.CloseIdleConnections()
	}
}

// fetch gets the key set, and first its address where that is not known.
func (k *keySet) fetch(ctx context.Context) (*keys, error) {
	address, err := k.address(ctx)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := k.client.Do(req)
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
	return parseKeys(body)
}

// address returns where the key set is, from the issuer's metadata (OpenID
// Connect Discovery, section 4), whose issuer must be the one configured.
func (k *keySet) address(ctx context.Context) (string, error) {
	if k.url != "" {
		return k.url, nil
	}
	k.mu.Lock()
	found := k.found
	k.mu.Unlock()
	if found != "" {
		return found, nil
	}
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, k.client), k.issuer)
	if err != nil {
		return "", err
	}
	var metadata struct {
		JWKS string `json:"jwks_uri"`
	}
	if err := p.Claims(&metadata); err != nil {
		return "", err
	}
	if err := secureURL(metadata.JWKS); err != nil {
		return "", fmt.Errorf("jwks_uri: %w", err)
	}
	k.mu.Lock()
	k.found = metadata.JWKS
	k.mu.Unlock()
	return metadata.JWKS, nil
}

// secureURL accepts https, and http to this machine.
func secureURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return err
	case u.Host == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%q is not a URL of a server", s)
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("%q is not https, nor http on loopback", s)
}

// capped bounds the answers that its inner transport gives.
type capped struct{ http.RoundTripper }

// CloseIdleConnections lets http.Client close the inner transport's.
func (c capped) CloseIdleConnections() {
	if t, ok := c.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

func (c capped) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxKeySet)
	}
	return resp, err
}
