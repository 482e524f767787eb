package guard

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/gateway"
)

// A key names what a call asks, and who does where that matters.
type key [sha256.Size]byte

// keys returns the key of the call by its caller, and the one that callers
// share, which is the same where they do not. It fails on arguments that are no
// JSON.
//
// A caller is the principal with all that a source could go by: two credentials
// of one person with other rights have other answers.
func keys(call *gateway.Call, shared bool) (own, all key, ok bool) {
	h := sha256.New()
	write(h, call.Op.String(), call.Object, call.Name, call.Kind.String())
	meta, ok := untraced(call.Meta)
	if !ok {
		return own, all, false
	}
	for _, raw := range [][]byte{call.Args, meta, call.Capabilities} {
		text, ok := canonical(raw)
		if !ok {
			return own, all, false
		}
		write(h, string(text))
	}
	h.Sum(all[:0])
	p := call.Principal
	write(h, p.ID, p.Tenant, p.Kind)
	for _, list := range [][]string{p.Groups, p.Roles, p.Scopes} {
		write(h, list...)
	}
	h.Sum(own[:0])
	if !shared {
		all = own
	}
	return own, all, true
}

// write hashes texts so that no others have the same hash.
func write(h hash.Hash, texts ...string) {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(texts)))
	h.Write(n[:]) // A hash never fails.
	for _, s := range texts {
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
}

// canonical returns JSON with its members in order and without space. Numbers
// stay as they are written: two that a float64 cannot tell apart are two.
func canonical(raw []byte) ([]byte, bool) {
	if len(raw) == 0 {
		return nil, true
	}
	text, err := jsontext.AppendFormat(nil, raw,
		jsontext.AllowInvalidUTF8(true), jsontext.PreserveRawStrings(true), jsontext.ReorderRawObjects(true))
	return text, err == nil
}

// untraced returns _meta without what names the trace that a call belongs to,
// which differs for each and means nothing for its answer.
func untraced(meta []byte) ([]byte, bool) {
	if len(meta) == 0 {
		return nil, true
	}
	var members map[string]jsontext.Value
	if err := jsonv2.Unmarshal(meta, &members, jsontext.AllowInvalidUTF8(true)); err != nil {
		return nil, false
	}
	for _, name := range [...]string{"traceparent", "tracestate", "baggage"} { // W3C Trace Context, as MCP has it.
		delete(members, name)
	}
	if len(members) == 0 {
		return nil, true
	}
	text, err := jsonv2.Marshal(members, jsontext.AllowInvalidUTF8(true), jsontext.PreserveRawStrings(true))
	return text, err == nil
}
