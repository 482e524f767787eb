package login

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/auth/browser"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/state"
)

const (
	// cookieName is the cookie of a session, as [browser.SetCookie] has it.
	cookieName = "__Host-trilith-session"

	by         = "login" // how refusals name the package
	early      = 30 * time.Second
	turn       = 30 * time.Second // of a node that renews a token: more than the issuer may take
	patience   = 2 * turn         // for a renewal, whoever waits for it
	lag        = 5 * time.Second  // of what other nodes have written
	sweepEvery = time.Minute

	maxSessions = 10_000
	maxOfUser   = 20 // sessions of one user; a further one ends the oldest
	maxRecord   = 64 << 10
	missRate    = 100 // secrets a second that are looked for in the shared state
)

// A record is a session as it is stored, under the digest of its secret.
type record struct {
	User   string         `json:"user"` // the principal's ID
	Issuer string         `json:"issuer"`
	SID    string         `json:"sid,omitempty"` // the issuer's session
	Name   string         `json:"name,omitempty"`
	Since  time.Time      `json:"since"`
	Seen   time.Time      `json:"seen"` // to a fraction of Options.Idle
	Tokens browser.Sealed `json:"tokens"`
}

// tokens are what is sealed.
type tokens struct {
	Access  string    `json:"access"`
	Refresh string    `json:"refresh,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
}

// principal returns who has signed in, for lists and revocations.
func (r *record) principal(id string) *gateway.Principal {
	return &gateway.Principal{ID: r.User, Issuer: r.Issuer, Kind: "user", Name: r.Name, Session: r.SID, Issued: r.Since, Login: id}
}

// Sessions are the sessions of browsers, shared by all nodes and mirrored in
// memory. They are safe for concurrent use. They are [auth.Logins] and an
// [auth.Revoker]. Nil Sessions revoke nothing.
type Sessions struct {
	o       Options
	records *state.Bucket[record]
	mirror  *state.Mirror[record]
	turns   *state.Turns // of nodes that renew a token
	flights singleflight.Group
	misses  *rate.Limiter
	slots   chan struct{} // logins that wait for the issuer
	telling *telling
	tasks   sync.WaitGroup // what follows the state

	mu      sync.Mutex
	changed chan struct{} // closed when a session has ended
}

// Open returns the sessions kept in s. It follows changes until ctx ends; when
// that has ended, Close them.
func Open(ctx context.Context, s *state.State, o Options) (*Sessions, error) {
	b, err := state.OpenBucket[record](ctx, s, state.BucketOptions{Name: "logins", TTL: o.Life, MaxValueBytes: maxRecord})
	if err != nil {
		return nil, err
	}
	m, err := b.Mirror(ctx)
	if err != nil {
		return nil, err
	}
	turns, err := state.OpenTurns(ctx, s, "login-renewals", turn)
	if err != nil {
		return nil, err
	}
	l := &Sessions{
		o: o, records: b, mirror: m, turns: turns,
		misses: rate.NewLimiter(missRate, missRate), slots: make(chan struct{}, 32), changed: make(chan struct{}),
		telling: tell(ctx, o.Client.Revoke, o.Logger),
	}
	l.tasks.Go(func() { l.follow(ctx) })
	l.tasks.Go(func() { l.sweep(ctx, sweepEvery) })
	return l, nil
}

// Close waits for what was begun, once the context of Open has ended: a moment
// for an issuer that is still to be told of the ends of sessions, and no longer.
func (l *Sessions) Close() error {
	l.tasks.Wait()
	l.telling.close(grace)
	return nil
}

// follow tells of sessions that ended, at once: it waits for nobody.
func (l *Sessions) follow(ctx context.Context) {
	for known := uint64(0); ; {
		changed := l.mirror.Changed()
		if now := l.mirror.Ended(); now != known {
			known = now
			l.mu.Lock()
			close(l.changed)
			l.changed = make(chan struct{})
			l.mu.Unlock()
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// sweep ends sessions that nobody uses.
func (l *Sessions) sweep(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, e := range l.mirror.All() {
			if ctx.Err() != nil {
				return
			}
			if why := l.over(&e.Value, time.Now()); why != "" {
				_ = l.end(ctx, e.Key, why) // Else the next minute does it; it is refused in any case.
			}
		}
	}
}

// over says why a session has ended by itself, or "".
func (l *Sessions) over(r *record, now time.Time) string {
	switch {
	case now.Sub(r.Since) >= l.o.Life:
		return "it has lasted as long as sessions may"
	case now.Sub(r.Seen) >= l.o.Idle:
		return "it was idle"
	case l.o.Revoked(r.principal("")):
		return "the credentials were revoked"
	}
	return ""
}

// CookieName returns the name of the cookie that holds a session's secret.
func (l *Sessions) CookieName() string { return cookieName }

// key is under what a session is stored, and its ID.
func key(secret string) string { return browser.Digest(secret)[:32] }

func ended(why string) error {
	return &gateway.Error{Code: gateway.Unauthenticated, By: by, Msg: "the session has ended: sign in again", Err: errors.New(why)}
}

// Find returns the session that a secret is of, with its token renewed where that
// has nearly ended.
func (l *Sessions) Find(ctx context.Context, secret string) (auth.Login, error) {
	id := key(secret)
	e, ok := l.mirror.Get(id)
	if !ok {
		var err error
		if e, err = l.await(ctx, id); err != nil {
			return auth.Login{}, err
		}
	}
	if why := l.over(&e.Value, time.Now()); why != "" {
		_ = l.end(ctx, id, why) // It is refused in any case.
		return auth.Login{}, ended(why)
	}
	t, err := l.open(&e)
	if err != nil {
		return auth.Login{}, ended("its tokens cannot be opened")
	}
	if stale := !fresh(t); stale || time.Since(e.Value.Seen) > l.o.Idle/4 {
		next, err := l.renewed(ctx, id, stale)
		switch e := gateway.AsError(err); {
		case err == nil:
			t = next
		case stale || e.Code == gateway.Unauthenticated: // Else its use was not noted, for now.
			return auth.Login{}, err
		}
	}
	return auth.Login{
		ID: id, User: e.Value.User, Token: t.Access, Expires: e.Value.Since.Add(l.o.Life),
		End: func(ctx context.Context, why string) { _ = l.end(ctx, id, why) }, // It is refused in any case.
	}, nil
}

// await looks for a session that another node may just have begun, as often as
// those who make secrets up may have that done.
func (l *Sessions) await(ctx context.Context, id string) (e state.Entry[record], err error) {
	unknown := ended("it is not known")
	if !l.misses.Allow() {
		return e, unknown
	}
	switch _, err := l.records.Get(ctx, id); {
	case errors.Is(err, state.ErrNotFound):
		return e, unknown
	case err != nil:
		return e, away(err)
	}
	ctx, cancel := context.WithTimeout(ctx, lag)
	defer cancel()
	for {
		changed := l.mirror.Changed()
		if e, ok := l.mirror.Get(id); ok {
			return e, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return e, away(context.Cause(ctx))
		}
	}
}

func away(cause error) error {
	return &gateway.Error{Code: gateway.Unavailable, By: by, Msg: "the session cannot be looked up now", Retry: time.Second, Err: cause}
}

func fresh(t tokens) bool { return t.Expires.IsZero() || time.Until(t.Expires) > early }

func (l *Sessions) open(e *state.Entry[record]) (t tokens, err error) {
	text, err := e.Value.Tokens.Open(l.o.Key, bound(e.Key, e.Value.User))
	if err == nil {
		err = json.Unmarshal(text, &t)
	}
	return t, err
}

// bound is what tokens are sealed for.
func bound(id, user string) []byte { return []byte("session " + id + " of " + user) }

func (l *Sessions) seal(id, user string, t tokens) (browser.Sealed, error) {
	text, err := json.Marshal(t)
	return browser.Seal(l.o.Key, bound(id, user), text), err
}

// renewed notes that a session is used, and renews its token where it is stale.
// One request does it for all that wait.
func (l *Sessions) renewed(ctx context.Context, id string, stale bool) (tokens, error) {
	flight := l.flights.DoChan(id, func() (any, error) {
		long, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		if stale {
			return l.renew(long, id)
		}
		return l.touch(long, id)
	})
	select {
	case r := <-flight:
		t, _ := r.Val.(tokens)
		return t, r.Err
	case <-ctx.Done():
		return tokens{}, context.Cause(ctx)
	}
}

// current returns a session as it is stored, whatever the mirror has of it.
func (l *Sessions) current(ctx context.Context, id string) (e state.Entry[record], t tokens, err error) {
	switch e, err = l.records.Get(ctx, id); {
	case errors.Is(err, state.ErrNotFound):
		return e, t, ended("it has just ended")
	case err != nil:
		return e, t, away(err)
	}
	if t, err = l.open(&e); err != nil {
		return e, t, ended("its tokens cannot be opened")
	}
	return e, t, nil
}

// touch notes that a session is used, unless another node has just written it.
func (l *Sessions) touch(ctx context.Context, id string) (tokens, error) {
	e, t, err := l.current(ctx, id)
	if err != nil {
		return t, err
	}
	if err := l.store(ctx, &e, t); !errors.Is(err, state.ErrConflict) {
		return t, err
	}
	_, t, err = l.current(ctx, id)
	return t, err
}

// renew asks the issuer for another token, unless another node has. They take
// turns: a refresh token is often good only once, and an issuer that sees it again
// may end all that came of it (RFC 9700, section 4.14.2).
func (l *Sessions) renew(ctx context.Context, id string) (t tokens, err error) {
	err = l.turns.Do(ctx, id, func(ctx context.Context) (err error) {
		var e state.Entry[record]
		if e, t, err = l.current(ctx, id); err != nil || fresh(t) {
			return err
		}
		if t, err = l.refresh(ctx, &e, t); err != nil {
			return err
		}
		return l.keep(ctx, e, t)
	})
	if _, ok := errors.AsType[*gateway.Error](err); err != nil && !ok {
		return t, away(err) // There was no turn.
	}
	return t, err
}

// refresh asks the issuer for another token.
func (l *Sessions) refresh(ctx context.Context, e *state.Entry[record], t tokens) (tokens, error) {
	if t.Refresh == "" {
		if time.Now().Before(t.Expires) {
			return t, nil
		}
		_ = l.end(ctx, e.Key, "its token has ended and cannot be renewed") // It is refused in any case.
		return t, ended("no refresh token")
	}
	g, err := l.o.Client.Renew(ctx, t.Refresh)
	switch {
	case errors.Is(err, browser.ErrRefused):
		_ = l.end(ctx, e.Key, "the issuer renews its token no more") // It is refused in any case.
		return t, ended("the issuer refused the refresh token")
	case err != nil && time.Now().Before(t.Expires):
		return t, nil // The next request tries again.
	case err != nil:
		return t, &gateway.Error{Code: gateway.Unavailable, By: by, Msg: "the issuer is away", Retry: time.Second, Err: err}
	}
	return tokens{g.Access, cmp.Or(g.Refresh, t.Refresh), g.Expires}, nil
}

// keep stores the tokens of a session. Other nodes may note its use meanwhile.
func (l *Sessions) keep(ctx context.Context, e state.Entry[record], t tokens) error {
	for {
		err := l.store(ctx, &e, t)
		if !errors.Is(err, state.ErrConflict) {
			return err
		}
		if e, _, err = l.current(ctx, e.Key); err != nil {
			return err
		}
	}
}

// store writes a session that is used now; [state.ErrConflict] where it is not what
// is stored any more.
func (l *Sessions) store(ctx context.Context, e *state.Entry[record], t tokens) (err error) {
	r := e.Value
	r.Seen = time.Now()
	if r.Tokens, err = l.seal(e.Key, r.User, t); err != nil {
		return err
	}
	_, err = l.records.Update(ctx, e.Key, r, e.Revision)
	if err != nil && !errors.Is(err, state.ErrConflict) {
		return away(err)
	}
	return err
}

// begin stores a new session and returns its secret. Of too many of one user the
// oldest end.
func (l *Sessions) begin(ctx context.Context, who *gateway.Principal, t tokens) (secret, id string, err error) {
	all := l.All()
	if len(all) >= maxSessions {
		return "", "", &gateway.Error{Code: gateway.ResourceExhausted, By: by, Msg: "too many people have signed in"}
	}
	own := slices.DeleteFunc(all, func(s Session) bool { return s.Principal.ID != who.ID })
	slices.SortFunc(own, func(a, b Session) int { return a.Since.Compare(b.Since) })
	for _, s := range own[:max(0, len(own)-maxOfUser+1)] {
		if err := l.end(ctx, s.ID, "its user has signed in too often"); err != nil {
			return "", "", err
		}
	}
	secret, now := rand.Text(), time.Now()
	id = key(secret)
	r := record{User: who.ID, Issuer: who.Issuer, SID: who.Session, Name: who.Name, Since: now, Seen: now}
	if r.Tokens, err = l.seal(id, who.ID, t); err != nil {
		return "", "", err
	}
	if _, err := l.records.Create(ctx, id, r); err != nil {
		return "", "", err
	}
	_, err = l.await(ctx, id)
	return secret, id, err
}

// end ends a session; [ErrNoSession] where there is none. Its issuer is told of
// it in its own time.
func (l *Sessions) end(ctx context.Context, id, why string) error {
	ctx = context.WithoutCancel(ctx) // The state bounds it.
	e, err := l.records.Get(ctx, id)
	if err == nil {
		err = l.records.Delete(ctx, id, 0)
	}
	if errors.Is(err, state.ErrNotFound) {
		return ErrNoSession
	}
	if err != nil {
		l.o.Logger.WarnContext(ctx, "a session was not ended", slog.Any("cause", err))
		return err
	}
	l.forget(ctx, id)
	if t, err := l.open(&e); err == nil {
		l.telling.add(ctx, t.Refresh)
	}
	return l.o.Event(ctx, "logout", e.Value.principal(id), why)
}

// forget waits until this node knows that a session has ended: what follows a
// sign-out is refused here.
func (l *Sessions) forget(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, lag)
	defer cancel()
	for {
		changed := l.mirror.Changed()
		if _, ok := l.mirror.Get(id); !ok {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return // It has ended, and the node hears of it once the engine is back.
		}
	}
}

// End ends a session, on all nodes; [ErrNoSession] where there is none.
func (l *Sessions) End(ctx context.Context, id, why string) error { return l.end(ctx, id, why) }

// All returns the sessions, in no order.
func (l *Sessions) All() []Session {
	var out []Session
	now := time.Now()
	for _, e := range l.mirror.All() {
		if l.over(&e.Value, now) == "" {
			out = append(out, Session{e.Key, e.Value.principal(e.Key), e.Value.Since})
		}
	}
	return out
}

// Revoked reports whether the session that a principal was admitted by has ended.
func (l *Sessions) Revoked(p *gateway.Principal) bool {
	if l == nil || p == nil || p.Login == "" {
		return false
	}
	e, ok := l.mirror.Get(p.Login)
	return !ok || l.over(&e.Value, time.Now()) != ""
}

// Changed returns a channel that is closed when a session has ended.
func (l *Sessions) Changed() <-chan struct{} {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}
