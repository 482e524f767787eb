package upstream_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/egress"
	"github.com/trilith-gateway/trilith/protocols/grpc/upstream"
)

// TestTLS has a server whose certificate only some authority of the operator's has signed.
func TestTLS(t *testing.T) {
	web := httptest.NewUnstartedServer(nil)
	web.EnableHTTP2 = true
	web.StartTLS() // For its certificate, which is for 127.0.0.1.
	t.Cleanup(web.Close)
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	s := serve(t, serverOptions{set: bare(fixtureSet(t, nil)), reflect: "v1", grpc: []grpc.ServerOption{
		grpc.Creds(credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12, Certificates: web.TLS.Certificates})),
	}})
	s.on("echo", func(_ context.Context, in string, send func(string) error) error { return send(in) })
	to := func(config *tls.Config) *upstream.Upstream {
		return upstreamTo(t, s.addr, func(o *upstream.Options) {
			if err := o.Client.Close(); err != nil {
				t.Fatal(err)
			}
			var err error
			if o.Client, err = egress.New(egress.Options{Name: "test", URL: "https://" + s.addr, AllowPrivate: loopback}); err != nil {
				t.Fatal(err)
			}
			o.TLS = config
		})
	}
	u := to(&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots})
	watch(t, u).catalog(t)
	if _, err := call(t.Context(), u, "Fixture.echo", `{"text":"x"}`, nil); err != nil {
		t.Error(err)
	}
	if err := next(t, watch(t, to(nil)).errs, "a certificate that nobody trusts"); !strings.Contains(err.Error(), "certificate") {
		t.Error(err)
	}
}

// renewing gives credentials by number; what the server refuses is renewed.
type renewing struct {
	mu sync.Mutex
	n  int
}

func (r *renewing) Authorization(context.Context) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return "Bearer " + strings.Repeat("x", r.n+1), nil
}

func (r *renewing) Challenged(_ context.Context, req *http.Request, _ *http.Response) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if req.Header.Get("Authorization") == "Bearer "+strings.Repeat("x", r.n+1) {
		r.n++
	}
	return r.n < 3, nil
}

// TestRenewed has a server that does not take the first credential any more, and one that takes none.
func TestRenewed(t *testing.T) {
	auth := &renewing{}
	s, u, _, _ := fixture(t, func(o *upstream.Options) {
		at := o.Client.URL().String()
		if err := o.Client.Close(); err != nil {
			t.Fatal(err)
		}
		var err error
		if o.Client, err = egress.New(egress.Options{Name: "test", URL: at, Authorizer: auth, AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}); err != nil {
			t.Fatal(err)
		}
	})
	var mu sync.Mutex
	var seen []string
	want := "Bearer xx"
	s.on("echo", func(ctx context.Context, in string, send func(string) error) error {
		md, _ := metadata.FromIncomingContext(ctx)
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, md["authorization"]...)
		if md["authorization"][0] != want {
			return status.Error(codes.Unauthenticated, "who?")
		}
		return send(in)
	})
	if _, err := call(t.Context(), u, "Fixture.echo", `{"text":"x"}`, nil); err != nil || len(seen) != 2 {
		t.Errorf("%v, after %q", err, seen)
	}
	// A stream that has begun is not asked for again: its messages would come twice.
	calls := 0
	s.on("Watch", func(_ context.Context, _ string, send func(string) error) error {
		calls++
		return cmp.Or(send(`"7"`), status.Error(codes.Unauthenticated, "who?"))
	})
	var shown []string
	res, err := call(t.Context(), u, "Odd.Watch", `{}`, func(p gateway.Progress) { shown = append(shown, p.Message) })
	if calls != 1 || len(shown) != 1 || err == nil && !res.IsError {
		t.Errorf("%d calls, %q shown, %v", calls, shown, err)
	}
	mu.Lock()
	seen, want = nil, "none"
	mu.Unlock()
	_, err = call(t.Context(), u, "Fixture.echo", `{"text":"x"}`, nil)
	if e := gateway.AsError(err); e == nil || e.Code != gateway.FailedPrecondition || strings.Contains(e.Msg, "who") || len(seen) != 2 {
		t.Errorf("%v, after %q", err, seen)
	}
}
