package schema

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/google/jsonschema-go/jsonschema"
)

// For returns the JSON Schema of the Go type T, as encoding/json would write and read it. The json tag gives
// a property its name; a field without omitempty or omitzero is required; the jsonschema tag is its
// description. Properties that T does not have are refused by the schema. Slices and pointers also admit null.
//
// It fails if T holds something that JSON has no form for (a channel, a function, a complex number) or refers
// to itself.
func For[T any]() (json.RawMessage, error) {
	s, err := jsonschema.For[T](nil)
	if err != nil {
		return nil, fmt.Errorf("schema of Go type %v: %w", reflect.TypeFor[T](), err)
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("schema of Go type %v: %w", reflect.TypeFor[T](), err)
	}
	return raw, nil
}
