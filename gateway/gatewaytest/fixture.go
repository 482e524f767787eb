package gatewaytest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/trilith-gateway/trilith/gateway"
)

// What the fixture offers, by the source's own names.
const (
	ToolEcho   = "echo"   // {"text":string} → the text
	ToolAdd    = "add"    // {"a":int,"b":int} → {"sum":int}, structured
	ToolExact  = "exact"  // → [ExactResult], to the byte where the protocol carries results whole
	ToolFail   = "fail"   // → a tool error with the text [FailText]
	ToolRefuse = "refuse" // → a refusal, FailedPrecondition with the message [RefuseText]
	ToolCount  = "count"  // {"to":int} → reports progress 1 … to, of to
	ToolWait   = "wait"   // never answers
	ToolGrow   = "grow"   // from then on the tool "grown" is offered
	ToolTouch  = "touch"  // says that ResourceNote has changed
	ToolGrown  = "grown"  // offered after ToolGrow was called

	ResourceNote = "fixture://note"      // the text [NoteText]
	TemplateItem = "fixture://item/{id}" // the text "item " and the id

	PromptGreet = "greet" // {"name":string} → one message of the user, "Greet " and the name; names are completed

	FailText   = "it failed"
	RefuseText = "not while testing"
	NoteText   = "Trilith: two stones and a lintel.\n"
)

// ExactResult holds what decoding and encoding again would change: large and
// precise numbers, escapes, the order of members, members and content types
// that no revision of a protocol knows.
const ExactResult = `{"zeta":1,"content":[{"type":"text","text":"<&> \u00e9 \/"},{"type":"x-hologram","voxels":[1e3,1.10]}],` +
	`"structuredContent":{"n":9007199254740993,"tiny":1.0e-7,"b":null,"a":[]},"vendor":{"x":18446744073709551616}}`

// Caller returns the principal that the suite calls as.
func Caller() *gateway.Principal {
	return &gateway.Principal{ID: "test|user|caller", Issuer: "test", Kind: "user", Subject: "caller", Name: "Caller"}
}

type (
	none     struct{}
	echoArgs struct {
		Text string `json:"text"`
	}
	addArgs struct {
		A int64 `json:"a"`
		B int64 `json:"b"`
	}
	addResult struct {
		Sum int64 `json:"sum"`
	}
	countArgs struct {
		To int `json:"to"`
	}
)

// NewFixture returns a new source with everything that [TestUpstream] asks for.
// Put it behind the protocol under test.
func NewFixture() (*gateway.Funcs, error) {
	f := &gateway.Funcs{}
	err := errors.Join(
		gateway.AddTool(f, ToolEcho, "Send a text back.", func(_ context.Context, _ *gateway.Call, in echoArgs) (string, error) { return in.Text, nil }),
		gateway.AddTool(f, ToolAdd, "Add two numbers.", func(_ context.Context, _ *gateway.Call, in addArgs) (addResult, error) {
			return addResult{in.A + in.B}, nil
		}),
		gateway.AddTool(f, ToolExact, "Answer with what is easily changed.", func(context.Context, *gateway.Call, none) (*gateway.Result, error) {
			return &gateway.Result{Raw: json.RawMessage(ExactResult)}, nil
		}),
		gateway.AddTool(f, ToolFail, "Fail.", func(context.Context, *gateway.Call, none) (string, error) { return "", errors.New(FailText) }),
		gateway.AddTool(f, ToolRefuse, "Refuse.", func(context.Context, *gateway.Call, none) (string, error) {
			return "", &gateway.Error{Code: gateway.FailedPrecondition, By: "fixture", Msg: RefuseText}
		}),
		gateway.AddTool(f, ToolCount, "Count and report each step.", count),
		gateway.AddTool(f, ToolWait, "Wait for ever.", func(ctx context.Context, _ *gateway.Call, _ none) (string, error) {
			<-ctx.Done()
			return "", context.Cause(ctx)
		}),
		gateway.AddTool(f, ToolTouch, "Say that the note has changed.", func(context.Context, *gateway.Call, none) (string, error) {
			f.Updated(ResourceNote)
			return "touched", nil
		}),
		gateway.AddTool(f, ToolGrow, "Offer one tool more.", func(context.Context, *gateway.Call, none) (string, error) {
			return "grown", gateway.AddTool(f, ToolGrown, "A tool more.", func(context.Context, *gateway.Call, none) (string, error) { return "yes", nil })
		}),
		f.AddResource(json.RawMessage(`{"uri":"`+ResourceNote+`","name":"note","description":"A note.","mimeType":"text/plain"}`), text(NoteText)),
		f.AddTemplate(json.RawMessage(`{"uriTemplate":"`+TemplateItem+`","name":"item","description":"An item.","mimeType":"text/plain"}`), item),
		f.AddPrompt(json.RawMessage(`{"name":"`+PromptGreet+`","description":"Greet somebody.","arguments":[{"name":"name","required":true}]}`), greet),
	)
	if err != nil {
		return nil, fmt.Errorf("fixture: %w", err)
	}
	f.AddCompletion(gateway.KindPrompt, PromptGreet, func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return &gateway.Result{Raw: json.RawMessage(`{"completion":{"values":["Ada","Alan"],"total":2,"hasMore":false}}`)}, nil
	})
	return f, nil
}

func count(_ context.Context, call *gateway.Call, in countArgs) (string, error) {
	const most = 1000
	if in.To > most {
		return "", fmt.Errorf("to is at most %d", most)
	}
	for i := 1; i <= in.To && call.Progress != nil; i++ {
		call.Progress(gateway.Progress{Progress: json.Number(strconv.Itoa(i)), Total: json.Number(strconv.Itoa(in.To)), Message: "step " + strconv.Itoa(i)})
	}
	return strconv.Itoa(in.To), nil
}

func text(s string) gateway.Func {
	return func(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
		raw, err := json.Marshal(map[string]any{"contents": []any{map[string]string{"uri": call.Name, "mimeType": "text/plain", "text": s}}})
		return &gateway.Result{Raw: raw}, err
	}
}

func item(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
	const family = "fixture://item/"
	if len(call.Name) <= len(family) {
		return nil, gateway.NotFoundError(call, "fixture", nil)
	}
	return text("item "+call.Name[len(family):])(ctx, call)
}

func greet(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
	var in struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(call.Args, &in); err != nil || in.Name == "" {
		return nil, &gateway.Error{Code: gateway.InvalidArgument, By: "fixture", Msg: "name is required", Err: err}
	}
	raw, err := json.Marshal(map[string]any{"messages": []any{
		map[string]any{"role": "user", "content": map[string]string{"type": "text", "text": "Greet " + in.Name}},
	}})
	return &gateway.Result{Raw: raw}, err
}
