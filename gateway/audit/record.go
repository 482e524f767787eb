package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/gateway"
)

// version is the version of the format that docs/audit.md specifies.
const version = 1

// The types of record. Others are those of an [Event].
const (
	TypeCall      = "call"          // one use of a capability, or the refusal of one
	TypeIntent    = "intent"        // a call in [ModeStrict] that is about to reach its upstream
	TypeList      = "list"          // somebody was told what there is
	TypeOpen      = "log.open"      // the log was opened
	TypeClose     = "log.close"     // the log was closed in good order
	TypeRepair    = "log.repair"    // the end of the log was torn by a crash and cut off
	TypeRetention = "log.retention" // old segments are about to be removed
	TypeGap       = "log.gap"       // calls were only counted: refused while the log could not be written, or dropped in [ModeAsync]
)

// A Record is one line of the log. docs/audit.md specifies it.
type Record struct {
	V    int       `json:"v"`    // version of the format: 1
	Seq  int64     `json:"seq"`  // number of the record, from 1 without gaps
	Prev string    `json:"prev"` // SHA-256 of the line before, without its line feed, in hex; 64 zeros in the first record
	Time time.Time `json:"time"` // when the call began or the event happened; RFC 3339 in UTC
	Type string    `json:"type"` // "call", the log's own "log.…", or the type of an event
	Node string    `json:"node"` // the gateway node that wrote the log

	ID         string          `json:"id,omitzero"`          // random identifier of the call, 32 hex digits
	Parent     string          `json:"parent,omitzero"`      // id of the call that made this one, such as a toolset's call_tool
	Via        string          `json:"via,omitzero"`         // the door: "mcp", "graphql", "grpc" or "rest"
	Op         string          `json:"op,omitzero"`          // "call", "read", "get", "complete" or "subscribe"
	Kind       string          `json:"kind,omitzero"`        // "tool", "resource", "template" or "prompt"
	Name       string          `json:"name,omitzero"`        // what the caller asked for: a name, a URI or a URI template; of a refused request, its name or route
	Object     string          `json:"object,omitzero"`      // the policy's name for the target; absent where nothing was found
	Principal  Principal       `json:"principal,omitzero"`   // who asked; absent where nobody was authenticated
	Policy     string          `json:"policy,omitzero"`      // version of the policy that decided
	Rule       string          `json:"rule,omitzero"`        // rule of the policy that decided: which allowed it, or which refused
	Code       string          `json:"code,omitzero"`        // "OK", or how the call or the event failed, as google.rpc.Code spells it
	By         string          `json:"by,omitzero"`          // who refused: "policy", "arguments", "registry", "upstream/<source>", another gate, or the door itself, as in via
	Cause      string          `json:"cause,omitzero"`       // why, for the operator, such as the policy's rule
	Count      int64           `json:"count,omitzero"`       // of a list: how many entries were told; of log.gap: how many records are missing; of log.retention: the last record that is removed
	Served     string          `json:"served,omitzero"`      // what answered in place of the upstream: "cache", "stale" (an old answer, as the upstream failed) or "fallback"; absent where the upstream did
	Endpoint   string          `json:"endpoint,omitzero"`    // which endpoint of the source has answered; absent where it has one
	Mirrored   string          `json:"mirrored,omitzero"`    // which endpoint got a copy of the call, whose answer nobody sees
	ToolError  bool            `json:"tool_error,omitzero"`  // whether the tool ran and reported a failure
	DurationUS int64           `json:"duration_us,omitzero"` // how long the call took, in microseconds
	BytesIn    int64           `json:"bytes_in,omitzero"`    // length of the arguments, in bytes
	BytesOut   int64           `json:"bytes_out,omitzero"`   // length of the result, in bytes: of its JSON, or of the message that a gRPC caller got as such
	ArgsHMAC   string          `json:"args_hmac,omitzero"`   // HMAC-SHA-256 of the arguments' bytes under the key of the principal's tenant, in hex
	Args       json.RawMessage `json:"args,omitzero"`        // the arguments, or what is kept of them, only where the configuration asks for them
	Result     json.RawMessage `json:"result,omitzero"`      // the result, or what is kept of it, only where the configuration asks for it
	Trace      string          `json:"trace,omitzero"`       // identifier of the trace that the call belongs to

	Actor  string `json:"actor,omitzero"`  // of an event: who caused it
	Detail string `json:"detail,omitzero"` // of an event: more, for the operator
}

// A Principal is the caller in a [Record].
type Principal struct {
	ID     string   `json:"id"`              // issuer|kind|subject
	Name   string   `json:"name,omitzero"`   // for people to read
	Kind   string   `json:"kind,omitzero"`   // "user", "client" or "anonymous"
	Groups []string `json:"groups,omitzero"` // as the issuer claimed them
	Roles  []string `json:"roles,omitzero"`  // as the issuer claimed them
	Scopes []string `json:"scopes,omitzero"` // the bound that the credential sets; absent where it sets none
	Tenant string   `json:"tenant,omitzero"` // where there are several
	Login  string   `json:"login,omitzero"`  // the session of a browser that the caller was admitted by
	Cut    bool     `json:"cut,omitzero"`    // whether groups, roles or scopes are incomplete: there are more than 32, or one has more than 128 bytes
}

// principal returns a caller as records have it.
func principal(p *gateway.Principal) Principal {
	if p == nil {
		return Principal{}
	}
	return Principal{
		ID: p.ID, Name: p.Name, Kind: p.Kind, Groups: p.Groups, Roles: p.Roles, Scopes: p.Scopes, Tenant: p.Tenant, Login: p.Login,
		Cut: incomplete(p.Groups) || incomplete(p.Roles) || incomplete(p.Scopes),
	}
}

func incomplete(all []string) bool {
	return len(all) > maxItems || slices.ContainsFunc(all, func(s string) bool { return len(s) > maxItem })
}

// The bounds of a record. Longer text is cut at a character and ends in "…".
const (
	maxName  = 2048      // bytes of a name, URI or object
	maxText  = 2048      // bytes of a cause or detail
	maxWord  = 256       // bytes of every other text
	maxItems = 32        // groups, roles and scopes of a principal
	maxItem  = 128       // bytes of one of them
	maxLine  = 256 << 10 // bytes of a line; no record is longer, even when every character is escaped
)

// ParseRecord reads one line of the log, without its line feed. Members that
// this version does not know are accepted, duplicate members and trailing data
// are not.
func ParseRecord(line []byte) (Record, error) {
	var r Record
	switch {
	case len(line) > maxLine:
		return Record{}, fmt.Errorf("record is longer than %d bytes", maxLine)
	case bytes.IndexByte(line, '\n') >= 0:
		return Record{}, errors.New("record has a line feed")
	}
	if err := jsonv2.Unmarshal(line, &r); err != nil {
		return Record{}, fmt.Errorf("not a record: %w", err)
	}
	switch {
	case r.V != version:
		return Record{}, fmt.Errorf("version %d of the format is not known", r.V)
	case r.Seq < 1:
		return Record{}, fmt.Errorf("sequence number %d", r.Seq)
	case len(r.Prev) != hex.EncodedLen(sha256.Size):
		return Record{}, errors.New("prev is not a SHA-256 in hex")
	case r.Type == "":
		return Record{}, errors.New("record has no type")
	}
	return r, nil
}

// appendHead appends the start of a line, which the writer alone knows.
func appendHead(b []byte, seq int64, prev [sha256.Size]byte) []byte {
	b = append(b, `{"v":1,"seq":`...)
	b = strconv.AppendInt(b, seq, 10)
	b = append(b, `,"prev":"`...)
	b = hex.AppendEncode(b, prev[:])
	return append(b, '"')
}

// appendTail appends everything that follows [appendHead], without a line
// feed.
func (r *Record) appendTail(b []byte) []byte {
	b = append(b, `,"time":"`...)
	b = r.Time.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	b = appendText(b, "type", r.Type, maxWord)
	b = append(b, `,"node":`...)
	b = appendQuote(b, r.Node, maxWord)
	b = appendText(b, "id", r.ID, maxWord)
	b = appendText(b, "parent", r.Parent, maxWord)
	b = appendText(b, "via", r.Via, maxWord)
	b = appendText(b, "op", r.Op, maxWord)
	b = appendText(b, "kind", r.Kind, maxWord)
	b = appendText(b, "name", r.Name, maxName)
	b = appendText(b, "object", r.Object, maxName)
	if r.Principal.ID != "" {
		b = r.Principal.append(append(b, `,"principal":`...))
	}
	b = appendText(b, "policy", r.Policy, maxWord)
	b = appendText(b, "rule", r.Rule, maxText)
	b = appendText(b, "code", r.Code, maxWord)
	b = appendText(b, "by", r.By, maxWord)
	b = appendText(b, "cause", r.Cause, maxText)
	b = appendInt(b, "count", r.Count)
	b = appendText(b, "served", r.Served, maxWord)
	b = appendText(b, "endpoint", r.Endpoint, maxWord)
	b = appendText(b, "mirrored", r.Mirrored, maxWord)
	if r.ToolError {
		b = append(b, `,"tool_error":true`...)
	}
	b = appendInt(b, "duration_us", r.DurationUS)
	b = appendInt(b, "bytes_in", r.BytesIn)
	b = appendInt(b, "bytes_out", r.BytesOut)
	b = appendText(b, "args_hmac", r.ArgsHMAC, maxWord)
	if len(r.Args) > 0 && len(r.Args) <= maxArgs {
		b = appendJSON(b, "args", r.Args)
	}
	if len(r.Result) > 0 && len(r.Result) <= maxResult {
		b = appendJSON(b, "result", r.Result)
	}
	b = appendText(b, "trace", r.Trace, maxWord)
	b = appendText(b, "actor", r.Actor, maxWord)
	b = appendText(b, "detail", r.Detail, maxText)
	return append(b, '}')
}

func (p *Principal) append(b []byte) []byte {
	b = append(b, `{"id":`...)
	b = appendQuote(b, p.ID, maxName)
	b = appendText(b, "name", p.Name, maxWord)
	b = appendText(b, "kind", p.Kind, maxWord)
	b = appendList(b, "groups", p.Groups)
	b = appendList(b, "roles", p.Roles)
	b = appendList(b, "scopes", p.Scopes)
	b = appendText(b, "tenant", p.Tenant, maxWord)
	b = appendText(b, "login", p.Login, maxWord)
	if p.Cut {
		b = append(b, `,"cut":true`...)
	}
	return append(b, '}')
}

// appendList appends a list of words: nil not at all, an empty one as such.
func appendList(b []byte, name string, all []string) []byte {
	if all == nil {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, `":[`...)
	for i, s := range all[:min(len(all), maxItems)] {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendQuote(b, s, maxItem)
	}
	return append(b, ']')
}

func appendText(b []byte, name, s string, most int) []byte {
	if s == "" {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return appendQuote(b, s, most)
}

func appendInt(b []byte, name string, n int64) []byte {
	if n == 0 {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return strconv.AppendInt(b, n, 10)
}

// appendJSON appends a member whose value is put on one line, or nothing where
// the value is not JSON.
func appendJSON(b []byte, name string, value json.RawMessage) []byte {
	start := len(b)
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	b, err := jsontext.AppendFormat(b, value, jsontext.PreserveRawStrings(true))
	if err != nil {
		return b[:start]
	}
	return b
}

func appendQuote(b []byte, s string, most int) []byte {
	if len(s) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	b, _ = jsontext.AppendQuote(b, s) // The error reports invalid UTF-8, already replaced by U+FFFD.
	return b
}
