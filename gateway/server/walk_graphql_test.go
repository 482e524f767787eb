package server_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// A schemaType is a type as introspection tells of it.
type schemaType struct {
	Kind, Name    string
	OfType        *schemaType
	Fields        []schemaField
	InputFields   []schemaInput
	PossibleTypes []schemaType
}

type schemaField struct {
	Name string
	Args []schemaInput
	Type schemaType
}

type schemaInput struct {
	Name         string
	Type         schemaType
	DefaultValue *string
}

func (s *schemaType) bare() *schemaType {
	for s.OfType != nil {
		s = s.OfType
	}
	return s
}

const introspection = `{__schema{queryType{name} mutationType{name} subscriptionType{name} types{kind name
  fields(includeDeprecated:true){name args(includeDeprecated:true){name defaultValue type{...ref}} type{...ref}}
  inputFields(includeDeprecated:true){name defaultValue type{...ref}} possibleTypes{kind name}}}}
fragment ref on __Type{kind name ofType{kind name ofType{kind name ofType{kind name}}}}`

// TestWalkGraphQL goes to every field of the schema's roots, as the schema tells
// of them, over HTTP and for subscriptions as events.
func TestWalkGraphQL(t *testing.T) {
	w := startWalk(t, nil)
	_, _, text := w.http(t, http.MethodPost, "/graphql", w.owner, nil, graphqlBody(t, introspection))
	var res struct {
		Data struct {
			Schema struct {
				QueryType, MutationType, SubscriptionType schemaType
				Types                                     []schemaType
			} `json:"__schema"`
		}
	}
	if err := json.Unmarshal([]byte(text), &res); err != nil || len(res.Data.Schema.Types) < 10 {
		t.Fatalf("introspection: %v %s", err, text)
	}
	types := map[string]*schemaType{}
	for i := range res.Data.Schema.Types {
		types[res.Data.Schema.Types[i].Name] = &res.Data.Schema.Types[i]
	}
	var steps []step
	for operation, root := range map[string]schemaType{
		"query": res.Data.Schema.QueryType, "mutation": res.Data.Schema.MutationType, "subscription": res.Data.Schema.SubscriptionType,
	} {
		for _, f := range types[root.Name].Fields {
			parts := map[string]string{"": selectionOf(types, f, 0)}
			if within := types[f.Type.bare().Name].Fields; slices.ContainsFunc(within, func(f schemaField) bool { return len(f.Args) > 0 }) {
				delete(parts, "") // It is a group of fields, each of which asks for something.
				for _, part := range within {
					parts["."+part.Name] = f.Name + "{" + selectionOf(types, part, 1) + "}"
				}
			}
			by := "policy"
			// A typed field is not in the schema of those who may not call it, and nobody else's question can be answered.
			if f.Name == "answerQuestion" || strings.HasPrefix(f.Name, "sesame_") {
				by = "graphql"
			}
			for part, selection := range parts {
				steps = append(steps, step{name: operation + " " + f.Name + part, by: by, ask: w.askGraphQL(operation, operation+"{"+selection+"}")})
			}
		}
	}
	w.walk(t, steps, nil, []string{
		"query viewer", "query doors", "query tools", "query resources", "query resourceTemplates", "query prompts",
		"query tool", "query resource", "query prompt", "query toolsets", // Null, as for what is not there.
		"subscription capabilitiesChanged",
	})
	for _, s := range steps {
		if a := s.ask(t, w.owner); strings.Contains(a.text, `"code":"GRAPHQL`) {
			t.Errorf("%s was not asked well: %s", s.name, a.text)
		}
	}
}

func graphqlBody(t *testing.T, query string) string {
	t.Helper()
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// askGraphQL returns a step's request. A GraphQL answer is a refusal where its
// errors say so, whatever its status.
func (w *walker) askGraphQL(operation, query string) func(*testing.T, string) answer {
	return func(t *testing.T, token string) answer {
		t.Helper()
		h := http.Header{"Accept": {"application/graphql-response+json"}}
		if operation == "subscription" {
			h.Set("Accept", "text/event-stream")
		}
		status, _, text := w.http(t, http.MethodPost, "/graphql", token, h, graphqlBody(t, query))
		a := answer{unknown: status == http.StatusUnauthorized, text: query + ": " + text}
		if _, code, refused := strings.Cut(text, `"code":"`); refused || a.unknown {
			a.code = "refused " + code
		}
		return a
	}
}

// selectionOf is a field with what it needs, about the sesame, and what it has.
func selectionOf(types map[string]*schemaType, f schemaField, depth int) string {
	var args []string
	for _, a := range f.Args {
		if a.Type.Kind == "NON_NULL" && a.DefaultValue == nil {
			args = append(args, a.Name+":"+valueOf(types, a.Name, &a.Type))
		}
	}
	text := f.Name
	if len(args) > 0 {
		text += "(" + strings.Join(args, ",") + ")"
	}
	named := types[f.Type.bare().Name]
	if named.Kind == "SCALAR" || named.Kind == "ENUM" {
		return text
	}
	fields := []string{"__typename"}
	for _, sub := range named.Fields {
		kind := types[sub.Type.bare().Name].Kind
		if leaf := kind == "SCALAR" || kind == "ENUM"; len(sub.Args) == 0 && (leaf || depth < 3) {
			fields = append(fields, selectionOf(types, sub, depth+1))
		}
	}
	return text + "{" + strings.Join(fields, " ") + "}"
}

// valueOf is a value of an input's type.
func valueOf(types map[string]*schemaType, name string, in *schemaType) string {
	if in.Kind == "NON_NULL" {
		return valueOf(types, name, in.OfType)
	}
	if in.Kind == "LIST" {
		return "[" + valueOf(types, name, in.OfType) + "]"
	}
	named := types[in.Name]
	switch {
	case named.Kind == "INPUT_OBJECT":
		var members []string
		for _, f := range named.InputFields {
			if f.Type.Kind == "NON_NULL" && f.DefaultValue == nil {
				members = append(members, f.Name+":"+valueOf(types, f.Name, &f.Type))
			}
		}
		if members == nil && len(named.InputFields) > 0 {
			f := named.InputFields[0]
			members = []string{f.Name + ":" + valueOf(types, f.Name, &f.Type)}
		}
		return "{" + strings.Join(members, ",") + "}"
	case in.Name == "Int" || in.Name == "SafeInt" || in.Name == "Float":
		return "1"
	case in.Name == "Boolean":
		return "true"
	case in.Name == "JSON":
		return "{}"
	case in.Name == "Time":
		return `"2030-01-31T12:00:00Z"`
	case name == "uri":
		return `"sesame://thing"`
	default:
		return `"sesame.thing"`
	}
}
