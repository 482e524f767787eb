package auth

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
)

// An API key is written
//
//	gwk_<id>_<secret>_<check>
//
// with an id of 8 characters by which it is found, a secret of 256 random bits,
// and the CRC-32 (IEEE) of all that stands before the last underscore, both in
// base64url without padding. The prefix lets secret scanners find keys that
// leaked, and the check lets them, and the gateway, leave out what is none.
const (
	keyPrefix  = "gwk_"
	keyID      = 8
	keySecret  = 32
	secretText = 43 // base64url of keySecret bytes
	checkText  = 6  // base64url of 4 bytes
	keyText    = len(keyPrefix) + keyID + 1 + secretText + 1 + checkText
)

// keyIDs are the characters of an id: no vowels, so that none says anything, and
// few that are taken for one another. There are 32.
const keyIDs = "bcdfghjkmnpqrstvwxyz23456789BCDF"

// IsKey reports whether a token is meant to be an API key, well-formed or not.
// Such a token is never taken for anything else.
func IsKey(token string) bool { return strings.HasPrefix(token, keyPrefix) }

// newKey returns a new random key and its id.
func newKey() (id, key string) {
	var b [keyID + keySecret]byte
	_, _ = rand.Read(b[:]) // It never fails.
	var name [keyID]byte
	for i := range name {
		name[i] = keyIDs[b[i]%byte(len(keyIDs))]
	}
	return string(name[:]), writeKey(string(name[:]), b[keyID:])
}

// writeKey returns the key of that id and secret.
func writeKey(id string, secret []byte) string {
	key := keyPrefix + id + "_" + base64.RawURLEncoding.EncodeToString(secret)
	sum := checksum(key)
	return key + "_" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// checksum returns what stands behind the last underscore of a key that begins
// so, before it is encoded.
func checksum(key string) (sum [4]byte) {
	var text [keyText]byte // A copy, as a conversion would be, but on the stack.
	binary.BigEndian.PutUint32(sum[:], crc32.ChecksumIEEE(text[:copy(text[:], key)]))
	return sum
}

var errMalformedKey = errors.New("malformed API key")

// parseKeyID returns the id of a key that is written as a key must be. Whether
// there is such a key it does not know.
func parseKeyID(key string) (string, error) {
	if len(key) != keyText || !IsKey(key) {
		return "", errMalformedKey
	}
	rest := key[len(keyPrefix):]
	id, secret := rest[:keyID], rest[keyID+1:keyID+1+secretText]
	end := keyText - checkText - 1
	if rest[keyID] != '_' || key[end] != '_' || strings.Trim(id, keyIDs) != "" {
		return "", errMalformedKey
	}
	var b [keySecret]byte
	if !decodes(b[:], secret) {
		return "", errMalformedKey
	}
	var sum [4]byte
	if !decodes(sum[:], key[end+1:]) || sum != checksum(key[:end]) {
		return "", errMalformedKey
	}
	return id, nil
}

// decodes fills into with what text encodes, and reports whether it is filled.
func decodes(into []byte, text string) bool {
	var b [secretText]byte
	n, err := base64.RawURLEncoding.Strict().Decode(into, b[:copy(b[:], text)])
	return err == nil && n == len(into)
}
