package connect

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// sealVersion names the form of a record, for the day that there is another.
const sealVersion = 1

// A record is a connection as it is stored: an envelope of a data key, sealed by
// the gateway's, and the token, sealed by the data key.
type record struct {
	Version int       `json:"v"`
	Owner   Owner     `json:"owner"`
	Since   time.Time `json:"since"` // when the user consented
	Key     []byte    `json:"key"`
	Token   []byte    `json:"token"`
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

func aead(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // Keys have 32 bytes.
	}
	a, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return a
}

// seal returns the record of a token (AES-256-GCM).
func seal(key [32]byte, o Owner, t Token, since time.Time) (record, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return record{}, err
	}
	var data [32]byte
	_, _ = rand.Read(data[:]) // It never fails.
	return record{
		Version: sealVersion, Owner: o, Since: since,
		Key:   aead(key[:]).Seal(nil, nil, data[:], o.bound()),
		Token: aead(data[:]).Seal(nil, nil, text, o.bound()),
	}, nil
}

// open returns the token of the owner's record. A record of another owner does
// not open, wherever it lies.
func open(key [32]byte, o Owner, r record) (t Token, err error) {
	if r.Version != sealVersion {
		return t, fmt.Errorf("%w: version %d", errSealed, r.Version)
	}
	data, err := aead(key[:]).Open(nil, nil, r.Key, o.bound())
	if err != nil || len(data) != 32 {
		return t, errSealed
	}
	text, err := aead(data).Open(nil, nil, r.Token, o.bound())
	if err != nil || json.Unmarshal(text, &t) != nil {
		return t, errSealed
	}
	return t, nil
}
