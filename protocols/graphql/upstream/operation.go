package upstream

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/internal/clip"
)

// An operation is one tool and what is sent for it.
type operation struct {
	tool *gateway.Tool
	kind ast.Operation
	head []byte // of the request: everything before the variables
	root string // the member of data that is the answer; "" is data itself
}

// A draft is what an operation is made of.
type draft struct {
	name        string // of the tool
	subject     string // in notes
	description string
	parameters  []parameter
	doc         *ast.QueryDocument // the operation, with the fragments that it uses
	root        string             // as operation has it
}

// request returns the body of a request with these variables. They are a JSON
// object, or empty for none.
func (o *operation) request(variables json.RawMessage) []byte {
	if len(variables) == 0 {
		variables = json.RawMessage(`{}`)
	}
	b := make([]byte, 0, len(o.head)+len(variables)+1)
	return append(append(append(b, o.head...), variables...), '}')
}

// A toolDefinition is MCP's (revision 2026-07-28, Tool).
type toolDefinition struct {
	Name         string          `json:"name"`
	Description  string          `json:"description,omitempty"`
	InputSchema  json.RawMessage `json:"inputSchema"`
	OutputSchema json.RawMessage `json:"outputSchema,omitempty"`
	Annotations  json.RawMessage `json:"annotations"`
}

// compile makes the tool of a draft and the text that is sent for it. It fails
// where the operation is not valid against the schema.
func compile(s *ast.Schema, d *draft, n *notes) (*operation, error) {
	if errs := validator.ValidateWithRules(s, d.doc, rules.NewDefaultRules()); len(errs) > 0 {
		return nil, oneLine(errs[0])
	}
	op := d.doc.Operations[0]
	var text strings.Builder
	formatter.NewFormatter(&text, formatter.WithCompacted(), formatter.WithIndent(""), formatter.WithoutDescription()).FormatQueryDocument(d.doc)
	o := &operation{kind: op.Operation, root: d.root}
	o.head = appendJSON([]byte(`{"query":`), text.String())
	o.head = appendJSON(append(o.head, `,"operationName":`...), op.Name)
	o.head = append(o.head, `,"variables":`...)

	in, cut := input(s, d.parameters)
	if cut {
		n.approximated(d.subject, "its input is too large to be described; parts of it are objects of any form")
	}
	out, cut := output(s, rootOf(s, op.Operation), op.SelectionSet)
	if d.root != "" {
		out = out.Properties[d.root]
	}
	if cut {
		n.approximated(d.subject, "its output is too large to be described; parts of it may be anything")
	}
	if op.Operation == ast.Subscription {
		out = eventsSchema(out)
	}
	var err error
	o.tool, err = d.define(in, out, op.Operation, n)
	return o, err
}

// define makes the definition of the tool. Schemas that package schema does not
// take are replaced by ones that say less.
func (d *draft) define(in, out *node, kind ast.Operation, n *notes) (*gateway.Tool, error) {
	def := toolDefinition{Name: d.name, Description: clip.Text(d.description, maxToolText), Annotations: annotations(kind)}
	var err error
	if def.InputSchema, err = in.marshal(); err != nil {
		return nil, err
	}
	if def.OutputSchema, err = out.marshal(); err != nil {
		return nil, err
	}
	tool, err := def.parse()
	if err == nil {
		return tool, nil
	}
	n.approximated(d.subject, "its output is not described: "+err.Error())
	def.OutputSchema = nil
	if tool, err = def.parse(); err == nil {
		return tool, nil
	}
	n.approximated(d.subject, "its input is not described: "+err.Error())
	def.InputSchema = json.RawMessage(`{"type":"object"}`)
	return def.parse()
}

func (d *toolDefinition) parse() (*gateway.Tool, error) {
	raw, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	return gateway.ParseTool(raw)
}

// annotations are the hints that the kind of an operation gives: GraphQL says
// of queries alone that they have no side effects (specification, 6.2.1).
func annotations(kind ast.Operation) json.RawMessage {
	if kind == ast.Mutation {
		return json.RawMessage(`{"readOnlyHint":false}`)
	}
	return json.RawMessage(`{"readOnlyHint":true,"idempotentHint":true}`)
}

func rootOf(s *ast.Schema, kind ast.Operation) *ast.Definition {
	switch kind {
	case ast.Query:
		return s.Query
	case ast.Mutation:
		return s.Mutation
	case ast.Subscription:
		return s.Subscription
	}
	return nil
}

// maxOperations bounds the tools of one source.
const maxOperations = 5000

// kindsOf are the operations that a source offers, in order.
func (u *Upstream) kindsOf() []ast.Operation {
	if u.o.Subscriptions == SubscriptionsOff {
		return []ast.Operation{ast.Query, ast.Mutation}
	}
	return []ast.Operation{ast.Query, ast.Mutation, ast.Subscription}
}

// fromFields makes an operation of each root field.
func (u *Upstream) fromFields(s *ast.Schema, n *notes) map[string]*operation {
	names := map[string]int{}
	for _, kind := range u.kindsOf() {
		for _, f := range fieldsOf(s, kind) {
			names[f.Name]++
		}
	}
	out := map[string]*operation{}
	for _, kind := range u.kindsOf() {
		for _, f := range fieldsOf(s, kind) {
			d := u.draft(s, kind, f, n)
			if len(out) == maxOperations {
				n.skipped(d.subject, fmt.Sprintf("at most %d operations are offered", maxOperations))
				continue
			}
			if isDeprecated(f.Directives) {
				n.skipped(d.subject, "it is deprecated")
				continue
			}
			// Both get another name: who was allowed one of them has not got the other.
			if names[f.Name] > 1 {
				d.name = f.Name + "_" + string(kind)
				if names[d.name] > 0 {
					n.skipped(d.subject, "the schema has other operations of its name, and of "+d.name)
					continue
				}
				n.renamed(d.subject, d.name)
			}
			o, err := compile(s, d, n)
			if err != nil {
				n.skipped(d.subject, err.Error())
				continue
			}
			out[d.name] = o
		}
	}
	if s.Subscription != nil && u.o.Subscriptions == SubscriptionsOff {
		n.skipped(s.Subscription.Name, "subscriptions are off")
	}
	return out
}

func fieldsOf(s *ast.Schema, kind ast.Operation) ast.FieldList {
	root := rootOf(s, kind)
	if root == nil {
		return nil
	}
	out := make(ast.FieldList, 0, len(root.Fields))
	for _, f := range root.Fields {
		if !strings.HasPrefix(f.Name, "__") {
			out = append(out, f)
		}
	}
	return out
}

// draft makes the operation that asks for one root field.
func (u *Upstream) draft(s *ast.Schema, kind ast.Operation, f *ast.FieldDefinition, n *notes) *draft {
	d := &draft{name: f.Name, subject: string(kind) + " " + f.Name, description: f.Description, parameters: parameters(f), root: f.Name}
	if strings.TrimSpace(d.description) == "" {
		d.description = "GraphQL " + string(kind) + " " + f.Name + ": " + f.Type.String()
	}
	sel := selector{schema: s, depth: u.o.Depth, fields: u.o.Fields}
	field := &ast.Field{Alias: f.Name, Name: f.Name, SelectionSet: sel.selection(f.Type)}
	op := &ast.OperationDefinition{Operation: kind, Name: f.Name, SelectionSet: ast.SelectionSet{field}}
	for _, a := range f.Arguments {
		typ := *a.Type
		typ.NonNull = typ.NonNull && a.DefaultValue == nil // What is left out is the server's to fill in.
		if isDeprecated(a.Directives) && !typ.NonNull {
			continue
		}
		op.VariableDefinitions = append(op.VariableDefinitions, &ast.VariableDefinition{Variable: a.Name, Type: &typ})
		field.Arguments = append(field.Arguments, &ast.Argument{Name: a.Name, Value: &ast.Value{Kind: ast.Variable, Raw: a.Name}})
	}
	d.doc = &ast.QueryDocument{Operations: ast.OperationList{op}}
	if left := sel.left(); left != "" && !isDeprecated(f.Directives) {
		n.approximated(d.subject, left)
	}
	return d
}
