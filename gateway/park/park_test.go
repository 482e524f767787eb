package park_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/trilith-gateway/trilith/gateway/park"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// A source is a handler of streams that writes what it is given.
type source struct {
	mu     sync.Mutex
	stream *park.Stream
	queue  [][]byte
	last   bool
	woken  int
	broken bool
	ended  chan error
}

func (s *source) Next(p *park.Stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		panic("broken")
	}
	s.woken++
	for len(s.queue) > 0 && !p.Full() {
		p.Write(s.queue[0])
		s.queue = s.queue[1:]
	}
	return !s.last || len(s.queue) > 0
}

func (s *source) Ended(err error) { s.ended <- err }

func (s *source) say(b []byte, last bool) {
	s.mu.Lock()
	s.queue, s.last = append(s.queue, b), last
	s.mu.Unlock()
	s.stream.Wake()
}

// A stand is a server whose every answer is parked.
type stand struct {
	*httptest.Server
	lot     *park.Lot
	sources chan *source
}

func newStand(t testing.TB, o park.Options, secure bool, wrap func(net.Listener) net.Listener) *stand {
	t.Helper()
	st := &stand{lot: park.New(o), sources: make(chan *source, 4096)}
	st.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		fmt.Fprint(w, "begin\n")
		src := &source{ended: make(chan error, 1)}
		if !st.lot.Park(w, r, func(p *park.Stream) park.Handler {
			src.stream = p
			return src
		}) {
			fmt.Fprint(w, "not parked\n")
			return
		}
		st.sources <- src
	}))
	st.Config.ErrorLog = nil
	if wrap != nil {
		st.Listener = wrap(st.Listener)
	}
	if secure {
		st.StartTLS()
	} else {
		st.Start()
	}
	t.Cleanup(func() {
		st.lot.Close()
		st.Client().CloseIdleConnections()
		st.Close()
	})
	return st
}

// open begins a stream and reads its first line.
func (st *stand) open(t testing.TB) (*http.Response, *bufio.Reader, *source) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, st.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := st.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	r := bufio.NewReader(res.Body)
	line(t, r, "begin\n")
	return res, r, receive(t, st.sources)
}

func line(t testing.TB, r *bufio.Reader, want string) {
	t.Helper()
	got, err := r.ReadString('\n')
	if err != nil || got != want {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

func receive[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// opaque hides that a connection is a socket.
type opaque struct{ net.Listener }

func (o opaque) Accept() (net.Conn, error) {
	c, err := o.Listener.Accept()
	return struct{ net.Conn }{c}, err
}

// each runs a test with every kind of connection.
func each(t *testing.T, o park.Options, test func(*testing.T, *stand)) {
	t.Run("plain", func(t *testing.T) { test(t, newStand(t, o, false, nil)) })
	t.Run("TLS", func(t *testing.T) { test(t, newStand(t, o, true, nil)) })
	t.Run("no socket", func(t *testing.T) {
		test(t, newStand(t, o, false, func(l net.Listener) net.Listener { return opaque{l} }))
	})
}

func TestAnswer(t *testing.T) {
	each(t, park.Options{}, func(t *testing.T, st *stand) {
		res, r, src := st.open(t)
		if res.TransferEncoding == nil || !res.Close {
			t.Errorf("the head is %+v", res)
		}
		src.say([]byte("one\n"), false)
		line(t, r, "one\n")
		big := strings.Repeat("x", 1<<20) + "\n" // More than any socket takes at once.
		src.say([]byte(big), false)
		line(t, r, big)
		src.say([]byte("last\n"), true)
		line(t, r, "last\n")
		if _, err := r.ReadByte(); !errors.Is(err, io.EOF) { // Not unexpected: the answer is whole.
			t.Errorf("the end is %v", err)
		}
		if err := receive(t, src.ended); err != nil {
			t.Errorf("ended with %v", err)
		}
		if n := st.lot.Len(); n != 0 {
			t.Errorf("%d streams are left", n)
		}
		src.stream.Wake() // Does nothing.
	})
}

// TestFraming holds the bytes on the wire against the two versions of HTTP/1.
func TestFraming(t *testing.T) {
	for version, body := range map[string]string{
		"1.1": "\r\n\r\n6\r\nbegin\n\r\n4\r\none\n\r\n11\r\n" + strings.Repeat("2", 17) + "\r\n0\r\n\r\n",
		"1.0": "\r\n\r\nbegin\none\n" + strings.Repeat("2", 17),
	} {
		st := newStand(t, park.Options{}, false, nil)
		c, err := net.Dial("tcp", st.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET / HTTP/%s\r\nHost: x\r\n\r\n", version)
		src := receive(t, st.sources)
		src.say([]byte("one\n"), false)
		src.say(bytes.Repeat([]byte("2"), 17), true)
		got, err := io.ReadAll(c)
		if err != nil || !strings.HasSuffix(string(got), body) {
			t.Errorf("%s: %v\n%q", version, err, got)
		}
	}
}

func TestClientGoes(t *testing.T) {
	each(t, park.Options{}, func(t *testing.T, st *stand) {
		res, _, src := st.open(t)
		res.Body.Close()
		if err := receive(t, src.ended); !errors.Is(err, park.ErrGone) {
			t.Errorf("ended with %v", err)
		}
	})
}

// TestSlowReader fills a stream that nobody reads: it is given up, and holds up
// no other meanwhile.
func TestSlowReader(t *testing.T) {
	each(t, park.Options{WriteTimeout: 200 * time.Millisecond, QueueBytes: 1 << 20}, func(t *testing.T, st *stand) {
		_, _, slow := st.open(t)
		_, r, quick := st.open(t)
		for range 64 {
			slow.say(bytes.Repeat([]byte("x"), 1<<18), false)
		}
		for range 10 {
			quick.say([]byte("on\n"), false)
			line(t, r, "on\n")
		}
		if err := receive(t, slow.ended); !errors.Is(err, park.ErrSlow) && !isTimeout(err) {
			t.Errorf("ended with %v", err)
		}
		slow.mu.Lock()
		defer slow.mu.Unlock()
		if len(slow.queue) < 32 {
			t.Errorf("%d pieces are left: more was taken than may wait", len(slow.queue))
		}
	})
}

func isTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}

// TestSlowReaderReads lets a stream fill, and go on once its client reads.
func TestSlowReaderReads(t *testing.T) {
	each(t, park.Options{}, func(t *testing.T, st *stand) {
		_, r, src := st.open(t)
		const n = 64
		big := strings.Repeat("x", 1<<18) + "\n"
		for i := range n {
			src.say([]byte(big), i == n-1)
		}
		for range n {
			line(t, r, big)
		}
		if err := receive(t, src.ended); err != nil {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestComment(t *testing.T) {
	each(t, park.Options{KeepAlive: 5 * time.Millisecond, Comment: []byte("quiet\n")}, func(t *testing.T, st *stand) {
		_, r, src := st.open(t)
		line(t, r, "quiet\n")
		line(t, r, "quiet\n")
		src.say([]byte("end\n"), true)
		for {
			got, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if got == "end\n" {
				break
			}
		}
	})
}

func TestClose(t *testing.T) {
	each(t, park.Options{}, func(t *testing.T, st *stand) {
		_, r, src := st.open(t)
		st.lot.Close()
		if err := receive(t, src.ended); !errors.Is(err, park.ErrClosed) {
			t.Errorf("ended with %v", err)
		}
		if _, err := r.ReadByte(); err == nil {
			t.Error("something came")
		}
		res, err := st.Client().Get(st.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if b, _ := io.ReadAll(res.Body); string(b) != "begin\nnot parked\n" {
			t.Errorf("after Close: %q", b)
		}
	})
}

// TestPanic ends the stream whose handler panics, and no other.
func TestPanic(t *testing.T) {
	st := newStand(t, park.Options{}, false, nil)
	_, r, well := st.open(t)
	_, _, src := st.open(t)
	src.mu.Lock()
	src.broken = true
	src.mu.Unlock()
	src.stream.Wake()
	if err := receive(t, src.ended); err == nil {
		t.Error("ended well")
	}
	well.say([]byte("on\n"), false)
	line(t, r, "on\n")
}

// TestChanged wakes all streams when something has changed, but not for each of
// many changes.
func TestChanged(t *testing.T) {
	var mu sync.Mutex
	ch := make(chan struct{})
	st := newStand(t, park.Options{Changed: func() <-chan struct{} {
		mu.Lock()
		defer mu.Unlock()
		return ch
	}}, false, nil)
	_, _, a := st.open(t)
	_, _, b := st.open(t)
	woken := func(s *source) int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.woken
	}
	before := map[*source]int{a: woken(a), b: woken(b)}
	start := time.Now()
	const changes = 10000
	for range changes {
		mu.Lock()
		close(ch)
		ch = make(chan struct{})
		mu.Unlock()
	}
	for _, s := range []*source{a, b} {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for deadline := time.After(patience); woken(s) == before[s]; {
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatal("not woken")
			}
		}
	}
	if n := woken(a) - before[a]; n > 4+int(time.Since(start)/(20*time.Millisecond)) {
		t.Errorf("woken %d times", n)
	}
}

// TestHTTP2 leaves streams to net/http that are not alone on their connection.
func TestHTTP2(t *testing.T) {
	st := newStand(t, park.Options{}, false, nil)
	srv := httptest.NewUnstartedServer(st.Config.Handler)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	res, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, _ := io.ReadAll(res.Body); res.ProtoMajor != 2 || string(b) != "begin\nnot parked\n" {
		t.Errorf("%s %q", res.Proto, b)
	}
}

// TestConcurrent says much on many streams from many sides at once.
func TestConcurrent(t *testing.T) {
	each(t, park.Options{KeepAlive: time.Millisecond, Comment: []byte("quiet\n")}, func(t *testing.T, st *stand) {
		const streams, sides, lines = 20, 4, 50
		var all sync.WaitGroup
		for range streams {
			_, r, src := st.open(t)
			all.Go(func() {
				var sides_ sync.WaitGroup
				for side := range sides {
					sides_.Go(func() {
						for i := range lines {
							src.say(fmt.Appendf(nil, "%d %d %s\n", side, i, strings.Repeat("y", i*100)), false)
						}
					})
				}
				sides_.Wait()
				src.say([]byte("end\n"), true)
			})
			all.Go(func() {
				var next [sides]int
				for {
					got, err := r.ReadString('\n')
					if err != nil {
						t.Errorf("read: %v", err)
						return
					}
					var side, i int
					var pad string
					switch got {
					case "quiet\n":
						continue
					case "end\n":
						if next != [sides]int{lines, lines, lines, lines} {
							t.Errorf("lines are missing: %v", next)
						}
						return
					}
					fmt.Sscanf(got, "%d %d %s", &side, &i, &pad)
					if i != next[side] || len(pad) != i*100 {
						t.Errorf("side %d: line %d with %d bytes, want %d", side, i, len(pad), next[side])
						return
					}
					next[side]++
				}
			})
		}
		all.Wait()
	})
}

// TestCost holds that parked streams have no goroutine and little memory.
func TestCost(t *testing.T) {
	for _, tt := range []struct {
		name   string
		secure bool
		most   int // bytes on the heap for each, the client's end apart
	}{{"plain", false, 2 << 10}, {"TLS", true, 12 << 10}} {
		t.Run(tt.name, func(t *testing.T) {
			const n = 200
			st := newStand(t, park.Options{}, tt.secure, nil)
			dial := func() {
				c, err := net.Dial("tcp", st.Listener.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				out := c
				if tt.secure { // What the client keeps for it is freed: the server sees the socket alone.
					out = tls.Client(struct{ net.Conn }{c}, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
				}
				fmt.Fprintf(out, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				if _, err := out.Read(make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
				receive(t, st.sources)
			}
			dial() // What is there once.
			goroutines, memory := usage(t, st, 1)
			for range n {
				dial()
			}
			g, m := usage(t, st, n+1)
			if g > goroutines {
				t.Errorf("%d streams have %d goroutines", n, g-goroutines)
			}
			each := (m - memory) / n
			t.Logf("%d bytes each", each)
			if each > tt.most {
				t.Errorf("a stream takes %d bytes, at most %d", each, tt.most)
			}
		})
	}
}

// usage waits until n streams are parked and quiet.
func usage(t *testing.T, st *stand, n int) (goroutines, memory int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for least := 1 << 30; ; {
		runtime.GC()
		goroutines = runtime.NumGoroutine()
		if st.lot.Len() == n && goroutines >= least {
			break
		}
		least = goroutines
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%d streams", st.lot.Len())
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return goroutines, int(m.HeapAlloc + m.StackInuse)
}
