package http1

import (
	"bytes"
	"errors"
	"io"
)

// A body is what is left of a response's body (RFC 9112, section 6).
type body struct {
	length  int64 // as announced, or -1
	left    int64 // until the end of the body, or of the chunk; -1 until the end of the connection
	chunked bool
	begun   bool // a chunk has been read, and ends in CRLF
	done    bool
	room    int // for trailers, and for chunks that are mostly framing
}

func (b *body) announced() int64 {
	switch {
	case b.done:
		return 0
	case b.chunked:
		return -1
	}
	return b.length
}

// readBody reads the body under way.
func (cn *conn) readBody(p []byte) (int, error) {
	b := &cn.body
	if b.done {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if b.chunked && b.left == 0 {
		if err := cn.nextChunk(); err != nil {
			cn.keep = cn.keep && b.done
			return 0, err
		}
	}
	if b.left >= 0 && int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := cn.r.Read(p)
	end := errors.Is(err, io.EOF)
	cn.keep = cn.keep && err == nil
	if b.left < 0 {
		b.done = end
		return n, err
	}
	b.left -= int64(n)
	b.done = b.left == 0 && !b.chunked
	switch {
	case end && b.done:
		err = nil
	case end:
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// nextChunk moves to the data of the next chunk, or returns io.EOF behind the
// last one.
func (cn *conn) nextChunk() error {
	b := &cn.body
	if b.begun {
		if err := cn.emptyLine(); err != nil {
			return err
		}
	}
	b.begun = true
	line, err := cn.readLine(&b.room)
	if err != nil {
		return err
	}
	if b.left, err = chunkSize(line); err != nil {
		return err
	}
	if b.left > 0 {
		// Framing may be as long as the data behind it, and some more.
		b.room = int(min(int64(b.room)+16+b.left, int64(cn.client.o.MaxHead)))
		return nil
	}
	for { // Trailers say nothing here.
		line, err := cn.readLine(&b.room)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			b.done = true
			return io.EOF
		}
		if name, value := cutField(line); !isToken(name) || !isValue(value) {
			return malformed("a trailer is not valid")
		}
	}
}

// emptyLine reads what ends a chunk.
func (cn *conn) emptyLine() error {
	room := 2
	line, err := cn.readLine(&room)
	if _, ok := errors.AsType[*ProtocolError](err); ok || err == nil && len(line) > 0 {
		return malformed("a chunk is longer than it says")
	}
	return err
}

// chunkSize reads a chunk's first line, without the extensions (RFC 9112,
// section 7.1).
func chunkSize(line []byte) (int64, error) {
	const most = 15 // digits
	digits, _, _ := bytes.Cut(line, []byte{';'})
	digits = bytes.TrimRight(digits, " \t")
	if len(digits) == 0 || len(digits) > most {
		return 0, malformed("a chunk's size is not valid")
	}
	var size int64
	for _, c := range digits {
		switch {
		case '0' <= c && c <= '9':
			size = size<<4 | int64(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			size = size<<4 | int64(c|0x20-'a'+10)
		default:
			return 0, malformed("a chunk's size is not valid")
		}
	}
	return size, nil
}
