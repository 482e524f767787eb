package upstream

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"

	"github.com/trilith-gateway/trilith/schema"
)

// Bounds on a schema. Those of the largest public servers are at a tenth.
const (
	maxSchemaBytes = 32 << 20
	maxTypes       = 50_000
	maxMembers     = 200_000 // fields, arguments, input fields and enum values together
	maxLiteral     = 4 << 10 // of a default value
	maxWrapping    = 9       // lists and non-nulls around a type, as deep as introspectionQuery asks
)

// introspectionAbility asks what the server's introspection can tell, because
// to ask for what it does not know fails the whole query.
const introspectionAbility = `{
  type: __type(name: "__Type") { fields { name args { name } } }
  field: __type(name: "__Field") { fields { name args { name } } }
}`

// ability is what a server's introspection can tell beyond the specification
// of 2018.
type ability struct {
	oneOf, specifiedBy, deprecatedArguments, deprecatedInput bool
}

// parseAbility reads the data that introspectionAbility is answered with. What
// cannot be read is not there.
func parseAbility(data []byte) (a ability) {
	type fields struct {
		Fields []struct {
			Name string `json:"name"`
			Args []struct {
				Name string `json:"name"`
			} `json:"args"`
		} `json:"fields"`
	}
	var d struct {
		Type  fields `json:"type"`
		Field fields `json:"field"`
	}
	if jsonv2.Unmarshal(data, &d) != nil {
		return ability{}
	}
	has := func(f fields, name, arg string) bool {
		for _, f := range f.Fields {
			for _, a := range f.Args {
				if f.Name == name && a.Name == arg {
					return true
				}
			}
			if f.Name == name && arg == "" {
				return true
			}
		}
		return false
	}
	return ability{
		oneOf: has(d.Type, "isOneOf", ""), specifiedBy: has(d.Type, "specifiedByURL", ""),
		deprecatedInput: has(d.Type, "inputFields", "includeDeprecated"), deprecatedArguments: has(d.Field, "args", "includeDeprecated"),
	}
}

// introspectionQuery returns the query for the whole schema, as far as the
// server can tell it.
func introspectionQuery(a ability) string {
	optional := func(ok bool, text string) string {
		if ok {
			return text
		}
		return ""
	}
	const value = " name description type { ...T } defaultValue "
	const all = "(includeDeprecated: true)"
	return `query Introspection { __schema {
  queryType { name } mutationType { name } subscriptionType { name }
  types { kind name description ` + optional(a.specifiedBy, "specifiedByURL ") + optional(a.oneOf, "isOneOf ") + `
    fields` + all + ` { name description isDeprecated type { ...T }
      args` + optional(a.deprecatedArguments, all) + ` {` + value + optional(a.deprecatedArguments, "isDeprecated ") + `} }
    inputFields` + optional(a.deprecatedInput, all) + ` {` + value + optional(a.deprecatedInput, "isDeprecated ") + `}
    enumValues` + all + ` { name description isDeprecated }
    interfaces { name } possibleTypes { name } } } }
fragment T on __Type { kind name ` + strings.Repeat("ofType { kind name ", maxWrapping) + strings.Repeat("}", maxWrapping) + `}`
}

// The members of an introspection result that matter here.
type (
	introspection struct {
		Schema *struct {
			Query        *typeName           `json:"queryType"`
			Mutation     *typeName           `json:"mutationType"`
			Subscription *typeName           `json:"subscriptionType"`
			Types        []introspectionType `json:"types"`
		} `json:"__schema"`
	}
	typeName struct {
		Name string `json:"name"`
	}
	introspectionType struct {
		Kind          string               `json:"kind"`
		Name          string               `json:"name"`
		Description   string               `json:"description"`
		SpecifiedBy   string               `json:"specifiedByURL"`
		OneOf         bool                 `json:"isOneOf"`
		Fields        []introspectionField `json:"fields"`
		InputFields   []introspectionInput `json:"inputFields"`
		EnumValues    []introspectionValue `json:"enumValues"`
		Interfaces    []typeName           `json:"interfaces"`
		PossibleTypes []typeName           `json:"possibleTypes"`
	}
	introspectionField struct {
		introspectionValue
		Type *introspectionRef    `json:"type"`
		Args []introspectionInput `json:"args"`
	}
	introspectionInput struct {
		introspectionValue
		Type    *introspectionRef `json:"type"`
		Default *string           `json:"defaultValue"`
	}
	introspectionValue struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		Deprecated  bool   `json:"isDeprecated"`
	}
	introspectionRef struct {
		Kind   string            `json:"kind"`
		Name   string            `json:"name"`
		OfType *introspectionRef `json:"ofType"`
	}
)

// validName is what GraphQL calls a name (specification, 2.1.9), no longer than
// anybody would write.
var validName = regexp.MustCompile(`^[_A-Za-z][_0-9A-Za-z]{0,254}$`)

// A schemaReader turns an introspection result into a schema. What is not valid
// in it is left out and noted, so that one bad type does not cost all others.
type schemaReader struct {
	schema  *ast.Schema
	notes   *notes
	members int
}

// parseIntrospection reads the data that an introspection query is answered
// with.
func parseIntrospection(data []byte, n *notes) (*ast.Schema, error) {
	if err := schema.Check(data, schema.Bounds{Bytes: maxSchemaBytes, Depth: 32, Tokens: 8_000_000}); err != nil {
		return nil, err
	}
	var d introspection
	if err := jsonv2.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("not the answer to an introspection query: %w", err)
	}
	if d.Schema == nil || d.Schema.Query == nil {
		return nil, errors.New("not the answer to an introspection query: it names no query type")
	}
	if len(d.Schema.Types) > maxTypes {
		return nil, fmt.Errorf("the schema has %d types, at most %d are read", len(d.Schema.Types), maxTypes)
	}
	r := &schemaReader{notes: n, schema: builtins()}
	for i := range d.Schema.Types {
		if err := r.addType(&d.Schema.Types[i]); err != nil {
			return nil, err
		}
	}
	r.prune()
	r.relate(d.Schema.Types)
	root := func(n *typeName) *ast.Definition {
		if n == nil {
			return nil
		}
		if def := r.schema.Types[n.Name]; def != nil && def.Kind == ast.Object {
			return def
		}
		return nil
	}
	r.schema.Query, r.schema.Mutation, r.schema.Subscription = root(d.Schema.Query), root(d.Schema.Mutation), root(d.Schema.Subscription)
	if r.schema.Query == nil {
		return nil, errors.New("the schema has no query type")
	}
	r.addMeta()
	return r.schema, nil
}

// builtins returns a schema with what every GraphQL server has.
func builtins() *ast.Schema {
	s := &ast.Schema{
		Types: map[string]*ast.Definition{}, Directives: map[string]*ast.DirectiveDefinition{},
		PossibleTypes: map[string][]*ast.Definition{}, Implements: map[string][]*ast.Definition{},
	}
	prelude := validator.PreludeDocument()
	for _, d := range prelude.Definitions {
		s.Types[d.Name] = d
		if d.Kind == ast.Object {
			s.AddPossibleType(d.Name, d)
		}
	}
	for _, d := range prelude.Directives {
		s.Directives[d.Name] = d
	}
	return s
}

// addMeta gives the query type the fields of introspection, as the validator of
// documents wants them.
func (r *schemaReader) addMeta() {
	r.schema.Query.Fields = append(r.schema.Query.Fields, validator.QueryIntrospectionFields()...)
}

// addType adds a type without what it has to do with others.
func (r *schemaReader) addType(t *introspectionType) error {
	if strings.HasPrefix(t.Name, "__") || r.schema.Types[t.Name] != nil && r.schema.Types[t.Name].BuiltIn {
		return nil
	}
	if !validName.MatchString(t.Name) {
		r.notes.skipped("type "+quote(t.Name), "its name is not valid in GraphQL")
		return nil
	}
	if r.schema.Types[t.Name] != nil {
		r.notes.skipped("type "+t.Name, "the schema has another type of that name")
		return nil
	}
	def := &ast.Definition{Kind: ast.DefinitionKind(t.Kind), Name: t.Name, Description: t.Description, Position: nowhere()}
	switch def.Kind {
	case ast.Scalar:
		if t.SpecifiedBy != "" {
			def.Directives = append(def.Directives, directive("specifiedBy", "url", t.SpecifiedBy))
		}
	case ast.Object, ast.Interface:
		def.Fields = r.fields(t)
	case ast.InputObject:
		if t.OneOf {
			def.Directives = append(def.Directives, directive("oneOf", "", ""))
		}
		def.Fields = r.inputFields(t)
	case ast.Enum:
		def.EnumValues = r.enumValues(t)
	case ast.Union:
	default:
		r.notes.skipped("type "+t.Name, "GraphQL has no kind "+quote(t.Kind))
		return nil
	}
	if r.members > maxMembers {
		return fmt.Errorf("the schema has more than %d fields, arguments and values", maxMembers)
	}
	r.schema.Types[t.Name] = def
	return nil
}

// nowhere is where a definition stands that has no text.
func nowhere() *ast.Position { return &ast.Position{Src: &ast.Source{Name: "introspection"}} }

func directive(name, arg, value string) *ast.Directive {
	d := &ast.Directive{Name: name, Position: nowhere()}
	if arg != "" {
		d.Arguments = ast.ArgumentList{{Name: arg, Value: &ast.Value{Kind: ast.StringValue, Raw: value}}}
	}
	return d
}

func deprecation(is bool) ast.DirectiveList {
	if !is {
		return nil
	}
	return ast.DirectiveList{directive("deprecated", "", "")}
}

// named reports whether a member of a type has a valid name that no other has.
func (r *schemaReader) named(in, name string, seen map[string]bool) bool {
	r.members++
	switch {
	case strings.HasPrefix(name, "__"), !validName.MatchString(name):
		r.notes.skipped(in+"."+quote(name), "its name is not valid in GraphQL")
	case seen[name]:
		r.notes.skipped(in+"."+name, "the type has another member of that name")
	default:
		seen[name] = true
		return true
	}
	return false
}

func (r *schemaReader) fields(t *introspectionType) (out ast.FieldList) {
	seen := map[string]bool{}
	for _, f := range t.Fields {
		if r.members > maxMembers {
			break // The whole schema is refused.
		}
		typ := f.Type.resolve(0)
		if !r.named(t.Name, f.Name, seen) {
			continue
		}
		if typ == nil {
			r.notes.skipped(t.Name+"."+f.Name, "its type cannot be read")
			continue
		}
		def := &ast.FieldDefinition{Name: f.Name, Description: f.Description, Type: typ, Directives: deprecation(f.Deprecated), Position: nowhere()}
		args := map[string]bool{}
		for _, a := range f.Args {
			typ, value := a.Type.resolve(0), r.literal(t.Name+"."+f.Name, a.Default)
			if typ == nil || !r.named(t.Name+"."+f.Name, a.Name, args) {
				def = nil // Without one of its arguments the field may not be called.
				break
			}
			def.Arguments = append(def.Arguments, &ast.ArgumentDefinition{
				Name: a.Name, Description: a.Description, Type: typ, DefaultValue: value, Directives: deprecation(a.Deprecated), Position: nowhere(),
			})
		}
		if def == nil {
			r.notes.skipped(t.Name+"."+f.Name, "one of its arguments cannot be read")
			continue
		}
		out = append(out, def)
	}
	return out
}

func (r *schemaReader) inputFields(t *introspectionType) (out ast.FieldList) {
	seen := map[string]bool{}
	for _, f := range t.InputFields {
		if r.members > maxMembers {
			break // The whole schema is refused.
		}
		typ := f.Type.resolve(0)
		if !r.named(t.Name, f.Name, seen) || typ == nil {
			continue
		}
		out = append(out, &ast.FieldDefinition{
			Name: f.Name, Description: f.Description, Type: typ, DefaultValue: r.literal(t.Name, f.Default),
			Directives: deprecation(f.Deprecated), Position: nowhere(),
		})
	}
	return out
}

func (r *schemaReader) enumValues(t *introspectionType) (out ast.EnumValueList) {
	seen := map[string]bool{}
	for _, v := range t.EnumValues {
		if r.members > maxMembers {
			break // The whole schema is refused.
		}
		if r.named(t.Name, v.Name, seen) {
			out = append(out, &ast.EnumValueDefinition{Name: v.Name, Description: v.Description, Directives: deprecation(v.Deprecated), Position: nowhere()})
		}
	}
	return out
}

// resolve returns the type that a reference means, or nil where it means none.
func (t *introspectionRef) resolve(depth int) *ast.Type {
	if t == nil || depth > maxWrapping {
		return nil
	}
	switch t.Kind {
	case "NON_NULL":
		of := t.OfType.resolve(depth + 1)
		if of == nil || of.NonNull {
			return nil
		}
		of.NonNull = true
		return of
	case "LIST":
		if of := t.OfType.resolve(depth + 1); of != nil {
			return ast.ListType(of, nowhere())
		}
		return nil
	}
	if !validName.MatchString(t.Name) {
		return nil
	}
	return ast.NamedType(t.Name, nowhere())
}

// literal reads a default value, which introspection tells as GraphQL text. One
// that is too long or none at all counts as a default that is not known.
func (r *schemaReader) literal(of string, text *string) *ast.Value {
	if text == nil {
		return nil
	}
	v := parseLiteral(*text)
	if v == nil {
		r.notes.approximated(of, "a default value cannot be read: "+quote(*text))
		return &ast.Value{Kind: ast.Variable, Position: nowhere()} // Something: the argument can be left out.
	}
	return v
}

// parseLiteral returns the constant that the text is, or nil.
func parseLiteral(text string) *ast.Value {
	if len(text) > maxLiteral {
		return nil
	}
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Name: "default", Input: "{a(b:" + text + "\n)}"}, maxLiteral)
	if err != nil || len(doc.Operations) != 1 || len(doc.Fragments) != 0 || len(doc.Operations[0].SelectionSet) != 1 {
		return nil
	}
	f, ok := doc.Operations[0].SelectionSet[0].(*ast.Field)
	if !ok || len(f.Arguments) != 1 || len(f.Directives) != 0 || len(f.SelectionSet) != 0 || f.Alias != "a" || !constant(f.Arguments[0].Value) {
		return nil
	}
	return f.Arguments[0].Value
}

func constant(v *ast.Value) bool {
	if v.Kind == ast.Variable {
		return false
	}
	for _, c := range v.Children {
		if !constant(c.Value) {
			return false
		}
	}
	return true
}

// prune leaves out what refers to types that are not there, or not of a kind
// that can stand there.
func (r *schemaReader) prune() {
	for _, def := range r.schema.Types {
		if def.BuiltIn {
			continue
		}
		kept := def.Fields[:0]
		for _, f := range def.Fields {
			ok := r.is(f.Type, def.Kind == ast.InputObject)
			for _, a := range f.Arguments {
				ok = ok && r.is(a.Type, true)
			}
			if ok {
				kept = append(kept, f)
				continue
			}
			r.notes.skipped(def.Name+"."+f.Name, "it refers to a type that the schema does not have, or not as one for this place")
		}
		def.Fields = kept
	}
}

// is reports whether the type can stand in an input, or in an output.
func (r *schemaReader) is(t *ast.Type, input bool) bool {
	def := r.schema.Types[t.Name()]
	return def != nil && (input && def.IsInputType() || !input && (def.IsLeafType() || def.IsCompositeType()))
}

// relate adds which object is which interface and union.
func (r *schemaReader) relate(types []introspectionType) {
	for i := range types {
		t := &types[i]
		def := r.schema.Types[t.Name]
		if def == nil || def.BuiltIn || !def.IsCompositeType() {
			continue
		}
		if def.Kind == ast.Object {
			r.schema.AddPossibleType(def.Name, def)
		}
		for _, name := range t.Interfaces {
			if i := r.schema.Types[name.Name]; i != nil && i.Kind == ast.Interface {
				def.Interfaces = append(def.Interfaces, i.Name)
				r.schema.AddImplements(def.Name, i)
			}
		}
		if def.Kind == ast.Object {
			continue
		}
		seen := map[string]bool{}
		for _, name := range t.PossibleTypes {
			if o := r.schema.Types[name.Name]; o != nil && o.Kind == ast.Object && !seen[o.Name] {
				seen[o.Name] = true
				r.schema.AddPossibleType(def.Name, o)
				if def.Kind == ast.Union {
					def.Types = append(def.Types, o.Name)
					r.schema.AddImplements(o.Name, def)
				}
			}
		}
	}
}
