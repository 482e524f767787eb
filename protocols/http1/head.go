package http1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"time"
)

// A ProtocolError is a response that is not one of HTTP/1.1, or larger than
// what is read of one.
type ProtocolError struct{ what string }

func (e *ProtocolError) Error() string { return "HTTP response: " + e.what }

func malformed(what string) error { return &ProtocolError{what} }

// readHead reads the head of a final response, after those with status 1xx, and
// finds out how its body is framed.
func (cn *conn) readHead() (status int, err error) {
	left := cn.client.o.MaxHead
	for {
		version, status, err := cn.readStatus(&left)
		if err != nil {
			return 0, err
		}
		f := framing{length: -1}
		if err := cn.readFields(&left, &f); err != nil {
			return 0, err
		}
		switch {
		case status == 101:
			return 0, malformed("it changes protocols, which nobody asked for")
		case status < 200:
			continue
		case version == 0 && f.encoded:
			return 0, malformed("Transfer-Encoding in HTTP/1.0")
		}
		cn.keep, cn.linger = version == 1 && !f.close, f.linger
		cn.body = body{length: f.length, left: f.length, chunked: f.encoded}
		switch {
		case status == 204 || status == 304:
			cn.body = body{done: true}
		case f.encoded:
			cn.body.left, cn.body.room = 0, cn.client.o.MaxHead
		case f.length == 0:
			cn.body.done = true
		case f.length < 0:
			cn.keep = false // The end of the connection ends the body.
		}
		return status, nil
	}
}

// readLine reads a line of framing without its end, which is CRLF. The line is
// valid until the next one is read, and counts against left.
func (cn *conn) readLine(left *int) ([]byte, error) {
	line, err := cn.r.ReadSlice('\n')
	cn.heard = cn.heard || len(line) > 0
	if *left -= len(line); *left < 0 || errors.Is(err, bufio.ErrBufferFull) {
		return nil, malformed("it is longer than what is read of a head")
	}
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	n := len(line) - 2
	if n < 0 || line[n] != '\r' {
		return nil, malformed("a line does not end in CRLF")
	}
	return line[:n], nil
}

// readStatus reads a status line (RFC 9112, section 4).
func (cn *conn) readStatus(left *int) (version, status int, err error) {
	line, err := cn.readLine(left)
	if err != nil {
		return 0, 0, err
	}
	const form = "HTTP/1.x nnn"
	if len(line) < len(form) || string(line[:7]) != "HTTP/1." || line[7] != '0' && line[7] != '1' || line[8] != ' ' ||
		len(line) > len(form) && line[len(form)] != ' ' || !isValue(line) {
		return 0, 0, malformed("it does not begin with a status line of HTTP/1.1")
	}
	for _, d := range line[9:12] {
		if d < '0' || d > '9' {
			return 0, 0, malformed("its status is not a number")
		}
		status = 10*status + int(d-'0')
	}
	if status < 100 || status > 599 {
		return 0, 0, malformed("there is no such status")
	}
	return int(line[7] - '0'), status, nil
}

// A framing is what a head says about the body and the connection.
type framing struct {
	length  int64 // or -1
	encoded bool  // chunked
	close   bool
	linger  time.Duration
}

// readFields reads header fields up to the empty line after them, and keeps
// them (RFC 9112, section 5).
func (cn *conn) readFields(left *int, f *framing) error {
	cn.head = cn.head[:0]
	for {
		line, err := cn.readLine(left)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			if f.encoded && f.length >= 0 { // A sign of an attack (RFC 9112, section 6.3).
				return malformed("it has both Transfer-Encoding and Content-Length")
			}
			return nil
		}
		name, value := cutField(line)
		if !isToken(name) || !isValue(value) {
			return malformed("a header field is not valid")
		}
		if err := f.note(name, value); err != nil {
			return err
		}
		cn.head = append(append(cn.head, line...), "\r\n"...)
	}
}

// note draws from a field what it says about the body and the connection.
func (f *framing) note(name, value []byte) error {
	switch len(name) {
	case len("Content-Length"):
		if !is(name, "Content-Length") {
			return nil
		}
		n, err := strconv.ParseUint(string(value), 10, 62)
		if err != nil || value[0] == '+' || f.length >= 0 && f.length != int64(n) {
			return malformed("Content-Length is not valid")
		}
		f.length = int64(n)
	case len("Transfer-Encoding"):
		if !is(name, "Transfer-Encoding") {
			return nil
		}
		if f.encoded || !is(value, "chunked") {
			return malformed("its transfer coding is not chunked alone")
		}
		f.encoded = true
	case len("Connection"): // And Keep-Alive, which is as long.
		if is(name, "Connection") {
			f.close = f.close || hasWord(value, "close")
		} else if is(name, "Keep-Alive") {
			f.linger = keepAlive(value)
		}
	}
	return nil
}

// keepAlive returns how long a server says that it keeps an idle connection, a
// second less than that, or 0 for nothing said.
func keepAlive(value []byte) time.Duration {
	for len(value) > 0 {
		var part []byte
		part, value, _ = bytes.Cut(value, []byte{','})
		name, number, _ := bytes.Cut(bytes.Trim(part, " \t"), []byte{'='})
		if n, err := strconv.ParseUint(string(number), 10, 31); err == nil && is(name, "timeout") {
			return max(time.Millisecond, time.Duration(n)*time.Second-time.Second)
		}
	}
	return 0
}

// hasWord reports whether a comma-separated list has a word.
func hasWord(list []byte, word string) bool {
	for len(list) > 0 {
		var part []byte
		part, list, _ = bytes.Cut(list, []byte{','})
		if is(bytes.Trim(part, " \t"), word) {
			return true
		}
	}
	return false
}

// is compares as names of fields and most words are compared (RFC 9110, section
// 5.1): ASCII letters without case.
func is(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i := range b {
		x, y := b[i], word[i]
		if x == y {
			continue
		}
		if x |= 0x20; x < 'a' || x > 'z' || x != y|0x20 {
			return false
		}
	}
	return true
}

// cutLine returns the first line of a head, or nil, and what follows it.
func cutLine(head []byte) (line, rest []byte) {
	end := bytes.IndexByte(head, '\n')
	if end < 0 {
		return nil, nil
	}
	return head[:end-1], head[end+1:]
}

// cutField returns a field's name and value. Without a colon the name is empty,
// which is no name.
func cutField(line []byte) (name, value []byte) {
	name, value, ok := bytes.Cut(line, []byte{':'})
	if !ok {
		return nil, nil
	}
	return name, bytes.Trim(value, " \t")
}
