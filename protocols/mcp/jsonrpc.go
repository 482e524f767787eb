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

// readMessage reads the envelope of a message in a text that has passed
// schema.Check. Member names match exactly. With an error it still returns the
// ID, where there is one, for the answer.
func readMessage(data []byte) (message, *wireError) {
	var m message
	o, ok := openObject(data)
	if !ok {
		return m, invalidRequest("a message is a JSON object; batches are not supported")
	}
	var version, method json.RawMessage
	var bad string
	for o.next() {
		switch string(o.name) {
		case "jsonrpc":
			version = o.value
		case "id":
			if !isID(o.value) {
				bad = "id must be a string or a number"
				continue
			}
			m.ID = o.value
		case "method":
			method = o.value
		case "params":
			if !isObject(o.value) {
				bad = "params must be an object"
			}
			m.Params = o.value
		case "result":
			m.Result = o.value
		case "error":
			m.Error = o.value
		}
	}
	if string(version) != `"2.0"` {
		return m, invalidRequest(`jsonrpc must be "2.0"`)
	}
	if method != nil {
		if m.Method, ok = unquote(method); !ok || m.Method == "" {
			return m, invalidRequest("method must be a string that is not empty")
		}
	}
	switch {
	case bad != "":
		return m, invalidRequest(bad)
	case m.Method != "" && (m.Result != nil || m.Error != nil):
		return m, invalidRequest("a message is either a request or a response")
	case m.Method == "" && (m.Result == nil) == (m.Error == nil):
		return m, invalidRequest("a message has a method, a result or an error")
	}
	return m, nil
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
