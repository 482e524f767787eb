package pin

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/gateway"
)

// Hash returns the SHA-256, in hexadecimal, of a definition's canonical form:
// members in the order of RFC 8785, no white space, one spelling of each string.
// Unlike RFC 8785 it keeps numbers as they are spelt, since that is how they are
// forwarded: two that differ only beyond the precision of a float64 differ here.
//
// Every member counts, also those that nobody knows yet, because MCP clients get
// the whole definition. Only what says how a resource's data is now, and nothing
// of what it is for, does not: its size, and the annotation lastModified.
//
// What has no canonical form, such as text that is not UTF-8, is hashed as it
// is.
func Hash(kind gateway.Kind, def json.RawMessage) string {
	sum := sha256.Sum256(canonical(kind, def))
	return hex.EncodeToString(sum[:])
}

func canonical(kind gateway.Kind, def json.RawMessage) []byte {
	out := jsontext.Value(slices.Clone(def))
	if kind == gateway.KindResource || kind == gateway.KindTemplate {
		out = lasting(out)
	}
	if out.Canonicalize(jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false)) != nil {
		return def
	}
	return out
}

// lasting returns a resource's definition without what says how its data is now.
func lasting(def jsontext.Value) jsontext.Value {
	var members, annotations map[string]jsontext.Value
	if jsonv2.Unmarshal(def, &members) != nil {
		return def
	}
	delete(members, "size")
	if a := members["annotations"]; a.Kind() == '{' && jsonv2.Unmarshal(a, &annotations) == nil {
		delete(annotations, "lastModified")
		if raw, err := jsonv2.Marshal(annotations); err == nil {
			members["annotations"] = raw
		}
	}
	if raw, err := jsonv2.Marshal(members); err == nil {
		return raw
	}
	return def
}
