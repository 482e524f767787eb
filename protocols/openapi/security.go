package openapi

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/trilith-gateway/trilith/internal/clip"
)

// A Credential is what the gateway shows to a service under one of the
// document's security schemes: a Value for an API key or a token, or a Username
// and Password for basic authentication.
type Credential struct {
	Value              string
	Username, Password string
}

// String shows no secret.
func (Credential) String() string { return "credential" }

// GoString hides the secrets from %#v.
func (c Credential) GoString() string { return c.String() }

// LogValue hides the secrets from log/slog.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// A scheme is a security scheme that there is a credential for, with what it
// puts into requests.
type scheme struct {
	in    place
	name  string
	value string
}

// String names the scheme and not its secret.
func (s scheme) String() string { return s.in.String() + " " + s.name }

// GoString hides the secret from %#v.
func (s scheme) GoString() string { return s.String() }

// schemes are those of a document: what can be used, and why the others cannot.
type schemes struct {
	usable  map[string]*scheme // nil for one that the client for the service answers itself, with OAuth or a header
	lacking map[string]string
	doc     *document
}

// schemes reads the document's security schemes for the credentials that there
// are. It fails where a credential has no scheme, or does not suit it.
func (d *document) schemes(o *Options) (*schemes, error) {
	s := &schemes{usable: map[string]*scheme{}, lacking: map[string]string{}, doc: d}
	all := member(d.top("components"), "securitySchemes")
	for name := range o.Credentials {
		if member(all, name) == nil {
			return nil, fmt.Errorf("the document has no security scheme %q for which there is a credential", name)
		}
	}
	for name, raw := range members(all) {
		raw, err := d.resolve(raw)
		if err != nil {
			s.lacking[name] = err.Error()
			continue
		}
		credential, given := o.Credentials[name]
		switch {
		case given:
			if s.usable[name], err = newScheme(raw, credential); err != nil {
				return nil, fmt.Errorf("the credential for the security scheme %q: %w", name, err)
			}
		case o.answers(raw):
			s.usable[name] = nil
		default:
			s.lacking[name] = "there is no credential for the security scheme " + clip.Text(name, 64)
		}
	}
	return s, nil
}

// answers reports whether what goes with every request is enough for a scheme.
func (o *Options) answers(raw json.RawMessage) bool {
	switch kind := stringOf(member(raw, "type")); {
	case kind == "apiKey" && stringOf(member(raw, "in")) == "header":
		return o.Headers.Get(stringOf(member(raw, "name"))) != ""
	case kind == "apiKey" && stringOf(member(raw, "in")) == "cookie":
		return o.Headers.Get("Cookie") != ""
	case kind == "mutualTLS", kind == "apiKey":
		return false
	}
	return o.OAuth != nil || o.Headers.Get("Authorization") != ""
}

// newScheme returns what a credential puts into requests.
func newScheme(raw json.RawMessage, c Credential) (*scheme, error) {
	kind, how := stringOf(member(raw, "type")), stringOf(member(raw, "scheme"))
	basic := kind == "http" && strings.EqualFold(how, "basic")
	switch {
	case basic && (c.Username == "" || strings.Contains(c.Username, ":")):
		return nil, errors.New("it needs a username without a colon, and a password")
	case !basic && c.Value == "":
		return nil, errors.New("it needs a secret")
	}
	s := &scheme{in: inHeader, name: "Authorization"}
	switch {
	case basic:
		s.value = "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password))
	case kind == "http" && !strings.EqualFold(how, "bearer") && isToken(how):
		s.value = how + " " + c.Value
	case kind == "http", kind == "oauth2", kind == "openIdConnect":
		s.value = "Bearer " + c.Value
	case kind == "apiKey":
		s.in, s.name, s.value = placeNamed(stringOf(member(raw, "in"))), stringOf(member(raw, "name")), c.Value
	default:
		return nil, fmt.Errorf("the type %s is not supported", clip.Text(kind, 40))
	}
	return s, s.check()
}

// check refuses what cannot be put into a request.
func (s *scheme) check() error {
	switch {
	case s.in != inQuery && s.in != inHeader && s.in != inCookie:
		return errors.New("it has no place in requests")
	case s.name == "" || s.in != inQuery && !isToken(s.name):
		return errors.New("its name is not valid")
	case checkHeaderValue("", []byte(s.value)) != nil, s.in == inCookie && strings.ContainsAny(s.value, "; ,\"\\"):
		return errors.New("it has characters that cannot be sent")
	}
	return nil
}

// of returns what an operation's requests carry: the schemes of its first
// requirement for which there are all credentials. Lack says why there is none,
// where the operation asks for one.
func (s *schemes) of(o *operation) (chosen []*scheme, lack string) {
	requirements := member(o.raw, "security")
	if requirements == nil {
		requirements = s.doc.top("security")
	}
	open := false
	for requirement := range elements(requirements) {
		some, asked, why := s.meet(requirement)
		switch {
		case why != "":
			if lack == "" {
				lack = why
			}
		case asked:
			return some, ""
		default:
			open = true // It may be called without any.
		}
	}
	if open {
		return nil, ""
	}
	return nil, lack
}

// meet returns the credentials that a requirement asks for, whether it asks for
// any, or why it cannot be met.
func (s *schemes) meet(requirement json.RawMessage) (some []*scheme, asked bool, why string) {
	for name := range members(requirement) {
		sc, ok := s.usable[name]
		switch {
		case !ok && s.lacking[name] != "":
			return nil, true, s.lacking[name]
		case !ok:
			return nil, true, "the security scheme " + clip.Text(name, 64) + " is not described"
		case sc != nil:
			some = append(some, sc)
		}
		asked = true
	}
	return some, asked, ""
}

// owns reports whether credentials have a place in requests that is theirs, so
// that no argument may have it.
func (s *schemes) owns(in place, name string) bool {
	for _, sc := range s.usable {
		if sc != nil && sc.in == in && (sc.name == name || in == inHeader && strings.EqualFold(sc.name, name)) {
			return true
		}
	}
	return false
}
