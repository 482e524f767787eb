package openapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/egress"
)

// streams reports whether an answer is a stream of events (HTML, server-sent
// events).
func (u *Upstream) streams(res *http.Response) bool {
	t, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	return res.StatusCode == http.StatusOK && strings.EqualFold(strings.TrimSpace(t), "text/event-stream")
}

// maxEvents bounds the events of one stream.
const maxEvents = 100_000

// follow shows each event as progress and returns them all, as a block of text
// each, when the stream ends. Streams that are longer than an answer may be are
// cut off with an error, as every answer is.
func (u *Upstream) follow(ctx context.Context, client *egress.Client, res *http.Response, call *gateway.Call) (*gateway.Result, error) {
	if call.Op == gateway.OpRead {
		return nil, &gateway.Error{Code: gateway.Unimplemented, By: u.by, Msg: "the upstream answers with a stream, which cannot be read as a resource"}
	}
	body, err := decoded(res)
	if err != nil {
		return nil, u.fault(ctx, client, err)
	}
	events := eventReader{in: bufio.NewReader(body), left: u.o.MaxResponse}
	raw, n := []byte(`{"content":[`), 0
	for {
		data, err := events.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if n++; err == nil && n > maxEvents {
			err = egress.ErrTooLarge
		}
		if err != nil {
			return nil, u.fault(ctx, client, err)
		}
		if call.Progress != nil {
			call.Progress(gateway.Progress{Progress: json.Number(strconv.Itoa(n)), Message: data})
		}
		if n > 1 {
			raw = append(raw, ',')
		}
		raw = append(quote(append(raw, `{"type":"text","text":`...), data), '}')
	}
	return &gateway.Result{Raw: append(raw, "]}"...)}, nil
}

// An eventReader reads the data of events.
type eventReader struct {
	in   *bufio.Reader
	left int  // bytes that may still come
	cr   bool // the last line ended with CR: a LF that follows belongs to it
}

// next returns the data of the next event that has any, and io.EOF at the end. An
// event that the end cuts off is dropped, as the standard has it.
func (r *eventReader) next() (string, error) {
	var data strings.Builder
	has := false
	for {
		line, err := r.line()
		if err != nil {
			return "", err
		}
		if line == "" {
			if has {
				return data.String(), nil
			}
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		if name != "data" {
			continue
		}
		if has {
			data.WriteByte('\n')
		}
		data.WriteString(strings.TrimPrefix(value, " "))
		has = true
	}
}

// line returns a line without what ends it: CR, LF or both.
func (r *eventReader) line() (string, error) {
	var line []byte
	for {
		c, err := r.in.ReadByte()
		if err != nil {
			return "", err
		}
		if r.left--; r.left < 0 {
			return "", egress.ErrTooLarge
		}
		after := r.cr
		r.cr = c == '\r' // A line feed may come much later, and is not waited for.
		switch c {
		case '\r':
			return string(line), nil
		case '\n':
			if after {
				continue
			}
			return string(line), nil
		}
		line = append(line, c)
	}
}
