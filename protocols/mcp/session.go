package mcp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"
)

// A sessionKey names a session in this process: the random part of its id.
type sessionKey [16]byte

// A ticket is what a sealed session id says.
type ticket struct {
	rev    string  // the revision that initialize agreed on
	can    ability // what the client declared
	issued time.Time
	key    sessionKey
}

// SessionLifetime is how long a sealed id is good for. A client whose session
// has ended starts a new one (2025-11-25, transports, session management).
const SessionLifetime = 24 * time.Hour

// A sealer makes session ids that carry their own proof, so that any node that
// has the key accepts them without a store. The principal is authenticated
// data: another principal's id does not open, just like a forged one.
type sealer struct{ aead cipher.AEAD }

// newSealer returns a sealer; a key of zeros is replaced by a random one.
func newSealer(key [32]byte) (sealer, error) {
	if key == [32]byte{} {
		rand.Read(key[:])
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return sealer{}, fmt.Errorf("session key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return sealer{}, fmt.Errorf("session key: %w", err)
	}
	return sealer{aead}, nil
}

// ticketSize is a byte of revision, one of abilities, eight of time and the key.
const ticketSize = 1 + 1 + 8 + 16

// seal returns a new session id for a principal.
func (s sealer) seal(rev string, can ability, principal string, now time.Time) string {
	var b [ticketSize]byte
	b[0] = byte(revisionIndex(rev)) //nolint:gosec // a few revisions.
	b[1] = byte(can)
	binary.BigEndian.PutUint64(b[2:], uint64(now.Unix())) //nolint:gosec // the time is after 1970.
	rand.Read(b[10:])
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, b[:], []byte(principal)))
}

// open returns what an id says, and false where it is forged, another
// principal's, or too old.
func (s sealer) open(id, principal string, now time.Time) (ticket, bool) {
	const most = 128
	if len(id) > most {
		return ticket{}, false
	}
	var memory [2 * most]byte
	sealed, plain := memory[:most], memory[most:]
	n, err := base64.RawURLEncoding.Strict().Decode(sealed, []byte(id))
	if err != nil || n < s.aead.Overhead() {
		return ticket{}, false
	}
	b, err := s.aead.Open(plain[:0], nil, sealed[:n], []byte(principal))
	all := revisions()
	if err != nil || len(b) != ticketSize || int(b[0]) >= len(all) {
		return ticket{}, false
	}
	t := ticket{rev: all[b[0]], can: ability(b[1]), issued: time.Unix(int64(binary.BigEndian.Uint64(b[2:])), 0)} //nolint:gosec // written by seal.
	copy(t.key[:], b[10:])
	if now.Sub(t.issued) > SessionLifetime || now.Before(t.issued.Add(-time.Minute)) {
		return ticket{}, false
	}
	return t, true
}
