package config

import (
	"embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
)

// declaration is the source of the types, whose comments are their description.
//
//go:embed config.go auth.go rate.go source.go remote.go guard.go openapi.go graphql.go graphql_door.go grpc.go endpoint.go toolset.go
var declaration embed.FS

// descriptions returns the comments of the types and their fields, as plain
// text, by "Type" and "Type.Field".
func descriptions() (map[string]string, error) {
	out := map[string]string{}
	files, err := declaration.ReadDir(".")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		src, err := declaration.ReadFile(f.Name())
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(token.NewFileSet(), f.Name(), src, parser.ParseComments)
		if err != nil {
			return nil, fmt.Errorf("the declaration of the configuration: %w", err)
		}
		for _, decl := range file.Decls {
			if gen, ok := decl.(*ast.GenDecl); ok && gen.Tok == token.TYPE {
				describe(gen, out)
			}
		}
	}
	return out, nil
}

// describe adds the comments of one type declaration to out.
func describe(decl *ast.GenDecl, out map[string]string) {
	for _, spec := range decl.Specs {
		t, ok := spec.(*ast.TypeSpec)
		if !ok {
			continue
		}
		out[t.Name.Name] = oneLine(decl.Doc)
		s, ok := t.Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, f := range s.Fields.List {
			for _, name := range f.Names {
				out[t.Name.Name+"."+name.Name] = oneLine(f.Doc)
			}
		}
	}
}

// oneLine returns a comment without its line breaks.
func oneLine(c *ast.CommentGroup) string {
	return strings.Join(strings.Fields(c.Text()), " ")
}
