package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

// An oracle is an issuer that is asked about tokens, in memory.
type oracle struct {
	asked  atomic.Int64
	answer func(token string) (int, string)
	hang   chan struct{} // not nil: answers wait until it is closed
	mu     sync.Mutex
	wrong  []string // what was wrong with requests
}

func (o *oracle) RoundTrip(r *http.Request) (*http.Response, error) {
	reply := func(status int, body string) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Status: fmt.Sprint(status), Proto: "HTTP/1.1", Request: r, ContentLength: -1,
			Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader([]byte(body))),
		}, nil
	}
	if strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration") {
		return reply(200, `{"issuer":"`+testIssuer+`","introspection_endpoint":"`+testIssuer+`/introspect"}`)
	}
	o.asked.Add(1)
	if o.hang != nil {
		select {
		case <-o.hang:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	if id, secret, _ := r.BasicAuth(); r.Method != "POST" || r.URL.String() != testIssuer+"/introspect" || id != "gw%2F1" || secret != "s%3A%26" ||
		r.ParseForm() != nil || r.PostForm.Get("token_type_hint") != "access_token" {
		o.mu.Lock()
		o.wrong = append(o.wrong, r.Method+" "+r.URL.String()+" "+id+" "+secret)
		o.mu.Unlock()
	}
	status, body := o.answer(r.PostForm.Get("token"))
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	return reply(status, body)
}

func (o *oracle) open(t testing.TB, change ...func(*IntrospectionOptions)) *Introspection {
	t.Helper()
	opts := IntrospectionOptions{
		Issuer:   IssuerOptions{Name: "test", URL: testIssuer, Audiences: []string{testAudience}, Leeway: 30 * time.Second, Client: &http.Client{Transport: o}},
		ClientID: "gw/1", ClientSecret: "s:&", Logger: quiet(),
	}
	for _, f := range change {
		f(&opts)
	}
	v := must(NewIntrospection(t.Context(), opts))
	t.Cleanup(func() {
		v.Close()
		if len(o.wrong) > 0 {
			t.Errorf("asked wrongly: %v", o.wrong)
		}
	})
	return v
}

func (v *Introspection) plain(ctx context.Context, token string) (*gateway.Principal, error) {
	return v.Authenticate(ctx, Credential{Token: token})
}

// said is what the issuer says of a good token, with changes.
func said(changes fields) string {
	c := good(changes)
	if _, ok := changes["active"]; !ok {
		c["active"] = true
	}
	return string(must(json.Marshal(c)))
}

// TestIntrospection believes an issuer's answer only where it says all that a
// token must say.
func TestIntrospection(t *testing.T) {
	now := time.Now().Unix()
	for _, c := range []struct {
		name   string
		answer string
		cause  string // "" is accepted
	}{
		{"good", said(nil), ""},
		{"without an issuer", said(fields{"iss": nil}), ""},
		{"of type Bearer", said(fields{"token_type": "bearer"}), ""},
		{"not active", `{"active":false}`, "not active"},
		{"not active, but all the rest", said(fields{"active": false}), "not active"},
		{"without active", said(fields{"active": nil}), "not active"},
		{"active as text", said(fields{"active": "true"}), "not active"},
		{"active as a number", said(fields{"active": 1}), "not active"},
		{"active twice", `{"active":false,` + said(nil)[1:], "duplicate"},
		{"Active", `{"Active":true,` + said(fields{"active": nil})[1:], "not active"},
		{"of another issuer", said(fields{"iss": "https://other.example"}), "issued by"},
		{"of an issuer that is a list", said(fields{"iss": []string{testIssuer}}), "iss"},
		{"for somebody else", said(fields{"aud": "https://other.example"}), "audience"},
		{"for nobody", said(fields{"aud": nil}), "audience"},
		{"expired", said(fields{"exp": now - 60}), "expired"},
		{"without an end", said(fields{"exp": nil}), "never expires"},
		{"of the future", said(fields{"nbf": now + 600}), "future"},
		{"a refresh token", said(fields{"token_type": "refresh_token"}), "type"},
		{"Keycloak's refresh token", said(fields{"typ": "Refresh"}), "typ"},
		{"an ID token", said(fields{"nonce": "n"}), "ID token"},
		{"of nobody", said(fields{"sub": nil, "client_id": nil}), "neither a subject"},
		{"bound to a key", said(fields{"cnf": fields{"jkt": thumbprint("ES256")}}), "without proof"},
		{"bound to a certificate", said(fields{"cnf": fields{"x5t#S256": thumbprint("ES256")}}), "without it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := &oracle{answer: func(string) (int, string) { return 200, c.answer }}
			p, err := o.open(t).plain(t.Context(), "opaque")
			if c.cause == "" {
				if err != nil || p.ID != testIssuer+"|user|alice" || !slices.Equal(p.Roles, []string{"dev"}) {
					t.Errorf("%+v %v", p, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.cause) {
				t.Errorf("%v, want %s", err, c.cause)
			}
			if c.name != "active twice" {
				wantRefused(t, err)
			}
		})
	}
}

// TestIntrospectionFailsClosed lets nobody in while the issuer does not answer.
func TestIntrospectionFailsClosed(t *testing.T) {
	for name, reply := range map[string]struct {
		status int
		body   string
	}{
		"away": {0, ""}, "our credentials are wrong": {401, `{"error":"invalid_client"}`}, "broken": {500, said(nil)},
		"redirects": {302, said(nil)}, "HTML": {200, "<html>"}, "nothing": {200, ""}, "a list": {200, "[]"},
		"endless": {200, `{"active":true,"x":"` + strings.Repeat("x", maxKeySet) + `"}`},
	} {
		o := &oracle{answer: func(string) (int, string) { return reply.status, reply.body }}
		_, err := o.open(t).plain(t.Context(), "opaque")
		if e := gateway.AsError(err); e == nil || e.Code != gateway.Unavailable || e.Retry == 0 || strings.Contains(e.Msg, "401") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestIntrospectionIsCached asks once a minute about a good token, once in ten
// seconds about a bad one, and once for all who wait.
func TestIntrospectionIsCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends := time.Now().Add(90 * time.Second)
		o := &oracle{hang: make(chan struct{}), answer: func(token string) (int, string) {
			if token == "good" {
				return 200, said(fields{"exp": ends.Unix()})
			}
			return 200, `{"active":false}`
		}}
		v := o.open(t)
		defer v.Close()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if _, err := v.plain(t.Context(), "good"); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(o.hang)
		all.Wait()
		count := func(token string, after time.Duration, ok bool, asked int64) {
			t.Helper()
			<-time.After(after)
			before := o.asked.Load()
			if _, err := v.plain(t.Context(), token); (err == nil) != ok {
				t.Errorf("%s: %v", token, err)
			}
			if n := o.asked.Load() - before; n != asked {
				t.Errorf("%s: asked %d times, not %d", token, n, asked)
			}
		}
		if n := o.asked.Load(); n != 1 {
			t.Errorf("asked %d times for all", n)
		}
		count("good", 50*time.Second, true, 0)
		count("good", 15*time.Second, true, 1)
		count("bad", 0, false, 1)
		count("bad", 5*time.Second, false, 0)
		count("bad", 6*time.Second, false, 1)
		count("good", 20*time.Second, true, 0)
		count("good", 30*time.Second, false, 1) // It has expired, leeway included.
	})
}

// TestIntrospectionRests leaves an issuer alone that fails, and lets one request
// try again.
func TestIntrospectionRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		o := &oracle{answer: func(string) (int, string) {
			if down.Load() {
				return 503, ""
			}
			return 200, said(nil)
		}}
		v := o.open(t)
		defer v.Close()
		try := func(i int) error { _, err := v.plain(t.Context(), fmt.Sprint("token", i)); return err }
		for i := range 100 {
			if e := gateway.AsError(try(i)); e == nil || e.Code != gateway.Unavailable {
				t.Fatalf("%d: %v", i, e)
			}
		}
		if n := o.asked.Load(); n != tooManyFails {
			t.Errorf("asked %d times", n)
		}
		<-time.After(leaveAlone)
		for i := range 100 {
			if try(i) == nil {
				t.Fatal("let in")
			}
		}
		if n := o.asked.Load(); n != tooManyFails+1 {
			t.Errorf("asked %d times after a rest", n)
		}
		down.Store(false)
		<-time.After(leaveAlone)
		for i := range 10 {
			if err := try(i); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestIntrospectionIsBounded asks about so many tokens at a time and no more.
func TestIntrospectionIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &oracle{hang: make(chan struct{}), answer: func(string) (int, string) { return 200, said(nil) }}
		v := o.open(t)
		defer v.Close()
		var busy, in atomic.Int64
		var all sync.WaitGroup
		for i := range 2 * maxAsking {
			all.Go(func() {
				if _, err := v.plain(t.Context(), fmt.Sprint(i)); err == nil {
					in.Add(1)
				} else if gateway.AsError(err).Code == gateway.Unavailable {
					busy.Add(1)
				}
			})
		}
		synctest.Wait()
		gone, leave := context.WithCancel(t.Context())
		leave()
		if _, err := v.plain(gone, "0"); err != nil && gateway.AsError(err).Code == gateway.Internal {
			t.Errorf("a caller that leaves: %v", err)
		}
		close(o.hang)
		all.Wait()
		if busy.Load() != maxAsking || in.Load() != maxAsking {
			t.Errorf("%d were let in, %d were told to come back", in.Load(), busy.Load())
		}
	})
}

func TestIntrospectionRevoked(t *testing.T) {
	r, _, _ := newRevocations(t)
	o := &oracle{answer: func(string) (int, string) { return 200, said(nil) }}
	v := o.open(t, func(o *IntrospectionOptions) { o.Revocations = r })
	must(v.plain(t.Context(), "opaque"))
	if err := r.Revoke(t.Context(), Revocation{Issuer: testIssuer, Token: "j1"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "revoked", func() bool { _, err := v.plain(t.Context(), "opaque"); return err != nil })
}

func TestIntrospectionOptions(t *testing.T) {
	for name, change := range map[string]func(*IntrospectionOptions){
		"no client": func(o *IntrospectionOptions) { o.ClientID = "" }, "no secret": func(o *IntrospectionOptions) { o.ClientSecret = "" },
		"no audience": func(o *IntrospectionOptions) { o.Issuer.Audiences = nil }, "http": func(o *IntrospectionOptions) { o.URL = "http://idp.example.test" },
		"no logger": func(o *IntrospectionOptions) { o.Logger = nil },
	} {
		o := IntrospectionOptions{Issuer: newIDP().options(), ClientID: "a", ClientSecret: "b", Logger: quiet()}
		change(&o)
		if _, err := NewIntrospection(t.Context(), o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// only is an Authenticator that says which one it is.
type only string

func (o only) Authenticate(context.Context, Credential) (*gateway.Principal, error) {
	return &gateway.Principal{ID: string(o)}, nil
}

// TestTokens sends each token one way, and no other.
func TestTokensByForm(t *testing.T) {
	all := Tokens{only("key"), only("signed"), only("opaque")}
	for token, want := range map[string]string{
		"gwk_x": "key", "gwk_a.b.c": "key", "a.b.c": "signed", "..": "signed", "a.b.c.d.e": "opaque", "abc": "opaque", "GWK_x": "opaque", "a.b": "opaque",
	} {
		if d := cmp.Diff(want, must(all.Authenticate(t.Context(), Credential{Token: token})).ID); d != "" {
			t.Errorf("%s: -want +got\n%s", token, d)
		}
		_, err := Tokens{}.Authenticate(t.Context(), Credential{Token: token})
		wantRefused(t, err)
	}
}
