package login

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestRenewal: many requests at once, on two nodes, renew a token once; when the
// issuer renews no more the session ends, and while it is away it does not.
func TestRenewal(t *testing.T) {
	s, g := newState(t), newRegistrar(t)
	here, there := newDesk(t, s, g, time.Hour, time.Hour), newDesk(t, s, g, time.Hour, time.Hour)
	secret, id := here.begins(t, tokens{"access-0", "refresh-0", soon(early / 2)})
	var wg sync.WaitGroup
	for range 20 {
		for _, d := range []*desk{here, there} {
			wg.Go(func() {
				if got := d.found(t, secret); got != "access-1" {
					t.Errorf("the token is %s", got)
				}
			})
		}
	}
	wg.Wait()
	secret, _ = here.begins(t, tokens{"access-0", "refresh-1", soon(early / 2)})
	g.refuse = http.StatusServiceUnavailable
	if got := here.found(t, secret); got != "access-0" {
		t.Errorf("the issuer is away and the token still good: %s", got)
	}
	secret, _ = here.begins(t, tokens{"access-0", "refresh-1", soon(-time.Second)})
	if got := here.found(t, secret); got != "UNAVAILABLE" {
		t.Errorf("the issuer is away: %s", got)
	}
	g.refuse = 0
	if got := here.found(t, secret); got != "access-2" {
		t.Errorf("the issuer is back: %s", got)
	}
	secret, _ = here.begins(t, tokens{"access-0", "refresh-used", soon(-time.Second)})
	for range 2 {
		if got := here.found(t, secret); got != "UNAUTHENTICATED" {
			t.Errorf("a refused refresh token: %s", got)
		}
	}
	secret, _ = here.begins(t, tokens{"access-0", "", soon(-time.Second)})
	if got := here.found(t, secret); got != "UNAUTHENTICATED" {
		t.Errorf("no refresh token: %s", got)
	}
	if got := here.told(); !strings.Contains(got, "renews its token no more") || !strings.Contains(got, "cannot be renewed") {
		t.Errorf("told: %s", got)
	}
	if err := here.End(t.Context(), id, "test"); err != nil {
		t.Error(err)
	}
	if err := here.End(t.Context(), id, "test"); !errors.Is(err, ErrNoSession) {
		t.Errorf("ended twice: %v", err)
	}
	here.closes(t) // When that is over it has been told.
	if g.mu.Lock(); !slices.Contains(g.revoked, "refresh-1") {
		t.Errorf("the issuer was told of %v", g.revoked)
	}
	g.mu.Unlock()
}

// TestEnds: a session ends when it is idle, old or revoked, and on the other node
// as soon as somebody ends it; who holds something open learns of it.
func TestEnds(t *testing.T) {
	s, g := newState(t), newRegistrar(t)
	good := tokens{Access: "access"}
	here, there := newDesk(t, s, g, time.Hour, 2*time.Hour), newDesk(t, s, g, time.Hour, 2*time.Hour)
	for name, ago := range map[string]func(*record){
		"idle": func(r *record) { r.Seen = soon(-time.Hour) },
		"old":  func(r *record) { r.Since = soon(-2 * time.Hour) },
	} {
		secret, id := here.begins(t, good)
		p := alice()
		p.Login = id
		if got := here.found(t, secret); got != "access" || here.Revoked(p) {
			t.Errorf("%s: at first %s", name, got)
		}
		here.ages(t, id, ago)
		if !here.Revoked(p) || len(here.All()) != 0 {
			t.Errorf("%s: it goes on", name)
		}
		if got := here.found(t, secret); got != "UNAUTHENTICATED" {
			t.Errorf("%s: %s", name, got)
		}
	}
	secret, _ := here.begins(t, good)
	here.mu.Lock()
	here.revoked = time.Now()
	here.mu.Unlock()
	if got := here.found(t, secret); got != "UNAUTHENTICATED" {
		t.Errorf("revoked: %s", got)
	}
	secret, id := here.begins(t, good)
	if got := there.found(t, secret); got != "access" {
		t.Errorf("on the other node at once: %s", got)
	}
	p := alice()
	p.Login = id
	if there.Revoked(p) {
		t.Error("it is revoked before its end")
	}
	changed := there.Changed()
	if err := here.End(t.Context(), id, "test"); err != nil {
		t.Fatal(err)
	}
	for ended := false; !ended; ended = there.Revoked(p) { // At first it may hear of the ends before.
		<-changed
		changed = there.Changed()
	}
	if there.Revoked(alice()) || (*Sessions)(nil).Revoked(p) {
		t.Error("another login is revoked")
	}
	if got := there.found(t, secret); got != "UNAUTHENTICATED" {
		t.Errorf("on the other node after its end: %s", got)
	}
}

// TestSlowIssuer: while an issuer does not hear of the end of sessions, whoever
// ends one does not wait for it, and sessions that nobody uses end too. The
// gateway's own end is not held up for long.
func TestSlowIssuer(t *testing.T) {
	s, g := newState(t), newRegistrar(t)
	g.stall = make(chan struct{})
	defer close(g.stall)
	d := newDesk(t, s, g, time.Hour, time.Hour)
	for range 2 * tellers {
		_, id := d.begins(t, tokens{"access", "refresh", soon(time.Hour)})
		if err := d.End(t.Context(), id, "test"); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(d.told(), "logout"); n != 2*tellers {
		t.Errorf("%d ends are on record", n)
	}
	_, idle := d.begins(t, tokens{"access", "refresh", soon(time.Hour)})
	d.ages(t, idle, func(r *record) { r.Seen = soon(-time.Hour) })
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	wg.Go(func() { d.sweep(ctx, 10*time.Millisecond) })
	late := time.After(30 * time.Second)
	for {
		changed := d.Changed()
		if _, ok := d.mirror.Get(idle); !ok {
			break
		}
		select {
		case <-changed:
		case <-late:
			t.Fatal("an idle session does not end")
		}
	}
	d.telling.close(time.Millisecond)
	d.telling.add(t.Context(), "refresh") // It is told of nothing more.
}

// TestMany: of too many sessions of one user the oldest end.
func TestMany(t *testing.T) {
	d := newDesk(t, newState(t), newRegistrar(t), time.Hour, time.Hour)
	first, _ := d.begins(t, tokens{Access: "access"})
	for range maxOfUser {
		d.begins(t, tokens{Access: "access"})
	}
	if got := d.found(t, first); got != "UNAUTHENTICATED" {
		t.Errorf("the first: %s", got)
	}
	if n := len(d.All()); n != maxOfUser {
		t.Errorf("%d sessions", n)
	}
}

// TestStored: the shared state holds neither a secret nor a token, and a record
// that was moved or changed is nobody's.
func TestStored(t *testing.T) {
	d := newDesk(t, newState(t), newRegistrar(t), time.Hour, time.Hour)
	secret, id := d.begins(t, tokens{Access: "top-secret", Refresh: "deep-secret"})
	e, err := d.records.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := json.Marshal(e.Value); err != nil || bytes.Contains(text, []byte("-secret")) || bytes.Contains(text, []byte(secret)) || strings.Contains(id, secret) {
		t.Errorf("%s, %v", text, err)
	}
	other := rand.Text()
	if _, err := d.records.Create(t.Context(), key(other), e.Value); err != nil {
		t.Fatal(err)
	}
	if got := d.found(t, other); got != "UNAUTHENTICATED" {
		t.Errorf("a record that was moved: %s", got)
	}
	for range 3 * missRate {
		if got := d.found(t, rand.Text()); got != "UNAUTHENTICATED" {
			t.Fatalf("a secret that was made up: %s", got)
		}
	}
	if got := d.found(t, secret); got != "top-secret" {
		t.Errorf("the session itself: %s", got)
	}
}

// FuzzLocal: no path that a browser is sent to leads to another host.
func FuzzLocal(f *testing.F) {
	for _, seed := range []string{"", "/", "/a?b=c#d", "//x", "/\\x", "https://x", "/a//b", "/%2f%2fx", "javascript:x", "/\t/x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, to string) {
		got, err := local(to)
		if err != nil {
			return
		}
		base := httptest.NewRequest(http.MethodGet, "https://gateway.example/auth/callback", nil).URL
		u, err := base.Parse(got)
		if err != nil || u.Host != "gateway.example" || u.Scheme != "https" || strings.ContainsAny(got, "\\\r\n\t") {
			t.Errorf("%q leads to %v, %v", to, u, err)
		}
	})
}
