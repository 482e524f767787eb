package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"sync"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/trilith-gateway/trilith/schema"
)

// Funcs is a source made of Go functions: the [Upstream] and [Watcher] for
// programs that embed the gateway, and the reference for all other upstreams.
// The zero Funcs is empty and ready to use. Its methods are safe for
// concurrent use; what is added while it is being watched is announced.
type Funcs struct {
	mu       sync.RWMutex
	defs     map[funcKey]any          // *Tool, *Resource, *Template or *Prompt
	run      map[funcKey]Func         // what answers
	complete map[funcKey]Func         // what suggests values for arguments
	follows  map[chan struct{}]string // the URI that each subscription follows
	changed  chan struct{}            // closed at the next change of defs
}

// A funcKey names a definition by its kind and its origin.
type funcKey struct {
	kind   Kind
	origin string
}

// AddTool adds a tool made of a typed function. The input schema is inferred
// from In, a struct, and the output schema from Out unless Out is string,
// *Result or any. The json and jsonschema tags of the fields name and describe
// them.
//
// A string is answered as text, a *Result as it is, and any other value as
// structured content. An error that is an [*Error] refuses the call; any other
// error is a tool error, whose text the caller sees.
func AddTool[In, Out any](f *Funcs, name, description string, run func(context.Context, *Call, In) (Out, error), more ...ToolOption) error {
	input, err := schema.For[In]()
	if err != nil {
		return fmt.Errorf("tool %q: input: %w", name, err)
	}
	def := toolDefinition{Name: name, Description: description, InputSchema: input}
	if structured[Out]() {
		if def.OutputSchema, err = schema.For[Out](); err != nil {
			return fmt.Errorf("tool %q: output: %w", name, err)
		}
	}
	for _, o := range more {
		o(&def)
	}
	raw, err := json.Marshal(def)
	if err != nil {
		return fmt.Errorf("tool %q: %w", name, err)
	}
	return f.AddTool(raw, func(ctx context.Context, call *Call) (*Result, error) {
		var in In
		if len(call.Args) > 0 {
			if err := jsonv2.Unmarshal(call.Args, &in); err != nil {
				return nil, &Error{Code: InvalidArgument, By: "arguments", Msg: "arguments do not fit the tool", Err: err}
			}
		}
		out, err := run(ctx, call, in)
		if err != nil {
			return failed(ctx, err)
		}
		res, err := answer(out)
		if err != nil {
			return ErrorResult("the answer cannot be written as JSON: " + err.Error()), nil //nolint:nilerr // It is the tool's own failure.
		}
		return res, nil
	})
}

type toolDefinition struct {
	Name         string          `json:"name"`
	Title        string          `json:"title,omitempty"`
	Description  string          `json:"description,omitempty"`
	InputSchema  json.RawMessage `json:"inputSchema"`
	OutputSchema json.RawMessage `json:"outputSchema,omitempty"`
	Annotations  json.RawMessage `json:"annotations,omitempty"`
	Execution    json.RawMessage `json:"execution,omitempty"`
}

// A ToolOption adds to the definition that [AddTool] makes.
type ToolOption func(*toolDefinition)

// WithTitle gives the tool a title for people.
func WithTitle(title string) ToolOption { return func(d *toolDefinition) { d.Title = title } }

// ReadOnly says that the tool changes nothing and may be called again.
func ReadOnly() ToolOption {
	return func(d *toolDefinition) {
		d.Annotations = json.RawMessage(`{"readOnlyHint":true,"idempotentHint":true,"openWorldHint":false}`)
	}
}

// MayRunAsTask says that calls may take long: a door that can lets its client
// come back for the result, instead of waiting for it.
func MayRunAsTask() ToolOption {
	return func(d *toolDefinition) { d.Execution = json.RawMessage(`{"taskSupport":"optional"}`) }
}

// MustRunAsTask says that calls take so long that the MCP door refuses clients
// that cannot come back for the result. Other doors wait.
func MustRunAsTask() ToolOption {
	return func(d *toolDefinition) { d.Execution = json.RawMessage(`{"taskSupport":"required"}`) }
}

func structured[Out any]() bool {
	var out Out
	switch any(&out).(type) {
	case *string, **Result, *any:
		return false
	}
	return true
}

func answer(out any) (*Result, error) {
	switch v := out.(type) {
	case string:
		return TextResult(v), nil
	case *Result:
		return v, nil
	default:
		raw, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		return StructuredResult(raw), nil
	}
}

func failed(ctx context.Context, err error) (*Result, error) {
	var refusal *Error
	if errors.As(err, &refusal) || ctx.Err() != nil {
		return nil, err
	}
	return ErrorResult(err.Error()), nil
}

// AddTool adds a tool by its definition in MCP's form, or replaces the one of
// that name.
func (f *Funcs) AddTool(definition json.RawMessage, run Func) error {
	t, err := ParseTool(definition)
	if err != nil {
		return err
	}
	f.add(t.Kind, t.Origin, t, run)
	return nil
}

// AddResource adds a resource by its definition, or replaces the one of that
// URI.
func (f *Funcs) AddResource(definition json.RawMessage, read Func) error {
	r, err := ParseResource(definition)
	if err != nil {
		return err
	}
	f.add(r.Kind, r.Origin, r, read)
	return nil
}

// AddTemplate adds a resource template by its definition, or replaces the one
// of that URI template.
func (f *Funcs) AddTemplate(definition json.RawMessage, read Func) error {
	t, err := ParseTemplate(definition)
	if err != nil {
		return err
	}
	f.add(t.Kind, t.Origin, t, read)
	return nil
}

// AddPrompt adds a prompt by its definition, or replaces the one of that name.
func (f *Funcs) AddPrompt(definition json.RawMessage, render Func) error {
	p, err := ParsePrompt(definition)
	if err != nil {
		return err
	}
	f.add(p.Kind, p.Origin, p, render)
	return nil
}

// AddCompletion lets a prompt or a template (by name or URI template) suggest
// values for its arguments. The call's arguments are those of MCP's
// completion/complete without the reference.
func (f *Funcs) AddCompletion(kind Kind, origin string, suggest Func) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.complete == nil {
		f.complete = map[funcKey]Func{}
	}
	f.complete[funcKey{kind, origin}] = suggest
}

// Remove removes what was added under that kind and name or URI, if anything.
func (f *Funcs) Remove(kind Kind, origin string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.defs, funcKey{kind, origin})
	delete(f.run, funcKey{kind, origin})
	delete(f.complete, funcKey{kind, origin})
	f.announce()
}

func (f *Funcs) add(kind Kind, origin string, def any, run Func) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.defs == nil {
		f.defs, f.run = map[funcKey]any{}, map[funcKey]Func{}
	}
	f.defs[funcKey{kind, origin}] = def
	f.run[funcKey{kind, origin}] = run
	f.announce()
}

// announce wakes the watchers. f.mu is held.
func (f *Funcs) announce() {
	if f.changed != nil {
		close(f.changed)
	}
	f.changed = make(chan struct{})
}

// Watch yields the catalog at once and after every change.
func (f *Funcs) Watch(ctx context.Context) iter.Seq2[Catalog, error] {
	return func(yield func(Catalog, error) bool) {
		for {
			c, changed := f.catalog()
			if !yield(c, nil) {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (f *Funcs) catalog() (Catalog, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return Catalog{
		Tools: defs[*Tool](f), Resources: defs[*Resource](f), Templates: defs[*Template](f), Prompts: defs[*Prompt](f),
	}, f.changed
}

func defs[T any](f *Funcs) []T {
	var out []T
	for _, d := range f.defs {
		if d, ok := d.(T); ok {
			out = append(out, d)
		}
	}
	return out
}
