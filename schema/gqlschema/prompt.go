package gqlschema

import "github.com/vektah/gqlparser/v2/ast"

// A Prompt is a template of messages. Its arguments are strings.
type Prompt struct {
	Name        string
	Title       string
	Description string
	Arguments   []PromptArgument
}

// A PromptArgument is what a prompt asks for.
type PromptArgument struct {
	Name        string
	Description string
	Required    bool
}

// CompilePrompt gives a prompt a field on Query, whose type is PromptResult of the static schema.
func CompilePrompt(pr Prompt, n Names) *Plan {
	p := &Plan{Names: n, open: -1}
	args := map[string]PromptArgument{}
	for _, a := range pr.Arguments {
		args[a.Name] = a
	}
	keys := sortedKeys(args)
	names := unique(keys, Name)
	for _, k := range keys {
		p.arguments = append(p.arguments, &field{
			name: names[k], key: k, use: use{typ: stringType, nonNull: args[k].Required}, required: args[k].Required, description: short(args[k].Description),
		})
	}
	p.byName = index(p.arguments, func(f *field) string { return f.name })
	p.emit(Tool{Name: pr.Name, Title: pr.Title, Description: pr.Description})
	p.Field.Type, p.Event = ast.NamedType("PromptResult", nil), nil
	return p
}
