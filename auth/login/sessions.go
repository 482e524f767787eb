package login

import (
	"context"
	"crypto/rand"
	"errors"
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

func fresh(t tokens) bool { return t.Expires.IsZero() || time.Until(t.Expires) > early }

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
