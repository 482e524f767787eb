package mcp

import (
	"bytes"
	"encoding/json"

	"github.com/trilith-gateway/trilith/gateway"
)

// The members of _meta that the protocol itself uses (basic, _meta).
const (
	metaPrefix       = "io.modelcontextprotocol/"
	metaVersion      = metaPrefix + "protocolVersion"
	metaCapabilities = metaPrefix + "clientCapabilities"
	metaLogLevel     = metaPrefix + "logLevel"
	metaServerInfo   = metaPrefix + "serverInfo"
	metaSubscription = metaPrefix + "subscriptionId"
	metaProgress     = "progressToken"
)

// params are the members that any request's params may have, raw. Absent ones
// are nil.
type params struct {
	name, uri, arguments, cursor, level, ref, argument, context, notifications, version, requestID, meta json.RawMessage

	capabilities, inputResponses, requestState json.RawMessage
}

// readParams reads params in one pass. Members it does not know are ignored.
func readParams(raw json.RawMessage) params {
	var p params
	o, _ := openObject(raw) // No object reads as one without members.
	for o.next() {
		switch string(o.name) {
		case "name":
			p.name = o.value
		case "uri":
			p.uri = o.value
		case "arguments":
			p.arguments = o.value
		case "cursor":
			p.cursor = o.value
		case "level":
			p.level = o.value
		case "ref":
			p.ref = o.value
		case "argument":
			p.argument = o.value
		case "context":
			p.context = o.value
		case "notifications":
			p.notifications = o.value
		case "_meta":
			p.meta = o.value
		default:
			p.readRare(string(o.name), o.value)
		}
	}
	return p
}

// readRare reads the members that few requests have.
func (p *params) readRare(name string, value json.RawMessage) {
	switch name {
	case "protocolVersion":
		p.version = value
	case "capabilities":
		p.capabilities = value
	case "inputResponses":
		p.inputResponses = value
	case "requestState":
		p.requestState = value
	case "requestId":
		p.requestID = value
	}
}

// A requestMeta is what a request's _meta says to this server.
type requestMeta struct {
	version      json.RawMessage // modern: required
	capabilities json.RawMessage // modern: required
	level        string          // modern: the least severe log line to send, "" for none
	progress     json.RawMessage // the token for progress notifications, or nil
	rest         json.RawMessage // what is for the upstream, an object, or nil
}

// readMeta reads _meta. What the protocol reserves is meant for this server;
// everything else, such as traceparent, goes on to the upstream.
func readMeta(raw json.RawMessage) requestMeta {
	var m requestMeta
	o, _ := openObject(raw) // As in readParams.
	for o.next() {
		switch string(o.name) {
		case metaVersion:
			m.version = o.value
		case metaCapabilities:
			m.capabilities = o.value
		case metaLogLevel:
			m.level, _ = unquote(o.value)
		case metaProgress:
			if isID(o.value) {
				m.progress = o.value
			}
		default:
			if !bytes.HasPrefix(o.name, []byte(metaPrefix)) {
				m.pass(string(o.name), o.value)
			}
		}
	}
	if m.rest != nil {
		m.rest = append(m.rest, '}')
	}
	return m
}

func (m *requestMeta) pass(name string, value json.RawMessage) {
	if m.rest == nil {
		m.rest = append(m.rest, '{')
	} else {
		m.rest = append(m.rest, ',')
	}
	m.rest = append(quote(m.rest, name), ':')
	m.rest = append(m.rest, value...)
}

// levels are the severities of RFC 5424, least severe first.
func severity(level string) int {
	switch level {
	case "debug":
		return 0
	case "info":
		return 1
	case "notice":
		return 2
	case "warning":
		return 3
	case "error":
		return 4
	case "critical":
		return 5
	case "alert":
		return 6
	case "emergency":
		return 7
	default:
		return -1
	}
}

// progressNotification returns notifications/progress, or nil where the numbers
// are not numbers (basic, progress).
func progressNotification(token json.RawMessage, p gateway.Progress) []byte {
	if !isNumber(p.Progress.String()) {
		return nil
	}
	b := appendNotification(make([]byte, 0, 160+len(p.Message)), "notifications/progress")
	b = append(append(b, `"progressToken":`...), token...)
	b = append(append(b, `,"progress":`...), p.Progress...)
	if isNumber(p.Total.String()) {
		b = append(append(b, `,"total":`...), p.Total...)
	}
	if p.Message != "" {
		b = quote(append(b, `,"message":`...), p.Message)
	}
	return append(b, "}}"...)
}

// logNotification returns notifications/message (server, logging). An unknown
// level reads as info, and absent data as null.
func logNotification(m gateway.LogMessage) []byte {
	if severity(m.Level) < 0 {
		m.Level = "info"
	}
	if len(m.Data) == 0 {
		m.Data = json.RawMessage("null")
	}
	b := appendNotification(make([]byte, 0, 128+len(m.Data)), "notifications/message")
	b = quote(append(b, `"level":`...), m.Level)
	if m.Logger != "" {
		b = quote(append(b, `,"logger":`...), m.Logger)
	}
	b = append(append(b, `,"data":`...), m.Data...)
	return append(b, "}}"...)
}

// isNumber reports whether text can stand as a number in JSON.
func isNumber(text string) bool {
	return text != "" && (text[0] == '-' || text[0] >= '0' && text[0] <= '9') && json.Valid([]byte(text))
}

// appendModern appends a result of revision 2026-07-28: what the upstream sent,
// byte for byte, with the members that the revision demands put in front where
// the upstream did not give them: resultType, the server's name in _meta, and
// for what clients may cache, how (server, caching). What depends on the caller
// is private, whatever the upstream says. Raw begins with the brace of an object.
func appendModern(b, raw, info []byte, cached bool) []byte {
	var resultType, ttl bool
	var scope, meta object
	o, _ := openObject(raw)
	for o.next() {
		switch string(o.name) {
		case "resultType":
			resultType = true
		case "ttlMs":
			ttl = true
		case "cacheScope":
			scope = o
		case "_meta":
			meta = o
		}
	}
	b = append(b, '{')
	if !resultType {
		b = append(b, `"resultType":"complete",`...)
	}
	if cached && !ttl {
		b = append(b, `"ttlMs":0,`...)
	}
	if cached && scope.value == nil {
		b = append(b, `"cacheScope":"private",`...)
	}
	if meta.value == nil {
		b = append(append(append(b, `"_meta":`...), info...), ',')
	}
	if !cached {
		scope = object{} // Then it is none of the protocol's.
	}
	return appendMembers(b, raw, info, scope, meta)
}

// appendMembers appends the members of raw and its closing brace, with the
// values of scope and meta, where there are such members, made ours.
func appendMembers(b, raw, info []byte, scope, meta object) []byte {
	at := 1 // What of raw is not yet appended begins here.
	for range 2 {
		if scope.value != nil && (meta.value == nil || scope.start < meta.start) {
			b = append(append(b, raw[at:scope.start]...), `"private"`...)
			at = scope.start + len(scope.value)
			scope = object{}
		}
		if meta.value != nil {
			b = appendInfo(append(b, raw[at:meta.start]...), meta.value, info)
			at = meta.start + len(meta.value)
			meta = object{}
		}
	}
	if first := skipSpace(raw, at); first < len(raw) && raw[first] == '}' {
		b = trimComma(b) // The object was empty.
	}
	return append(b, raw[at:]...)
}

// trimComma takes back a comma after which no member came.
func trimComma(b []byte) []byte { return bytes.TrimSuffix(b, []byte{','}) }

// appendInfo appends an upstream's _meta with the server's name added, unless
// the upstream gave its own.
func appendInfo(b, meta, info []byte) []byte {
	o, ok := openObject(meta)
	empty := true
	for o.next() {
		empty = false
		if string(o.name) == metaServerInfo {
			return append(b, meta...)
		}
	}
	if !ok {
		return append(b, meta...)
	}
	b = append(b, info[:len(info)-1]...)
	if !empty {
		b = append(b, ',')
	}
	return append(b, meta[1:]...)
}
