package upstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/trilith-gateway/trilith/protocols/egress"
)

// An eventStream is a subscription over server-sent events: the distinct
// connections mode of GraphQL over SSE.
type eventStream struct {
	u    *Upstream
	body io.ReadCloser
	r    *bufio.Reader
	line []byte
}

// openSSE begins a subscription. Opening bounds the time until the server
// answers.
func (u *Upstream) openSSE(ctx, opening context.Context, body []byte) (stream, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(opening, func() { cancel(context.Cause(opening)) })
	req, err := u.newRequest(ctx, body, typeSSE)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	res, err := u.client.Do(req)
	stop()
	if err != nil {
		cancel(nil)
		return nil, u.client.Fault(ctx, err)
	}
	if media, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err == nil && media == typeSSE && res.StatusCode == http.StatusOK {
		return &eventStream{u: u, body: cancels{res.Body, cancel}, r: bufio.NewReader(res.Body)}, nil
	}
	defer cancel(nil)
	defer res.Body.Close() //nolint:errcheck // it has been read.
	a, err := u.read(ctx, res, maxAnswer)
	if err != nil {
		return nil, err
	}
	return &single{a}, nil
}

// cancels ends a request with its body.
type cancels struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (c cancels) Close() error {
	c.cancel(nil)
	return c.ReadCloser.Close()
}

// A single is the stream of a server that answers with one response instead.
type single struct{ a *answer }

func (s *single) next(context.Context) (*answer, error) {
	a := s.a
	s.a = nil
	switch {
	case a == nil:
		return nil, errComplete
	case a.other != nil:
		return &answer{errors: []graphqlError{{Message: a.other.Error()}}}, nil //nolint:nilerr // It is what the server says.
	}
	return a, nil
}

func (s *single) close() {}

func (s *eventStream) close() { _ = s.body.Close() } // It has been read as far as it is wanted.

// next returns the next response. The server ends the stream with the event
// complete; a stream that is cut off has not ended.
func (s *eventStream) next(context.Context) (*answer, error) {
	for {
		name, data, err := s.event()
		switch {
		case errors.Is(err, io.EOF):
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case name == "complete":
			return nil, errComplete
		case name != "next":
			continue
		}
		a := parseAnswer(data)
		if a == nil {
			return nil, s.u.strange(nil)
		}
		return a, nil
	}
}

// event reads one event (HTML standard, 9.2.6), no longer than an answer.
func (s *eventStream) event() (name string, data []byte, err error) {
	for {
		line, err := s.readLine()
		if err != nil {
			return "", nil, err
		}
		if len(line) == 0 {
			if name != "" || len(data) > 0 {
				return name, bytes.TrimSuffix(data, []byte("\n")), nil
			}
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			name = string(value[:min(len(value), 64)])
		case "data":
			if len(data)+len(value) > maxAnswer {
				return "", nil, egress.ErrTooLarge
			}
			data = append(append(data, value...), '\n')
		}
	}
}

// readLine returns the next line without its end, LF or CR LF. It is valid
// until the next one is read.
func (s *eventStream) readLine() ([]byte, error) {
	s.line = s.line[:0]
	for {
		part, err := s.r.ReadSlice('\n')
		if len(s.line)+len(part) > maxAnswer+64 {
			return nil, egress.ErrTooLarge
		}
		s.line = append(s.line, part...)
		if err == nil {
			return bytes.TrimSuffix(bytes.TrimSuffix(s.line, []byte("\n")), []byte("\r")), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}
