package mcp

import (
	"encoding/json"
	"strconv"
)

// A message is a JSON-RPC 2.0 message: a request (ID and Method), a
// notification (Method alone), or a response (ID with Result or Error). Its
// values are parts of the text that it was read from.
type message struct {
	ID     json.RawMessage // a string or a number, or nil
	Method string
	Params json.RawMessage // an object, or nil
	Result json.RawMessage
	Error  json.RawMessage
}

func (m *message) isRequest() bool      { return m.ID != nil && m.Method != "" }
func (m *message) isNotification() bool { return m.ID == nil && m.Method != "" }

// An envelope is the members of a message as they stand in its text.
type envelope struct{ version, id, method, params, result, err json.RawMessage }

func readEnvelope(data []byte) (e envelope, ok bool) {
	o, ok := openObject(data)
	for o.next() {
		switch string(o.name) {
		case "jsonrpc":
			e.version = o.value
		case "id":
			e.id = o.value
		case "method":
			e.method = o.value
		case "params":
			e.params = o.value
		case "result":
			e.result = o.value
		case "error":
			e.err = o.value
		}
	}
	return e, ok
}

// readMessage reads a message in a text that has passed schema.Check. Member
// names match exactly. With an error it still returns the ID, where there is
// one, for the answer.
func readMessage(data []byte) (message, *wireError) {
	e, ok := readEnvelope(data)
	if !ok {
		return message{}, invalidRequest("a message is a JSON object")
	}
	m := message{Params: e.params, Result: e.result, Error: e.err}
	if isID(e.id) {
		m.ID = e.id
	}
	if e.method != nil {
		if m.Method, ok = methodName(e.method); !ok || m.Method == "" {
			return m, invalidRequest("method must be a string that is not empty")
		}
	}
	switch {
	case string(e.version) != `"2.0"`:
		return m, invalidRequest(`jsonrpc must be "2.0"`)
	case e.id != nil && m.ID == nil:
		return m, invalidRequest("id must be a string or a number")
	case m.Params != nil && !isObject(m.Params):
		return m, invalidRequest("params must be an object")
	}
	return m, m.check()
}

// methodName is unquote for a method; the one that most requests have costs no
// memory.
func methodName(value json.RawMessage) (string, bool) {
	const call = "tools/call"
	if string(value) == `"`+call+`"` {
		return call, true
	}
	return unquote(value)
}

// check reports whether a message is of one kind.
func (m *message) check() *wireError {
	answers := m.Result != nil || m.Error != nil
	switch {
	case m.Method != "" && answers:
		return invalidRequest("a message is either a request or a response")
	case m.Method == "" && !answers:
		return invalidRequest("a message has a method, a result or an error")
	case m.Result != nil && m.Error != nil:
		return invalidRequest("a response has either a result or an error")
	}
	return nil
}

// isID reports whether a value can be a request's id: a string or a number, and
// not so long that it is a payload.
func isID(v json.RawMessage) bool {
	const most = 256
	return len(v) > 0 && len(v) <= most && (v[0] == '"' || v[0] == '-' || v[0] >= '0' && v[0] <= '9')
}

// appendResponse appends the beginning of a response, up to where the result
// stands. The caller appends the result and a closing brace.
func appendResponse(b []byte, id json.RawMessage) []byte {
	b = append(b, `{"jsonrpc":"2.0","id":`...)
	b = append(b, id...)
	return append(b, `,"result":`...)
}

// appendError appends an error response. Without an id, the member is left out,
// as the protocol's schema asks.
func appendError(b []byte, id json.RawMessage, e *wireError) []byte {
	b = append(b, `{"jsonrpc":"2.0"`...)
	if id != nil {
		b = append(b, `,"id":`...)
		b = append(b, id...)
	}
	b = append(b, `,"error":{"code":`...)
	b = strconv.AppendInt(b, int64(e.code), 10)
	b = append(b, `,"message":`...)
	b = quote(b, e.message)
	if e.data != nil {
		b = append(b, `,"data":`...)
		b = append(b, e.data...)
	}
	return append(b, "}}"...)
}

// appendNotification appends the beginning of a notification, up to where the
// members of params stand. The caller appends them and two closing braces.
func appendNotification(b []byte, method string) []byte {
	b = append(b, `{"jsonrpc":"2.0","method":"`...)
	b = append(b, method...)
	return append(b, `","params":{`...)
}

// flatten replaces line breaks by spaces, in place: a message is one line on
// stdio and one data field in SSE. In a valid JSON text they are white space.
func flatten(b []byte) []byte {
	for i, c := range b {
		if c == '\n' || c == '\r' {
			b[i] = ' '
		}
	}
	return b
}
