package guard

import (
	"bytes"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// hints are what a result says of how long it is good.
type hints struct {
	said    bool // it has a ttlMs
	ttl     time.Duration
	at      [2]int // where the value of ttlMs is
	private bool
}

// hintsOf reads the hints of a result, a JSON object: its members ttlMs and
// cacheScope, or those of its _meta where it has none itself. What is not as the
// specification has it says nothing.
func hintsOf(raw []byte) hints {
	h, meta, at := membersOf(raw)
	if h.said || meta == nil {
		return h
	}
	inner, _, _ := membersOf(meta)
	inner.private = inner.private || h.private
	inner.at[0] += at
	inner.at[1] += at
	return inner
}

// membersOf reads the hints among the members of an object, its member _meta,
// and where that begins.
func membersOf(raw []byte) (h hints, meta []byte, at int) {
	d := jsontext.NewDecoder(bytes.NewReader(raw), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return hints{}, nil, 0
	}
	for d.PeekKind() == '"' {
		t, err := d.ReadToken()
		if err != nil {
			return hints{}, nil, 0
		}
		name := t.String()
		v, err := d.ReadValue()
		if err != nil {
			return hints{}, nil, 0
		}
		end := int(d.InputOffset())
		switch name {
		case "ttlMs":
			if ms, err := strconv.ParseInt(string(v), 10, 64); err == nil && ms >= 0 {
				h.said, h.ttl, h.at = true, time.Duration(min(ms, maxHint.Milliseconds()))*time.Millisecond, [2]int{end - len(v), end}
			}
		case "cacheScope":
			h.private = string(v) == `"private"`
		case "_meta":
			meta, at = bytes.Clone(v), end-len(v)
		}
	}
	return h, meta, at
}

// maxHint is the longest time that a hint can mean.
const maxHint = 365 * 24 * time.Hour
