// Package generated is what gqlgen makes of schema/*.graphqls: the types, and the code that runs an operation
// on resolvers. Only this file is written by hand, because the generated code must name what is in it.
package generated

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/99designs/gqlgen/graphql"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Administration is what the resolvers of administration hang on.
type Administration struct{}

// MarshalRaw writes a value of the scalar JSON as it is; nil is null. The value must be valid JSON.
func MarshalRaw(v json.RawMessage) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		if len(v) == 0 {
			v = json.RawMessage("null")
		}
		_, _ = w.Write(v) // To a buffer, which does not fail.
	})
}

// UnmarshalRaw takes a value of the scalar JSON, which the frontend passes as text: see package graphql. It
// fails for a value that was decoded on the way and may have lost digits.
func UnmarshalRaw(v any) (json.RawMessage, error) {
	if raw, ok := v.(json.RawMessage); ok || v == nil {
		return raw, nil
	}
	return nil, errors.New("a JSON value was decoded before its time")
}

// MarshalTimestamp writes a moment of admin.v1; one that is not set is null.
func MarshalTimestamp(t *timestamppb.Timestamp) graphql.Marshaler {
	if !t.IsValid() {
		return graphql.Null
	}
	return graphql.MarshalTime(t.AsTime())
}

// UnmarshalTimestamp reads a moment.
func UnmarshalTimestamp(v any) (*timestamppb.Timestamp, error) {
	t, err := graphql.UnmarshalTime(v)
	if err != nil {
		return nil, err
	}
	return timestamppb.New(t), nil
}

// Typed is a value whose type is known only at run time. It writes itself when the response is made, in the context of
// the field or event that it belongs to.
type Typed struct {
	Write func(ctx context.Context, w io.Writer) error
	Kept  bool // whether it is an event that must not be left out
}

// MarshalGQLContext writes the value.
func (t Typed) MarshalGQLContext(ctx context.Context, w io.Writer) error { return t.Write(ctx, w) }

// UnmarshalGQLContext fails: no argument has this type.
func (t *Typed) UnmarshalGQLContext(context.Context, any) error {
	return errors.New("no argument is typed at run time")
}
