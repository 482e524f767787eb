package upstream

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// Bounds on a folder of documents.
const (
	maxDocuments     = 1000
	maxDocumentBytes = 1 << 20
)

// readDocuments reads the GraphQL files of a folder as one document: operations
// may use fragments of other files.
func readDocuments(dir string) (*ast.QueryDocument, error) {
	files, err := filepath.Glob(filepath.Join(escapeGlob(dir), "*.graphql"))
	if err != nil {
		return nil, err
	}
	more, err := filepath.Glob(filepath.Join(escapeGlob(dir), "*.gql"))
	if err != nil {
		return nil, err
	}
	files = append(files, more...)
	if len(files) == 0 || len(files) > maxDocuments {
		return nil, fmt.Errorf("documents: %s holds %d files of GraphQL, want 1 to %d", dir, len(files), maxDocuments)
	}
	slices.Sort(files)
	all := &ast.QueryDocument{}
	for _, file := range files {
		text, err := readFile(file, maxDocumentBytes)
		if err != nil {
			return nil, fmt.Errorf("documents: %w", err)
		}
		doc, err := parseDocument(filepath.Base(file), text)
		if err != nil {
			return nil, fmt.Errorf("documents: %w", err)
		}
		all.Operations = append(all.Operations, doc.Operations...)
		all.Fragments = append(all.Fragments, doc.Fragments...)
	}
	return all, checkDocument(all)
}

func escapeGlob(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// readFile reads a file that is no longer than most bytes.
func readFile(name string, most int64) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > most {
		return "", fmt.Errorf("%s is no file of at most %d bytes", name, most)
	}
	text, err := os.ReadFile(name) //nolint:gosec // The operator names it.
	return string(text), err
}

func parseDocument(name, text string) (*ast.QueryDocument, error) {
	if len(text) > maxDocumentBytes {
		return nil, fmt.Errorf("%s is longer than %d bytes", name, maxDocumentBytes)
	}
	doc, err := parser.ParseQuery(&ast.Source{Name: name, Input: text})
	if err != nil {
		return nil, oneLine(err)
	}
	return doc, nil
}

// checkDocument finds operations and fragments that cannot be told apart.
func checkDocument(doc *ast.QueryDocument) error {
	seen := map[string]bool{}
	for _, op := range doc.Operations {
		switch {
		case op.Name == "":
			return fmt.Errorf("documents: %s line %d: the operation has no name to be offered under", op.Position.Src.Name, op.Position.Line)
		case seen[op.Name]:
			return fmt.Errorf("documents: %s line %d: there is another operation %s", op.Position.Src.Name, op.Position.Line, op.Name)
		}
		seen[op.Name] = true
	}
	clear(seen)
	for _, f := range doc.Fragments {
		if seen[f.Name] {
			return fmt.Errorf("documents: %s line %d: there is another fragment %s", f.Position.Src.Name, f.Position.Line, f.Name)
		}
		seen[f.Name] = true
	}
	if len(doc.Operations) == 0 || len(doc.Operations) > maxOperations {
		return fmt.Errorf("documents: %d operations, want 1 to %d", len(doc.Operations), maxOperations)
	}
	return nil
}

// fromDocuments makes an operation of each one in the documents. Those that are
// not valid against the schema are left out and noted, because the schema may
// change under them.
func (u *Upstream) fromDocuments(s *ast.Schema, all *ast.QueryDocument, n *notes) map[string]*operation {
	out := map[string]*operation{}
	for _, op := range all.Operations {
		d := &draft{
			name: op.Name, subject: string(op.Operation) + " " + op.Name,
			description: describe(op.Description, op.Comment, "GraphQL "+string(op.Operation)+" "+op.Name),
			doc:         &ast.QueryDocument{Operations: ast.OperationList{op}, Fragments: used(all, op.SelectionSet)},
		}
		if op.Operation == ast.Subscription && u.o.Subscriptions == SubscriptionsOff {
			n.skipped(d.subject, "subscriptions are off")
			continue
		}
		for _, v := range op.VariableDefinitions {
			d.parameters = append(d.parameters, parameter{v.Variable, describe(v.Description, v.Comment, ""), v.Type, v.DefaultValue, false})
		}
		o, err := compile(s, d, n)
		if err != nil {
			n.skipped(d.subject, err.Error())
			continue
		}
		out[d.name] = o
	}
	return out
}

// describe returns what a document says of a definition in it: its description,
// or the comment in front of it, or otherwise.
func describe(description string, comment *ast.CommentGroup, otherwise string) string {
	if description != "" || comment == nil {
		return cmp.Or(description, otherwise)
	}
	var lines []string
	for _, c := range comment.List {
		lines = append(lines, strings.TrimPrefix(strings.TrimPrefix(c.Value, "#"), " "))
	}
	return cmp.Or(strings.TrimSpace(strings.Join(lines, "\n")), otherwise)
}

// used returns the fragments that a selection uses, and those that they use.
func used(all *ast.QueryDocument, set ast.SelectionSet) ast.FragmentDefinitionList {
	var out ast.FragmentDefinitionList
	seen := map[string]bool{}
	var look func(ast.SelectionSet)
	look = func(set ast.SelectionSet) {
		for _, sel := range set {
			switch s := sel.(type) {
			case *ast.Field:
				look(s.SelectionSet)
			case *ast.InlineFragment:
				look(s.SelectionSet)
			case *ast.FragmentSpread:
				if f := all.Fragments.ForName(s.Name); f != nil && !seen[s.Name] {
					seen[s.Name] = true
					out = append(out, f)
					look(f.SelectionSet)
				}
			}
		}
	}
	look(set)
	return out
}
