package mcp

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"
)

// The statuses of a task (ext-tasks, task status). Those after input_required
// are final.
const (
	statusWorking   = "working"
	statusInput     = "input_required"
	statusCompleted = "completed"
	statusFailed    = "failed"
	statusCancelled = "cancelled"
)

func isFinal(status string) bool { return status != statusWorking && status != statusInput }

// taskKey names a task in the store. It depends on the owner, so that for
// anybody else an id is one that does not exist, and who reads the store learns
// no id.
func taskKey(id, owner string) string {
	h := sha256.New()
	h.Write([]byte(id))
	h.Write([]byte{0}) // Ids have no such byte.
	h.Write([]byte(owner))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// A taskRecord is a task as it is stored. State is its members on the wire but
// for the id, as an object, byte for byte.
type taskRecord struct {
	node    string    // who runs it; "" where the node has left it to others
	seen    time.Time // when that was last sure
	expires time.Time
	status  string
	state   json.RawMessage
	rejoin  string // sealed: how to go on with what the upstream still has; "" for nothing
}

func (r *taskRecord) append(b []byte) []byte {
	b = quote(append(b, `{"node":`...), r.node)
	b = strconv.AppendInt(append(b, `,"seen":`...), r.seen.UnixMilli(), 10)
	b = strconv.AppendInt(append(b, `,"expires":`...), r.expires.UnixMilli(), 10)
	b = quote(append(b, `,"status":`...), r.status)
	b = append(append(b, `,"state":`...), r.state...)
	if r.rejoin != "" {
		b = quote(append(b, `,"rejoin":`...), r.rejoin)
	}
	return append(b, '}')
}

// readTaskRecord reads what append wrote. It reports false for anything else.
func readTaskRecord(data []byte) (taskRecord, bool) {
	var r taskRecord
	if !json.Valid(data) {
		return r, false
	}
	ms := func(v json.RawMessage) time.Time {
		n, _ := strconv.ParseInt(string(v), 10, 64) // Then it is long past.
		return time.UnixMilli(n)
	}
	o, _ := openObject(data) // No object has no state.
	for o.next() {
		switch string(o.name) {
		case "node":
			r.node, _ = unquote(o.value) // As above: then it is nobody's.
		case "seen":
			r.seen = ms(o.value)
		case "expires":
			r.expires = ms(o.value)
		case "status":
			r.status, _ = unquote(o.value)
		case "state":
			r.state = o.value
		case "rejoin":
			r.rejoin, _ = unquote(o.value) // As above: then it cannot be taken up.
		}
	}
	return r, r.status != "" && isObject(r.state)
}

// timestamp appends a time as tasks show it, a JSON string.
func timestamp(b []byte, t time.Time) []byte {
	return append(t.UTC().AppendFormat(append(b, '"'), "2006-01-02T15:04:05.000Z"), '"')
}
