package browser

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSlowDiscovery: while an issuer does not say where users sign in, whoever
// waits can leave, also the one that asked first, and all who stay have the one
// answer.
func TestSlowDiscovery(t *testing.T) {
	var asked atomic.Int32
	arrived, answers := make(chan struct{}, 10), make(chan struct{})
	var issuer *httptest.Server
	issuer = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		arrived <- struct{}{}
		<-answers
		_ = json.NewEncoder(w).Encode(map[string]string{
			"issuer": issuer.URL, "authorization_endpoint": issuer.URL + "/auth", "token_endpoint": issuer.URL + "/token", "jwks_uri": issuer.URL + "/keys",
		})
	}))
	defer issuer.Close()
	c := NewClient(ClientOptions{Issuer: issuer.URL, ID: "console", Redirect: "https://gateway.example/cb"})
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections() //nolint:forcetypeassert // It is one.

	first, leave := context.WithCancel(t.Context())
	begins := func(ctx context.Context) <-chan error {
		done := make(chan error, 1)
		go func() {
			_, err := c.Start(ctx, "state", "nonce", "verifier")
			done <- err
		}()
		return done
	}
	one := begins(first)
	<-arrived
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := <-begins(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("who does not wait: %v", err)
	}
	var stay []<-chan error
	for range 5 {
		stay = append(stay, begins(t.Context()))
	}
	leave()
	if err := <-one; !errors.Is(err, context.Canceled) {
		t.Errorf("the first, who has left: %v", err)
	}
	close(answers)
	for _, done := range stay {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the issuer was asked %d times", n)
	}
}
