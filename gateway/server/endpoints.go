package server

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/guard"
	"github.com/trilith-gateway/trilith/protocols/egress"
)

// makeGuarded makes the upstream of a source behind its guards. With several
// endpoints each has an upstream of its own; they are returned in their order.
func (s *Server) makeGuarded(c config.Source, have secrets, most time.Duration) ([]gateway.Upstream, *guard.Source, *guard.Endpoints, error) {
	first, err := s.makeUpstream(c, have)
	if err != nil {
		return nil, nil, nil, err
	}
	if len(c.Endpoints) == 0 {
		safe, err := s.guarded(c, first, most)
		return []gateway.Upstream{first}, safe, nil, err
	}
	o, err := s.guardOptions(c, most)
	if err != nil {
		return nil, nil, nil, err
	}
	outer, inner := o.Split()
	_, remote := c.Remote()
	ups := []gateway.Upstream{first}
	all := []guard.Endpoint{{Name: "main", Up: guard.New(first, inner), Weight: c.Balance.Weight}}
	if all[0].Probe, err = s.probe(c, remote, remote.URL); err != nil {
		return nil, nil, nil, err
	}
	for _, e := range c.Endpoints {
		up, err := s.makeUpstream(c.At(e.URL), have)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("endpoint %q: %w", e.Name, err)
		}
		p := guard.Endpoint{Name: e.Name, Up: guard.New(up, inner), Weight: e.Weight, Role: roleOf(e.Role)}
		if p.Probe, err = s.probe(c, remote, e.URL); err != nil {
			return nil, nil, nil, fmt.Errorf("endpoint %q: %w", e.Name, err)
		}
		ups, all = append(ups, up), append(all, p)
	}
	endpoints, err := guard.NewEndpoints(all, s.endpointsOptions(c))
	if err != nil {
		return nil, nil, nil, err
	}
	return ups, guard.New(endpoints, outer), endpoints, nil
}

// wireOf returns what counts the connections of the upstreams of a source, or nil
// where they have none.
func wireOf(ups []gateway.Upstream) func() egress.Connections {
	var all []func() egress.Connections
	for _, up := range ups {
		if u, ok := up.(interface{ Connections() egress.Connections }); ok {
			all = append(all, u.Connections)
		}
	}
	if all == nil {
		return nil
	}
	return func() (sum egress.Connections) {
		for _, of := range all {
			n := of()
			sum.Idle, sum.Opened, sum.Reused = sum.Idle+n.Idle, sum.Opened+n.Opened, sum.Reused+n.Reused
		}
		return sum
	}
}

func (s *Server) endpointsOptions(c config.Source) guard.EndpointsOptions {
	b := &c.Balance
	policy, _ := guard.ParsePolicy(b.Policy) // The configuration knows the same names.
	o := guard.EndpointsOptions{
		Source: c.Name, Trusted: trusted(c), MirrorAll: b.MirrorChanges, Logger: s.log,
		Balance: guard.Balance{Policy: policy, Argument: b.HashArgument, Sticky: c.MCP != nil && c.MCP.Sessions == "principal"},
		Health: guard.Health{
			Failures: b.Health.Failures, Eject: b.Health.Eject, MaxEject: b.Health.MaxEject, Interval: b.Health.Interval, Timeout: b.Health.Timeout,
		},
		Canary: guard.CanaryOptions{
			Percent: b.Canary.Percent, Calls: b.Canary.Calls, Window: b.Canary.Window,
			ErrorRate: float64(b.Canary.Errors) / 100, Latency: float64(b.Canary.Latency) / 100,
		},
	}
	if b.Canary.Latency == 0 {
		o.Canary.Latency = -1
	}
	o.Canary.Board = s.canaries.Board(c.Name, trialOf(c))
	return o
}

// trialOf names what of a source's configuration is on trial: with another one
// what was decided of its canary means nothing.
func trialOf(c config.Source) string {
	_, remote := c.Remote()
	h := sha256.New()
	_ = json.NewEncoder(h).Encode([]any{remote.URL, c.Endpoints, c.Balance.Canary}) // A hash never fails, and all of it marshals.
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func roleOf(text string) guard.Role {
	switch text {
	case "canary":
		return guard.Canary
	case "mirror":
		return guard.Mirror
	}
	return guard.Stable
}

// probe returns what asks whether an endpoint is there, over a new connection each
// time, or nil where nobody asks.
func (s *Server) probe(c config.Source, remote *config.Remote, at string) (func(context.Context) error, error) {
	if c.Balance.Health.Probe == "off" {
		return nil, nil //nolint:nilnil // It is not asked.
	}
	u, err := url.Parse(at)
	if err != nil {
		return nil, err
	}
	o := egress.Options{Name: c.Name, URL: at, AllowPrivate: remote.AllowPrivate}
	if h := c.Balance.Health; h.Probe == "http" {
		u = u.ResolveReference(&url.URL{Path: h.Path})
		o.Headers = http.Header{"User-Agent": {"trilith/" + s.options.Version + " health"}}
		return func(ctx context.Context) error { return probeHTTP(ctx, o, u.String()) }, nil
	}
	client, err := egress.New(o)
	if err != nil {
		return nil, err
	}
	address := dialled(u)
	return func(ctx context.Context) error {
		conn, err := client.Dial(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}, nil
}

// probeHTTP asks for a page and returns why it was not given.
func probeHTTP(ctx context.Context, o egress.Options, page string) error {
	client, err := egress.New(o)
	if err != nil {
		return err
	}
	defer client.Close() //nolint:errcheck // Nothing is under way.
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, page, http.NoBody)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil {
		return err
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("%s answers with the status %d", req.URL.Path, res.StatusCode)
	}
	return nil
}

// dialled returns the host and the port of a URL.
func dialled(u *url.URL) string {
	return net.JoinHostPort(strings.ToLower(u.Hostname()), cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme]))
}

// endpoints returns those of a source, or nil where it has one.
func (m *sources) endpoints(name string) *guard.Endpoints {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.current[name]; r != nil {
		return r.endpoints
	}
	return nil
}
