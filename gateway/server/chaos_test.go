package server_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/guard"
)

// A mishap is what happens to the calls of a source.
type mishap string

const (
	well    mishap = ""
	killed  mishap = "killed"  // its connections end without an answer
	hanging mishap = "hanging" // it does not answer
	corrupt mishap = "corrupt" // it answers with nonsense
	tardy   mishap = "slow"    // it answers late
)

// A bad day stands before an MCP server and has mishaps with its calls.
type badDay struct {
	http.Handler
	now     atomic.Value // mishap
	reached atomic.Int64 // calls of tools that came here
	gone    atomic.Bool  // nothing is answered any more, not calls alone
	cut     func()       // ends all connections
}

func (b *badDay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if b.gone.Load() {
		panic(http.ErrAbortHandler)
	}
	if r.Header.Get("Mcp-Method") != "tools/call" {
		b.Handler.ServeHTTP(w, r)
		return
	}
	b.reached.Add(1)
	switch b.now.Load() {
	case killed:
		panic(http.ErrAbortHandler)
	case hanging:
		_, _ = io.Copy(io.Discard, r.Body) // Else the server does not notice that the caller leaves.
		<-r.Context().Done()
	case corrupt:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":`)
	case tardy:
		late := time.NewTimer(100 * time.Millisecond)
		defer late.Stop()
		select {
		case <-late.C:
		case <-r.Context().Done():
		}
		fallthrough
	default:
		b.Handler.ServeHTTP(w, r)
	}
}

// startBadDay runs a gateway with the source "bad", which has bad days, and the
// source "good", which has none. Edit may change the source "bad".
func startBadDay(t *testing.T, policy string, edit func(*config.Source)) (*rig, *badDay) {
	t.Helper()
	back := start(t, nil, withPolicy(t, everything))
	to, err := url.Parse(back.URL())
	if err != nil {
		t.Fatal(err)
	}
	day := &badDay{Handler: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = to.Host
	}}}
	day.now.Store(well)
	server := httptest.NewServer(day)
	t.Cleanup(server.Close)
	day.cut = server.CloseClientConnections
	bad := config.Source{
		Name: "bad", Prefix: true, MaxTools: 100, Guard: config.DefaultGuard(),
		MCP: &config.MCP{
			URL: server.URL + "/mcp", Timeout: 30 * time.Second, Era: "modern", Sessions: "shared", MaxSessions: 64, Idle: time.Hour,
			Headers:      map[string]config.Secret{"Authorization": config.Secret("Bearer " + back.token(t, "admin"))},
			AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		},
	}
	bad.Guard.Breaker.Open, bad.Guard.Breaker.MaxOpen = time.Second, 2*time.Second
	bad.Guard.Retry.Backoff, bad.Guard.Retry.MaxBackoff = time.Millisecond, 5*time.Millisecond
	edit(&bad)
	put := withPolicy(t, policy)
	front := start(t, nil, func(cfg *config.Config) {
		put(cfg)
		cfg.Sources = []config.Source{bad, {Name: "good", Prefix: true, MaxTools: 100, Guard: config.DefaultGuard(), Demo: true}}
	})
	poll(t, func() bool {
		return front.Gateway().View(&gateway.Principal{ID: "somebody", Roles: []string{"dev"}}).Tool("bad.demo.add") != nil
	})
	return front, day
}

// add calls a tool that adds, by REST, and returns the status and what was said.
func (r *rig) add(t testing.TB, tool string) (int, string) {
	t.Helper()
	return r.send(t, "dev", http.MethodPost, "/v1/tools/"+tool+":call", http.Header{"Content-Type": {"application/json"}}, `{"a":1,"b":2}`)
}

const leftAlone = "left alone"

func (r *rig) guardOf(t testing.TB, source string) guard.Stats {
	t.Helper()
	for _, s := range r.Sources() {
		if s.Name == source && s.Guard != nil {
			return *s.Guard
		}
	}
	t.Fatalf("no source %q", source)
	return guard.Stats{}
}

// latencies are how long calls took. They are safe for concurrent use.
type latencies struct {
	mu  sync.Mutex
	all []time.Duration
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, d)
}

// p99 returns the time that 99 of 100 calls did not exceed, 0 without calls.
func (l *latencies) p99() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		return 0
	}
	slices.Sort(l.all)
	return l.all[(len(l.all)-1)*99/100]
}

// TestChaos has mishaps with one source while callers use it and another. Each
// time the breaker opens within ten failing calls and closes by itself, the other
// source does not fail and keeps its 99th percentile, and every call has one audit
// record.
func TestChaos(t *testing.T) {
	const patience = 500 * time.Millisecond // of the calls that hang
	r, day := startBadDay(t, "p, role:dev, *, tool/**, call, allow\n", func(s *config.Source) {
		s.Guard.Tools = []config.ToolGuard{{Match: []string{"demo.add"}, Effect: "idempotent", Timeout: patience}}
	})
	var calls, good atomic.Int64
	var calm, stormy latencies // of the other source
	ctx, stop := context.WithCancel(t.Context())
	var others sync.WaitGroup
	for range 2 {
		others.Go(func() {
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
				calls.Add(1)
				now, began := &calm, time.Now()
				if day.now.Load() != well {
					now = &stormy
				}
				if code, body := r.add(t, "good.add"); code != http.StatusOK {
					t.Errorf("the other source: %d %s", code, body)
				}
				now.add(time.Since(began))
				good.Add(1)
			}
		})
	}
	poll(t, func() bool { return good.Load() >= 200 })
	const callers = 4
	for _, m := range []mishap{hanging, killed, corrupt} {
		opened, before := r.guardOf(t, "bad").Opened, day.reached.Load()
		served := good.Load()
		day.now.Store(m)
		var users sync.WaitGroup
		for range callers {
			users.Go(func() {
				for range 20 {
					calls.Add(1)
					code, body := r.add(t, "bad.demo.add")
					if code == http.StatusOK {
						t.Errorf("%s: %s", m, body)
					}
					if strings.Contains(body, leftAlone) {
						return
					}
				}
				t.Errorf("%s: the breaker does not open", m)
			})
		}
		users.Wait()
		if n := good.Load() - served; m == hanging && n < 10 { // Each of the callers has waited two times at least.
			t.Errorf("%d calls of the other source were answered meanwhile", n)
		}
		if n := day.reached.Load() - before; n > 10+callers-1 {
			t.Errorf("%s: %d calls were made", m, n)
		}
		if n := r.guardOf(t, "bad").Opened; n == opened {
			t.Errorf("%s: the breaker has not opened", m)
		}
		day.now.Store(well)
		poll(t, func() bool {
			calls.Add(1)
			code, _ := r.add(t, "bad.demo.add")
			return code == http.StatusOK
		})
		if s := r.guardOf(t, "bad"); s.Breaker != "closed" || s.Running != 0 {
			t.Errorf("%s: afterwards %+v", m, s)
		}
	}
	stop()
	others.Wait()
	// A machine that is busy with other things is slow to all calls. One that waited for those that hang takes as long.
	before, meanwhile := calm.p99(), stormy.p99()
	t.Logf("p99 of the other source: %s, and %s meanwhile", before, meanwhile)
	if meanwhile >= patience && meanwhile > 2*before {
		t.Errorf("the other source waits for the one that hangs: p99 is %s, and %s without mishaps", meanwhile, before)
	}
	if s := r.guardOf(t, "bad"); s.Retries == 0 {
		t.Errorf("nothing was tried again: %+v", s)
	}
	if s := r.guardOf(t, "good"); s.Opened != 0 || s.Rejected != 0 {
		t.Errorf("the other source: %+v", s)
	}
	if n := int64(len(r.records(t, int(calls.Load())))); n != calls.Load() {
		t.Errorf("%d records of %d calls", n, calls.Load())
	}
}

// TestSlowSource has one source answer late to more callers than it may have at
// once: they wait their turn or are refused, and the other source does not feel
// it.
func TestSlowSource(t *testing.T) {
	r, day := startBadDay(t, "p, role:dev, *, tool/**, call, allow\n", func(s *config.Source) {
		s.Guard.Concurrency = config.Concurrency{Max: 2, Queue: 4, Wait: 30 * time.Second}
	})
	day.now.Store(tardy)
	var served, refused atomic.Int64
	var users sync.WaitGroup
	for range 12 {
		users.Go(func() {
			switch code, body := r.add(t, "bad.demo.add"); code {
			case http.StatusOK:
				served.Add(1)
			case http.StatusTooManyRequests:
				refused.Add(1)
			default:
				t.Errorf("%d %s", code, body)
			}
		})
	}
	for range 20 {
		if code, body := r.add(t, "good.add"); code != http.StatusOK {
			t.Errorf("the other source: %d %s", code, body)
		}
	}
	users.Wait()
	if served.Load() < 6 || served.Load()+refused.Load() != 12 {
		t.Errorf("%d served, %d refused", served.Load(), refused.Load())
	}
	if s := r.guardOf(t, "bad"); s.Rejected != uint64(refused.Load()) || s.Running != 0 || s.Queued != 0 || s.Opened != 0 {
		t.Errorf("%+v", s)
	}
}

// TestFallbackTakesTheRoad has another source stand in for one that fails. That
// is a call of its own: with a decision, which may be no, and a record.
func TestFallbackTakesTheRoad(t *testing.T) {
	for _, allowed := range []bool{true, false} {
		policy := "p, role:dev, *, tool/bad/**, call, allow\n"
		if allowed {
			policy += "p, role:dev, *, tool/good/add, call, allow\n"
		}
		r, day := startBadDay(t, policy, func(s *config.Source) {
			s.Guard.Tools = []config.ToolGuard{{Match: []string{"demo.add"}, Effect: "read_only", Retry: &config.Retry{Attempts: 1}, Fallback: &config.Fallback{Tool: "good.add"}}}
		})
		day.now.Store(corrupt)
		code, body := r.add(t, "bad.demo.add")
		if allowed != (code == http.StatusOK && strings.Contains(body, "3")) {
			t.Errorf("allowed %v: %d %s", allowed, code, body)
		}
		records := r.records(t, 2)
		second, first := records[0], records[1] // That of the call is written when it ends, after the one within it.
		if first.ID == "" || second.Parent != first.ID || second.Name != "good.add" || len(records) != 2 {
			t.Errorf("%+v", records)
		}
		if allowed && (first.Served != "fallback" || first.Code != "OK" || second.Served != "") || !allowed && (first.Code != "INTERNAL" || second.By != "policy") {
			t.Errorf("allowed %v: %+v", allowed, records)
		}
	}
}

// TestCacheBehindThePolicy has the policy decide about every call that the cache
// answers, also while the source is away.
func TestCacheBehindThePolicy(t *testing.T) {
	r, day := startBadDay(t, "p, role:dev, *, tool/bad/**, call, allow\n", func(s *config.Source) {
		s.Guard.Tools = []config.ToolGuard{{Match: []string{"demo.add"}, Effect: "read_only", Cache: &config.Cache{TTL: time.Hour, MaxTTL: time.Hour, Size: 1 << 20, MaxEntry: 1 << 20}}}
	})
	for range 2 {
		if code, body := r.add(t, "bad.demo.add"); code != http.StatusOK {
			t.Fatalf("%d %s", code, body)
		}
	}
	if n := day.reached.Load(); n != 1 {
		t.Errorf("%d calls were made", n)
	}
	cfg := *r.config
	withPolicy(t, "p, role:dev, *, tool/good/**, call, allow\n")(&cfg)
	if err := r.Reload(t.Context(), &cfg); err != nil {
		t.Fatal(err)
	}
	if code, body := r.add(t, "bad.demo.add"); code != http.StatusNotFound && code != http.StatusForbidden {
		t.Errorf("after the policy has changed: %d %s", code, body)
	}
	records := r.records(t, 3)
	if records[0].Served != "" || records[1].Served != "cache" || records[1].Code != "OK" || records[2].By != "policy" {
		t.Errorf("%+v", records)
	}
	if s := r.guardOf(t, "bad"); s.CacheHits != 1 || s.CacheEntries != 1 {
		t.Errorf("a reload has changed the guards of a source that is as it was: %+v", s)
	}
}

// TestCacheWhileAway has a source go away whose answers are kept: it is in no list
// any more, and what it has answered before is answered still.
func TestCacheWhileAway(t *testing.T) {
	r, day := startBadDay(t, "p, role:dev, *, tool/bad/**, call, allow\n", func(s *config.Source) {
		s.Guard.Tools = []config.ToolGuard{{Match: []string{"demo.add"}, Effect: "read_only", Cache: &config.Cache{
			TTL: time.Nanosecond, MaxTTL: time.Hour, Stale: time.Hour, Size: 1 << 20, MaxEntry: 1 << 20,
		}}}
	})
	if code, body := r.add(t, "bad.demo.add"); code != http.StatusOK {
		t.Fatalf("%d %s", code, body)
	}
	day.gone.Store(true)
	day.cut()
	poll(t, func() bool {
		return r.Gateway().View(&gateway.Principal{ID: "somebody", Roles: []string{"dev"}}).Tool("bad.demo.add") == nil
	})
	if code, body := r.add(t, "bad.demo.add"); code != http.StatusOK || !strings.Contains(body, "3") {
		t.Errorf("%d %s", code, body)
	}
	records := r.records(t, 2)
	if records[1].Served != "stale" || records[1].Code != "OK" {
		t.Errorf("%+v", records[1])
	}
	if code, body := r.send(t, "dev", http.MethodPost, "/v1/tools/bad.demo.add:call", http.Header{"Content-Type": {"application/json"}}, `{"a":1,"b":3}`); code != http.StatusServiceUnavailable {
		t.Errorf("what was not asked before: %d %s", code, body)
	}
}

// TestSourcePool shows administrators what the connections to a source do.
func TestSourcePool(t *testing.T) {
	r, _ := startBadDay(t, "p, role:dev, *, tool/**, call, allow\np, role:admin, *, admin/sources, read, allow\n", func(*config.Source) {})
	for range 3 {
		if code, body := r.add(t, "bad.demo.add"); code != http.StatusOK {
			t.Fatalf("%d %s", code, body)
		}
	}
	res, err := adminv1.NewSourceServiceClient(r.grpc).ListSources(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+r.token(t, "admin")), &adminv1.ListSourcesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	pools := map[string]*adminv1.SourcePool{}
	for _, s := range res.GetSources() {
		pools[s.GetName()] = s.GetPool()
		if s.GetGuard().GetBreaker() != "closed" || s.GetGuard().GetLimit() != 1024 {
			t.Errorf("%s: %v", s.GetName(), s.GetGuard())
		}
	}
	if p := pools["bad"]; p.GetConnectionsOpened() == 0 || p.GetConnectionsReused() == 0 || p.GetOpen() != 1 || pools["good"] != nil {
		t.Errorf("%v", pools)
	}
}
