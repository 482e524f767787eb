package graphql

import (
	"encoding/json"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/trilith-gateway/trilith/internal/clip"
	"github.com/trilith-gateway/trilith/schema/gqlschema"
)

// typedVariables gives the preparation the values that typed fields may refer to. It returns the operation with those
// variables only that the static schema knows the types of.
func (f *Frontend) typedVariables(p *preparation, op *ast.OperationDefinition, given map[string]json.RawMessage) (*ast.OperationDefinition, *gqlerror.Error) {
	if len(p.document.targets) == 0 || len(op.VariableDefinitions) == 0 {
		return op, nil
	}
	static := *op
	static.VariableDefinitions = nil
	p.variables = make(map[string]json.RawMessage, len(op.VariableDefinitions))
	budget := f.o.Bounds.Bytes
	for _, def := range op.VariableDefinitions {
		own := p.document.input(def.Type.Name())
		if own == nil && f.views.static(def.Type.Name()) {
			static.VariableDefinitions = append(static.VariableDefinitions, def)
		}
		if own == nil {
			own = gqlschema.Scalar(def.Type.Name())
		}
		if own == nil {
			continue
		}
		value, err := typedVariable(own, def, given, budget)
		if err != nil {
			out := fault(codeInput, clip.Text("variable $"+def.Variable+" "+err.Error(), maxMessage))
			out.Err = invalidArgument("a variable is not of its type") // Without what the caller wrote.
			return nil, out
		}
		if value != nil {
			budget -= len(value)
			p.variables[def.Variable] = value
		}
	}
	return &static, nil
}

// typedVariable returns the value of a variable, or nil where it has none.
func typedVariable(t *gqlschema.Type, def *ast.VariableDefinition, given map[string]json.RawMessage, budget int) (json.RawMessage, error) {
	if raw, ok := given[def.Variable]; ok {
		return t.Variable(def.Type, raw, budget)
	}
	switch {
	case def.DefaultValue != nil:
		return t.Default(def.Type, def.DefaultValue, budget)
	case def.Type.NonNull:
		return nil, &gqlschema.InputError{Message: "is required"}
	}
	return nil, nil
}

// input returns the input type of that name of a tool that the document asks for, or nil.
func (d *document) input(name string) *gqlschema.Type {
	for _, to := range d.targets {
		if t := to.plan.Input(name); t != nil {
			return t
		}
	}
	return nil
}
