package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/pause"
)

// jobTime is how long the jobs run that the suite gives no time: longer than a
// door waits before it makes a task of a call.
const jobTime = time.Second

type file struct {
	Filename string `json:"filename" jsonschema:"what to delete"`
}

// addTaskTools adds the tools of the tasks extension's scenarios. All but greet
// may outlive their requests.
func addTaskTools(f *gateway.Funcs) error {
	type greeting struct {
		Name string `json:"name" jsonschema:"whom to greet"`
	}
	type work struct {
		Seconds float64 `json:"seconds" jsonschema:"how long to work, at most an hour"`
		Label   string  `json:"label,omitempty" jsonschema:"what to call the work"`
	}
	return errors.Join(
		gateway.AddTool(f, "greet", "Greets at once.", func(_ context.Context, _ *gateway.Call, in greeting) (string, error) {
			return "Hello, " + in.Name + "!", nil
		}),
		gateway.AddTool(f, "slow_compute", "Works for some seconds.", func(ctx context.Context, _ *gateway.Call, in work) (string, error) {
			if in.Seconds < 0 || in.Seconds > 3600 {
				return "", errors.New("seconds must be from 0 to 3600")
			}
			err := pause.For(ctx, time.Duration(in.Seconds*float64(time.Second)))
			return fmt.Sprintf("Worked for %v seconds: %s", in.Seconds, in.Label), err
		}, gateway.MayRunAsTask()),
		gateway.AddTool(f, "failing_job", "Works for a second and fails.", func(ctx context.Context, _ *gateway.Call, _ none) (string, error) {
			return "", errors.Join(pause.For(ctx, jobTime), errors.New("the job failed, as it always does"))
		}, gateway.MustRunAsTask()),
		gateway.AddTool(f, "protocol_error_job", "Works for a second and breaks the protocol.", func(ctx context.Context, _ *gateway.Call, _ none) (string, error) {
			if err := pause.For(ctx, jobTime); err != nil {
				return "", err
			}
			return "", &gateway.Error{Code: gateway.Internal, By: "upstream/demo", Msg: "the job broke down"}
		}, gateway.MayRunAsTask()),
		gateway.AddTool(f, "confirm_delete", "Asks before it deletes nothing.", confirmDelete, gateway.MayRunAsTask()),
		gateway.AddTool(f, "multi_input", "Asks two questions at once.", askTwice, gateway.MayRunAsTask()),
		f.AddTool(json.RawMessage(`{"name":"test_tool_with_task","description":"Asks for a name first and then works for a second.",`+
			`"inputSchema":{"type":"object"},"execution":{"taskSupport":"required"}}`), askThenWork),
	)
}

func confirmDelete(ctx context.Context, call *gateway.Call, in file) (string, error) {
	raw, err := ask(ctx, call, form("Delete "+in.Filename+"?", `{"confirm":{"type":"boolean"}}`, "confirm"))
	if err != nil {
		return "", err
	}
	if sure, _ := field[bool](raw, "confirm"); !sure {
		return "Kept " + in.Filename, nil
	}
	return "Deleted " + in.Filename, nil
}

func askTwice(ctx context.Context, call *gateway.Call, _ none) (string, error) {
	var names [2]string
	var errs [2]error
	var both sync.WaitGroup
	for i, message := range []string{"What is your first name?", "What is your last name?"} {
		both.Go(func() {
			var raw json.RawMessage
			raw, errs[i] = ask(ctx, call, form(message, nameField, "name"))
			names[i], _ = field[string](raw, "name")
		})
	}
	both.Wait()
	return "Thank you, " + names[0] + " " + names[1], errors.Join(errs[:]...)
}

// askThenWork asks by a result, so that its client calls again with the answer,
// and then takes its time.
func askThenWork(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	given, _ := answers(call)
	name, ok := field[string](given["user_name"], "name")
	if !ok {
		return input(call, map[string]gateway.Question{"user_name": form("What is your name?", nameField, "name")}, "")
	}
	if err := pause.For(ctx, jobTime); err != nil {
		return nil, err
	}
	return gateway.TextResult("Worked for " + name), nil
}
