package gqlschema

import (
	"encoding/json"

	"github.com/vektah/gqlparser/v2/ast"
)

// kind says how values of a type cross over.
type kind = uint8

const (
	kindJSON    kind = iota + 1 // any value, as it is
	kindString                  // String, and scalars that are written as strings
	kindInt                     // 32 bits
	kindLong                    // 64 bits
	kindFloat                   //
	kindBoolean                 //
	kindEnum                    //
	kindObject                  // output
	kindUnion                   // output
	kindInput                   // input object
	kindOneOf                   // input object of which exactly one field is given
)

// A Type is a named GraphQL type and its counterpart in JSON. It is immutable once its plan is made.
type Type struct {
	name        string
	kind        kind
	description string

	fields []*field       // of kindObject, kindInput and kindOneOf
	byName map[string]int // fields by their name in GraphQL
	byKey  map[string]int // and by the name of the JSON member
	rest   int            // the field that holds all other members, or -1

	values []enumValue                // of kindEnum
	toName map[string]string          // value → name
	toJSON map[string]json.RawMessage // name → value as JSON

	members  []*Type         // of kindUnion, the most particular first
	tests    []test          // by which a union knows a member
	required []string        // the members that an object must have
	satisfy  []string        // the type conditions that hold for an object
	def      *ast.Definition // of the plan's own types, once it is made
}

// A test says which values of a property tell that an object is of a type.
type test struct {
	key    string
	values []string // JSON texts
}

type enumValue struct {
	name, value string
}

// A use is a type where it is used: named, or a list.
type use struct {
	nonNull bool
	typ     *Type // of a named type
	elem    *use  // of a list
}

// A field is one of an object or input object, or an argument.
type field struct {
	name, key   string
	use         use
	nullable    bool            // whether the JSON Schema admits null
	required    bool            // whether the JSON Schema requires it
	fill        json.RawMessage // what an input that leaves it out gets: the default, or a required const; nil for nothing
	literal     *ast.Value      // the default in GraphQL, or nil
	description string
	deprecated  bool
	rest        bool // it holds the members that are not declared
}

func jsonUse() use { return use{typ: jsonType} }

func (u use) isJSON() bool { return u.elem == nil && u.typ.kind == kindJSON }

// ast returns the use as the library wants it.
func (u use) ast() *ast.Type {
	if u.elem != nil {
		return &ast.Type{Elem: u.elem.ast(), NonNull: u.nonNull}
	}
	return &ast.Type{NamedType: u.typ.name, NonNull: u.nonNull}
}

// useOf returns the use that a variable of a type is declared with.
func useOf(t *ast.Type, named *Type) use {
	if t.Elem != nil {
		elem := useOf(t.Elem, named)
		return use{nonNull: t.NonNull, elem: &elem}
	}
	return use{nonNull: t.NonNull, typ: named}
}

// The scalars. Those that are not GraphQL's own are defined by [Scalars], except JSON, which the static schema has.
//
//nolint:gochecknoglobals // immutable.
var (
	jsonType    = &Type{name: "JSON", kind: kindJSON}
	stringType  = &Type{name: "String", kind: kindString}
	intType     = &Type{name: "Int", kind: kindInt}
	longType    = &Type{name: "Long", kind: kindLong}
	floatType   = &Type{name: "Float", kind: kindFloat}
	booleanType = &Type{name: "Boolean", kind: kindBoolean}
	formats     = map[string]*Type{
		"date-time": {name: "DateTime", kind: kindString},
		"date":      {name: "Date", kind: kindString},
		"uuid":      {name: "UUID", kind: kindString},
		"uri":       {name: "URI", kind: kindString},
	}
)

// Scalar returns the type of that name where it is a scalar that arguments of tools may have, or nil.
func Scalar(name string) *Type {
	for _, t := range []*Type{jsonType, stringType, intType, longType, floatType, booleanType} {
		if t.name == name {
			return t
		}
	}
	for _, t := range formats {
		if t.name == name {
			return t
		}
	}
	return nil
}

// Scalars returns the definitions of the scalars that typed tools use beyond those of the static schema.
func Scalars() []*ast.Definition {
	def := func(name, description, url string) *ast.Definition {
		d := &ast.Definition{Kind: ast.Scalar, Name: name, Description: description}
		if url != "" {
			d.Directives = directive("specifiedBy", "url", url)
		}
		return d
	}
	return []*ast.Definition{
		def("Long", "A whole number of 64 bits, signed or not. Arguments may also be written as strings, because JavaScript rounds numbers beyond 2^53.", ""),
		def("DateTime", "A moment, such as `2030-01-31T12:00:00Z`.", "https://www.rfc-editor.org/rfc/rfc3339"),
		def("Date", "A day, such as `2030-01-31`.", "https://www.rfc-editor.org/rfc/rfc3339"),
		def("UUID", "A universally unique identifier.", "https://www.rfc-editor.org/rfc/rfc9562"),
		def("URI", "A uniform resource identifier.", "https://www.rfc-editor.org/rfc/rfc3986"),
	}
}

func directive(name, argument, value string) ast.DirectiveList {
	return ast.DirectiveList{{Name: name, Arguments: ast.ArgumentList{{Name: argument, Value: &ast.Value{Kind: ast.StringValue, Raw: value}}}}}
}
