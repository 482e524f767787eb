package connect

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/trilith-gateway/trilith/auth/browser"
)

// sealVersion names the form of a record, for the day that there is another.
const sealVersion = 2

// A record is a connection as it is stored: an envelope of a data key, sealed by
// the gateway's, and the token, sealed by the data key.
type record struct {
	Version int       `json:"v"`
	Owner   Owner     `json:"owner"`
	Server  Server    `json:"server"`
	Since   time.Time `json:"since"` // when the user consented
	Key     []byte    `json:"key"`   // as in [browser.Sealed]
	Token   []byte    `json:"token"` // as its Text
}

var errSealed = errors.New("connect: a stored connection cannot be opened")

// bound returns the owner as bytes that no other has.
func (o Owner) bound() []byte { return appendParts([]byte{1}, o.Tenant, o.Upstream, o.User) }

// bound returns what is authenticated with a record's seal: its form, its owner
// and its server.
func (r *record) bound() []byte {
	return appendParts(append([]byte{sealVersion}, r.Owner.bound()...), r.Server.Issuer, r.Server.Origin)
}

// appendParts appends texts, each with its length.
func appendParts(b []byte, parts ...string) []byte {
	for _, part := range parts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part))) //nolint:gosec // Names are short.
		b = append(b, part...)
	}
	return b
}

// key names the owner's record in its bucket.
func (o Owner) key() string {
	sum := sha256.Sum256(o.bound())
	return hex.EncodeToString(sum[:])
}

// seal returns the record of a token (AES-256-GCM).
func seal(key [32]byte, o Owner, s Server, t Token, since time.Time) (record, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return record{}, err
	}
	r := record{Version: sealVersion, Owner: o, Server: s, Since: since}
	sealed := browser.Seal(key, r.bound(), text)
	r.Key, r.Token = sealed.Key, sealed.Text
	return r, nil
}

// open returns the token of the owner's record. It is ErrNotConnected where that
// is of another server, or of a form that named none. A record of another owner
// does not open, wherever it lies.
func open(key [32]byte, o Owner, s Server, r record) (t Token, err error) {
	if r.Version < sealVersion || r.Server != s {
		return t, ErrNotConnected
	}
	if r.Version != sealVersion {
		return t, fmt.Errorf("%w: version %d", errSealed, r.Version)
	}
	r.Owner = o
	text, err := browser.Sealed{Key: r.Key, Text: r.Token}.Open(key, r.bound())
	if err != nil || json.Unmarshal(text, &t) != nil {
		return t, errSealed
	}
	return t, nil
}
