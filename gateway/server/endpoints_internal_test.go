package server

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/trilith-gateway/trilith/gateway/config"
)

// TestProbe asks an endpoint whether it is there, in each of the ways there are.
func TestProbe(t *testing.T) {
	var code atomic.Int32
	var asked atomic.Pointer[http.Request]
	code.Store(http.StatusNoContent)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r)
		w.WriteHeader(int(code.Load()))
	}))
	defer up.Close()
	c := config.Source{Name: "s", HTTP: &config.HTTP{}}
	c.HTTP.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	c.HTTP.Headers = map[string]config.Secret{"Authorization": "Bearer secret"}
	c.Balance.Health = config.EndpointHealth{Probe: "http", Path: "/health/ready"}
	s := &Server{}
	probe := func() error {
		t.Helper()
		ask, err := s.probe(c, &c.HTTP.Remote, up.URL+"/api/v1?x=y")
		if err != nil || ask == nil {
			t.Fatal(err)
		}
		return ask(t.Context())
	}
	if err := probe(); err != nil {
		t.Error(err)
	}
	if r := asked.Load(); r.Method != http.MethodGet || r.RequestURI != "/health/ready" || r.Header.Get("Authorization") != "" {
		t.Errorf("it was asked %s %s %v", r.Method, r.RequestURI, r.Header)
	}
	for _, bad := range []int32{http.StatusMovedPermanently, http.StatusUnauthorized, http.StatusServiceUnavailable} {
		code.Store(bad)
		if err := probe(); err == nil || !strings.Contains(err.Error(), "/health/ready answers with the status") {
			t.Errorf("%d: %v", bad, err)
		}
	}
	c.Balance.Health = config.EndpointHealth{Probe: "tcp"}
	if err := probe(); err != nil {
		t.Errorf("it accepts connections: %v", err)
	}
	up.Close()
	for _, kind := range []string{"tcp", "http"} {
		c.Balance.Health.Probe = kind
		if err := probe(); err == nil {
			t.Errorf("%s: nobody is there", kind)
		}
	}
	c.Balance.Health.Probe = "off"
	if ask, err := s.probe(c, &c.HTTP.Remote, up.URL); ask != nil || err != nil {
		t.Errorf("it is asked: %v", err)
	}
	c.HTTP.AllowPrivate, c.Balance.Health.Probe = nil, "http"
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ask, err := s.probe(c, &c.HTTP.Remote, "http://"+l.Addr().String())
	if err == nil {
		err = ask(t.Context())
	}
	if err == nil {
		t.Error("a private address was asked that is not allowed")
	}
}
