package gateway

import (
	"encoding/json"
	"fmt"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A Result is what an upstream answered: a JSON object in the form that MCP
// gives it (CallToolResult, ReadResourceResult, GetPromptResult or
// CompleteResult of revision 2026-07-28, without resultType), kept byte for
// byte as the upstream sent it. Doors forward Raw, or decode what they show
// with [Result.Parts]. A door that has asked for it gets a
// message instead; see [Call.Into].
type Result struct {
	Raw     json.RawMessage
	IsError bool // the tool ran and failed; the call itself did not

	// Bare says that the structured content is known to be no object. Revisions of
	// MCP before 2026-07-28 have no form for it.
	Bare bool

	// Input says that the call has not ended: the same call with these
	// questions answered, as [Call.Resume], goes on. Raw is then nil. Only calls
	// whose Capabilities are set get such a result.
	Input *InputRequest

	// Served says what has answered in place of the upstream: [ServedCache],
	// [ServedStale] or [ServedFallback]; "" for the upstream itself.
	Served string

	// Endpoint is which of the source's endpoints has answered, and Mirrored which
	// one got a copy of the call; "" where there is only one, and none.
	Endpoint, Mirrored string

	// Message is the structured content in the form of [Call.Into], of a result of
	// [MessageResult]; nil for any other. Raw is then nil: who needs JSON, whatever
	// the door asked for, uses [Result.JSON].
	Message []byte

	json       func() (json.RawMessage, error) // what Message says
	structured json.RawMessage                 // the end of Raw but for its bracket, where that is known
}

// What can answer in place of an upstream.
const (
	ServedCache    = "cache"    // an earlier answer that is still good
	ServedStale    = "stale"    // an earlier answer that is not, as there was no better one
	ServedFallback = "fallback" // what the configuration has for when the upstream fails
)

// Parts are the members of a result that the specification names. Absent
// members are nil.
type Parts struct {
	Content    []json.RawMessage `json:"content"`           // of a tool: content blocks
	Structured json.RawMessage   `json:"structuredContent"` // of a tool: any JSON value
	IsError    bool              `json:"isError"`           // of a tool
	Contents   []json.RawMessage `json:"contents"`          // of a resource: text or blob with URI
	Messages   []json.RawMessage `json:"messages"`          // of a prompt: role and content
	Desc       string            `json:"description"`       // of a prompt
	Completion json.RawMessage   `json:"completion"`        // of a completion: values, total, hasMore
	Meta       json.RawMessage   `json:"_meta"`
}

// NewResult returns an upstream's answer as a result. It fails where raw is
// not a JSON object or a member that the specification names has the wrong
// type. The result keeps raw; the caller must not change it.
func NewResult(raw json.RawMessage) (*Result, error) {
	var head struct {
		IsError bool `json:"isError"`
	}
	if jsontext.Value(raw).Kind() != '{' {
		return nil, fmt.Errorf("result is not a JSON object")
	}
	if err := jsonv2.Unmarshal(raw, &head, jsontext.AllowInvalidUTF8(true)); err != nil {
		return nil, fmt.Errorf("result: %w", err)
	}
	return &Result{Raw: raw, IsError: head.IsError}, nil
}

// MessageResult returns a tool's result for a door that has asked for a message
// with [Call.Into]. Value returns the JSON that [StructuredResult] would have
// been given; it is called each time that it is needed, which is hardly ever.
func MessageResult(message []byte, value func() (json.RawMessage, error)) *Result {
	return &Result{Message: message, json: value}
}

// JSON returns Raw, and what it would be of a result of [MessageResult]; nil
// where that has no JSON within the upstream's bounds.
func (r *Result) JSON() json.RawMessage {
	if r.json == nil {
		return r.Raw
	}
	value, err := r.json()
	if err != nil {
		return nil
	}
	return StructuredResult(value).Raw
}

// Size returns the bytes of the result as the upstream has returned it: of Raw
// or of Message.
func (r *Result) Size() int { return len(r.Raw) + len(r.Message) }

// Parts decodes the named members of the result. Member names match exactly.
// Raw may have escapes of half a surrogate pair (see schema.Bounds).
func (r *Result) Parts() (Parts, error) {
	var p Parts
	if err := jsonv2.Unmarshal(r.JSON(), &p, jsontext.AllowInvalidUTF8(true)); err != nil {
		return Parts{}, fmt.Errorf("result: %w", err)
	}
	return p, nil
}

// TextResult returns a tool's result with one block of text.
func TextResult(text string) *Result {
	return &Result{Raw: appendText([]byte(`{"content":[`), text, `]}`)}
}

// ErrorResult returns the result of a tool that ran and failed, for the caller
// to read.
func ErrorResult(text string) *Result {
	return &Result{Raw: appendText([]byte(`{"content":[`), text, `],"isError":true}`), IsError: true}
}

// StructuredResult returns a tool's result with a JSON value, and the same
// value as a block of text for clients that read only content, as the
// specification asks (tools, structured content).
func StructuredResult(value json.RawMessage) *Result {
	raw := make([]byte, 0, 2*len(value)+len(value)/4+128) // A quarter more for what is escaped.
	raw = appendText(append(raw, `{"content":[`...), value, `],"structuredContent":`)
	raw = append(append(raw, value...), '}')
	end := len(raw) - 1
	return &Result{Raw: raw, Bare: jsontext.Value(value).Kind() != '{', structured: raw[end-len(value) : end : end]}
}

// Structured returns the structured content of a result that [StructuredResult]
// has made, and nil for any other: what is known without a look at Raw.
func (r *Result) Structured() json.RawMessage {
	n, m := len(r.Raw), len(r.structured)
	if m == 0 || n <= m || &r.Raw[n-1-m] != &r.structured[0] { // Raw is another one by now.
		return nil
	}
	return r.structured
}

func appendText[T string | json.RawMessage](b []byte, text T, tail string) []byte {
	b = append(b, `{"type":"text","text":`...)
	b, _ = jsontext.AppendQuote(b, text) // The error reports invalid UTF-8, already replaced by U+FFFD.
	b = append(b, '}')
	return append(b, tail...)
}
