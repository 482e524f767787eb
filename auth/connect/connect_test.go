package connect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/state"
)

// A fakeProvider renews tokens once for each refresh token.
type fakeProvider struct {
	Provider

	asked atomic.Int32
	end   atomic.Bool
	moved atomic.Bool // the upstream is another one by now
}

// Of the upstream, before and after it has moved.
var (
	here  = Server{"https://as.example", "https://up.example:443"}
	there = Server{"https://as.example", "https://elsewhere.example:443"}
)

func (p *fakeProvider) server() Server {
	if p.moved.Load() {
		return there
	}
	return here
}

func (p *fakeProvider) Refresh(_ context.Context, refresh string) (Token, error) {
	n := p.asked.Add(1)
	if n == 1 { // Its answer takes a while, and somebody else may ask meanwhile.
		slow := time.NewTimer(50 * time.Millisecond)
		<-slow.C
	}
	if p.end.Load() || refresh != fmt.Sprint("refresh-", n-1) {
		return Token{}, ErrRefused
	}
	return Token{Access: fmt.Sprint("access-", n), Refresh: fmt.Sprint("refresh-", n), Expires: time.Now().Add(time.Hour)}, nil
}

func openState(t *testing.T) *state.State {
	t.Helper()
	s, err := state.Open(t.Context(), state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func openConnections(t *testing.T) (*Connections, *fakeProvider) {
	t.Helper()
	s := openState(t)
	p := &fakeProvider{}
	return onNode(t, s, p), p
}

// onNode returns a node's connections.
func onNode(t *testing.T, s *state.State, p *fakeProvider) *Connections {
	t.Helper()
	c, err := Open(t.Context(), s, Options{
		URL: "https://gateway.example", Key: [32]byte{1}, Logger: slog.New(slog.DiscardHandler),
		Logins:   []Login{{Issuer: "https://id.example", ClientID: "x"}},
		Provider: func(string) (Provider, Server) { return p, p.server() }, Event: func(context.Context, string, string, string) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func alice() *gateway.Principal {
	return &gateway.Principal{ID: "https://id.example|user|alice", Issuer: "https://id.example", Subject: "alice", Kind: "user"}
}

// TestRenew has many calls on two nodes need a new token at once: one is asked for. When the
// authorization server renews no more, the user has to connect anew.
func TestRenew(t *testing.T) {
	s, p := openState(t), &fakeProvider{}
	c, other := onNode(t, s, p), onNode(t, s, p)
	owner := ownerOf("up", alice())
	if err := c.keep(t.Context(), owner, here, Token{Access: "access-0", Refresh: "refresh-0", Expires: time.Now()}); err != nil {
		t.Fatal(err)
	}
	var calls sync.WaitGroup
	for i := range 40 {
		calls.Go(func() {
			node, stale := []*Connections{c, other}[i%2], []string{"", "access-0"}[i/2%2]
			if got, err := node.For(here).Authorization(t.Context(), "up", alice(), stale); got != "access-1" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	calls.Wait()
	if got, err := c.For(here).Authorization(t.Context(), "up", alice(), "access-1"); got != "access-2" || err != nil {
		t.Errorf("after the upstream refused it: %q, %v", got, err)
	}
	if got, err := c.For(here).Authorization(t.Context(), "up", alice(), "access-1"); got != "access-2" || err != nil || p.asked.Load() != 2 {
		t.Errorf("a late refusal of the old one: %q, %v, %d", got, err, p.asked.Load())
	}
	p.end.Store(true)
	for range 2 {
		if _, err := c.For(here).Authorization(t.Context(), "up", alice(), "access-2"); !errors.Is(err, ErrNotConnected) {
			t.Errorf("after the end of the grant: %v", err)
		}
	}
}

// TestSealed checks that a record shows no secret, and opens for its owner alone,
// unchanged, with the right key.
func TestSealed(t *testing.T) {
	key, owner := [32]byte{1}, Owner{Tenant: "a", Upstream: "up", User: "alice"}
	r, err := seal(key, owner, here, Token{Access: "top-secret", Refresh: "deep-secret"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if text, err := json.Marshal(r); err != nil || bytes.Contains(text, []byte("secret")) {
		t.Errorf("%s, %v", text, err)
	}
	if got, err := open(key, owner, here, r); got.Access != "top-secret" || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	for _, other := range []Owner{{"b", "up", "alice"}, {"a", "down", "alice"}, {"a", "up", "mallory"}, {"", "aup", "alice"}, {"au", "p", "alice"}} {
		if _, err := open(key, other, here, r); !errors.Is(err, errSealed) {
			t.Errorf("moved to %+v: %v", other, err)
		}
	}
	if _, err := open([32]byte{2}, owner, here, r); !errors.Is(err, errSealed) {
		t.Errorf("another key: %v", err)
	}
	if _, err := open(key, owner, there, r); !errors.Is(err, ErrNotConnected) {
		t.Errorf("for another server: %v", err)
	}
	bad := r
	bad.Server = there
	if _, err := open(key, owner, there, bad); !errors.Is(err, errSealed) {
		t.Errorf("said to be for another server: %v", err)
	}
	bad = r
	bad.Token = bytes.Clone(r.Token)
	bad.Token[len(bad.Token)-1] ^= 1
	if _, err := open(key, owner, here, bad); !errors.Is(err, errSealed) {
		t.Errorf("changed: %v", err)
	}
	bad = r
	bad.Version = sealVersion + 1
	if _, err := open(key, owner, here, bad); !errors.Is(err, errSealed) {
		t.Errorf("another version: %v", err)
	}
}

// TestMoved puts alice's record where bob's would be.
func TestMoved(t *testing.T) {
	c, _ := openConnections(t)
	if err := c.keep(t.Context(), ownerOf("up", alice()), here, Token{Access: "alice's"}); err != nil {
		t.Fatal(err)
	}
	e, err := c.records.Get(t.Context(), ownerOf("up", alice()).key())
	if err != nil {
		t.Fatal(err)
	}
	bob := alice()
	bob.ID, bob.Subject = "https://id.example|user|bob", "bob"
	if _, err := c.records.Put(t.Context(), ownerOf("up", bob).key(), e.Value); err != nil {
		t.Fatal(err)
	}
	if got, err := c.For(here).Authorization(t.Context(), "up", bob, ""); got != "" || !errors.Is(err, errSealed) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestMovedServer has an upstream become another one by the same name: it is not
// given the tokens of the one before, nor is the new authorization server asked to
// renew or to end them, and the user connects anew.
func TestMovedServer(t *testing.T) {
	c, p := openConnections(t)
	owner := ownerOf("up", alice())
	if err := c.keep(t.Context(), owner, here, Token{Access: "access-0", Refresh: "refresh-0", Expires: time.Now()}); err != nil {
		t.Fatal(err)
	}
	p.moved.Store(true)
	for name, s := range map[string]Server{"the new one": there, "a call of the old one that still runs": here} {
		if got, err := c.For(s).Authorization(t.Context(), "up", alice(), ""); got != "" || !errors.Is(err, ErrNotConnected) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if err := c.redeem(t.Context(), invite{Owner: owner}, here, Grant{Code: "x"}); err == nil {
		t.Error("a code of the old authorization server was sent to the new one")
	}
	if all, err := c.All(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("listed: %v, %v", all, err)
	}
	if told, err := c.Forget(t.Context(), owner); told || err != nil {
		t.Errorf("forgotten: %t, %v", told, err)
	}
	if p.asked.Load() != 0 {
		t.Errorf("the new authorization server was asked %d times", p.asked.Load())
	}
	if err := c.keep(t.Context(), owner, there, Token{Access: "new"}); err != nil {
		t.Fatal(err)
	}
	if got, err := c.For(there).Authorization(t.Context(), "up", alice(), ""); got != "new" || err != nil {
		t.Errorf("connected anew: %q, %v", got, err)
	}
}

// TestInvite checks who is invited, and that calls in a row share an invitation.
func TestInvite(t *testing.T) {
	c, _ := openConnections(t)
	seen := map[string]bool{}
	for range 10 {
		where, err := c.Invite(t.Context(), "up", alice())
		if err != nil {
			t.Fatal(err)
		}
		seen[where] = true
	}
	if len(seen) > 2 {
		t.Errorf("%d invitations", len(seen))
	}
	for _, p := range []*gateway.Principal{
		{ID: "key|client|x", Issuer: "key", Kind: "client"},
		{ID: "https://id.example|client|x", Issuer: "https://id.example", Kind: "client"},
		{ID: "https://other.example|user|x", Issuer: "https://other.example", Kind: "user"},
	} {
		if _, err := c.Invite(t.Context(), "up", p); err == nil || gateway.AsError(err).Code != gateway.FailedPrecondition {
			t.Errorf("%s: %v", p.ID, err)
		}
	}
}
