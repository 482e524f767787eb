package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

// library starts the GraphQL server of examples/graphql-upstream, which knows
// the schema library.graphql beside it, and sets LIBRARY to its address.
func library(ts *testscript.TestScript, _ bool, _ []string) {
	sdl, err := os.ReadFile(ts.MkAbs("library.graphql"))
	ts.Check(err)
	schema, err := gqlparser.LoadSchema(&ast.Source{Name: "library.graphql", Input: string(sdl)})
	ts.Check(err)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Query     string         `json:"query"`
			Variables map[string]any `json:"variables"`
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		response := map[string]any{}
		doc, errs := gqlparser.LoadQueryWithRules(schema, q.Query, nil)
		if len(errs) > 0 {
			response["errors"] = errs
		} else if data, err := answer(doc.Operations[0].SelectionSet, "", lend(q.Variables)); err != nil {
			response["data"], response["errors"] = nil, []any{map[string]any{"message": err.Error()}}
		} else {
			response["data"] = data
		}
		_ = json.NewEncoder(w).Encode(response)
	}))
	ts.Defer(s.Close)
	ts.Setenv("LIBRARY", strings.TrimPrefix(s.URL, "http://"))
}

// lend returns the resolvers of the library.
func lend(variables map[string]any) map[string]any {
	austen := map[string]any{"name": "Jane Austen"}
	all := []any{
		map[string]any{"__typename": "Book", "id": "1", "title": "Emma", "pages": 474, "author": austen},
		map[string]any{"__typename": "Record", "id": "2", "title": "Kind of Blue", "minutes": 45},
		map[string]any{"__typename": "Book", "id": "3", "title": "Persuasion", "pages": 249, "author": austen},
	}
	find := func(*ast.Field) (any, error) {
		for _, item := range all {
			if item.(map[string]any)["id"] == variables["id"] {
				return item, nil
			}
		}
		return nil, nil
	}
	return map[string]any{
		"item": find,
		"lend": func(f *ast.Field) (any, error) {
			item, _ := find(f)
			if item == nil {
				return nil, fmt.Errorf("there is no item %v", variables["id"])
			}
			return item, nil
		},
		"items": func(f *ast.Field) (any, error) {
			args := f.ArgumentMap(variables)
			var out []any
			for _, item := range all {
				kind, _ := args["kind"].(string)
				if first, err := json.Number(fmt.Sprint(args["first"])).Int64(); err == nil && len(out) == int(first) {
					break
				}
				if kind == "" || strings.EqualFold(kind, item.(map[string]any)["__typename"].(string)) {
					out = append(out, item)
				}
			}
			return out, nil
		},
	}
}

// answer selects from a value what is asked for.
func answer(set ast.SelectionSet, is string, from map[string]any) (map[string]any, error) {
	out := map[string]any{}
	for _, sel := range set {
		switch s := sel.(type) {
		case *ast.InlineFragment:
			if s.TypeCondition != is {
				continue
			}
			part, err := answer(s.SelectionSet, is, from)
			if err != nil {
				return nil, err
			}
			maps.Copy(out, part)
		case *ast.Field:
			value := from[s.Name]
			if resolve, ok := value.(func(*ast.Field) (any, error)); ok {
				var err error
				if value, err = resolve(s); err != nil {
					return nil, err
				}
			}
			var err error
			if out[s.Alias], err = complete(s, value); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func complete(f *ast.Field, value any) (any, error) {
	switch v := value.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = complete(f, v[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		is, _ := v["__typename"].(string)
		return answer(f.SelectionSet, is, v)
	}
	return value, nil
}
