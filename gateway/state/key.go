package state

import (
	"fmt"
	"strings"
)

// MaxKeyBytes bounds a key or topic before encoding. Three times as much still fits the control line of a NATS
// server, which is 4 KiB unless configured.
const MaxKeyBytes = 1024

const hexDigits = "0123456789ABCDEF"

// encodeKey maps any non-empty string onto one token of a NATS subject. Letters, digits, '-' and '_' stand for
// themselves; every other byte becomes '=' and two upper-case hexadecimal digits, so "https://a.b" is
// "https=3A=2F=2Fa=2Eb". Each string has one encoding, and encodings sort differently from keys.
func encodeKey(key string) (string, error) {
	switch {
	case key == "":
		return "", fmt.Errorf("%w: empty key", ErrInvalid)
	case len(key) > MaxKeyBytes:
		return "", fmt.Errorf("%w: key of %d bytes, at most %d", ErrTooLarge, len(key), MaxKeyBytes)
	}
	var b strings.Builder
	b.Grow(len(key) + 8)
	for i := range len(key) {
		if c := key[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('=')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String(), nil
}

// decodeKey reverses encodeKey and refuses whatever encodeKey does not produce, for example keys written by hand.
func decodeKey(enc string) (string, error) {
	var b strings.Builder
	b.Grow(len(enc))
	for i := 0; i < len(enc); i++ {
		c := enc[i]
		if c == '=' {
			if i+2 >= len(enc) {
				return "", fmt.Errorf("%w: key ends within an escape", ErrInvalid)
			}
			hi, lo := strings.IndexByte(hexDigits, enc[i+1]), strings.IndexByte(hexDigits, enc[i+2])
			if hi < 0 || lo < 0 {
				return "", fmt.Errorf("%w: bad escape in key", ErrInvalid)
			}
			if c = byte(hi<<4 | lo); plain(c) { //nolint:gosec // Two hexadecimal digits make a byte.
				return "", fmt.Errorf("%w: needless escape in key", ErrInvalid)
			}
			i += 2
		} else if !plain(c) {
			return "", fmt.Errorf("%w: byte %#x in key", ErrInvalid, c)
		}
		b.WriteByte(c)
	}
	if n := b.Len(); n == 0 || n > MaxKeyBytes {
		return "", fmt.Errorf("%w: key of %d bytes", ErrInvalid, n)
	}
	return b.String(), nil
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
