package http1

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

// An edge is a connection to a server whose Read can be told not to wait.
type edge struct {
	net.Conn
	now bool // Read returns errNothing where it would wait

	raw  syscall.RawConn // nil where the connection has none
	try  func(fd uintptr) bool
	into []byte
	n    int
	err  error
}

func newEdge(c net.Conn) *edge {
	e := &edge{Conn: c}
	if sc, ok := c.(syscall.Conn); ok {
		e.raw, _ = sc.SyscallConn() // Without it, Read is told by a deadline.
	}
	e.try = e.tryRead
	return e
}

func (e *edge) Read(p []byte) (int, error) {
	if e.now {
		return e.readNow(p)
	}
	return e.Conn.Read(p)
}

// readSoon reads what has come, where that can only be found out by waiting a
// little.
func (e *edge) readSoon(p []byte) (int, error) {
	if err := e.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return 0, err
	}
	n, err := e.Conn.Read(p)
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		err = errNothing
	}
	if cleared := e.SetReadDeadline(time.Time{}); cleared != nil {
		return n, cleared
	}
	return n, err
}

// A nothing is the error of a Read that would have had to wait. To crypto/tls it
// is one after which reading can go on.
type nothing struct{}

var errNothing error = nothing{}

func (nothing) Error() string   { return "nothing has come" }
func (nothing) Timeout() bool   { return true }
func (nothing) Temporary() bool { return true }
