package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"errors"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A binding names the keys that the client must have for a token to be worth
// anything (RFC 7800). The zero binding names none.
type binding struct {
	key         string // the thumbprint of a key (RFC 9449, section 6.1), or ""
	certificate string // the SHA-256 of a certificate (RFC 8705, section 3.1), or ""
}

// binding returns what the claims bind the token to. Ways of binding that are
// not known here make the token unusable: nobody could check them.
func (c claims) binding() (b binding, err error) {
	raw := c["cnf"]
	if raw == nil {
		return b, nil
	}
	var cnf map[string]jsontext.Value
	if raw.Kind() != '{' || jsonv2.Unmarshal(raw, &cnf) != nil || len(cnf) == 0 {
		return b, errors.New("bound to a key in a way that is not supported")
	}
	for name, v := range cnf {
		var thumb string
		if v.Kind() != '"' || jsonv2.Unmarshal(v, &thumb) != nil || len(thumb) != base64.RawURLEncoding.EncodedLen(sha256.Size) {
			return b, errors.New("bound to a key in a way that is not supported")
		}
		switch name {
		case "jkt":
			b.key = thumb
		case "x5t#S256":
			b.certificate = thumb
		default:
			return b, errors.New("bound to a key in a way that is not supported")
		}
	}
	return b, nil
}

// check refuses a credential that does not show the keys of the binding, and a
// proof of a key that the token is not bound to: it would prove nothing.
func (b binding) check(c Credential) error {
	switch {
	case b.key == "" && c.Thumbprint != "":
		return errors.New("presented with a DPoP proof, but not bound to a key")
	case b.key != "" && c.Thumbprint == "":
		return errors.New("bound to a key, but presented without proof of it")
	case subtle.ConstantTimeCompare([]byte(b.key), []byte(c.Thumbprint)) != 1:
		return errors.New("bound to another key than the proof's")
	case b.certificate == "":
		return nil
	case c.Certificate == nil:
		return errors.New("bound to a certificate, but presented without it")
	case subtle.ConstantTimeCompare([]byte(b.certificate), []byte(fingerprint(c.Certificate))) != 1:
		return errors.New("bound to another certificate than the client's")
	}
	return nil
}

// fingerprint returns the SHA-256 of a certificate as RFC 8705, section 3.1,
// writes it.
func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
