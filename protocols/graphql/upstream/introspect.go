package upstream

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/vektah/gqlparser/v2/ast"
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
