package gateway

import (
	"context"
	"errors"
	"strings"

	"github.com/trilith-gateway/trilith/schema"
)

// ValidateArgs is a gate that holds Call.Args against the tool's input schema.
// It stands last, so that who may not call a tool learns nothing of its schema.
// That the arguments are JSON is what the door has checked.
type ValidateArgs struct{}

// Admit refuses arguments that break the schema. The cause of its error is a
// [*schema.Invalid], from which doors make their own details.
func (ValidateArgs) Admit(_ context.Context, call *Call) error {
	if call.Tool == nil {
		return nil
	}
	accepts := call.Tool.Accepts
	if accepts == nil {
		accepts = call.Tool.Input
	}
	err := accepts.ValidateChecked(call.Args)
	if err == nil {
		return nil
	}
	if bad, ok := errors.AsType[*schema.Invalid](err); ok {
		return &Error{Code: InvalidArgument, By: "arguments", Msg: "invalid arguments: " + violations(bad), Err: err}
	}
	return &Error{Code: InvalidArgument, By: "arguments", Msg: "arguments are not valid JSON", Err: err}
}

// violations says everything that is wrong in one line, so that a model can
// mend it all at once.
func violations(bad *schema.Invalid) string {
	all := make([]string, len(bad.Violations))
	for i, v := range bad.Violations {
		all[i] = v.Message
		if v.Pointer != "" {
			all[i] = v.Pointer + ": " + v.Message
		}
	}
	return strings.Join(all, "; ")
}
