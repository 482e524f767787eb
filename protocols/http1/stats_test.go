package http1_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trilith-gateway/trilith/protocols/http1"
)

// TestStats has the pool grow with the requests that are under way, and shrink
// when there are none.
func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan bool)
		dial := func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			go func() {
				r := bufio.NewReader(far)
				for {
					if _, err := http.ReadRequest(r); err != nil {
						return
					}
					<-free
					_, _ = io.WriteString(far, "HTTP/1.1 204 No Content\r\n\r\n")
				}
			}()
			return near, nil
		}
		c := http1.New(&url.URL{Scheme: "http", Host: "server.example"}, http1.Options{Dial: dial, Other: refuseOther{t}})
		defer c.Close()
		begin := func(n int) *sync.WaitGroup {
			var wg sync.WaitGroup
			for range n {
				wg.Go(func() {
					if _, _, err := call(t.Context(), c, &http1.Request{Head: []byte("GET / HTTP/1.1\r\nHost: server.example\r\n")}); err != nil {
						t.Error(err)
					}
				})
			}
			<-time.After(10 * time.Millisecond) // What is idle is looked at for a millisecond first, where it is no socket.
			synctest.Wait()
			return &wg
		}
		is := func(want http1.Stats) {
			t.Helper()
			if got := c.Stats(); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		}
		is(http1.Stats{})
		five := begin(5)
		is(http1.Stats{Opened: 5})
		for range 5 {
			free <- true
		}
		five.Wait()
		is(http1.Stats{Idle: 5, Opened: 5})
		two := begin(2)
		is(http1.Stats{Idle: 3, Opened: 5, Reused: 2})
		free <- true
		free <- true
		two.Wait()
		<-time.After(2 * time.Minute)
		is(http1.Stats{Opened: 5, Reused: 2})
	})
}
