package toolset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/trilith-gateway/trilith/gateway"
)

// A Search serves two tools instead of very many: search_tools finds those of
// another gateway by words, and call_tool calls one. Both act as the caller:
// search_tools finds what the caller's view holds, and call_tool takes the
// road of the other gateway, with its policy, its validation of arguments and
// its audit record. Who may use none of the other's tools sees neither.
type Search struct {
	inner    *gateway.Gateway
	index    *Index
	registry gateway.Registry
	outer    *gateway.Gateway
}

// NewSearch returns a search over the tools of a gateway, which must serve the
// index's registry or a part of it. The observers and gates are those of the
// two tools themselves; the gates need no policy.
func NewSearch(name string, inner *gateway.Gateway, x *Index, observers []gateway.Observer, gates ...gateway.Gate) (*Search, error) {
	s := &Search{inner: inner, index: x}
	var offer gateway.Catalog
	for _, text := range []string{searchTools, callTool} {
		def := jsontext.Value(text)
		if err := def.Compact(); err != nil {
			return nil, err
		}
		t, err := gateway.ParseTool(json.RawMessage(def))
		if err != nil {
			return nil, err
		}
		offer.Tools = append(offer.Tools, t)
	}
	// No configured source has a name with a colon, so that audit records of
	// these tools cannot be taken for those of a source.
	if err := s.registry.Attach("toolset:"+name, gateway.Func(s.do), offer, gateway.Options{}); err != nil {
		return nil, err
	}
	gates = append(slices.Clip(gates), reach{inner}, gateway.ValidateArgs{})
	var err error
	s.outer, err = gateway.New(&s.registry, observers, gates)
	return s, err
}

// Gateway returns the gateway that serves the two tools.
func (s *Search) Gateway() *gateway.Gateway { return s.outer }

// Run tells those who watch the two tools when somebody may have come to see
// them, or no longer, until the context ends.
func (s *Search) Run(ctx context.Context) {
	for {
		changed := s.inner.Changed()
		s.registry.Refresh()
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// reach admits those who may use any tool of the gateway behind.
type reach struct{ inner *gateway.Gateway }

// Admit refuses callers for whom there is nothing to find and nothing to call.
func (r reach) Admit(_ context.Context, call *gateway.Call) error {
	if len(r.inner.View(call.Principal).Tools) > 0 {
		return nil
	}
	return gateway.NotFoundError(call, "toolset", errors.New("the principal may use no tool of the toolset"))
}

// nothing names the empty part of a snapshot in the snapshot's memo.
type nothing struct{}

// View returns the whole snapshot, or nothing of it.
func (r reach) View(p *gateway.Principal, s *gateway.Snapshot) *gateway.Snapshot {
	if len(r.inner.View(p).Tools) > 0 {
		return s
	}
	return s.Memo(nothing{}, func(s *gateway.Snapshot) any { //nolint:forcetypeassert // the key is ours.
		return s.Filter(func(*gateway.Capability) bool { return false })
	}).(*gateway.Snapshot)
}

// Instructions say how to use the two tools, for models.
const Instructions = "The tools of this server are found by words: call search_tools to find those for a task, then call_tool to call one."

const (
	defaultLimit = 5
	maxAnswer    = 128 << 10 // bytes of an answer of search_tools, unless the best hit alone is longer
)

const searchTools = `{
"name": "search_tools", "title": "Search tools",
"description": "Finds tools by what they do. Say in a few words what is to be done, such as \"create an issue\". The answer holds the tools that fit best, the best first, each with the schema of its arguments. Then call one with call_tool.",
"inputSchema": {"type": "object", "properties": {
 "query": {"type": "string", "minLength": 1, "maxLength": 500, "description": "What the tool should do, in a few words."},
 "limit": {"type": "integer", "minimum": 1, "maximum": 20, "default": 5, "description": "Most tools to return."}},
 "required": ["query"], "additionalProperties": false},
"outputSchema": {"type": "object", "properties": {
 "tools": {"type": "array", "items": {"type": "object", "properties": {
  "name": {"type": "string"}, "title": {"type": "string"}, "description": {"type": "string"}, "inputSchema": {"type": "object"}},
  "required": ["name", "inputSchema"]}},
 "matches": {"type": "integer", "description": "How many tools fit at all."}},
 "required": ["tools", "matches"]},
"annotations": {"readOnlyHint": true, "idempotentHint": true, "openWorldHint": false}}`

const callTool = `{
"name": "call_tool", "title": "Call a tool",
"description": "Calls a tool that search_tools has found. The arguments must fit the tool's inputSchema; the answer is the tool's own.",
"inputSchema": {"type": "object", "properties": {
 "name": {"type": "string", "minLength": 1, "maxLength": 64, "description": "The tool's name, as search_tools gave it."},
 "arguments": {"type": "object", "description": "The tool's arguments."}},
 "required": ["name"], "additionalProperties": false}}`

// do answers both tools.
func (s *Search) do(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	if call.Tool.Name == "search_tools" {
		return s.search(ctx, call)
	}
	return s.call(ctx, call)
}

// search answers search_tools.
func (s *Search) search(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	var in struct {
		Query string `json:"query"`
		Limit int    `json:"limit"`
	}
	in.Limit = defaultLimit
	if err := jsonv2.Unmarshal(call.Args, &in); err != nil {
		return nil, badArguments(err)
	}
	found, err := s.index.find(ctx, s.inner.View(call.Principal), in.Query)
	if err != nil {
		return nil, err
	}
	answer := []byte(`{"tools":[`)
	for i, t := range found[:min(in.Limit, len(found))] {
		start := len(answer)
		if i > 0 {
			answer = append(answer, ',')
		}
		if answer, err = appendTool(answer, t); err != nil {
			return nil, err
		}
		if i > 0 && len(answer) > maxAnswer {
			answer = answer[:start]
			break
		}
	}
	answer = strconv.AppendInt(append(answer, `],"matches":`...), int64(len(found)), 10)
	return gateway.StructuredResult(append(answer, '}')), nil
}

// appendTool appends what a caller needs to choose and call a tool.
func appendTool(b []byte, t *gateway.Tool) ([]byte, error) {
	var def struct {
		InputSchema jsontext.Value `json:"inputSchema"`
	}
	if err := jsonv2.Unmarshal(t.Definition, &def); err != nil {
		return nil, fmt.Errorf("tool %s: %w", t.Name, err)
	}
	if def.InputSchema == nil {
		def.InputSchema = jsontext.Value(`{"type":"object"}`)
	}
	for _, m := range []struct{ key, value string }{{`{"name":`, t.Name}, {`,"title":`, t.Title}, {`,"description":`, t.Description}} {
		if m.value != "" {
			b = append(b, m.key...)
			b, _ = jsontext.AppendQuote(b, m.value) // The error reports invalid UTF-8, already replaced.
		}
	}
	b = append(b, `,"inputSchema":`...)
	return append(append(b, def.InputSchema...), '}'), nil
}

// call answers call_tool: a call of the gateway behind, by the same caller and
// through the same door. Whatever comes back is the answer.
func (s *Search) call(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	var in struct {
		Name      string         `json:"name"`
		Arguments jsontext.Value `json:"arguments"`
	}
	if err := jsonv2.Unmarshal(call.Args, &in); err != nil {
		return nil, badArguments(err)
	}
	inner := *call
	inner.Name, inner.Args = in.Name, json.RawMessage(in.Arguments)
	inner.Kind, inner.Object, inner.Target, inner.Tool = 0, "", nil, nil
	return s.inner.Do(ctx, &inner)
}

// badArguments is the refusal of what passed the schema but cannot be read.
func badArguments(err error) error {
	return &gateway.Error{Code: gateway.InvalidArgument, By: "arguments", Msg: "arguments do not fit the tool", Err: err}
}
