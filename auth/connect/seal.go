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
const sealVersion = 1

// A record is a connection as it is stored: an envelope of a data key, sealed by
// the gateway's, and the token, sealed by the data key.
type record struct {
	Version int       `json:"v"`
	Owner   Owner     `json:"owner"`
	Since   time.Time `json:"since"` // when the user consented
	Key     []byte    `json:"key"`   // as in [browser.Sealed]
	Token   []byte    `json:"token"` // as its Text
}

var errSealed = errors.New("connect: a stored connection cannot be opened")

// bound returns what is authenticated with each seal: the record's form and its
// owner, each part with its length, so that no two owners have the same.
func (o Owner) bound() []byte {
	b := []byte{sealVersion}
	for _, part := range []string{o.Tenant, o.Upstream, o.User} {
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
func seal(key [32]byte, o Owner, t Token, since time.Time) (record, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return record{}, err
	}
	sealed := browser.Seal(key, o.bound(), text)
	return record{Version: sealVersion, Owner: o, Since: since, Key: sealed.Key, Token: sealed.Text}, nil
}

// open returns the token of the owner's record. A record of another owner does
// not open, wherever it lies.
func open(key [32]byte, o Owner, r record) (t Token, err error) {
	if r.Version != sealVersion {
		return t, fmt.Errorf("%w: version %d", errSealed, r.Version)
	}
	text, err := browser.Sealed{Key: r.Key, Text: r.Token}.Open(key, o.bound())
	if err != nil || json.Unmarshal(text, &t) != nil {
		return t, errSealed
	}
	return t, nil
}
