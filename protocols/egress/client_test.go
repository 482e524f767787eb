package egress_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"code.dny.dev/ssrf"
	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/auth/connect"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/egress"
)

// open returns a client of a server on this machine.
func open(t *testing.T, o egress.Options) *egress.Client {
	t.Helper()
	o.Name = "up"
	o.AllowPrivate = append(o.AllowPrivate, netip.MustParsePrefix("127.0.0.0/8"))
	c, err := egress.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// do sends a request and returns the status and the body.
func do(t *testing.T, c *egress.Client, method, url string, body io.Reader) (int, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Own", "mine")
	req.Header.Set("X-Both", "mine")
	res, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}

// unread hides that a body could be read again.
type unread struct{ io.Reader }

// TestDo sends requests of every kind, which arrive as they were made, with the
// configured fields.
func TestDo(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Set-Cookie", "a=b")
		fmt.Fprintf(w, "%s %s %q own=%s both=%v set=%s agent=%s cookie=%q length=%d", r.Method, r.URL, body,
			r.Header.Get("X-Own"), r.Header.Values("X-Both"), r.Header.Get("X-Set"), r.UserAgent(), r.Header.Get("Cookie"), r.ContentLength)
	})
	c := open(t, egress.Options{URL: url + "/base", Headers: http.Header{"x-set": {"s"}, "x-both": {"configured"}}})
	const rest = ` own=mine both=[configured] set=s agent=trilith cookie="" length=`
	for _, tt := range []struct {
		name, method string
		body         io.Reader
		want         string
	}{
		{"get", "GET", nil, `GET /a%2Fb?c=d "" ` + rest[1:] + "0"},
		{"post", "POST", strings.NewReader("text"), `POST /a%2Fb?c=d "text"` + rest + "4"},
		{"empty post", "POST", nil, `POST /a%2Fb?c=d "" ` + rest[1:] + "0"},
		{"stream", "PUT", unread{strings.NewReader("text")}, `PUT /a%2Fb?c=d "text"` + rest + "-1"},
		{"delete", "DELETE", nil, `DELETE /a%2Fb?c=d "" ` + rest[1:] + "0"},
		{"head", "HEAD", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 {
				status, got, err := do(t, c, tt.method, url+"/a%2Fb?c=d", tt.body)
				if tt.body != nil {
					tt.body = nil
					if err != nil || status != 200 {
						t.Fatal(status, err)
					}
					if diff := cmp.Diff(tt.want, got); diff != "" {
						t.Error(diff)
					}
					return
				}
				if diff := cmp.Diff(tt.want, got); err != nil || status != 200 || diff != "" {
					t.Error(status, err, diff)
				}
			}
		})
	}
}

// TestDoFraming has a request claim to end elsewhere, and to come with another
// credential: neither arrives.
func TestDoFraming(t *testing.T) {
	var got atomic.Value
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got.Store(fmt.Sprint(r.Host, " ", string(body), " ", r.TransferEncoding, " ", r.Header["Connection"], r.Header["X"], r.Header["X-Set"], r.Header["Authorization"]))
	})
	c := open(t, egress.Options{URL: url, Headers: http.Header{"X-Set": {"s"}}, Authorizer: &rotating{}})
	req, err := http.NewRequestWithContext(t.Context(), "POST", url, strings.NewReader("0\r\n\r\nGET /admin HTTP/1.1\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "elsewhere.example"
	req.Header = http.Header{
		"Transfer-Encoding": {"chunked"}, "transfer-encoding": {"chunked"}, "Content-Length": {"5"}, "Host": {"elsewhere.example"}, "Connection": {"X"}, "Expect": {"100-continue"},
		"X": {"kept"}, "x-set": {"other"}, "authorization": {"Bearer other"},
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	want := strings.TrimPrefix(url, "http://") + " 0\r\n\r\nGET /admin HTTP/1.1\r\n\r\n [] [] [kept] [s] [Bearer 0]"
	if got.Load() != want {
		t.Errorf("%q, want %q", got.Load(), want)
	}
}

// TestDoBounds checks where requests do not go and what of answers is refused.
func TestDoBounds(t *testing.T) {
	elsewhere := serve(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s has come", r.URL) })
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, elsewhere+"/taken", http.StatusFound)
		case "/head":
			w.Header().Set("X", strings.Repeat("x", 80<<10))
		}
	})
	c := open(t, egress.Options{URL: url, Headers: http.Header{"Authorization": {"Bearer s3cr3t"}}})
	if status, _, err := do(t, c, "GET", url+"/redirect", nil); err != nil || status != http.StatusFound {
		t.Error("a redirect:", status, err)
	}
	if _, _, err := do(t, c, "GET", elsewhere, nil); err == nil {
		t.Error("another origin: it went")
	}
	if _, _, err := do(t, c, "GET", strings.Replace(url, "http://", "http://user@", 1), nil); err == nil {
		t.Error("credentials in the URL: it went")
	}
	if _, _, err := do(t, c, "GET", url+"/head", nil); err == nil {
		t.Error("a huge head was read")
	}
	guarded, err := egress.New(egress.Options{Name: "up", URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { guarded.Close() })
	for _, method := range []string{"GET", "HEAD"} {
		if _, _, err := do(t, guarded, method, url, nil); !errors.Is(err, ssrf.ErrProhibitedIP) {
			t.Errorf("loopback by %s: %v", method, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := c.Do(req); !errors.Is(err, context.Canceled) {
		t.Error(res, err)
	}
}

// A rotating Authorizer gives the next value at each challenge.
type rotating struct{ n atomic.Int64 }

func (a *rotating) Authorization(context.Context) (string, error) {
	return fmt.Sprintf("Bearer %d", a.n.Load()), nil
}

func (a *rotating) Challenged(_ context.Context, req *http.Request, res *http.Response) (bool, error) {
	if req.Header.Get("Authorization") == fmt.Sprintf("Bearer %d", a.n.Load()) && res.Header.Get("WWW-Authenticate") != "" {
		a.n.Add(1)
	}
	return true, nil
}

// TestChallenge has a server refuse the first credential: the whole request is
// sent once more, where it can be.
func TestChallenge(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("Authorization") == "Bearer 0" {
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.WriteHeader(http.StatusUnauthorized)
		}
		fmt.Fprintf(w, "%s %s", r.Header.Get("Authorization"), body)
	})
	for _, tt := range []struct {
		name, method string
		body         io.Reader
		status       int
		want         string
	}{
		{"bytes", "POST", bytes.NewReader([]byte("text")), 200, "Bearer 1 text"},
		{"a stream", "POST", unread{strings.NewReader("text")}, 401, "Bearer 0 text"},
		{"a head", "HEAD", nil, 200, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := open(t, egress.Options{URL: url, Authorizer: &rotating{}})
			status, got, err := do(t, c, tt.method, url, tt.body)
			if err != nil || status != tt.status || got != tt.want {
				t.Errorf("%d %q, %v", status, got, err)
			}
		})
	}
	c := open(t, egress.Options{URL: url, Authorizer: &rotating{}})
	value, err := c.Authorization(t.Context())
	if err != nil || value != "Bearer 0" {
		t.Fatal(value, err)
	}
	if again, err := c.Renew(t.Context(), value); err != nil || !again {
		t.Error(again, err)
	}
}

// TestTold obtains a token from an issuer that the options name, of a server
// that says nothing about how it is protected, before the first request.
func TestTold(t *testing.T) {
	var issuer string
	refused := 0
	issuer = serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/.well-known/oauth-authorization-server":
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": issuer, "token_endpoint": issuer + "/token"})
		case "/token":
			if r.FormValue("resource") != "" {
				t.Error("a resource is asked for that nobody has named")
			}
			fmt.Fprint(w, `{"access_token":"t","token_type":"Bearer","expires_in":60}`)
		}
	})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t" {
			refused++
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	c := open(t, egress.Options{URL: url, OAuth: &egress.OAuthOptions{ClientID: "gateway", ClientSecret: "s", Issuer: issuer}})
	status, _, err := do(t, c, "GET", url+"/x", nil)
	if err != nil || status != 200 || refused != 0 {
		t.Error(status, err, refused)
	}
	if value, err := c.Authorization(t.Context()); err != nil || value != "Bearer t" {
		t.Error(value, err)
	}
}

// A shelf has the tokens of users who have connected.
type shelf struct{ connected atomic.Bool }

func (s *shelf) Authorization(context.Context, string, *gateway.Principal, string) (string, error) {
	if !s.connected.Load() {
		return "", connect.ErrNotConnected
	}
	return "Bearer alice", nil
}

func (s *shelf) Invite(context.Context, string, *gateway.Principal) (string, error) {
	return "https://gateway.example/connect/abc", nil
}

// TestConsent has a call's user connect while the call waits, and others who
// cannot be asked or do not agree.
func TestConsent(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("Authorization")) })
	users := &shelf{}
	c := open(t, egress.Options{URL: url, OAuth: &egress.OAuthOptions{ClientID: "gateway", Issuer: "https://id.example", Users: users}})
	if !c.PerCaller() || c.Provider() == nil {
		t.Fatal("callers share credentials")
	}
	call := func(capabilities, answer string) *gateway.Call {
		return &gateway.Call{
			Op: gateway.OpCall, Principal: &gateway.Principal{ID: "alice"}, Capabilities: json.RawMessage(capabilities),
			Ask: func(_ context.Context, q gateway.Question) (json.RawMessage, error) {
				if q.Method != "elicitation/create" || !strings.Contains(string(q.Params), "https://gateway.example/connect/abc") {
					t.Errorf("%s %s", q.Method, q.Params)
				}
				users.connected.Store(strings.Contains(answer, "accept"))
				return json.RawMessage(answer), nil
			},
		}
	}
	const shows, accepts = `{"elicitation":{"url":{}}}`, `{"action":"accept"}`
	for name, refused := range map[string]*gateway.Call{
		"shows no URLs": call(`{"elicitation":{}}`, accepts), "declines": call(shows, `{"action":"decline"}`), "says nothing": call(shows, `[]`),
		"cannot be asked": {Principal: &gateway.Principal{ID: "alice"}, Capabilities: json.RawMessage(shows)},
	} {
		_, err := c.Admit(t.Context(), refused)
		e := gateway.AsError(err)
		if e == nil || e.Code != gateway.FailedPrecondition || !strings.Contains(e.Msg, "https://gateway.example/connect/abc") {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, err := c.Admit(t.Context(), call(shows, accepts))
	if err != nil {
		t.Fatal(err)
	}
	if value, err := c.Authorization(ctx); err != nil || value != "Bearer alice" {
		t.Error(value, err)
	}
	if value, err := c.Authorization(t.Context()); err != nil || value != "" {
		t.Error("the gateway itself:", value, err)
	}
	if _, err := c.Admit(t.Context(), &gateway.Call{}); gateway.AsError(err).Code != gateway.FailedPrecondition {
		t.Error("nobody:", err)
	}
}

// TestRefused maps statuses that are not about what was asked.
func TestRefused(t *testing.T) {
	c := open(t, egress.Options{URL: "http://127.0.0.1:1"})
	for status, want := range map[int]gateway.Code{
		401: gateway.FailedPrecondition, 403: gateway.FailedPrecondition, 429: gateway.ResourceExhausted,
		502: gateway.Unavailable, 503: gateway.Unavailable, 504: gateway.Unavailable,
	} {
		e := c.Refused(t.Context(), status, http.Header{"Retry-After": {"7"}})
		if e == nil || e.Code != want || (e.Retry.Seconds() == 7) != (status >= 429) {
			t.Errorf("%d: %v", status, e)
		}
	}
	for _, status := range []int{200, 302, 400, 404, 409, 500, 501} {
		if e := c.Refused(t.Context(), status, http.Header{}); e != nil {
			t.Errorf("%d: %v", status, e)
		}
	}
}

// BenchmarkDo measures one request and its answer.
func BenchmarkDo(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"a":1}`) }))
	defer s.Close()
	c, err := egress.New(egress.Options{Name: "up", URL: s.URL, AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	run := func(b *testing.B, do func(*http.Request) (*http.Response, error)) {
		b.ReportAllocs()
		for b.Loop() {
			req, err := http.NewRequestWithContext(b.Context(), "GET", s.URL+"/x", nil)
			if err != nil {
				b.Fatal(err)
			}
			res, err := do(req)
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
	}
	b.Run("egress", func(b *testing.B) { run(b, c.Do) })
	b.Run("net/http", func(b *testing.B) { run(b, s.Client().Do) })
}
