package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

// A Response is the answer to a request. Its Read and Field are for one
// goroutine at a time; Close may be called by any. Close it always.
type Response struct {
	Status int   // 200 to 599
	Length int64 // of the body as it is announced, or -1 where it is not

	ctx   context.Context //nolint:containedctx // of the request; it ends reading too.
	conn  *conn
	stop  func() bool // takes the connection off the context
	state atomic.Int32
	other *http.Response // in place of a connection
	free  func()         // what other holds; nil for nothing
}

// The states of a Response.
const (
	atRest int32 = iota
	atRead
	atEnd // closed
)

// Read reads the body, and returns io.EOF at its end. A body that is cut off, or
// whose framing is not valid, fails otherwise.
func (r *Response) Read(p []byte) (n int, err error) {
	if r.other != nil {
		n, err = r.other.Body.Read(p)
	} else if n, err = r.read(p); err == nil {
		return n, nil
	}
	if !errors.Is(err, io.EOF) && r.ctx.Err() != nil {
		err = context.Cause(r.ctx)
	}
	return n, err
}

func (r *Response) read(p []byte) (int, error) {
	if !r.state.CompareAndSwap(atRest, atRead) {
		return 0, errClosed
	}
	n, err := r.conn.readBody(p)
	if err != nil && !errors.Is(err, io.EOF) {
		if why := r.conn.group.cause(); why != nil {
			err = why
		}
	}
	if !r.state.CompareAndSwap(atRead, atRest) { // Close has cut the connection off and left the rest to here.
		r.conn.keep = false
		r.conn.release(r.stop())
		return 0, errClosed
	}
	return n, err
}

// Close ends the response, which cannot be read any more. The connection is used
// again where the body has been read to its end; otherwise it is closed, which
// tells the server that nobody reads.
func (r *Response) Close() error { return r.end(false) }

// Finish is Close for a body that the server is about to end, because all that
// was of interest in it has come: it may end while the connection is idle.
func (r *Response) Finish() { _ = r.end(true) } // There is no error that matters.

func (r *Response) end(soon bool) error {
	if r.other != nil {
		if r.free != nil {
			defer r.free()
		}
		return r.other.Body.Close()
	}
	switch r.state.Swap(atEnd) {
	case atRest:
		if !r.conn.body.done && !soon {
			r.conn.keep = false
		}
		r.conn.release(r.stop())
	case atRead:
		r.conn.cut()
	}
	return nil
}

// Field returns the value of a header field, the first where there are several,
// or nil. It is valid until the response is closed.
func (r *Response) Field(name string) []byte {
	if r.other != nil {
		if v := r.other.Header.Values(name); len(v) > 0 {
			return []byte(v[0])
		}
		return nil
	}
	if r.state.Load() != atRest {
		return nil
	}
	for line, rest := cutLine(r.conn.head); line != nil; line, rest = cutLine(rest) {
		if n, value := cutField(line); strings.EqualFold(string(n), name) {
			return value
		}
	}
	return nil
}

// HTTP returns the response as net/http has it. Its body is that of r.
func (r *Response) HTTP() *http.Response {
	if r.other != nil {
		return r.other
	}
	text := append([]byte("HTTP/1.1 200 OK\r\n"), r.conn.head...)
	res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(append(text, "\r\n"...))), nil)
	if err != nil { // Net/http is stricter about something.
		res = &http.Response{Header: http.Header{}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	}
	res.StatusCode, res.ContentLength, res.Body = r.Status, r.Length, r
	return res
}
