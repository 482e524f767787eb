package upstream

import (
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
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
