package park_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/trilith-gateway/trilith/gateway/park"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
