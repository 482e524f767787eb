package gqlschema

import (
	"encoding/json"

	"github.com/vektah/gqlparser/v2/ast"

	"github.com/trilith-gateway/trilith/internal/clip"
)

// Bounds of one plan. A schema that needs more is typed as far as they go, and as JSON from there.
const (
	maxTypes       = 250    // in one plan
	maxDepth       = 24     // of schemas in schemas
	maxSteps       = 20_000 // schemas that are looked at for one plan
	maxFields      = 500    // of one object
	maxValues      = 300    // of one enum
	maxMembers     = 50     // of one union
	maxDescription = 2048   // bytes
	maxNotes       = 50     // of one plan
)

// A Tool is what Compile types.
type Tool struct {
	Name        string
	Title       string
	Description string
	Input       json.RawMessage // JSON Schema of the arguments; nil accepts any object
	Output      json.RawMessage // JSON Schema of the structured result; nil says nothing about it
}

// Names are how a tool is called in GraphQL; see [Assign].
type Names struct {
	Field  string // on the root types
	Prefix string // what the names of its types begin with
}

// A Note says what of a tool GraphQL does not show as it is.
type Note struct {
	At     string // what it is about: "input" or "output", with the path of the property
	Reason string
}

// Renamed is how the reasons of notes begin that only tell of another name.
const Renamed = "is called "

// The types of the static schema that plans refer to.
const (
	callResult    = "CallResult"
	toolCallEvent = "ToolCallEvent"
)

// A Plan is a tool in GraphQL. It is immutable and safe for concurrent use.
type Plan struct {
	Names Names

	// Sum is a hash of everything that the plan is made of.
	Sum [32]byte

	// Field is the field of the tool on Query or Mutation. Its type is that of the result where the tool says what it
	// returns, and otherwise CallResult.
	Field *ast.FieldDefinition

	// Event is the field on Subscription. Its type is a union of what happens in a call where the tool says what it
	// returns, and otherwise ToolCallEvent.
	Event *ast.FieldDefinition

	// Types are the definitions of the types that are this tool's own, by name.
	Types []*ast.Definition

	// Notes say what was lost.
	Notes []Note

	arguments []*field
	byName    map[string]int
	whole     bool // the only argument, input, is the whole of the arguments
	open      int  // the argument that holds all members that are not declared, or -1
	inputs    map[string]*Type
	result    *use // nil where the tool does not say what it returns
	events    [4]*Type
	possible  []possible
}

// possible says which objects a type may be. A nil one is of the static schema.
type possible struct {
	of      *ast.Definition
	members []*ast.Definition
}

// Typed reports whether results have a type of their own.
func (p *Plan) Typed() bool { return p.result != nil }

// Input returns the plan's own input type of that name, or nil.
func (p *Plan) Input(name string) *Type { return p.inputs[name] }

// Compile types a tool. It never fails: what cannot be typed is JSON, or not typed at all, and noted.
func Compile(t Tool, n Names) *Plan {
	p := &Plan{Names: n, open: -1}
	b := &builder{plan: p, prefix: n.Prefix, used: map[string]bool{n.Prefix + "Event": true, n.Prefix + "Finished": true}}
	p.input(b, t.Input)
	p.output(b, t.Output)
	b.begin("input")
	inputs := reachable(p.arguments)
	breakCycles(b, inputs)
	defaults(b, p.arguments)
	for _, in := range inputs {
		defaults(b, in.fields)
	}
	p.emit(t)
	return p
}

// input types the arguments.
func (p *Plan) input(b *builder, raw json.RawMessage) {
	b.begin("input")
	root := &node{}
	if raw != nil {
		var err error
		if root, err = parse(raw); err != nil {
			b.note("the schema cannot be read: " + err.Error())
			root = &node{}
		}
	}
	b.root = root
	if alts, _ := alternatives(root); len(alts) == 0 {
		root = b.unconditional(root)
		b.root = root
	}
	types, _ := root.types()
	switch {
	case root.plainObject(), len(root.Properties) == 0 && len(types) == 1 && types[0] == "object" && closed(root):
		p.arguments = b.fields(root, "")
	case len(types) <= 1 && len(root.AllOf) > 0:
		if m := b.merged(root); m != nil && len(m.Properties) > 0 {
			p.arguments = b.fields(m, "")
			break
		}
		fallthrough
	default:
		p.whole = true
		u, _ := b.build(root, "", "")
		any := len(root.Required) == 0 && u.isJSON()
		u.nonNull = !any
		p.arguments = []*field{{name: "input", key: "", use: u, required: !any, description: "All arguments of the tool, as one value."}}
	}
	p.byName = index(p.arguments, func(f *field) string { return f.name })
	for i, f := range p.arguments {
		if f.rest {
			p.open = i
		}
	}
}

// closed reports whether the schema of an object without properties says that there are none, rather than nothing.
func closed(n *node) bool {
	return len(n.OneOf)+len(n.AnyOf)+len(n.AllOf) == 0 && n.Ref == "" && (n.Additional == nil && n.Properties != nil || n.Additional != nil && n.Additional.never)
}

// output types the result.
func (p *Plan) output(b *builder, raw json.RawMessage) {
	if raw == nil {
		return
	}
	b.begin("output")
	root, err := parse(raw)
	if err != nil {
		b.note("the schema cannot be read: " + err.Error())
		root = &node{}
	}
	b.root = root
	u, _ := b.build(root, "Result", "")
	u.nonNull = false // One tool that fails must not make its siblings null.
	p.result = &u
}

// emit makes the definitions of what was built.
func (p *Plan) emit(t Tool) {
	e := emitter{plan: p, seen: map[*Type]bool{}}
	p.inputs = map[string]*Type{}
	args := make(ast.ArgumentDefinitionList, 0, len(p.arguments))
	for _, f := range p.arguments {
		e.use(f.use)
		a := &ast.ArgumentDefinition{Name: f.name, Type: f.use.ast(), Description: f.description, DefaultValue: f.literal}
		if f.deprecated && !f.use.nonNull {
			a.Directives = deprecated()
		}
		args = append(args, a)
	}
	description := short(t.Description)
	if description == "" {
		description = short(t.Title)
	}
	result := &ast.Type{NamedType: callResult}
	event := ast.NonNullNamedType(toolCallEvent, nil)
	if p.result != nil {
		e.use(*p.result)
		result = p.result.ast()
		event = ast.NonNullNamedType(e.events(), nil)
	}
	p.Field = &ast.FieldDefinition{Name: p.Names.Field, Description: description, Arguments: args, Type: result}
	p.Event = &ast.FieldDefinition{Name: p.Names.Field, Description: description, Arguments: args, Type: event}
}

func deprecated() ast.DirectiveList {
	return directive("deprecated", "reason", "The tool's schema says that it is deprecated.")
}

// short bounds what is taken over into a description.
func short(s string) string { return clip.Text(s, maxDescription) }

func index(fields []*field, key func(*field) string) map[string]int {
	m := make(map[string]int, len(fields))
	for i, f := range fields {
		m[key(f)] = i
	}
	return m
}
