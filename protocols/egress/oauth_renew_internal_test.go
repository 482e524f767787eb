package egress

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestOAuthRenewal follows a token through its life.
func TestOAuthRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s, _ := tokensIn(t, w, OAuthOptions{})
		has := func(want string) {
			t.Helper()
			got, err := s.Authorization(t.Context())
			if err != nil || got != "Bearer "+want {
				t.Errorf("Authorization = %q, %v, want %s", got, err, want)
			}
		}
		if got := first(t, s, "Bearer"); got != "Bearer token-1" {
			t.Fatal(got)
		}
		time.Sleep(58 * time.Minute)
		has("token-1")
		time.Sleep(90 * time.Second) // Within the last minute, nobody waits for the next.
		has("token-1")
		synctest.Wait()
		has("token-2")
		time.Sleep(2 * time.Hour)
		has("token-3")

		// While the issuer is away the old one serves as long as it lasts.
		w.token = func(url.Values, *http.Request) (int, string) { return 503, "" }
		time.Sleep(time.Hour - 30*time.Second)
		has("token-3")
		synctest.Wait()
		has("token-3")
		if n := w.asked(); n != 4 {
			t.Errorf("%d requests, want 4: failures are not repeated at once", n)
		}
	})
}

// TestOAuthRejected has a server that takes no token: it is asked for a new one
// now and then, not at each call.
func TestOAuthRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s, _ := tokensIn(t, w, OAuthOptions{})
		first(t, s, "Bearer")
		for range 100 {
			if again, err := challenged(t, s, 401, `Bearer error="invalid_token"`); again || err != nil {
				t.Fatalf("Challenged = %v, %v", again, err)
			}
		}
		time.Sleep(renewEvery)
		if again, err := challenged(t, s, 401, `Bearer error="invalid_token"`); !again || err != nil {
			t.Errorf("Challenged = %v, %v", again, err)
		}
		if n := w.asked(); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
	})
}

func TestOAuthSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.slow = time.Second
		s, _ := tokensIn(t, w, OAuthOptions{})
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() {
				req := &http.Request{Header: http.Header{}}
				again, err := s.Challenged(t.Context(), req, &http.Response{StatusCode: 401, Header: http.Header{}})
				if !again || err != nil {
					t.Errorf("Challenged = %v, %v", again, err)
				}
			})
		}
		// One who goes away takes nothing from the others.
		gone, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		res := &http.Response{StatusCode: 401, Header: http.Header{}}
		if _, err := s.Challenged(gone, &http.Request{Header: http.Header{}}, res); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("impatient: %v", err)
		}
		callers.Wait()
		if n := w.asked(); n != 1 {
			t.Errorf("%d requests for one token", n)
		}
	})
}

// TestOAuthBinding has a resource that names another authorization server later.
func TestOAuthBinding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s, _ := tokensIn(t, w, OAuthOptions{})
		first(t, s, `Bearer resource_metadata="https://tools.example.com/elsewhere"`)
		w.resource["authorization_servers"] = []string{"https://evil.example.com"}
		time.Sleep(renewEvery)
		if _, err := challenged(t, s, 401, "Bearer"); err == nil || !strings.Contains(err.Error(), "another authorization server") {
			t.Errorf("Challenged = %v", err)
		}
		for _, p := range w.paths {
			if strings.HasPrefix(p, "evil") {
				t.Errorf("%s was asked", p)
			}
		}
	})
}
