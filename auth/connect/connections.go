package connect

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/trilith-gateway/trilith/auth/browser"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/state"
)

const (
	// inviteLife is how long an invitation, a state and a browser's session last.
	inviteLife = 10 * time.Minute
	inviteSlot = 5 * time.Minute // calls within it share an invitation
	early      = 30 * time.Second
	maxRecord  = 64 << 10
	askTimeout = 20 * time.Second
	turn       = askTimeout + 10*time.Second // of a node that renews a token
	patience   = 2 * turn                    // for a renewal, whoever waits for it
)

// Options are what a [Connections] needs; all of them are required.
type Options struct {
	URL      string                                               // the public URL of the gateway, without a slash at the end
	Key      [32]byte                                             // seals tokens; the same on all nodes
	Logins   []Login                                              // issuers at which users can sign in
	Provider func(string) (Provider, Server)                      // of an upstream, as it is configured now; nil where there is none of that name
	Event    func(ctx context.Context, kind, user, detail string) // told when a connection begins or ends, for the audit log
	Logger   *slog.Logger
}

// Connections are the users' tokens for upstreams, and the pages by which they
// come to be. It is safe for concurrent use, on all nodes that share a state.
type Connections struct {
	o       Options
	logins  map[string]*browser.Client
	records *state.Bucket[record]
	invites *state.Bucket[invite]
	states  *state.Bucket[pending]
	users   *state.Bucket[session]
	turns   *state.Turns // of nodes that renew a token
	flights singleflight.Group
}

// An invite asks one user to connect one upstream.
type invite struct {
	Owner   Owner  `json:"owner"`
	Issuer  string `json:"issuer"`
	Subject string `json:"subject"`
}

// Open opens the connections that are kept in the state. The context bounds the
// opening alone.
func Open(ctx context.Context, s *state.State, o Options) (*Connections, error) {
	c := &Connections{o: o, logins: map[string]*browser.Client{}}
	for _, l := range o.Logins {
		c.logins[l.Issuer] = newLogin(l, o.URL)
	}
	var errs [5]error
	c.records, errs[0] = state.OpenBucket[record](ctx, s, state.BucketOptions{Name: "connections", MaxValueBytes: maxRecord})
	c.invites, errs[1] = state.OpenBucket[invite](ctx, s, state.BucketOptions{Name: "connect-invites", TTL: inviteLife})
	c.states, errs[2] = state.OpenBucket[pending](ctx, s, state.BucketOptions{Name: "connect-states", TTL: inviteLife})
	c.users, errs[3] = state.OpenBucket[session](ctx, s, state.BucketOptions{Name: "connect-sessions", TTL: inviteLife})
	c.turns, errs[4] = state.OpenTurns(ctx, s, "connect-renewals", turn)
	return c, errors.Join(errs[:]...)
}

func ownerOf(upstream string, p *gateway.Principal) Owner {
	return Owner{Tenant: p.Tenant, Upstream: upstream, User: p.ID}
}

// Invite returns the URL at which the principal can connect an upstream, or a
// *gateway.Error of code FailedPrecondition where there is no way for it to sign
// in. Calls of a few minutes get the same one.
func (c *Connections) Invite(ctx context.Context, upstream string, p *gateway.Principal) (string, error) {
	if p.Kind != "user" || c.logins[p.Issuer] == nil {
		return "", &gateway.Error{
			Code: gateway.FailedPrecondition, By: "upstream/" + upstream,
			Msg: "the upstream acts for users who have connected it, and this caller cannot sign in to do so",
		}
	}
	i := invite{Owner: ownerOf(upstream, p), Issuer: p.Issuer, Subject: p.Subject}
	mac := hmac.New(sha256.New, c.o.Key[:])
	mac.Write([]byte("invitation"))
	mac.Write(append(i.Owner.bound(), strconv.FormatInt(time.Now().Unix()/int64(inviteSlot.Seconds()), 10)...))
	id := base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	if _, err := c.invites.Create(ctx, browser.Digest(id), i); err != nil && !errors.Is(err, state.ErrConflict) {
		return "", err
	}
	return c.o.URL + "/connect/" + id, nil
}

// Users are the connections of users to one server.
type Users struct {
	*Connections

	server Server
}

// For returns the connections to a server. Tokens of others are not in there.
func (c *Connections) For(s Server) *Users { return &Users{c, s} }

// Authorization returns the value of the Authorization header for a user's
// requests to an upstream, renewed where it has ended. It fails with
// ErrNotConnected. Stale is a value that the upstream has just refused, or "".
func (c *Users) Authorization(ctx context.Context, upstream string, p *gateway.Principal, stale string) (string, error) {
	owner := ownerOf(upstream, p)
	t, _, err := c.read(ctx, owner)
	if err != nil {
		return "", err
	}
	if fresh(t, stale) {
		return t.Access, nil
	}
	renewed := c.flights.DoChan(string(appendParts(nil, owner.key(), c.server.Issuer, c.server.Origin, stale)), func() (any, error) {
		long, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		value := ""
		err := c.turns.Do(long, owner.key(), func(ctx context.Context) (err error) {
			value, err = c.renew(ctx, owner, stale)
			return err
		})
		return value, err
	})
	select {
	case r := <-renewed:
		if r.Err != nil {
			return "", r.Err
		}
		value, _ := r.Val.(string)
		return value, nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

func fresh(t Token, stale string) bool {
	return t.Access != stale && (t.Expires.IsZero() || time.Until(t.Expires) > early)
}

func (c *Users) read(ctx context.Context, owner Owner) (t Token, e state.Entry[record], err error) {
	e, err = c.records.Get(ctx, owner.key())
	if errors.Is(err, state.ErrNotFound) {
		return t, e, ErrNotConnected
	}
	if err == nil {
		t, err = open(c.o.Key, owner, c.server, e.Value)
	}
	return t, e, err
}

// renew replaces a token that has ended, unless somebody else has. One does it at a
// time: a refresh token is often good only once, and a server that sees it again may
// end all that came of it (RFC 9700, section 4.14.2).
func (c *Users) renew(ctx context.Context, owner Owner, stale string) (string, error) {
	t, e, err := c.read(ctx, owner)
	switch {
	case err != nil:
		return "", err
	case fresh(t, stale):
		return t.Access, nil
	}
	provider, server := c.o.Provider(owner.Upstream)
	if provider != nil && server != c.server { // The upstream became another one meanwhile.
		return "", ErrNotConnected
	}
	if t.Refresh == "" || provider == nil {
		return "", c.lose(ctx, owner, e.Revision, "the token has ended and cannot be renewed")
	}
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	next, err := provider.Refresh(asking, t.Refresh)
	if errors.Is(err, ErrRefused) {
		return "", c.lose(ctx, owner, e.Revision, "the authorization server renews the token no more")
	}
	if err != nil {
		return "", err
	}
	next.Refresh = cmp.Or(next.Refresh, t.Refresh)
	r, err := seal(c.o.Key, owner, c.server, next, e.Value.Since)
	if err != nil {
		return "", err
	}
	if _, err := c.records.Update(ctx, owner.key(), r, e.Revision); err != nil {
		return "", fmt.Errorf("connect: keep a renewed token: %w", err)
	}
	return next.Access, nil
}

// lose forgets a connection that has ended by itself.
func (c *Connections) lose(ctx context.Context, owner Owner, revision uint64, why string) error {
	if err := c.records.Delete(ctx, owner.key(), revision); err != nil && !errors.Is(err, state.ErrConflict) && !errors.Is(err, state.ErrNotFound) {
		return err
	}
	c.o.Event(ctx, "disconnect", owner.User, owner.Upstream+": "+why)
	return ErrNotConnected
}

// keep stores what a user has consented to.
func (c *Connections) keep(ctx context.Context, owner Owner, s Server, t Token) error {
	r, err := seal(c.o.Key, owner, s, t, time.Now().UTC())
	if err != nil {
		return err
	}
	if _, err := c.records.Put(ctx, owner.key(), r); err != nil {
		return err
	}
	c.o.Event(ctx, "connect", owner.User, owner.Upstream)
	return nil
}

// A Connection is one that is kept, without its tokens.
type Connection struct {
	Owner

	Since time.Time // when the user consented
}

// All returns the connections of all users.
func (c *Connections) All(ctx context.Context) ([]Connection, error) {
	entries, err := c.records.All(ctx)
	all := make([]Connection, 0, len(entries))
	for _, e := range entries {
		all = append(all, Connection{e.Value.Owner, e.Value.Since})
	}
	return all, err
}

// Forget ends a connection: the next call of the user has to connect anew. It
// fails with ErrNotConnected where there is none. It reports whether the
// upstream's authorization server was told; where it could not be, the gateway has
// forgotten the tokens all the same.
func (c *Connections) Forget(ctx context.Context, owner Owner) (told bool, err error) {
	e, err := c.records.Get(ctx, owner.key())
	if err == nil {
		err = c.records.Delete(ctx, owner.key(), e.Revision)
	}
	if errors.Is(err, state.ErrNotFound) {
		return false, ErrNotConnected
	}
	if err != nil {
		return false, err
	}
	err = c.revoke(ctx, owner, e.Value)
	detail := owner.Upstream + ": forgotten, and the authorization server told"
	if err != nil {
		detail = owner.Upstream + ": forgotten"
		c.o.Logger.InfoContext(ctx, "an authorization server was not told of the end of a connection", slog.String("source", owner.Upstream), slog.Any("cause", err))
	}
	c.o.Event(ctx, "disconnect", owner.User, detail)
	return err == nil, nil
}

// revoke tells the authorization server that what a record holds is not used any
// more.
func (c *Connections) revoke(ctx context.Context, owner Owner, r record) error {
	provider, server := c.o.Provider(owner.Upstream)
	if provider == nil {
		return errGone
	}
	t, err := open(c.o.Key, owner, server, r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	return provider.Revoke(ctx, t)
}
