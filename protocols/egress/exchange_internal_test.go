package egress

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
)

const callersIssuer = "https://people.example.com"

// exchangerIn returns an exchanger in a world whose authorization server issues
// "for-" and the subject's token.
func exchangerIn(t *testing.T, w *fakeWorld, o TokenExchangeOptions) *exchanger {
	t.Helper()
	o.Issuers = []string{callersIssuer}
	u, err := New(Options{
		Name: "up", URL: resourceURL, Metadata: true, Timeout: 10 * time.Second,
		OAuth: &OAuthOptions{ClientID: "gateway", ClientSecret: theSecret, Issuer: issuerURL, Exchange: &o},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	if !u.PerCaller() {
		t.Error("callers share credentials")
	}
	e, ok := u.each.(*exchanger)
	if !ok {
		t.Fatalf("%T", u.each)
	}
	e.own.http = &http.Client{Transport: w}
	w.token = exchanged200
	return e
}

func exchanged200(form url.Values, _ *http.Request) (int, string) {
	return 200, fmt.Sprintf(`{"access_token":"for-%s","token_type":"Bearer","expires_in":60,"issued_token_type":%q}`, form.Get("subject_token"), typeAccessToken)
}

// as returns the context of a call that came with a token.
func (e *exchanger) as(t *testing.T, token string) context.Context {
	t.Helper()
	ctx, err := e.admit(auth.WithToken(t.Context(), token), &gateway.Principal{ID: "the same", Issuer: callersIssuer})
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

func TestExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.slow = time.Second
		e := exchangerIn(t, w, TokenExchangeOptions{Audience: "the tools"})
		var calls sync.WaitGroup
		for range 10 {
			for _, who := range []string{"ada", "bob"} {
				calls.Go(func() {
					if got, err := e.Authorization(e.as(t, who)); got != "Bearer for-"+who || err != nil {
						t.Errorf("%s: %q, %v", who, got, err)
					}
				})
			}
		}
		calls.Wait()
		if got, err := e.Authorization(t.Context()); got != "" || err != nil {
			t.Errorf("the gateway's own, which nothing has asked for yet: %q, %v", got, err)
		}
		got := map[string]int{}
		for _, form := range w.forms {
			got[form.Get("subject_token")]++
		}
		if diff := cmp.Diff(map[string]int{"ada": 1, "bob": 1}, got); diff != "" {
			t.Errorf("exchanges (-want +got):\n%s", diff)
		}
		form := maps.Clone(w.forms[0])
		form.Del("subject_token")
		if diff := cmp.Diff(url.Values{
			"grant_type": {grantExchange}, "subject_token_type": {typeAccessToken}, "requested_token_type": {typeAccessToken},
			"resource": {resourceURL}, "audience": {"the tools"},
		}, form); diff != "" {
			t.Errorf("request (-want +got):\n%s", diff)
		}
		time.Sleep(61 * time.Second) // The token has ended.
		if _, err := e.Authorization(e.as(t, "ada")); err != nil || w.asked() != 3 {
			t.Errorf("after its end: %v, %d tokens were asked for", err, w.asked())
		}
		again, err := e.Challenged(e.as(t, "bob"), &http.Request{}, &http.Response{StatusCode: 403, Header: http.Header{
			"Www-Authenticate": {`Bearer error="insufficient_scope", scope="write"`},
		}})
		if last := w.forms[w.asked()-1]; !again || err != nil || last.Get("scope") != "write" || last.Get("subject_token") != "bob" {
			t.Errorf("a challenge for scope: %v, %v, %v", again, err, last)
		}
	})
}

// TestExchangeRefused checks what callers are told for whom there is no token,
// and that what the token endpoint gives is one that may go to the upstream.
func TestExchangeRefused(t *testing.T) {
	answer := func(status int, body string) func(url.Values, *http.Request) (int, string) {
		return func(url.Values, *http.Request) (int, string) { return status, body }
	}
	issued := `,"token_type":"Bearer","issued_token_type":"` + typeAccessToken + `"}`
	for _, c := range []struct {
		name  string
		token func(url.Values, *http.Request) (int, string)
		code  gateway.Code
	}{
		{"subject", answer(400, `{"error":"invalid_grant"}`), gateway.PermissionDenied},
		{"target", answer(400, `{"error":"invalid_target"}`), gateway.PermissionDenied},
		{"client", answer(401, `{"error":"invalid_client"}`), gateway.Unavailable},
		{"broken", answer(500, ``), gateway.Unavailable},
		{"the caller's own", answer(200, `{"access_token":"ada"`+issued), gateway.Unavailable},
		{"another type", answer(200, `{"access_token":"x","token_type":"Bearer","issued_token_type":"`+typeIDJAG+`"}`), gateway.Unavailable},
		{"no type", answer(200, `{"access_token":"x","token_type":"Bearer"}`), gateway.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			e := exchangerIn(t, w, TokenExchangeOptions{})
			w.token = c.token
			for range 2 { // The second is refused without asking.
				_, err := e.Authorization(e.as(t, "ada"))
				if err == nil {
					t.Fatal("a token was given")
				}
				if err := (&Client{}).Fault(t.Context(), &AuthError{err}); gateway.AsError(err).Code != c.code {
					t.Errorf("%v, want %v", err, c.code)
				}
			}
			if n := w.asked(); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestExchangeAdmit(t *testing.T) {
	e := exchangerIn(t, newWorld(), TokenExchangeOptions{})
	for _, c := range []struct{ name, token, issuer string }{
		{"no token", "", callersIssuer},
		{"an API key", "gwk_whatever", callersIssuer},
		{"an issuer that is not trusted", "ada", "https://elsewhere.example.com"},
	} {
		_, err := e.admit(auth.WithToken(t.Context(), c.token), &gateway.Principal{ID: "x", Issuer: c.issuer})
		if err == nil || gateway.AsError(err).Code != gateway.FailedPrecondition {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestExchangeBound checks that credentials which come once do not stay, and
// that those which have ended go first.
func TestExchangeBound(t *testing.T) {
	e := exchangerIn(t, newWorld(), TokenExchangeOptions{})
	with := func(token string, expiry time.Time) {
		ctx, err := e.admit(auth.WithToken(t.Context(), token), &gateway.Principal{ID: "x", Issuer: callersIssuer, Expiry: expiry})
		if err != nil {
			t.Fatal(err)
		}
		e.source(ctx)
	}
	with("ended", time.Now().Add(-time.Hour))
	for n := range 2 * maxExchanged {
		with(fmt.Sprint(n), time.Now().Add(time.Hour))
		with("stays", time.Now().Add(time.Hour))
	}
	if len(e.of) > maxExchanged {
		t.Errorf("%d are kept", len(e.of))
	}
	found := map[string]bool{}
	for _, x := range e.of {
		found[x.subject] = true
	}
	if found["ended"] || !found["stays"] || found["0"] {
		t.Error("the wrong ones are kept")
	}
}

func TestExchangeOptions(t *testing.T) {
	good := func() OAuthOptions {
		return OAuthOptions{ClientID: "gateway", ClientSecret: "s", Issuer: issuerURL, Exchange: &TokenExchangeOptions{Issuers: []string{callersIssuer}}}
	}
	for _, c := range []struct {
		edit func(*Options)
		want string
	}{
		{func(o *Options) { o.OAuth.Issuer = "" }, "not taken for who may see them"},
		{func(o *Options) { o.OAuth.Exchange.Issuers = nil }, "issuers are needed"},
		{func(o *Options) { o.OAuth.Assertion = func(context.Context) (string, error) { return "", nil } }, "not with an assertion"},
		{func(o *Options) { o.OAuth.ClientSecret = "" }, "a client secret or a private key"},
	} {
		oauth := good()
		o := Options{Name: "up", URL: resourceURL, OAuth: &oauth}
		c.edit(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q in it", err, c.want)
		}
	}
}
