package graphql

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/graphql/generated"
)

// A ledger counts the bytes of one response, before they are written: those of the results that it is made of, and
// those of its values. A document of a few bytes can ask for the same value under many names, and of every result, so
// neither follows from the limits on documents and results.
type ledger struct {
	most                     int64
	held, written, described atomic.Int64 // described is of schemas

	once sync.Once
	over *gqlerror.Error // set once it is exceeded
}

type ledgerKey struct{}

// ledgerOf returns the ledger of a response, or nil, which counts nothing.
func ledgerOf(ctx context.Context) *ledger {
	l, _ := ctx.Value(ledgerKey{}).(*ledger)
	return l
}

// An overlongError is that of a response which would be longer than it may be.
type overlongError struct{ cause *gateway.Error }

func (e *overlongError) Error() string { return e.cause.Msg }

// Unwrap returns the failure in the gateway's terms.
func (e *overlongError) Unwrap() error { return e.cause }

// hold counts a result that the response is made of.
func (l *ledger) hold(bytes int) error {
	if l == nil {
		return nil
	}
	return add(&l.held, bytes, l.most)
}

// write counts what will be written.
func (l *ledger) write(bytes int) error {
	if l == nil {
		return nil
	}
	return add(&l.written, bytes, l.most)
}

// describe counts what will be written of a schema, which may be long.
func (l *ledger) describe(bytes int) error {
	if l == nil {
		return nil
	}
	return add(&l.described, bytes, max(l.most, maxIntrospection))
}

func add(sum *atomic.Int64, bytes int, most int64) error {
	if sum.Add(int64(bytes)) <= most {
		return nil
	}
	return &overlongError{&gateway.Error{
		Code: gateway.ResourceExhausted, By: byOutput, Msg: fmt.Sprintf("the response has more than %d bytes: ask for less at once", most),
	}}
}

// respond makes one response with a ledger of its own. Of one that is too long nothing is left but why.
func (f *Frontend) respond(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	l := &ledger{most: int64(f.o.Response)}
	resp := next(context.WithValue(ctx, ledgerKey{}, l))
	if resp != nil && l.over != nil {
		return &graphql.Response{Data: json.RawMessage("null"), Errors: gqlerror.List{l.over}}
	}
	return resp
}

// overlong returns the error of a response that is too long: one for all the fields that fail for it.
func (l *ledger) overlong(e *overlongError, at *gqlerror.Error) *gqlerror.Error {
	l.once.Do(func() {
		l.over = toError(e.cause, at.Path, at.Locations)
		l.over.Extensions["code"], l.over.Extensions["limit"] = codeLimit, "response"
	})
	return l.over
}

// counted resolves a field and counts what it will write.
func counted(ctx context.Context, next graphql.Resolver) (any, error) {
	res, err := next(ctx)
	if l := ledgerOf(ctx); err == nil && l != nil {
		if err := l.write(sizeOf(ctx, res)); err != nil {
			return nil, err
		}
	}
	return res, err
}

// sizeOf returns about how many bytes a field writes by itself, without the fields below it, which are counted too.
func sizeOf(ctx context.Context, v any) int {
	field := graphql.GetFieldContext(ctx)
	if field == nil {
		return 0
	}
	n := len(field.Field.Alias) + 4
	switch v := v.(type) {
	case *generated.Typed: // It was counted when it was made.
		return n
	case json.RawMessage:
		return n + len(v)
	case string:
		return n + len(v)
	case *string:
		if v != nil {
			n += len(*v)
		}
		return n
	case []string:
		for _, s := range v {
			n += len(s) + 3
		}
		return n
	case []json.RawMessage:
		for _, raw := range v {
			n += len(raw) + 1
		}
		return n
	}
	each := 3 + typenames(field.Field.Selections)
	if r := reflect.ValueOf(v); r.Kind() == reflect.Slice {
		return n + r.Len()*each
	}
	return n + each
}

// typenames returns what the fields __typename of a selection write, which nobody resolves.
func typenames(set ast.SelectionSet) (n int) {
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			if s.Name == "__typename" && s.ObjectDefinition != nil {
				n += len(s.Alias) + len(s.ObjectDefinition.Name) + 6
			}
		case *ast.InlineFragment:
			n += typenames(s.SelectionSet)
		case *ast.FragmentSpread:
			if s.Definition != nil {
				n += typenames(s.Definition.SelectionSet)
			}
		}
	}
	return n
}
