package login

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/trilith-gateway/trilith/auth/browser"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/state"
)

func away(cause error) error {
	return &gateway.Error{Code: gateway.Unavailable, By: by, Msg: "the session cannot be looked up now", Retry: time.Second, Err: cause}
}

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
