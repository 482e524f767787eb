package upstream

import (
	"errors"
	"fmt"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
)

// parseSDL reads a schema in the schema definition language. It fails where the
// text is not a valid schema: who wrote it can mend it.
func parseSDL(name, text string) (*ast.Schema, error) {
	if len(text) > maxSchemaBytes {
		return nil, fmt.Errorf("the schema is longer than %d bytes", maxSchemaBytes)
	}
	doc, err := parser.ParseSchemas(validator.Prelude, &ast.Source{Name: name, Input: text})
	if err != nil {
		return nil, oneLine(err)
	}
	if len(doc.Definitions) > maxTypes {
		return nil, fmt.Errorf("the schema has %d types, at most %d are read", len(doc.Definitions), maxTypes)
	}
	s, err := validator.ValidateSchemaDocument(doc)
	if err != nil {
		return nil, oneLine(err)
	}
	if s.Query == nil {
		return nil, errors.New("the schema has no query type")
	}
	return s, nil
}
