package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/config"
)

// A standing is a kind of stream that many clients hold open at once.
type standing struct {
	name    string
	subject string
	secure  bool
	open    func(context.Context, *subscribers, endpoint) error // opens one
}

func standings() []standing {
	return []standing{
		{"streams/net-http", "bare-stream", false, openBare},
		{"streams/session", "trilith-streams", false, openSession},
		{"streams/session-tls", "trilith-streams-tls", true, openSession},
		{"streams/sse", "trilith-streams", false, openSSE},
		{"streams/listen", "trilith-streams", false, openListen},
		{"streams/listen-tls", "trilith-streams-tls", true, openListen},
	}
}

// A streamResult is what streams of one kind cost their server, and how fast
// all of them were told that a list had changed.
type streamResult struct {
	Name       string  `json:"name"`
	Streams    int     `json:"streams"`
	RSS        float64 `json:"rss_kib_each"`        // at rest: after a garbage collection
	Before     float64 `json:"rss_kib_each_before"` // that collection
	Goroutines float64 `json:"goroutines_each"`
	First      float64 `json:"first_ms"` // from the change to the first client, median of rounds
	Half       float64 `json:"half_ms"`  // to half of them
	Last       float64 `json:"last_ms"`  // to the last
	CPU        float64 `json:"cpu_us_each"`
}

// run opens n streams, looks at the server at rest, and lets a list change
// rounds times.
func (s standing) run(ctx context.Context, n, rounds int) (r streamResult, err error) {
	p, err := start(ctx, s.subject, "", runtime.NumCPU())
	if err != nil {
		return r, err
	}
	defer p.stop()
	subs, err := newSubscribers(s.secure)
	if err != nil {
		return r, err
	}
	defer subs.close()
	if err := s.openMany(ctx, subs, p.endpoint, warmStreams); err != nil {
		return r, err
	}
	before, err := p.rest()
	if err != nil {
		return r, err
	}
	if err := s.openMany(ctx, subs, p.endpoint, n); err != nil {
		return r, err
	}
	opened, err := p.usage()
	if err != nil {
		return r, err
	}
	at, err := p.rest()
	if err != nil {
		return r, err
	}
	each := func(kib int64) float64 { return float64(kib) / float64(n) }
	r = streamResult{
		Name: s.name, Streams: n, RSS: each(at.RSS - before.RSS), Before: each(opened.RSS - before.RSS),
		Goroutines: float64(at.Goroutines-before.Goroutines) / float64(n),
	}
	var first, half, last, cpu []float64
	for range rounds {
		before, err := p.usage()
		if err != nil {
			return r, err
		}
		if err := subs.drain(); err != nil { // Comments, perhaps.
			return r, err
		}
		times, err := subs.told(ctx, func() (time.Time, error) { return grow(ctx, p.endpoint) })
		if err != nil {
			return r, err
		}
		after, err := p.usage()
		if err != nil {
			return r, err
		}
		ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
		first, half, last = append(first, ms(times[0])), append(half, ms(times[len(times)/2])), append(last, ms(times[len(times)-1]))
		cpu = append(cpu, float64(after.CPU-before.CPU)/float64(len(times)))
	}
	of := func(v []float64) float64 { return median(len(v), func(i int) float64 { return v[i] }) }
	r.First, r.Half, r.Last, r.CPU = of(first), of(half), of(last), of(cpu)
	return r, nil
}

// warmStreams are open before the server is looked at for the first time, so
// that what is there once does not count.
const warmStreams = 200

func streamTable(w io.Writer, r streamResult) {
	fmt.Fprintf(w, "%-22s %6d streams: %.2f KiB each at rest (%.2f before), %.3f goroutines; list_changed after %.1f, %.1f, %.1f ms (first, half, last), %.1f µs CPU each\n",
		r.Name, r.Streams, r.RSS, r.Before, r.Goroutines, r.First, r.Half, r.Last, r.CPU)
}

// streamPage is the part of the page about streams.
func streamPage(results []streamResult) []byte {
	var b bytes.Buffer
	b.WriteString(`
## Standing streams

Streams that stay open while nothing happens, each with a connection of its own, held by a process of its own: RSS for each
beyond that of ` + strconv.Itoa(warmStreams) + `, at rest after a garbage collection and, in brackets, before it. What the kernel keeps for a
connection, about 5 KiB, is not in it. ` + "`streams/session`" + ` is the GET stream of a session of 2025-11-25 with all that the
session holds, ` + "`streams/sse`" + ` one of the HTTP+SSE transport, ` + "`streams/listen`" + ` subscriptions/listen of 2026-07-28. The control,
` + "`streams/net-http`" + `, is a net/http handler that waits in its goroutine and knows nothing of sessions. Then the time from a
change of the registry to the arrival of notifications/tools/list_changed at the first, half and the last of them, medians.
Server and client share the machine.

| streams | number | KiB each | goroutines each | first ms | half ms | last ms | CPU µs each |
|---|---|---|---|---|---|---|---|
`)
	for _, r := range results {
		fmt.Fprintf(&b, "| %s | %d | %.2f (%.2f) | %.3f | %.1f | %.1f | %.1f | %.1f |\n",
			r.Name, r.Streams, r.RSS, r.Before, r.Goroutines, r.First, r.Half, r.Last, r.CPU)
	}
	return b.Bytes()
}

// bareStream is the control: a handler that waits.
func bareStream(ctx context.Context) (endpoint, func() error, error) {
	var news news
	mux := http.NewServeMux()
	mux.HandleFunc("GET /mcp", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		rc := http.NewResponseController(w)
		_, _ = io.WriteString(w, "data:\n\n") // The client has gone, as below.
		for seen := news.get(); rc.Flush() == nil; {
			select {
			case <-seen.replaced:
				seen = news.get()
				_, _ = io.WriteString(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\",\"params\":{}}\n\n")
			case <-r.Context().Done():
				return
			}
		}
	})
	mux.HandleFunc("POST /mcp", func(w http.ResponseWriter, _ *http.Request) {
		t := time.Now()
		news.replace()
		_, _ = fmt.Fprintf(w, `{"text":"%d"}`, t.UnixNano())
	})
	return listen(ctx, "/mcp", mux)
}

// streaming is a gateway that lets one principal hold all the streams.
func streaming(secure bool) subject {
	return func(ctx context.Context) (endpoint, func() error, error) {
		f := new(gateway.Funcs)
		n := 0
		err := f.AddTool(json.RawMessage(`{"name":"grow","description":"Adds a tool.","inputSchema":{"type":"object"}}`),
			func(context.Context, *gateway.Call) (*gateway.Result, error) {
				n++ // It is called by one client, once at a time.
				at := time.Now()
				err := f.AddTool(fmt.Appendf(nil, `{"name":"grown_%d","description":"New.","inputSchema":{"type":"object"}}`, n),
					func(context.Context, *gateway.Call) (*gateway.Result, error) { return gateway.TextResult("ok"), nil })
				return gateway.TextResult(strconv.FormatInt(at.UnixNano(), 10)), err
			})
		if err != nil {
			return endpoint{}, nil, err
		}
		return openWith(ctx, "bench.grow", map[string]gateway.Upstream{"bench": f}, func(cfg *config.Config) error {
			cfg.Limits.SessionsPerPrincipal, cfg.Limits.StreamsPerPrincipal = 1<<20, 1<<20
			if !secure {
				return nil
			}
			cfg.Listen.TLS = &config.TLS{Cert: filepath.Join(cfg.Data, "tls.crt"), Key: filepath.Join(cfg.Data, "tls.key")}
			return selfSigned(cfg.Listen.TLS.Cert, cfg.Listen.TLS.Key)
		})
	}
}

// selfSigned writes a certificate and its key.
func selfSigned(cert, key string) error {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	c, err := x509.CreateCertificate(rand.Reader, t, t, &k.PublicKey, k)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return err
	}
	if err := os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}
