//go:build !race

package http1_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// TestAllocations bounds what an exchange on a connection that is open costs,
// with a context that can end and a deadline.
func TestAllocations(t *testing.T) {
	s := serve(t, func(_ *script, c net.Conn, _ int) {
		buf := make([]byte, 4<<10)
		for {
			if _, err := c.Read(buf); err != nil { // A small request comes in one piece.
				return
			}
			_, _ = io.WriteString(c, hello)
		}
	})
	c, r := client(t, s), post(s, "ask")
	var b [64]byte
	const most = 6
	got := testing.AllocsPerRun(200, func() {
		r.Deadline = time.Now().Add(time.Minute)
		res, err := c.Do(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		n, _ := io.ReadFull(res, b[:5])
		if _, err := res.Read(b[5:]); n != 5 || !errors.Is(err, io.EOF) {
			t.Fatalf("%d bytes, %v", n, err)
		}
		res.Close()
	})
	t.Logf("%v allocations", got)
	if got > most {
		t.Errorf("%v allocations, at most %v", got, most)
	}
}
