package upstream

import (
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/trilith-gateway/trilith/protocols/egress"
)

// held is a server whose calls wait until they are released.
type held struct {
	addr  string
	began chan struct{}
	end   chan struct{}
}

func serveHeld(t *testing.T, o ...grpc.ServerOption) *held {
	t.Helper()
	h := &held{began: make(chan struct{}, 1000), end: make(chan struct{})}
	s := grpc.NewServer(append(o, grpc.ForceServerCodecV2(frames{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		var in frame
		if err := stream.RecvMsg(&in); err != nil {
			return err
		}
		in.free()
		h.began <- struct{}{}
		select {
		case <-h.end:
			return stream.SendMsg(&frame{})
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		}
	}))...)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr = l.Addr().String()
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return h
}

// poolTo returns an upstream of the server, whose connections besides the first are closed when they were without calls
// for so long.
func poolTo(t *testing.T, h *held, most int, idle time.Duration) *Upstream {
	t.Helper()
	client, err := egress.New(egress.Options{Name: "test", URL: "http://" + h.addr, AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err != nil {
		t.Fatal(err)
	}
	u, err := New(Options{Name: "test", Client: client, Reflection: true, MaxConnections: most})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := u.Close(); err != nil {
			t.Error(err)
		}
	})
	u.pool.idle = idle
	return u
}

// begin makes so many calls, one after the other, and returns when the server has each.
func (h *held) begin(t *testing.T, u *Upstream, n int) *sync.WaitGroup {
	t.Helper()
	var calls sync.WaitGroup
	for range n {
		calls.Go(func() {
			var out frame
			defer out.free()
			if err := u.pool.invoke(t.Context(), "/test.Held/Call", &frame{}, &out); err != nil {
				t.Error(err)
			}
		})
		select {
		case <-h.began:
		case <-time.After(20 * time.Second):
			t.Fatal("the server has not got a call")
		}
	}
	return &calls
}

func eventually(t *testing.T, u *Upstream, want egress.Connections) {
	t.Helper()
	end := time.Now().Add(20 * time.Second)
	for u.Connections() != want {
		if time.Now().After(end) {
			t.Fatalf("%+v, want %+v", u.Connections(), want)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// TestPoolGrowsAndShrinks has more calls at a time than one connection may carry: there is another for each hundred, up
// to the most there may be. Without calls only the first is left, and the others come back when they are needed.
func TestPoolGrowsAndShrinks(t *testing.T) {
	h := serveHeld(t)
	u := poolTo(t, h, 3, 200*time.Millisecond)
	calls := h.begin(t, u, perConnection)
	eventually(t, u, egress.Connections{Opened: 1, Reused: perConnection - 1})

	// One call more has another opened, and does not wait for it.
	more := h.begin(t, u, 1)
	eventually(t, u, egress.Connections{Idle: 1, Opened: 2, Reused: perConnection})
	more2 := h.begin(t, u, perConnection+1)
	eventually(t, u, egress.Connections{Idle: 1, Opened: 3, Reused: 2*perConnection + 1})
	more3 := h.begin(t, u, 2*perConnection)
	if got, want := u.Connections(), (egress.Connections{Opened: 3, Reused: 4*perConnection + 1}); got != want {
		t.Errorf("%+v, want %+v: there are as many as there may be", got, want)
	}
	var busy int64
	for _, w := range *u.pool.wires.Load() {
		if n := w.busy.Load(); n < perConnection || n > perConnection+perConnection/2 {
			t.Errorf("a connection has %d calls", n)
		}
		busy += w.busy.Load()
	}
	if busy != 4*perConnection+2 {
		t.Errorf("%d calls are under way", busy)
	}

	close(h.end)
	for _, wg := range []*sync.WaitGroup{calls, more, more2, more3} {
		wg.Wait()
	}
	eventually(t, u, egress.Connections{Idle: 1, Opened: 3, Reused: 4*perConnection + 1}) // The others have closed themselves.

	h.end = make(chan struct{})
	calls = h.begin(t, u, perConnection+1)
	eventually(t, u, egress.Connections{Idle: 1, Opened: 4, Reused: 5*perConnection + 2})
	close(h.end)
	calls.Wait()
}

// TestPoolConcurrent has calls come and go from many sides while the pool grows and shrinks, and closes it then.
func TestPoolConcurrent(t *testing.T) {
	h := serveHeld(t)
	close(h.end)
	u := poolTo(t, h, 4, time.Millisecond)
	until := time.Now().Add(500 * time.Millisecond)
	var all sync.WaitGroup
	for range 3 * perConnection {
		all.Go(func() {
			for time.Now().Before(until) {
				var out frame
				if err := u.pool.invoke(t.Context(), "/test.Held/Call", &frame{}, &out); err != nil {
					t.Error(err)
					return
				}
				out.free()
			}
		})
		all.Go(func() { <-h.began })
	}
	go func() {
		for range h.began { // The server must not wait.
		}
	}()
	all.Wait()
	for _, w := range *u.pool.wires.Load() {
		if n := w.busy.Load(); n != 0 {
			t.Errorf("%d calls are left", n)
		}
	}
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	close(h.began)
	if err := u.pool.invoke(t.Context(), "/test.Held/Call", &frame{}, &frame{}); status.Code(err) != codes.Canceled {
		t.Errorf("a call after the end: %v", err)
	}
}
