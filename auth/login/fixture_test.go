package login

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/auth/browser"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A registrar is an issuer whose refresh tokens are good once.
type registrar struct {
	*httptest.Server

	mu      sync.Mutex
	renewed int
	revoked []string
	refuse  int           // the status of the token endpoint, 0 for OK
	stall   chan struct{} // until it is closed nobody hears of a revocation; nil for at once
}

func newRegistrar(t *testing.T) *registrar {
	t.Helper()
	g := &registrar{}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{
			"issuer": g.URL, "authorization_endpoint": g.URL + "/auth", "token_endpoint": g.URL + "/token", "jwks_uri": g.URL + "/keys", "revocation_endpoint": g.URL + "/revoke",
		})
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		defer func() { // An answer takes a while, and somebody else may ask meanwhile.
			slow := time.NewTimer(50 * time.Millisecond)
			<-slow.C
		}()
		g.mu.Lock()
		defer g.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		switch {
		case g.refuse != 0:
			w.WriteHeader(g.refuse)
		case r.FormValue("refresh_token") != fmt.Sprint("refresh-", g.renewed):
			w.WriteHeader(http.StatusBadRequest)
		default:
			g.renewed++
			_, _ = fmt.Fprintf(w, `{"access_token":"access-%d","token_type":"Bearer","expires_in":3600,"refresh_token":"refresh-%[1]d"}`, g.renewed)
		}
	})
	mux.HandleFunc("/revoke", func(_ http.ResponseWriter, r *http.Request) {
		if g.stall != nil {
			<-g.stall
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.revoked = append(g.revoked, r.FormValue("token"))
	})
	g.Server = httptest.NewServer(mux)
	t.Cleanup(g.Close)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections) //nolint:forcetypeassert // It is one.
	return g
}

// A desk is a node's sessions, and what they have told.
type desk struct {
	*Sessions

	end func() // of what follows the state

	mu      sync.Mutex
	events  []string
	revoked time.Time // credentials from before then
}

func (d *desk) told() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.events, "\n")
}

func newState(t *testing.T) *state.State {
	t.Helper()
	s, err := state.Open(t.Context(), state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newDesk(t *testing.T, s *state.State, g *registrar, idle, life time.Duration) *desk {
	t.Helper()
	d := &desk{}
	var err error
	ctx, end := context.WithCancel(t.Context())
	d.Sessions, err = Open(ctx, s, Options{
		Client: browser.NewClient(browser.ClientOptions{Issuer: g.URL, ID: "console"}), Key: [32]byte{1}, Idle: idle, Life: life,
		Revoked: func(p *gateway.Principal) bool {
			d.mu.Lock()
			defer d.mu.Unlock()
			return p.Issued.Before(d.revoked)
		},
		Event: func(_ context.Context, kind string, who *gateway.Principal, detail string) error {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.events = append(d.events, kind+" "+who.Name+": "+detail)
			return nil
		},
		Refused: func(context.Context, auth.Attempt) {}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		end()
		t.Fatal(err)
	}
	d.end = end
	t.Cleanup(func() { d.closes(t) })
	return d
}

// closes ends what the desk does. Doing so twice is no matter.
func (d *desk) closes(t *testing.T) {
	t.Helper()
	d.end()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func alice() *gateway.Principal {
	return &gateway.Principal{ID: "idp|user|alice", Issuer: "idp", Subject: "alice", Kind: "user", Name: "Alice"}
}

func (d *desk) begins(t *testing.T, tok tokens) (secret, id string) {
	t.Helper()
	secret, id, err := d.begin(t.Context(), alice(), tok)
	if err != nil {
		t.Fatal(err)
	}
	return secret, id
}

// found returns the token of a session, or the code of the refusal.
func (d *desk) found(t *testing.T, secret string) string {
	t.Helper()
	l, err := d.Find(t.Context(), secret)
	if err != nil {
		return gateway.AsError(err).Code.String()
	}
	return l.Token
}

// ages changes a session's times, and waits until the desk knows.
func (d *desk) ages(t *testing.T, id string, ago func(*record)) {
	t.Helper()
	e, err := d.records.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	ago(&e.Value)
	rev, err := d.records.Update(t.Context(), id, e.Value, e.Revision)
	if err != nil {
		t.Fatal(err)
	}
	for {
		changed := d.mirror.Changed()
		if e, _ := d.mirror.Get(id); e.Revision >= rev {
			return
		}
		<-changed
	}
}

func soon(after time.Duration) time.Time { return time.Now().Add(after) }
