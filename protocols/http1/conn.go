package http1

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"time"
)

const (
	bufferSize = 4 << 10  // of what is read; a line of framing is no longer
	maxKept    = 64 << 10 // bytes of memory that a connection keeps for its next request
	// largeBody is what is written by a goroutine of its own, so that a server
	// that answers before it has read everything is heard. Less than that finds
	// room in the system's buffers.
	largeBody = 32 << 10
)

// A conn is a connection, which carries one exchange at a time.
type conn struct {
	client *Client
	edge   *edge
	stream net.Conn // the edge, or TLS over it
	r      *bufio.Reader
	out    []byte // the request's head, and its body if that is small
	head   []byte // the response's head
	body   body
	cut    func() // closes the connection

	keep    bool          // it can carry another exchange
	wrote   bool          // something of the request was sent
	heard   bool          // something came after it
	linger  time.Duration // how long the server keeps it when it is idle, or 0
	expires time.Time     // while idle
	writing chan error    // of a large body; nil for none

	group      *Group    // of the exchange, or nil
	prev, next *conn     // in it
	by         time.Time // the deadline of the exchange, or of an earlier one; zero for none
}

func newConn(c *Client, e *edge, stream net.Conn) *conn {
	cn := &conn{client: c, edge: e, stream: stream, r: bufio.NewReaderSize(stream, bufferSize)}
	cn.cut = cn.close
	return cn
}

// close closes the connection, from any goroutine.
func (cn *conn) close() { _ = cn.edge.Close() } // Nothing can be done about an error.

// exchange sends a request and reads the head of the response. Where it returns
// an error the connection is closed.
func (cn *conn) exchange(ctx context.Context, r *Request) (*Response, error) {
	cn.wrote, cn.heard = false, false
	r.Group.join(cn)
	stop := context.AfterFunc(ctx, cn.cut)
	err := cn.limit(r.Deadline)
	if err == nil {
		err = cn.send(r)
	}
	if err == nil {
		var status int
		if status, err = cn.readHead(); err == nil {
			return &Response{Status: status, Length: cn.body.announced(), ctx: ctx, conn: cn, stop: stop}, nil
		}
	}
	stop()
	cn.leave()
	cn.close()
	cn.written()
	return nil, err
}

// limit sets the deadline of an exchange, or takes off that of the one before.
func (cn *conn) limit(by time.Time) error {
	if by.IsZero() && cn.by.IsZero() {
		return nil
	}
	cn.by = by
	return cn.edge.SetDeadline(by)
}

// send writes a request.
func (cn *conn) send(r *Request) error {
	cn.out = r.appendLength(append(cn.out[:0], r.Head...))
	if len(r.Body) < largeBody {
		cn.out = append(cn.out, r.Body...)
		return cn.write(cn.out)
	}
	if err := cn.write(cn.out); err != nil {
		return err
	}
	writing := make(chan error, 1)
	cn.writing = writing
	go func() {
		_, err := cn.stream.Write(r.Body)
		writing <- err
	}()
	return nil
}

func (cn *conn) write(b []byte) error {
	n, err := cn.stream.Write(b)
	cn.wrote = n > 0 || err == nil || cn.stream != net.Conn(cn.edge) // What TLS has sent is not known.
	return err
}

// written waits for the end of writing, which the closing of the connection
// causes.
func (cn *conn) written() {
	if cn.writing != nil {
		<-cn.writing
		cn.writing = nil
	}
}

// release ends an exchange. Only a connection on which nothing of it is left
// carries another one; stopped says that its context no longer closes it.
func (cn *conn) release(stopped bool) {
	if cn.writing != nil {
		select {
		case err := <-cn.writing:
			cn.writing = nil
			cn.keep = cn.keep && err == nil
		default:
			cn.keep = false
		}
	}
	if !cn.leave() || !stopped || !cn.keep || cn.r.Buffered() > 0 && cn.body.done {
		cn.close()
		cn.written()
		return
	}
	if cap(cn.out) > maxKept {
		cn.out = nil
	}
	if cap(cn.head) > maxKept {
		cn.head = nil
	}
	cn.client.put(cn)
}

// quiet reports whether an idle connection is open and its server has said
// nothing since the last response: what comes unasked would be taken for the
// answer to the next request. It does not wait.
func (cn *conn) quiet() bool {
	if !cn.by.IsZero() && !time.Now().Before(cn.by) && cn.limit(time.Time{}) != nil { // Nothing is heard behind a deadline.
		return false
	}
	cn.edge.now = true
	defer func() { cn.edge.now = false }()
	if !cn.body.done && !cn.settle() {
		return false
	}
	var b [1]byte
	n, err := cn.stream.Read(b[:])
	return n == 0 && errors.Is(err, errNothing)
}

// settle reads the end of a body of which nothing more was expected, and
// reports whether it is there.
func (cn *conn) settle() bool {
	const most = 1 << 10
	var b [256]byte
	for read := 0; read < most; {
		n, err := cn.readBody(b[:])
		read += n
		if err != nil {
			return errors.Is(err, io.EOF) && cn.keep && cn.r.Buffered() == 0
		}
	}
	return false
}
