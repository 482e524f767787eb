package gateway_test

import (
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

func TestSessions(t *testing.T) {
	revoked := &gateway.Error{Code: gateway.Unauthenticated, By: "test", Msg: "revoked"}
	var shut string
	s := &gateway.Sessions{Check: func(p *gateway.Principal) *gateway.Error {
		if p.ID == shut {
			return revoked
		}
		return nil
	}}
	ends := map[string]*gateway.Error{}
	open := func(name, who string) gateway.OpenSession {
		return s.Open(gateway.Session{Via: "mcp", Kind: name, Principal: &gateway.Principal{ID: who}, End: func(why *gateway.Error) { ends[name] = why }})
	}
	a, b := open("a", "alice"), open("b", "bob")
	all := s.All()
	if len(all) != 2 || all[0].ID == all[1].ID || all[0].ID == "" || time.Since(all[0].Opened) > time.Minute {
		t.Fatalf("open sessions: %+v", all)
	}
	if n := s.End(func(x *gateway.Session) *gateway.Error {
		if x.Principal.ID == "alice" {
			return revoked
		}
		return nil
	}); n != 1 || ends["a"] != revoked || ends["b"] != nil {
		t.Errorf("%d sessions ended: %v", n, ends)
	}
	a.Close()
	b.Close()
	if all := s.All(); len(all) != 0 {
		t.Errorf("sessions are open after all were closed: %+v", all)
	}
	shut = "carol"
	c := open("c", "carol")
	if ends["c"] != revoked {
		t.Error("a session that began as its principal was shut out goes on")
	}
	c.Close()
}

// A door that was given no Sessions works without.
func TestNoSessions(t *testing.T) {
	var s *gateway.Sessions
	s.Open(gateway.Session{}).Close()
	if s.All() != nil || s.End(func(*gateway.Session) *gateway.Error { return nil }) != 0 {
		t.Error("there are sessions where there is no place for them")
	}
}
