package mcp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/gateway/ask"
)

// A suspension names a call that waits on a node for its client to come back.
// Zero names none.
type suspension [16]byte

// A place is where a call waits: on a node, under a name. Zero is nowhere.
type place struct {
	node string
	name suspension
}

// An inputState is what a requestState says: the upstream's own state, or which
// call waits for the answers.
type inputState struct {
	expires  time.Time
	waiting  place
	upstream string // without waiting: the upstream's own state
}

// An inputSealer seals requestStates, which come back from an attacker's hands
// (basic, multi round-trip requests, security). What a state belongs to is
// authenticated with it: another principal's, another method's, another
// target's or other arguments' state does not open, just like a forged one. Its
// owner may bring a state back more than once until it expires; what must happen
// once is the upstream's to guard, or that of the call that waits.
type inputSealer struct{ aead cipher.AEAD }

// newInputSealer derives the sealer from the frontend's key, apart from the use
// that session ids make of it.
func newInputSealer(key [32]byte) inputSealer {
	derived, err := hkdf.Key(sha256.New, key[:], nil, "trilith mcp requestState", len(key))
	if err != nil {
		panic(err) // The length is allowed.
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		panic(err) // AES takes every key of 32 bytes.
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // GCM takes every AES cipher.
	}
	return inputSealer{aead}
}

// sealedHead is eight bytes of time, the name of a waiting call, and the length
// of that of its node, which follows.
const sealedHead = 8 + 16 + 1

// seal returns the requestState of a state for the request that it is the
// answer to.
func (s inputSealer) seal(r *request, t inputState) string {
	node := t.waiting.node
	b := make([]byte, 0, sealedHead+len(node)+len(t.upstream))
	b = binary.BigEndian.AppendUint64(b, uint64(t.expires.Unix())) //nolint:gosec // the time is after 1970.
	b = append(append(b, t.waiting.name[:]...), byte(len(node)))   //nolint:gosec // at most maxNode.
	b = append(append(b, node...), t.upstream...)
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, b, belongsTo(r)))
}

// open returns what a requestState says to a request, and false where it is
// forged, belongs to something else or has expired.
func (s inputSealer) open(r *request, text string, now time.Time) (inputState, bool) {
	if len(text) > base64.RawURLEncoding.EncodedLen(sealedHead+maxNode+ask.MaxState+s.aead.Overhead()) {
		return inputState{}, false
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(sealed) < s.aead.Overhead() {
		return inputState{}, false
	}
	b, err := s.aead.Open(nil, nil, sealed, belongsTo(r))
	if err != nil || len(b) < sealedHead {
		return inputState{}, false
	}
	t := inputState{expires: time.Unix(int64(binary.BigEndian.Uint64(b)), 0)} //nolint:gosec // written by seal.
	copy(t.waiting.name[:], b[8:])
	node, rest := int(b[sealedHead-1]), b[sealedHead:]
	if len(rest) < node {
		return inputState{}, false
	}
	t.waiting.node, t.upstream = string(rest[:node]), string(rest[node:])
	return t, !now.After(t.expires)
}

// belongsTo returns a digest of what a requestState is tied to: the principal,
// the method, its target and the arguments. Members of the arguments may come
// back in another order and spacing, as encoders of some languages have it.
func belongsTo(r *request) []byte {
	subject, _ := r.subject() // Checked before.
	args := jsontext.Value(append(json.RawMessage(nil), r.params.arguments...))
	if isNull(args) {
		args = jsontext.Value(`{}`)
	}
	_ = args.Compact(jsontext.ReorderRawObjects(true), jsontext.PreserveRawStrings(false)) // Checked when it was read.
	h := sha256.New()
	var n [8]byte
	for _, part := range []string{r.principal.ID, r.Method, subject, string(args)} {
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}

func newSuspension() suspension {
	var s suspension
	rand.Read(s[:])
	return s
}
