package park_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway/park"
)

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
