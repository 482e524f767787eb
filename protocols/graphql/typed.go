package graphql

import (
	"context"
	"encoding/json"
	"io"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/internal/clip"
	"github.com/trilith-gateway/trilith/protocols/graphql/generated"
	"github.com/trilith-gateway/trilith/schema"
	"github.com/trilith-gateway/trilith/schema/gqlschema"
)

// The hidden fields of schema/typed.graphqls, as which the fields of tools and prompts run.
const (
	fieldTyped    = "_typed"
	fieldCalled   = "_called"
	fieldFollowed = "_followed"
	fieldPrompted = "_prompted"
)

// placeholder returns the hidden field that runs a field of a target.
func (to *target) placeholder(def *ast.FieldDefinition) string {
	switch {
	case to.prompt != nil:
		return fieldPrompted
	case to.plan.Typed():
		return fieldTyped
	case def == to.plan.Event:
		return fieldFollowed
	}
	return fieldCalled
}

// name returns the name in the registry.
func (to *target) name() string {
	if to.prompt != nil {
		return to.prompt.Name
	}
	return to.tool.Name
}

// rewrite makes placeholders of the fields of tools, of prompts and of introspection. The document is validated and
// nobody else's. Aliases, arguments and selections stay, so responses have their names and the generated code runs
// everything in one piece. Fragments are rewritten where they are, never put in place.
func (d *document) rewrite(t *table) {
	d.targets = map[*ast.FieldDefinition]*target{}
	for _, op := range d.doc.Operations {
		d.rewriteSet(t, op.SelectionSet)
	}
	for _, f := range d.doc.Fragments {
		d.rewriteSet(t, f.SelectionSet)
	}
}

func (d *document) rewriteSet(t *table, set ast.SelectionSet) {
	for _, selection := range set {
		switch n := selection.(type) {
		case *ast.Field:
			if to := t.field(n.Name, n.Definition); to != nil {
				d.targets[n.Definition] = to
				n.Name = to.placeholder(n.Definition)
			} else if n.Name == "__schema" || n.Name == "__type" {
				n.Name = fieldTyped
			}
		case *ast.InlineFragment:
			d.rewriteSet(t, n.SelectionSet)
		}
	}
}

// A preparation is what the resolvers of typed fields know of their operation.
type preparation struct {
	view      *view
	document  *document
	variables map[string]json.RawMessage // of typed fields, in the terms of their tools
}

// preparationKey is under what the operation's statistics keep its preparation.
const preparationKey = "trilith"

func preparationOf(op *graphql.OperationContext) *preparation {
	p, _ := op.Stats.GetExtension(preparationKey).(*preparation)
	return p
}

// target returns what the field of a resolver stands for, or nil.
func targetOf(ctx context.Context) *target {
	field := graphql.GetFieldContext(ctx)
	if field == nil || field.Field.Field == nil || !graphql.HasOperationContext(ctx) {
		return nil
	}
	p := preparationOf(graphql.GetOperationContext(ctx))
	if p == nil {
		return nil
	}
	return p.document.targets[field.Field.Definition]
}

// typedCall returns the call that the field of a resolver stands for.
func (f *Frontend) typedCall(ctx context.Context, kind gateway.Op) (*target, *gateway.Call, error) {
	op, field := graphql.GetOperationContext(ctx), graphql.GetFieldContext(ctx).Field
	p, to := preparationOf(op), targetOf(ctx)
	args, err := to.plan.Arguments(field.Arguments, func(name string) (json.RawMessage, bool) {
		raw, ok := p.variables[name]
		return raw, ok
	}, f.o.Bounds.Bytes)
	if err == nil {
		err = schema.Check(args, f.o.Bounds)
	}
	if err != nil {
		return nil, nil, badInput(err)
	}
	return to, &gateway.Call{Op: kind, Name: to.name(), Args: args, Principal: caller(ctx), Via: door}, nil
}

// A typedError is a failure that has a code of its own beside those of the gateway.
type typedError struct {
	code  string
	tool  string // "" for none
	cause *gateway.Error
}

func (e *typedError) Error() string { return e.cause.Msg }

// Unwrap returns the failure in the gateway's terms.
func (e *typedError) Unwrap() error { return e.cause }

func badInput(err error) error {
	return &typedError{code: codeInput, cause: invalidArgument(clip.Text(err.Error(), maxMessage))}
}

// byOutput names this door in failures after a call, which has its record already.
const byOutput = door + "/output"

// wrongOutput is the failure of a tool whose result does not have the types that it promises.
func wrongOutput(tool, message string) *typedError {
	return &typedError{codeOutput, tool, &gateway.Error{Code: gateway.Unknown, By: byOutput, Msg: message}}
}

// failedTool is the failure of a typed field whose tool ran and failed.
func failedTool(tool string, parts *gateway.Parts) error {
	message := "the tool failed"
	for _, raw := range parts.Content {
		if b := toBlock(raw); b.Text != nil && *b.Text != "" {
			message = clip.Text(*b.Text, maxToolMessage)
			break
		}
	}
	return &typedError{codeTool, tool, &gateway.Error{Code: gateway.Unknown, By: byOutput, Msg: message}}
}

// maxToolMessage bounds what a tool says of its failure, in bytes.
const maxToolMessage = 4096

// structured returns the structured value of a result.
func structured(tool string, res *gateway.Result) (json.RawMessage, error) {
	parts, err := res.Parts()
	if err != nil {
		return nil, err
	}
	if res.IsError {
		return nil, failedTool(tool, &parts)
	}
	return parts.Structured, nil
}

// projection returns what writes values of typed fields in a context.
func projection(ctx context.Context, tool string) *gqlschema.Projection {
	return &gqlschema.Projection{
		Operation: graphql.GetOperationContext(ctx),
		Fail: func(path ast.Path, message string) {
			graphql.AddError(ctx, &gqlerror.Error{Err: wrongOutput(tool, message), Message: message, Path: path})
		},
	}
}

// typed runs a field of a tool that says what it returns, or of introspection.
func (f *Frontend) typed(ctx context.Context) (*generated.Typed, error) {
	if targetOf(ctx) == nil {
		return f.introspect(ctx)
	}
	to, call, err := f.typedCall(ctx, gateway.OpCall)
	if err != nil {
		return nil, err
	}
	res, err := f.do(ctx, f.gw, call)
	if err != nil {
		return nil, err
	}
	value, err := structured(call.Name, res)
	if err != nil {
		return nil, err
	}
	field := graphql.GetFieldContext(ctx)
	data := to.plan.Result(projection(ctx, call.Name), field.Field, field.Path(), value)
	return ready(data), ledgerOf(ctx).write(len(data))
}

// ready returns a value that is written already.
func ready(data []byte) *generated.Typed {
	return &generated.Typed{Write: func(_ context.Context, w io.Writer) error {
		_, err := w.Write(data)
		return err
	}}
}

// called runs a field of a tool that does not say what it returns.
func (f *Frontend) called(ctx context.Context) (*generated.CallResult, error) {
	_, call, err := f.typedCall(ctx, gateway.OpCall)
	if err != nil {
		return nil, err
	}
	res, err := f.do(ctx, f.gw, call)
	if err != nil {
		return nil, err
	}
	return toCallResult(res)
}

// Typed runs a field of a tool, or introspection.
func (q query) Typed(ctx context.Context) (*generated.Typed, error) { return q.typed(ctx) }

// Called runs a field of a tool.
func (q query) Called(ctx context.Context) (*generated.CallResult, error) { return q.called(ctx) }

// Prompted runs a field of a prompt.
func (q query) Prompted(ctx context.Context) (*generated.PromptResult, error) {
	_, call, err := q.typedCall(ctx, gateway.OpGet)
	if err != nil {
		return nil, err
	}
	res, err := q.do(ctx, q.gw, call)
	if err != nil {
		return nil, err
	}
	return toPromptResult(res)
}

// Typed runs a field of a tool.
func (m mutation) Typed(ctx context.Context) (*generated.Typed, error) { return m.typed(ctx) }

// Called runs a field of a tool.
func (m mutation) Called(ctx context.Context) (*generated.CallResult, error) { return m.called(ctx) }
