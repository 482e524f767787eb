package mcp

import (
	"encoding/json"
	"log/slog"
	"strconv"
	"sync"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/egress"
)

// A sink takes what a server says about a call until the call ends.
type sink struct {
	mu       sync.Mutex
	progress func(gateway.Progress)
	log      func(gateway.LogMessage)
}

// end makes sure that nothing reaches the caller after Do has returned.
func (s *sink) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.progress, s.log = nil, nil
}

// notified handles a notification. On HTTP, r is the request whose stream it
// came on, or nil.
func (c *client) notified(m *message, r *outgoing) {
	switch m.Method {
	case "notifications/progress":
		c.progress(m.Params)
	case "notifications/message":
		c.logged(m.Params, r)
	case "notifications/tools/list_changed", "notifications/prompts/list_changed", "notifications/resources/list_changed":
		signal(c.changes)
	case "notifications/resources/updated":
		c.updated(m.Params, r)
	case cancelledMethod:
		c.withdrawn(m.Params)
	case noteTaskStatus:
		c.taskChanged(m.Params)
	case "notifications/elicitation/complete":
		// No door has a place for it: clients learn the end of a visit to a URL
		// by calling again.
		c.u.o.Logger.DebugContext(c.ctx, "an elicitation is complete", slog.String("source", c.u.o.Name))
	case "notifications/subscriptions/acknowledged":
		if l := c.listening(m.Params, r); l != nil {
			l.acknowledge(m.Params)
		}
	}
}

// progress tells a call how far it is (basic, progress).
func (c *client) progress(params json.RawMessage) {
	var token, value, total, text json.RawMessage
	o, _ := openObject(params) // Without members nothing is told.
	for o.next() {
		switch string(o.name) {
		case metaProgress:
			token = o.value
		case "progress":
			value = o.value
		case "total":
			total = o.value
		case "message":
			text = o.value
		}
	}
	id, err := strconv.ParseUint(string(token), 10, 64)
	if err != nil || !isNumber(string(value)) {
		return
	}
	c.mu.Lock()
	s := c.sinks[id]
	c.mu.Unlock()
	if s == nil {
		return // It has been answered.
	}
	p := gateway.Progress{Progress: json.Number(value)}
	if isNumber(string(total)) {
		p.Total = json.Number(total)
	}
	p.Message, _ = unquote(text) // None, or not a text.
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.progress != nil {
		s.progress(p)
	}
}

// logged passes a log line to the call that it is about, as far as that is
// known, or else to the operator (server, logging).
func (c *client) logged(params json.RawMessage, r *outgoing) {
	var line gateway.LogMessage
	o, _ := openObject(params) // As in progress.
	for o.next() {
		switch string(o.name) {
		case "level":
			line.Level, _ = unquote(o.value)
		case "logger":
			line.Logger, _ = unquote(o.value)
		case "data":
			line.Data = o.value
		}
	}
	var s *sink
	if r != nil {
		s = r.sink
	} else if i, _ := c.sole(); i != nil {
		s = i.sink
	}
	if s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.log != nil {
			s.log(line)
		}
		return
	}
	c.u.o.Logger.DebugContext(c.ctx, "line from an MCP server", slog.String("source", c.u.o.Name),
		slog.String("level", egress.OneLine(line.Level, 16)), slog.String("line", egress.OneLine(string(line.Data), maxLogLine)))
}
