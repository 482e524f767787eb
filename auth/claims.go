package auth

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// claims are a token's claims set (RFC 7519, section 4), each as it was
// written.
type claims map[string]jsontext.Value

// text returns a claim that is a string, or "" when it is missing.
func (c claims) text(name string) (string, error) {
	raw := c[name]
	if raw == nil {
		return "", nil
	}
	var s string
	if raw.Kind() != '"' || jsonv2.Unmarshal(raw, &s) != nil {
		return "", fmt.Errorf("claim %s is not a string", name)
	}
	return s, nil
}

// texts returns a claim that is a string or a list of strings.
func (c claims) texts(name string) ([]string, error) { return toTexts(name, c[name]) }

func toTexts(name string, raw jsontext.Value) ([]string, error) {
	list := []jsontext.Value{raw}
	if raw == nil || raw.Kind() == 'n' {
		return nil, nil
	}
	if raw.Kind() == '[' {
		if err := jsonv2.Unmarshal(raw, &list); err != nil {
			return nil, err
		}
	}
	out := make([]string, len(list))
	for i, v := range list {
		if v.Kind() != '"' || jsonv2.Unmarshal(v, &out[i]) != nil {
			return nil, fmt.Errorf("claim %s is neither a string nor a list of strings", name)
		}
	}
	return out, nil
}

// maxDate is the last second of the year 9999.
const maxDate = 253402300799

// when returns a claim that is a NumericDate, and whether it is there.
func (c claims) when(name string) (time.Time, bool, error) {
	raw := c[name]
	if raw == nil {
		return time.Time{}, false, nil
	}
	var f float64
	if raw.Kind() != '0' || jsonv2.Unmarshal(raw, &f) != nil || f < 0 || f > maxDate {
		return time.Time{}, false, fmt.Errorf("claim %s is not a date", name)
	}
	sec, frac := math.Modf(f)
	return time.Unix(int64(sec), int64(frac*1e9)), true, nil
}

// find returns the claim of that name or, where there is none, the one that the
// name's parts between dots lead to through nested objects.
func (c claims) find(path string) jsontext.Value {
	if raw := c[path]; raw != nil {
		return raw
	}
	first, rest, ok := strings.Cut(path, ".")
	if !ok || c[first].Kind() != '{' {
		return nil
	}
	var inner claims
	if jsonv2.Unmarshal(c[first], &inner) != nil {
		return nil
	}
	return inner.find(rest)
}

// A reader reads claims and keeps the errors.
type reader struct {
	claims
	err error
}

// text returns the first of the claims that is there.
func (r *reader) text(names ...string) string {
	for _, name := range names {
		s, err := r.claims.text(name)
		r.err = errors.Join(r.err, err)
		if s != "" {
			return s
		}
	}
	return ""
}

func (r *reader) list(path string) []string {
	s, err := toTexts(path, r.find(path))
	r.err = errors.Join(r.err, err)
	return s
}

// scopes returns the scopes that a token is good for, or nil when it does not
// speak of scopes. RFC 9068 has them in one string; scp is what others do.
func (r *reader) scopes() []string {
	var out []string
	for _, name := range [...]string{"scope", "scp"} {
		if r.claims[name] == nil {
			continue
		}
		if out == nil {
			out = []string{} // A bound, even if it is empty.
		}
		for _, s := range r.list(name) {
			out = append(out, strings.Fields(s)...)
		}
	}
	return out
}

// notOther refuses what claims show to be another kind of token than an access
// token, for issuers whose tokens do not carry their type.
func (c claims) notOther() error {
	for _, name := range [...]string{"nonce", "at_hash", "c_hash", "s_hash"} { // OpenID Connect Core, ID Token
		if c[name] != nil {
			return errors.New("an ID token")
		}
	}
	if c["events"] != nil { // OpenID Connect Back-Channel Logout; RFC 8417
		return errors.New("a security event token")
	}
	// What Keycloak and Cognito say beyond the standards.
	if typ, err := c.text("typ"); err != nil || typ != "" && !strings.EqualFold(typ, "Bearer") {
		return errors.New("claim typ is not Bearer")
	}
	if use, err := c.text("token_use"); err != nil || use != "" && use != "access" {
		return errors.New("claim token_use is not access")
	}
	return nil
}
