package graphql

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/internal/clip"
)

// door names this door in calls, and in the refusals that it makes itself. Errors by others come from Do or from the
// Door in front, which have recorded them.
const door = "graphql"

// maxName bounds what a record quotes of a request that was refused, in bytes.
const maxName = 256

// record leaves the record of a request that this door refused, and nothing for the refusals of others. Of the
// request it holds no more than the call does. It returns the record's name, or "".
func (f *Frontend) record(ctx context.Context, call gateway.Call, err error) string {
	e, ok := errors.AsType[*gateway.Error](err)
	if !ok || e.By != door {
		return ""
	}
	call.Via, call.Name = door, clip.Text(call.Name, maxName)
	_ = f.gw.Refuse(ctx, &call, e) // The answer is made of err.
	return call.ID
}

// refuse answers a request that was not executed. The operation's name may be "".
func (f *Frontend) refuse(w http.ResponseWriter, r *http.Request, operation, as string, status int, errs gqlerror.List) {
	f.record(r.Context(), requestCall(r, operation), errs[0])
	write(w, as, status, appendResponse(nil, nil, errs))
}

// requestCall is what is known of a request that does not become a call.
func requestCall(r *http.Request, operation string) gateway.Call {
	return gateway.Call{Principal: auth.From(r.Context()), Name: cmp.Or(operation, r.Method+" "+r.URL.Path)}
}

// fieldCall is what is known of a field that does not become a call. Only root fields and those of administration are
// refused.
func fieldCall(ctx context.Context) gateway.Call {
	call := gateway.Call{Principal: caller(ctx)}
	field := graphql.GetFieldContext(ctx)
	if field == nil || field.Field.Field == nil {
		return call
	}
	call.Name = field.Field.Name
	if to := targetOf(ctx); to != nil {
		call.Name, call.Op = to.name(), gateway.OpCall
		if to.prompt != nil {
			call.Op = gateway.OpGet
		}
		return call
	}
	switch call.Name {
	case "callTool", "toolCall":
		call.Op = gateway.OpCall
	case "getPrompt":
		call.Op = gateway.OpGet
	case "complete":
		call.Op = gateway.OpComplete
	}
	if field.Object == "Administration" {
		call.Op = gateway.OpAdmin
	}
	if name, ok := field.Args["name"].(string); ok {
		call.Name = name
	}
	return call
}
