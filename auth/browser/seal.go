package browser

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
)

// ErrSealed says that something cannot be opened: it is another's, was changed,
// or was sealed with another key.
var ErrSealed = errors.New("what is sealed cannot be opened")

// A Sealed is an envelope (AES-256-GCM): a data key, sealed by the gateway's key,
// and a text, sealed by the data key.
type Sealed struct {
	Key  []byte `json:"key"`
	Text []byte `json:"text"`
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

// Seal seals a text for what it is bound to.
func Seal(key [32]byte, bound, text []byte) Sealed {
	var data [32]byte
	_, _ = rand.Read(data[:]) // It never fails.
	return Sealed{aead(key[:]).Seal(nil, nil, data[:], bound), aead(data[:]).Seal(nil, nil, text, bound)}
}

// Open returns the text, or [ErrSealed]. Bound must be what it was sealed for.
func (s Sealed) Open(key [32]byte, bound []byte) ([]byte, error) {
	data, err := aead(key[:]).Open(nil, nil, s.Key, bound)
	if err != nil || len(data) != 32 {
		return nil, ErrSealed
	}
	text, err := aead(data).Open(nil, nil, s.Text, bound)
	if err != nil {
		return nil, ErrSealed
	}
	return text, nil
}
