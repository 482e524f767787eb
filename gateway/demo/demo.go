// Package demo holds capabilities made of Go functions: the demo toolset that
// `gateway dev` serves, and the fixtures that MCP's official conformance suite
// asks for. They are real users of [gateway.Funcs] and examples of it.
package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"strconv"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/trilith-gateway/trilith/gateway"
)

type echoArgs struct {
	Text string `json:"text" jsonschema:"the text to send back"`
}

type addArgs struct {
	A float64 `json:"a" jsonschema:"the first number"`
	B float64 `json:"b" jsonschema:"the second number"`
}

type addResult struct {
	Sum float64 `json:"sum" jsonschema:"a plus b"`
}

type countArgs struct {
	To      int `json:"to" jsonschema:"how far to count, from 1 to 1000"`
	DelayMs int `json:"delayMs,omitempty" jsonschema:"how long to wait before each number, in milliseconds, at most 10000"`
}

type countResult struct {
	Counted int `json:"counted" jsonschema:"how far it came"`
}

// Bounds of the count tool, so that nobody counts for ever.
const (
	maxCount = 1000
	maxDelay = 10_000
)

// Tools adds the demo toolset to f: the tools echo, add, count and ask, the
// resource demo://about and the prompt greet.
func Tools(f *gateway.Funcs) error {
	for _, add := range []func(*gateway.Funcs) error{addEcho, addAdd, addCount, addAsk, addAbout, addGreet} {
		if err := add(f); err != nil {
			return fmt.Errorf("demo: %w", err)
		}
	}
	return nil
}

func addEcho(f *gateway.Funcs) error {
	return gateway.AddTool(f, "echo", "Send a text back.",
		func(_ context.Context, _ *gateway.Call, in echoArgs) (string, error) { return in.Text, nil },
		gateway.WithTitle("Echo"), gateway.ReadOnly())
}

func addAdd(f *gateway.Funcs) error {
	return gateway.AddTool(f, "add", "Add two numbers.",
		func(_ context.Context, _ *gateway.Call, in addArgs) (addResult, error) {
			return addResult{in.A + in.B}, nil
		},
		gateway.WithTitle("Add"), gateway.ReadOnly())
}

func addCount(f *gateway.Funcs) error {
	return gateway.AddTool(f, "count", "Count up to a number and report each step as progress.", count,
		gateway.WithTitle("Count"), gateway.ReadOnly())
}

func count(ctx context.Context, call *gateway.Call, in countArgs) (countResult, error) {
	if in.To < 1 || in.To > maxCount || in.DelayMs < 0 || in.DelayMs > maxDelay {
		return countResult{}, fmt.Errorf("to must be 1 to %d and delayMs 0 to %d", maxCount, maxDelay)
	}
	tick := time.NewTimer(0)
	defer tick.Stop()
	for i := 1; i <= in.To; i++ {
		tick.Reset(time.Duration(in.DelayMs) * time.Millisecond)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return countResult{}, ctx.Err()
		}
		if call.Progress != nil {
			call.Progress(gateway.Progress{Progress: number(i), Total: number(in.To), Message: "counted to " + strconv.Itoa(i)})
		}
	}
	return countResult{in.To}, nil
}

// orderForm is what the ask tool wants to know: a field of each type that a form
// can have.
const orderForm = `{"name":{"type":"string","title":"Your name","maxLength":100},` +
	`"drink":{"type":"string","title":"Drink","oneOf":[{"const":"coffee","title":"Coffee"},{"const":"tea","title":"Tea"},{"const":"water","title":"Water"}],"default":"tea"},` +
	`"cups":{"type":"integer","title":"Cups","minimum":1,"maximum":10,"default":1},` +
	`"extras":{"type":"array","title":"Extras","items":{"type":"string","enum":["milk","sugar","lemon"]}},` +
	`"hurry":{"type":"boolean","title":"In a hurry","default":false}}`

func addAsk(f *gateway.Funcs) error {
	return gateway.AddTool(f, "ask", "Ask what you would like to drink, and say what you answered.",
		func(ctx context.Context, call *gateway.Call, _ none) (string, error) {
			return elicit(ctx, call, "You answered:", form("What would you like to drink?", orderForm, "name", "drink"))
		},
		gateway.WithTitle("Ask"), gateway.ReadOnly())
}

func number(i int) json.Number { return json.Number(strconv.Itoa(i)) }

const aboutURI = "demo://about"

func addAbout(f *gateway.Funcs) error {
	def := `{"uri":"` + aboutURI + `","name":"about","title":"About this gateway","description":"What serves this demo.","mimeType":"text/plain"}`
	return f.AddResource(json.RawMessage(def), func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return marshal(map[string]any{"contents": []map[string]string{{
			"uri": aboutURI, "mimeType": "text/plain", "text": "Trilith demo, built with " + runtime.Version() + ".",
		}}})
	})
}

func addGreet(f *gateway.Funcs) error {
	def := `{"name":"greet","title":"Greet","description":"Ask for a greeting.","arguments":[{"name":"name","description":"whom to greet","required":true}]}`
	return f.AddPrompt(json.RawMessage(def), func(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
		var in struct {
			Name string `json:"name"`
		}
		if err := jsonv2.Unmarshal(call.Args, &in); err != nil || in.Name == "" {
			return nil, &gateway.Error{Code: gateway.InvalidArgument, By: "arguments", Msg: `argument "name" is required`, Err: err}
		}
		return marshal(map[string]any{"messages": []any{map[string]any{
			"role": "user", "content": map[string]string{"type": "text", "text": "Write a short, friendly greeting for " + in.Name + "."},
		}}})
	})
}

// marshal makes a result of a value that these functions wrote themselves.
func marshal(v any) (*gateway.Result, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("marshal result: %w", err)
	}
	return &gateway.Result{Raw: raw}, nil
}
