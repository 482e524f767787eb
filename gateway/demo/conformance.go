package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/pause"
)

// The smallest image, one red pixel, and the smallest sound, eight samples of
// silence.
const (
	png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
	wav = "UklGRiwAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQgAAACAgICAgICAgA=="
)

// Conformance adds the fixtures that MCP's official conformance suite asks a
// server for, under the suite's own names: tools, resources and prompts of all
// kinds of content, and those that ask the client something: sampling,
// elicitation, roots; and those that run as tasks.
func Conformance(f *gateway.Funcs) error {
	for _, add := range []func(*gateway.Funcs) error{
		addContentTools, addReportingTools, addSchemaTools, addTriggerTools, addTestResources, addTestPrompts, addAskingTools, addInputTools, addTaskTools,
		addTransportTools,
	} {
		if err := add(f); err != nil {
			return fmt.Errorf("conformance: %w", err)
		}
	}
	return nil
}

type none struct{}

// fixed returns what answers with the same result always.
func fixed(raw string) gateway.Func {
	return func(context.Context, *gateway.Call) (*gateway.Result, error) {
		return &gateway.Result{Raw: json.RawMessage(raw)}, nil
	}
}

// toolDefinition is that of a tool without arguments.
func toolDefinition(name, description string) json.RawMessage {
	return json.RawMessage(`{"name":"` + name + `","description":"` + description + `","inputSchema":{"type":"object","additionalProperties":false}}`)
}

func addContentTools(f *gateway.Funcs) error {
	const (
		text     = `{"type":"text","text":"This is a simple text response for testing."}`
		image    = `{"type":"image","data":"` + png + `","mimeType":"image/png"}`
		audio    = `{"type":"audio","data":"` + wav + `","mimeType":"audio/wav"}`
		embedded = `{"type":"resource","resource":{"uri":"test://embedded-resource","mimeType":"text/plain","text":"This is an embedded resource content."}}`
		mixed    = `{"type":"text","text":"Multiple content types test:"},` + image +
			`,{"type":"resource","resource":{"uri":"test://mixed-content-resource","mimeType":"application/json","text":"{\"test\":\"data\",\"value\":123}"}}`
	)
	for _, t := range []struct{ name, description, content string }{
		{"test_simple_text", "Answers with a text.", text},
		{"test_image_content", "Answers with an image.", image},
		{"test_audio_content", "Answers with a sound.", audio},
		{"test_embedded_resource", "Answers with a resource.", embedded},
		{"test_multiple_content_types", "Answers with a text, an image and a resource.", mixed},
	} {
		if err := f.AddTool(toolDefinition(t.name, t.description), fixed(`{"content":[`+t.content+`]}`)); err != nil {
			return err
		}
	}
	return gateway.AddTool(f, "test_error_handling", "Always fails.",
		func(context.Context, *gateway.Call, none) (string, error) {
			return "", errors.New("This tool intentionally returns an error for testing") //nolint:staticcheck // the suite's wording.
		})
}

// step is how long the reporting tools wait between their reports.
const step = 50 * time.Millisecond

func addReportingTools(f *gateway.Funcs) error {
	type tool func(context.Context, *gateway.Call, none) (string, error)
	for _, t := range []struct {
		name, description string
		run               tool
	}{
		{"test_tool_with_logging", "Writes three log lines.", logThrice},
		{"test_logging_tool", "Writes three log lines.", logThrice},
		{"test_tool_with_progress", "Reports progress three times.", progressThrice},
	} {
		if err := gateway.AddTool(f, t.name, t.description, t.run); err != nil {
			return err
		}
	}
	return nil
}

func logThrice(ctx context.Context, call *gateway.Call, _ none) (string, error) {
	for i, line := range []string{"Tool execution started", "Tool processing data", "Tool execution completed"} {
		if i > 0 {
			if err := pause.For(ctx, step); err != nil {
				return "", err
			}
		}
		if call.Log != nil {
			call.Log(gateway.LogMessage{Level: "info", Data: json.RawMessage(`"` + line + `"`)})
		}
	}
	return "Tool with logging executed successfully", nil
}

func progressThrice(ctx context.Context, call *gateway.Call, _ none) (string, error) {
	for i, n := range []json.Number{"0", "50", "100"} {
		if i > 0 {
			if err := pause.For(ctx, step); err != nil {
				return "", err
			}
		}
		if call.Progress != nil {
			call.Progress(gateway.Progress{Progress: n, Total: "100", Message: "Completed step " + n.String() + " of 100"})
		}
	}
	return "Tool with progress executed successfully", nil
}

func addSchemaTools(f *gateway.Funcs) error {
	const schema2020 = `{"name":"json_schema_2020_12_tool","description":"Tool with JSON Schema 2020-12 features","inputSchema":{
		"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object",
		"$defs":{"address":{"$anchor":"addressDef","type":"object","properties":{"street":{"type":"string"},"city":{"type":"string"}}}},
		"properties":{"name":{"type":"string"},"address":{"$ref":"#/$defs/address"},
			"contactMethod":{"type":"string","enum":["phone","email"]},"phone":{"type":"string"},"email":{"type":"string"}},
		"allOf":[{"anyOf":[{"required":["phone"]},{"required":["email"]}]}],
		"if":{"properties":{"contactMethod":{"const":"phone"}},"required":["contactMethod"]},
		"then":{"required":["phone"]},"else":{"required":["email"]},"additionalProperties":false}}`
	const mirrored = `{"name":"test_x_mcp_header","description":"Its arguments are mirrored in headers.","inputSchema":{"type":"object",
		"properties":{"region":{"type":"string","x-mcp-header":"Region"},"level":{"type":"integer","x-mcp-header":"Level"}}}}`
	if err := f.AddTool(json.RawMessage(schema2020), fixed(`{"content":[{"type":"text","text":"The arguments are valid."}]}`)); err != nil {
		return err
	}
	return f.AddTool(json.RawMessage(mirrored), fixed(`{"content":[{"type":"text","text":"The headers match."}]}`))
}

// addTriggerTools adds tools that change the lists, by adding something or
// taking it away again.
func addTriggerTools(f *gateway.Funcs) error {
	var mu sync.Mutex
	tool, prompt := false, false
	toggle := func(is *bool, kind gateway.Kind, name string, add func() error) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		*is = !*is
		if !*is {
			f.Remove(kind, name)
			return "removed", nil
		}
		return "added", add()
	}
	err := gateway.AddTool(f, "test_trigger_tool_change", "Adds or removes a tool.",
		func(context.Context, *gateway.Call, none) (string, error) {
			return toggle(&tool, gateway.KindTool, "test_changing_tool", func() error {
				return f.AddTool(toolDefinition("test_changing_tool", "Comes and goes."), fixed(`{"content":[]}`))
			})
		})
	if err != nil {
		return err
	}
	return gateway.AddTool(f, "test_trigger_prompt_change", "Adds or removes a prompt.",
		func(context.Context, *gateway.Call, none) (string, error) {
			return toggle(&prompt, gateway.KindPrompt, "test_changing_prompt", func() error {
				return f.AddPrompt(json.RawMessage(`{"name":"test_changing_prompt","description":"Comes and goes."}`), fixed(`{"messages":[]}`))
			})
		})
}

const templateStart, templateEnd = "test://template/", "/data"

func addTestResources(f *gateway.Funcs) error {
	for _, r := range []struct{ uri, name, description, mime, content string }{
		{"test://static-text", "static-text", "A text.", "text/plain", `"text":"This is the content of the static text resource."`},
		{"test://static-binary", "static-binary", "An image.", "image/png", `"blob":"` + png + `"`},
		{"test://watched-resource", "watched-resource", "A resource to subscribe to.", "text/plain", `"text":"Watched resource content"`},
	} {
		def := `{"uri":"` + r.uri + `","name":"` + r.name + `","description":"` + r.description + `","mimeType":"` + r.mime + `"}`
		if err := f.AddResource(json.RawMessage(def), fixed(`{"contents":[{"uri":"`+r.uri+`","mimeType":"`+r.mime+`",`+r.content+`}]}`)); err != nil {
			return err
		}
	}
	def := `{"uriTemplate":"` + templateStart + `{id}` + templateEnd + `","name":"template","description":"A family of texts.","mimeType":"application/json"}`
	return f.AddTemplate(json.RawMessage(def), func(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
		id := strings.TrimSuffix(strings.TrimPrefix(call.Name, templateStart), templateEnd)
		text, err := json.Marshal(map[string]any{"id": id, "templateTest": true, "data": "Data for ID: " + id})
		if err != nil {
			return nil, err
		}
		return marshal(map[string]any{"contents": []map[string]string{{"uri": call.Name, "mimeType": "application/json", "text": string(text)}}})
	})
}

func addTestPrompts(f *gateway.Funcs) error {
	const user, end = `{"role":"user","content":`, `}`
	simple := user + `{"type":"text","text":"This is a simple prompt for testing."}` + end
	image := user + `{"type":"image","data":"` + png + `","mimeType":"image/png"}` + end + `,` +
		user + `{"type":"text","text":"Please analyze the image above."}` + end
	for _, p := range []struct {
		definition string
		render     gateway.Func
	}{
		{`{"name":"test_simple_prompt","description":"A prompt without arguments."}`, fixed(`{"messages":[` + simple + `]}`)},
		{`{"name":"test_prompt_with_image","description":"A prompt with an image."}`, fixed(`{"messages":[` + image + `]}`)},
		{`{"name":"test_prompt_with_arguments","description":"A prompt with two arguments.","arguments":[` +
			`{"name":"arg1","description":"First test argument","required":true},{"name":"arg2","description":"Second test argument","required":true}]}`, twoArguments},
		{`{"name":"test_prompt_with_embedded_resource","description":"A prompt with a resource.","arguments":[` +
			`{"name":"resourceUri","description":"URI of the resource to embed","required":true}]}`, embeddedResource},
	} {
		if err := f.AddPrompt(json.RawMessage(p.definition), p.render); err != nil {
			return err
		}
	}
	f.AddCompletion(gateway.KindPrompt, "test_prompt_with_arguments", suggest)
	return nil
}

// promptArguments reads a prompt's arguments, all of which are required.
func promptArguments(call *gateway.Call, names ...string) (map[string]string, error) {
	args := map[string]string{}
	if len(call.Args) > 0 {
		if err := jsonv2.Unmarshal(call.Args, &args); err != nil {
			return nil, &gateway.Error{Code: gateway.InvalidArgument, By: "arguments", Msg: "arguments must be strings", Err: err}
		}
	}
	for _, name := range names {
		if args[name] == "" {
			return nil, &gateway.Error{Code: gateway.InvalidArgument, By: "arguments", Msg: `argument "` + name + `" is required`}
		}
	}
	return args, nil
}

func userMessage(content any) map[string]any {
	return map[string]any{"role": "user", "content": content}
}

func twoArguments(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
	args, err := promptArguments(call, "arg1", "arg2")
	if err != nil {
		return nil, err
	}
	return marshal(map[string]any{"messages": []any{
		userMessage(map[string]string{"type": "text", "text": "Prompt with arguments: arg1='" + args["arg1"] + "', arg2='" + args["arg2"] + "'"}),
	}})
}

func embeddedResource(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
	args, err := promptArguments(call, "resourceUri")
	if err != nil {
		return nil, err
	}
	return marshal(map[string]any{"messages": []any{
		userMessage(map[string]any{"type": "resource", "resource": map[string]string{
			"uri": args["resourceUri"], "mimeType": "text/plain", "text": "Embedded resource content for testing.",
		}}),
		userMessage(map[string]string{"type": "text", "text": "Please process the embedded resource above."}),
	}})
}

// suggest completes the first argument with what begins as it does.
func suggest(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
	var in struct {
		Argument struct {
			Name  string `json:"name"`
			Value string `json:"value"`
		} `json:"argument"`
	}
	if err := jsonv2.Unmarshal(call.Args, &in); err != nil {
		return nil, &gateway.Error{Code: gateway.InvalidArgument, By: "arguments", Msg: "argument must have a name and a value", Err: err}
	}
	values := []string{}
	if in.Argument.Name == "arg1" {
		for _, v := range []string{"paris", "park", "party"} {
			if strings.HasPrefix(v, in.Argument.Value) {
				values = append(values, v)
			}
		}
	}
	return marshal(map[string]any{"completion": map[string]any{"values": values, "total": len(values), "hasMore": false}})
}
