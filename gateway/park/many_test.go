package park_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway/park"
)

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
