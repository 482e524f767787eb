package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/gateway"
)

// A Level says what a record holds of what a call carried.
type Level string

// The levels, each with what the one before has.
const (
	LevelNone            Level = "none"             // lengths
	LevelMetadata        Level = "metadata"         // an HMAC of the arguments under the log's own key: equal ones can be found, none can be read
	LevelRequest         Level = "request"          // the arguments
	LevelRequestResponse Level = "request_response" // the result
)

// A Redaction is a rule that says what the records of some calls hold.
type Redaction struct {
	Objects []string // patterns as in [Filter], such as "tool/payroll/*"; any of them
	Level   Level
	Keep    []string // JSON Pointers (RFC 6901) to the members of arguments and results that are kept, none of them within an array; nil is all
}

// The bounds of what is kept. Longer arguments and results are left out.
const (
	maxArgs   = 48 << 10 // bytes of arguments
	maxResult = 32 << 10 // bytes of a result
	maxRules  = 1000
	maxKeep   = 100
)

// redaction is a rule that is ready to use.
type redaction struct {
	objects []string
	level   Level
	keep    [][]string // pointers by their names; nil is all
}

// everything is a level for what no rule names.
func everything(level Level) redaction { return redaction{objects: []string{"*"}, level: level} }

func compileRedactions(rules []Redaction, level Level) ([]redaction, error) {
	if len(rules) > maxRules {
		return nil, fmt.Errorf("audit log: more than %d rules of redaction", maxRules)
	}
	var out []redaction
	for i, r := range rules {
		if !slices.Contains([]Level{LevelNone, LevelMetadata, LevelRequest, LevelRequestResponse}, r.Level) {
			return nil, fmt.Errorf("audit log: rule %d of redaction has the level %q", i, r.Level)
		}
		if len(r.Keep) > maxKeep {
			return nil, fmt.Errorf("audit log: rule %d of redaction keeps more than %d members", i, maxKeep)
		}
		c := redaction{objects: r.Objects, level: r.Level}
		for _, p := range r.Keep {
			names, err := pointer(p)
			if err != nil {
				return nil, fmt.Errorf("audit log: rule %d of redaction: %w", i, err)
			}
			c.keep = append(c.keep, names)
		}
		for _, o := range r.Objects {
			if err := (&Filter{What: o}).Check(); err != nil {
				return nil, fmt.Errorf("audit log: rule %d of redaction: %w", i, err)
			}
		}
		out = append(out, c)
	}
	return append(out, everything(level)), nil
}

// pointer splits a JSON Pointer into names.
func pointer(p string) ([]string, error) {
	if !strings.HasPrefix(p, "/") {
		return nil, fmt.Errorf("%q is not a JSON Pointer to a member", p)
	}
	names := strings.Split(p[1:], "/")
	for i, n := range names {
		names[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(n)
	}
	return names, nil
}

// redaction returns the first rule for an object.
func (l *Log) redaction(object string) *redaction {
	for i := range l.redactions[:len(l.redactions)-1] {
		r := &l.redactions[i]
		if slices.ContainsFunc(r.objects, func(p string) bool { return match(p, object) }) {
			return r
		}
	}
	return &l.redactions[len(l.redactions)-1]
}

// payload sets what a record holds of a call's arguments and result.
func (l *Log) payload(r *Record, call *gateway.Call, res *gateway.Result) {
	rule := l.redaction(r.Object)
	if rule.level == LevelNone {
		return
	}
	args := call.Args
	if len(args) == 0 {
		args = json.RawMessage(`{}`)
	}
	r.ArgsHMAC = l.macs.of(r.Principal.Tenant).sum(args)
	if rule.level == LevelMetadata {
		return
	}
	r.Args = rule.part(args, maxArgs)
	if rule.level == LevelRequestResponse && res != nil {
		r.Result = rule.part(res.JSON(), maxResult)
	}
}

// redacted stands for a value that looks like a secret.
const redacted = `"[redacted]"`

// part returns what a rule keeps of a JSON value, without what looks like a
// secret; nil where the value is too long or not JSON.
func (r *redaction) part(value json.RawMessage, most int) json.RawMessage {
	if len(value) > most {
		return nil
	}
	d := jsontext.NewDecoder(bytes.NewReader(value))
	keep := r.keep
	if keep == nil {
		keep = [][]string{{}}
	}
	out, err := prune(nil, d, keep)
	if err != nil || len(out) > most {
		return nil
	}
	return out
}

// prune appends the next value of d, without line feeds, as far as one of the
// pointers leads to it: an empty one to all of it. What is not kept becomes an
// empty object.
func prune(b []byte, d *jsontext.Decoder, keep [][]string) ([]byte, error) {
	whole := slices.ContainsFunc(keep, func(p []string) bool { return len(p) == 0 })
	switch kind := d.PeekKind(); {
	case kind == '{':
		return pruneObject(b, d, keep, whole)
	case !whole:
		return append(b, "{}"...), d.SkipValue()
	case kind == '[':
		return pruneArray(b, d, keep)
	}
	v, err := d.ReadValue()
	if err != nil {
		return nil, err
	}
	if v.Kind() == '"' {
		text, err := jsontext.AppendUnquote(nil, v)
		if err != nil {
			return nil, err
		}
		if secretValue(string(text)) {
			return append(b, redacted...), nil
		}
	}
	return append(b, v...), nil
}

func pruneObject(b []byte, d *jsontext.Decoder, keep [][]string, whole bool) ([]byte, error) {
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	b = append(b, '{')
	for first := true; ; {
		if d.PeekKind() == '}' {
			_, err := d.ReadToken()
			return append(b, '}'), err
		}
		name, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		name = name.Clone()
		text, err := jsontext.AppendUnquote(nil, name)
		if err != nil {
			return nil, err
		}
		next := keep
		if !whole {
			next = below(keep, string(text))
		}
		if len(next) == 0 {
			if err := d.SkipValue(); err != nil {
				return nil, err
			}
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(append(b, name...), ':')
		if kind := d.PeekKind(); secretName(string(text)) && (kind == '"' || kind == '{' || kind == '[') {
			b, err = append(b, redacted...), d.SkipValue()
		} else {
			b, err = prune(b, d, next)
		}
		if err != nil {
			return nil, err
		}
	}
}

func pruneArray(b []byte, d *jsontext.Decoder, keep [][]string) ([]byte, error) {
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	b = append(b, '[')
	for first := true; ; first = false {
		if d.PeekKind() == ']' {
			_, err := d.ReadToken()
			return append(b, ']'), err
		}
		if !first {
			b = append(b, ',')
		}
		var err error
		if b, err = prune(b, d, keep); err != nil {
			return nil, err
		}
	}
}

// below returns what remains of the pointers that lead through a name.
func below(keep [][]string, name string) (out [][]string) {
	for _, p := range keep {
		if p[0] == name {
			out = append(out, p[1:])
		}
	}
	return out
}

// secretName reports whether a member's name says that it holds a secret.
func secretName(name string) bool {
	name = strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(name))
	return slices.ContainsFunc([]string{
		"password", "passwd", "passphrase", "secret", "token", "apikey", "privatekey", "accesskey", "authorization", "credential", "cookie",
	}, func(part string) bool { return strings.Contains(name, part) })
}

// secretValue reports whether a text looks like a credential of a common kind.
func secretValue(s string) bool {
	switch {
	case strings.Contains(s, "-----BEGIN ") && strings.Contains(s, "PRIVATE KEY-----"):
		return true
	case strings.HasPrefix(s, "eyJ") && strings.Count(s, ".") >= 2 && !strings.ContainsAny(s, " \n"):
		return true // A JSON Web Token.
	case len(s) == 20 && (strings.HasPrefix(s, "AKIA") || strings.HasPrefix(s, "ASIA")):
		return true // An access key of AWS.
	}
	return len(s) >= 16 && slices.ContainsFunc([]string{
		"ghp_", "gho_", "ghs_", "ghu_", "github_pat_", "glpat-", "sk-", "sk_live_", "rk_live_", "xoxb-", "xoxp-", "xoxa-", "AIza", "Bearer ", "Basic ", "DPoP ",
	}, func(prefix string) bool { return strings.HasPrefix(s, prefix) })
}

var errLevel = errors.New("audit log: the level is none of none, metadata, request and request_response")
