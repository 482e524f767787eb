package grpc

import (
	"cmp"
	"context"
	"encoding/json"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/grpc"

	"github.com/trilith-gateway/trilith/gateway"
)

// A typedEvent is an event of a streaming method, as JSON without what it says
// of dropped ones.
type typedEvent struct {
	kind    string // "progress", "log" or "result"
	text    json.RawMessage
	dropped int64
}

// typedEvents is a stream of them.
type typedEvents struct {
	grpc.ServerStream
	call *typedCall
}

// Send writes one event.
func (s *typedEvents) Send(e *typedEvent) error {
	text := append(strconv.AppendQuote([]byte{'{'}, e.kind), ':')
	text = append(text, e.text...)
	if e.dropped > 0 {
		text = strconv.AppendInt(append(text, `,"dropped":`...), e.dropped, 10)
	}
	text = append(text, '}')
	out := &frame{data: text}
	if !s.call.json {
		var err error
		if out.data, err = s.call.out.AppendWire(make([]byte, 0, len(text)), text); err != nil {
			return failed(s.Context(), s.call.call, mismatch(err))
		}
	}
	if err := s.call.fits(s.Context(), out.data); err != nil {
		return err
	}
	return s.SendMsg(out)
}

// serveStream runs the call and tells how it comes along, with the result at the
// end. When events come faster than they are read, the oldest of those that wait
// give way, and the next one says how many did.
func (c *typedCall) serveStream(stream grpc.ServerStream) error {
	box, err := open(stream.Context(), c.service, grpc.ServerStreamingServer[typedEvent](&typedEvents{stream, c}), false)
	if err != nil {
		return err
	}
	defer box.close()
	var lost int64 // What was left out since the last event; the outbox guards it.
	add := func(e *typedEvent) {
		box.edit(func(queue []*typedEvent) []*typedEvent {
			if e.kind != "result" && len(e.text) > eventMost {
				lost++
				return queue
			}
			e.dropped, lost = lost, 0
			return append(shed(queue, c.options.Queue, e, func(e *typedEvent) *int64 { return &e.dropped }), e)
		})
	}
	c.call.Progress = func(p gateway.Progress) { add(&typedEvent{kind: "progress", text: progressText(p)}) }
	c.call.Log = func(m gateway.LogMessage) { add(&typedEvent{kind: "log", text: logText(m)}) }
	text, err := c.result(box.ctx)
	if err == nil {
		add(&typedEvent{kind: "result", text: text})
	}
	return cmp.Or(box.flush(), err)
}

// result runs the call and returns what the response shows.
func (c *typedCall) result(ctx context.Context) (json.RawMessage, error) {
	res, err := c.do(ctx, c.call)
	if err != nil {
		return nil, err
	}
	text, err := c.shown(res)
	if err != nil {
		return nil, failed(ctx, c.call, err)
	}
	return text, nil
}

// progressText returns a report as JSON. A number that a double cannot hold is
// left out.
func progressText(p gateway.Progress) json.RawMessage {
	b := []byte{'{'}
	for _, n := range []struct {
		name  string
		value json.Number
	}{{"progress", p.Progress}, {"total", p.Total}} {
		if v, ok := number(n.value); ok {
			b = strconv.AppendFloat(append(strconv.AppendQuote(comma(b), n.name), ':'), v, 'g', -1, 64)
		}
	}
	return append(appendText(b, "message", p.Message), '}')
}

// logText returns a line as JSON.
func logText(m gateway.LogMessage) json.RawMessage {
	b := appendText(appendText([]byte{'{'}, "level", m.Level), "logger", m.Logger)
	if len(m.Data) > 0 {
		b = append(append(comma(b), `"data":`...), m.Data...)
	}
	return append(b, '}')
}

// appendText appends a member whose value is a text, unless that is empty.
func appendText(b []byte, name, text string) []byte {
	if text == "" {
		return b
	}
	b = append(strconv.AppendQuote(comma(b), name), ':')
	b, _ = jsontext.AppendQuote(b, text) // The error reports invalid UTF-8, already replaced.
	return b
}

func comma(b []byte) []byte {
	if b[len(b)-1] != '{' {
		return append(b, ',')
	}
	return b
}
