package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

// tokens is an Authenticator of fixed tokens.
type tokens map[string]*gateway.Principal

func (t tokens) Authenticate(_ context.Context, c Credential) (*gateway.Principal, error) {
	if p := t[c.Token]; p != nil {
		return p, nil
	}
	return nil, invalid(fmt.Errorf("no such token"))
}

// attempts are the refusals that a door reported.
type attempts struct {
	mu  sync.Mutex
	all []Attempt
}

func (a *attempts) add(_ context.Context, at Attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, at)
}

// take returns the refusals since the last take.
func (a *attempts) take() []Attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := a.all
	a.all = nil
	return out
}

func alice() *gateway.Principal {
	return &gateway.Principal{ID: testIssuer + "|user|alice", Issuer: testIssuer, Subject: "alice", Kind: "user"}
}

func doorOptions(a *attempts) DoorOptions {
	return DoorOptions{
		Auth: tokens{"good": alice()}, Resource: testResource, Endpoints: []string{"/mcp", "/graphql"},
		Servers: []string{testIssuer}, Scopes: []string{"mcp:tools.list"}, Origins: []string{"https://app.example.test"},
		Public: []string{"/grpc.health.v1.Health/"}, Refused: a.add, Logger: quiet(),
	}
}

// behind answers what a handler behind the door got.
func behind(w http.ResponseWriter, r *http.Request) {
	id := ""
	if p := From(r.Context()); p != nil {
		id = p.ID
	}
	fmt.Fprintf(w, "%s %s%s", id, r.Header.Get("Authorization"), r.Header.Get("Cookie"))
}

func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request and returns the whole answer.
func ask(t testing.TB, method, url string, change func(*http.Request)) answer {
	t.Helper()
	r := must(http.NewRequestWithContext(t.Context(), method, url, nil))
	if change != nil {
		change(r)
	}
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return answer{resp.StatusCode, resp.Header, string(must(io.ReadAll(resp.Body)))}
}

// head adds headers to a request, given as names and values; Host is one.
func head(kv ...string) func(*http.Request) {
	return func(r *http.Request) {
		for i := 0; i < len(kv); i += 2 {
			if kv[i] == "Host" {
				r.Host = kv[i+1]
			} else {
				r.Header.Add(kv[i], kv[i+1])
			}
		}
	}
}

// with is head and a good token.
func with(kv ...string) func(*http.Request) {
	return head(append([]string{"Authorization", "Bearer good"}, kv...)...)
}

// wantRefusal checks the answer to a refused request, and the one report of it.
func wantRefusal(t *testing.T, got answer, want Attempt, reports []Attempt) {
	t.Helper()
	var problem struct {
		Status int
		Detail string
	}
	if err := json.Unmarshal([]byte(got.body), &problem); err != nil || problem.Status != got.status || problem.Detail == "" ||
		got.header.Get("Content-Type") != "application/problem+json" || got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("answer %q %v", got.body, got.header)
	}
	if strings.Contains(got.body, "no such token") {
		t.Errorf("the cause leaked: %s", got.body)
	}
	if want.Code = gateway.PermissionDenied; got.status == 401 {
		want.Code = gateway.Unauthenticated
	} else if got.status == 400 {
		want.Code = gateway.InvalidArgument
	}
	wantReport(t, want, reports)
}

// wantReport checks that there was one report, whose reason holds that of want.
func wantReport(t *testing.T, want Attempt, reports []Attempt) {
	t.Helper()
	if len(reports) != 1 {
		t.Fatalf("reported %+v, want one refusal", reports)
	}
	r := reports[0]
	if !strings.Contains(r.Reason, want.Reason) || r.Remote == "" || r.Time.IsZero() {
		t.Errorf("reported %+v, want a reason with %q, a peer and a time", r, want.Reason)
	}
	r.Reason, r.Remote, r.Time, want.Reason = "", "", time.Time{}, ""
	if d := cmp.Diff(want, r); d != "" {
		t.Errorf("reported: -want +got\n%s", d)
	}
}

func must2[A, B any](a A, b B, err error) (A, B) {
	if err != nil {
		panic(err)
	}
	return a, b
}
