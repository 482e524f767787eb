package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
)

// shared starts a NATS server that two gateways can share.
func shared(t *testing.T) string {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("NATS is not ready after 10 s")
	}
	return s.ClientURL()
}

// TestSessionGoesOnAtAnotherNode opens a session of 2025-11-25 on one node and
// goes on with it on another that shares its state, and its issuer.
func TestSessionGoesOnAtAnotherNode(t *testing.T) {
	url := shared(t)
	a := start(t, nil, func(cfg *config.Config) { cfg.State.NATSURL = url })
	b := start(t, nil, func(cfg *config.Config) {
		cfg.State.NATSURL = url
		cfg.Auth.Issuers = []config.Issuer{{Name: "a", Issuer: a.URL() + "/dev/issuer", Audiences: []string{a.URL()}, RequireTyp: true}}
	})
	header := func(persona, session string) http.Header {
		h := http.Header{}
		h.Set("Content-Type", "application/json")
		h.Set("Accept", "application/json, text/event-stream")
		h.Set("Authorization", "Bearer "+a.token(t, persona))
		if session != "" {
			h.Set("Mcp-Session-Id", session)
			h.Set("MCP-Protocol-Version", "2025-11-25")
		}
		return h
	}
	session := a.initialize(t, header("dev", ""))
	const list = `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`
	for name, node := range map[string]*rig{"the node that opened it": a, "the other node": b} {
		poll(t, func() bool { // The other node may still be looking for the issuer's keys.
			code, body := node.send(t, "", http.MethodPost, "/mcp", header("dev", session), list)
			return code == http.StatusOK && strings.Contains(body, "demo.add")
		})
		if code, body := node.send(t, "", http.MethodPost, "/mcp", header("guest", session), list); code != http.StatusNotFound {
			t.Errorf("%s, with another caller's session: %d %s", name, code, body)
		}
	}
}

// initialize opens a session of a client that can do nothing and returns its id.
func (r *rig) initialize(t *testing.T, h http.Header) string {
	t.Helper()
	return r.initializeAs(t, h, `{}`)
}

// initializeAs opens a session of a client with capabilities and returns its id.
func (r *rig) initializeAs(t *testing.T, h http.Header, capabilities string) string {
	t.Helper()
	body := `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":` + capabilities + `,"clientInfo":{"name":"test","version":"1"}}}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL()+"/mcp", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = h
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || res.Header.Get("Mcp-Session-Id") == "" {
		t.Fatalf("initialize: %s", res.Status)
	}
	return res.Header.Get("Mcp-Session-Id")
}

// counted is a source that counts how often it is asked to look again.
type counted struct {
	*gateway.Funcs
	refreshed atomic.Int64
}

func (c *counted) Refresh() { c.refreshed.Add(1) }

// TestChangeIsToldToOtherNodes changes what a source of one node offers: the
// other node's sources look again.
func TestChangeIsToldToOtherNodes(t *testing.T) {
	url := shared(t)
	onState := func(cfg *config.Config) { cfg.State.NATSURL = url }
	changing, watching := lab(t), &counted{Funcs: new(gateway.Funcs)}
	start(t, map[string]gateway.Upstream{"x": changing}, onState)
	start(t, map[string]gateway.Upstream{"x": watching}, onState)
	before := watching.refreshed.Load()
	changing.Remove(gateway.KindTool, "raw")
	poll(t, func() bool { return watching.refreshed.Load() > before })
}

// TestSessionsOfTheCluster lists and ends at one node what is open at another.
func TestSessionsOfTheCluster(t *testing.T) {
	p := twoNodes(t)
	session := p.begin(t, "{}")
	events := p.stream(t, p.a, http.MethodGet, p.headers(t, "dev", session), "")
	var id string
	poll(t, func() bool {
		code, body := p.b.send(t, "", http.MethodGet, "/admin/v1/sessions", p.headers(t, "admin", ""), "")
		var all struct {
			Sessions     []struct{ ID, Kind string }
			MissingNodes []string
		}
		if err := json.Unmarshal([]byte(body), &all); err != nil || code != http.StatusOK || len(all.MissingNodes) > 0 {
			t.Fatalf("%d %s", code, body)
		}
		for _, s := range all.Sessions {
			if s.Kind == "stream" {
				id = s.ID
			}
		}
		return id != ""
	})
	if code, body := p.b.send(t, "", http.MethodDelete, "/admin/v1/sessions/"+id, p.headers(t, "dev", ""), ""); code != http.StatusNotFound && code != http.StatusForbidden {
		t.Errorf("whoever may not end sessions: %d %s", code, body)
	}
	if code, body := p.b.send(t, "", http.MethodDelete, "/admin/v1/sessions/"+id, p.headers(t, "admin", ""), ""); code != http.StatusOK {
		t.Errorf("ending it: %d %s", code, body)
	}
	timeout := time.After(30 * time.Second)
	for open := true; open; {
		select {
		case _, open = <-events:
		case <-timeout:
			t.Fatal("the stream goes on")
		}
	}
	if code, body := p.b.send(t, "", http.MethodDelete, "/admin/v1/sessions/nobody", p.headers(t, "admin", ""), ""); code != http.StatusNotFound {
		t.Errorf("ending no session: %d %s", code, body)
	}
}
