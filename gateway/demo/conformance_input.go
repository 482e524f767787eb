package demo

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/trilith-gateway/trilith/gateway"
)

// Conformance fixtures that ask the client something: by [gateway.Call.Ask],
// which waits, and by [gateway.Result.Input], which comes back.

// ask asks the caller's client, if it can be asked.
func ask(ctx context.Context, call *gateway.Call, q gateway.Question) (json.RawMessage, error) {
	if call.Ask == nil {
		return nil, gateway.NeedsCapability(q.Capability())
	}
	return call.Ask(ctx, q)
}

// form returns the question that shows a form with these properties, all
// required.
func form(message, properties string, required ...string) gateway.Question {
	return question("elicitation/create", map[string]any{"message": message, "requestedSchema": map[string]any{
		"type": "object", "properties": json.RawMessage(properties), "required": append([]string{}, required...),
	}})
}

// sample returns the question that puts a prompt to the client's model.
func sample(prompt string, maxTokens int) gateway.Question {
	return question("sampling/createMessage", map[string]any{"maxTokens": maxTokens, "messages": []any{
		userMessage(map[string]string{"type": "text", "text": prompt}),
	}})
}

func question(method string, params any) gateway.Question {
	raw, _ := json.Marshal(params) // Strings, numbers and valid JSON always marshal.
	return gateway.Question{Method: method, Params: raw}
}

var roots = gateway.Question{Method: "roots/list", Params: json.RawMessage(`{}`)} //nolint:gochecknoglobals // a constant question.

type elicited struct {
	Action  string          `json:"action"`
	Content json.RawMessage `json:"content"`
}

type promptArgs struct {
	Prompt string `json:"prompt" jsonschema:"the prompt to send to the model"`
}

type messageArgs struct {
	Message string `json:"message" jsonschema:"the message to show the user"`
}

func addAskingTools(f *gateway.Funcs) error {
	err := gateway.AddTool(f, "test_sampling", "Puts a prompt to the client's model.",
		func(ctx context.Context, call *gateway.Call, in promptArgs) (string, error) {
			raw, err := ask(ctx, call, sample(in.Prompt, 100))
			if err != nil {
				return "", err
			}
			text, err := sampled(raw)
			return "LLM response: " + text, err
		})
	if err != nil {
		return err
	}
	const user = `{"username":{"type":"string","description":"User's response"},"email":{"type":"string","description":"User's email address"}}`
	err = gateway.AddTool(f, "test_elicitation", "Asks the user who they are.",
		func(ctx context.Context, call *gateway.Call, in messageArgs) (string, error) {
			return elicit(ctx, call, "User response:", form(in.Message, user, "username", "email"))
		})
	if err != nil {
		return err
	}
	err = gateway.AddTool(f, "test_missing_capability", "Needs a client with a model.",
		func(ctx context.Context, call *gateway.Call, _ none) (string, error) {
			_, err := ask(ctx, call, sample("Are you there?", 10))
			return "The client has a model.", err
		})
	if err != nil {
		return err
	}
	err = gateway.AddTool(f, "test_streaming_elicitation", "Reports progress, then asks the user.",
		func(ctx context.Context, call *gateway.Call, in none) (string, error) {
			if _, err := progressThrice(ctx, call, in); err != nil {
				return "", err
			}
			return elicit(ctx, call, "User response:", form("Go on?", `{"ok":{"type":"boolean"}}`, "ok"))
		})
	if err != nil {
		return err
	}
	return addFormTools(f)
}

// addFormTools adds tools that show forms of all kinds of fields.
func addFormTools(f *gateway.Funcs) error {
	const defaults = `{"name":{"type":"string","description":"User name","default":"John Doe"},` +
		`"age":{"type":"integer","description":"User age","default":30},` +
		`"score":{"type":"number","description":"User score","default":95.5},` +
		`"status":{"type":"string","description":"User status","enum":["active","inactive","pending"],"default":"active"},` +
		`"verified":{"type":"boolean","description":"Verification status","default":true}}`
	const enums = `{"untitledSingle":{"type":"string","enum":["option1","option2","option3"]},` +
		`"titledSingle":{"type":"string","oneOf":[{"const":"value1","title":"First Option"},{"const":"value2","title":"Second Option"},{"const":"value3","title":"Third Option"}]},` +
		`"legacyEnum":{"type":"string","enum":["opt1","opt2","opt3"],"enumNames":["Option One","Option Two","Option Three"]},` +
		`"untitledMulti":{"type":"array","items":{"type":"string","enum":["option1","option2","option3"]}},` +
		`"titledMulti":{"type":"array","items":{"anyOf":[{"const":"value1","title":"First Choice"},{"const":"value2","title":"Second Choice"},{"const":"value3","title":"Third Choice"}]}}}`
	for _, t := range []struct{ name, description, message, properties string }{
		{"test_elicitation_sep1034_defaults", "Shows a form with default values.", "Please review and update the form fields", defaults},
		{"test_elicitation_sep1330_enums", "Shows a form with choices of all kinds.", "Please select options", enums},
	} {
		err := gateway.AddTool(f, t.name, t.description, func(ctx context.Context, call *gateway.Call, _ none) (string, error) {
			return elicit(ctx, call, "Elicitation completed:", form(t.message, t.properties))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// elicit shows a form and says what came of it.
func elicit(ctx context.Context, call *gateway.Call, intro string, q gateway.Question) (string, error) {
	raw, err := ask(ctx, call, q)
	if err != nil {
		return "", err
	}
	var e elicited
	if err := jsonv2.Unmarshal(raw, &e); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s action=%s, content=%s", intro, e.Action, cmp.Or(string(e.Content), "{}")), nil
}

// sampled returns the text that a model wrote.
func sampled(raw json.RawMessage) (string, error) {
	var answer struct {
		Content struct {
			Text string `json:"text"`
		} `json:"content"`
	}
	if err := jsonv2.Unmarshal(raw, &answer); err != nil {
		return "", err
	}
	return answer.Content.Text, nil
}

// field returns a member of a form that was filled in, and false where it was
// not.
func field[T any](raw json.RawMessage, name string) (value T, ok bool) {
	var e elicited
	var content map[string]json.RawMessage
	if len(raw) == 0 || jsonv2.Unmarshal(raw, &e) != nil || e.Action != "accept" || jsonv2.Unmarshal(e.Content, &content) != nil {
		return value, false
	}
	raw, ok = content[name]
	return value, ok && jsonv2.Unmarshal(raw, &value) == nil
}

// input returns a result that asks for more, which not every door can show.
func input(call *gateway.Call, questions map[string]gateway.Question, state string) (*gateway.Result, error) {
	if call.Capabilities == nil {
		for _, q := range questions {
			return nil, gateway.NeedsCapability(q.Capability())
		}
	}
	return &gateway.Result{Input: &gateway.InputRequest{Questions: questions, State: state}}, nil
}

// answers returns what a call has come back with.
func answers(call *gateway.Call) (given map[string]json.RawMessage, state string) {
	if call.Resume == nil {
		return nil, ""
	}
	return call.Resume.Answers, call.Resume.State
}

// states protect what a tool has its caller bring back, which comes from an
// attacker's hands.
type states struct{ key [32]byte }

func (s *states) mac(text string) string {
	h := hmac.New(sha256.New, s.key[:])
	h.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// seal returns a state that says text.
func (s *states) seal(text string) string { return s.mac(text) + "." + text }

// open reports whether a state is one that says text.
func (s *states) open(state, text string) bool {
	return hmac.Equal([]byte(state), []byte(s.seal(text)))
}

var errState = &gateway.Error{Code: gateway.InvalidArgument, By: "upstream/demo", Msg: "requestState is not one of this tool"}

const (
	nameField = `{"name":{"type":"string"}}`
	okField   = `{"ok":{"type":"boolean"}}`
)

// addInputTools adds tools that remember nothing between the rounds.
func addInputTools(f *gateway.Funcs) error {
	s := &states{}
	rand.Read(s.key[:])
	for _, t := range []struct {
		name, description string
		run               gateway.Func
	}{
		{"elicitation", "Asks the user for a name, then greets.", inputName},
		{"sampling", "Asks the client's model for a capital.", inputSampling},
		{"list_roots", "Asks the client for its roots.", inputRoots},
		{"request_state", "Asks the user to confirm and checks the state.", s.confirm("state-ok")},
		{"tampered_state", "Asks the user to confirm and refuses a changed state.", s.confirm("The state is genuine.")},
		{"multiple_inputs", "Asks three questions at once.", s.multiple},
		{"multi_round", "Asks two questions, one after the other.", s.rounds},
		{"capabilities", "Asks what the client can answer.", inputCapable},
	} {
		if err := f.AddTool(toolDefinition("test_input_required_result_"+t.name, t.description), t.run); err != nil {
			return err
		}
	}
	return f.AddPrompt(json.RawMessage(`{"name":"test_input_required_result_prompt","description":"A prompt that asks the user for its context."}`), inputPrompt)
}

func inputName(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
	given, _ := answers(call)
	name, ok := field[string](given["user_name"], "name")
	if !ok {
		return input(call, map[string]gateway.Question{"user_name": form("What is your name?", nameField, "name")}, "")
	}
	return gateway.TextResult("Hello, " + name + "!"), nil
}

func inputSampling(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
	given, _ := answers(call)
	if text, err := sampled(given["capital_question"]); err == nil && text != "" {
		return gateway.TextResult(text), nil
	}
	return input(call, map[string]gateway.Question{"capital_question": sample("What is the capital of France?", 100)}, "")
}

// listed returns the URIs of a client's roots, as one text, and false where it
// has not told them.
func listed(raw json.RawMessage) (string, bool) {
	var answer struct {
		Roots []struct {
			URI string `json:"uri"`
		} `json:"roots"`
	}
	if jsonv2.Unmarshal(raw, &answer) != nil || answer.Roots == nil {
		return "", false
	}
	uris := []string{"Roots:"}
	for _, r := range answer.Roots {
		uris = append(uris, r.URI)
	}
	return strings.Join(uris, " "), true
}

func inputRoots(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
	given, _ := answers(call)
	if text, ok := listed(given["client_roots"]); ok {
		return gateway.TextResult(text), nil
	}
	return input(call, map[string]gateway.Question{"client_roots": roots}, "")
}

// confirm returns a tool that has its state confirmed and then says done.
func (s *states) confirm(done string) gateway.Func {
	return func(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
		given, state := answers(call)
		if state != "" && !s.open(state, "confirm") {
			return nil, errState
		}
		if _, ok := field[bool](given["confirm"], "ok"); ok && state != "" {
			return gateway.TextResult(done), nil
		}
		return input(call, map[string]gateway.Question{"confirm": form("Please confirm", okField, "ok")}, s.seal("confirm"))
	}
}

func (s *states) multiple(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
	given, state := answers(call)
	if state != "" && !s.open(state, "multiple") {
		return nil, errState
	}
	name, named := field[string](given["user_name"], "name")
	greeting, err := sampled(given["greeting"])
	where, told := listed(given["client_roots"])
	if state != "" && named && err == nil && told {
		return gateway.TextResult(greeting + " " + name + ". " + where), nil
	}
	return input(call, map[string]gateway.Question{
		"user_name": form("What is your name?", nameField, "name"), "greeting": sample("Generate a greeting", 50), "client_roots": roots,
	}, s.seal("multiple"))
}

func (s *states) rounds(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
	given, state := answers(call)
	step2 := map[string]gateway.Question{"step2": form("Step 2: What is your favorite color?", `{"color":{"type":"string"}}`, "color")}
	switch {
	case state == "" || s.open(state, "1"):
		if _, ok := field[string](given["step1"], "name"); ok && state != "" {
			return input(call, step2, s.seal("2"))
		}
		return input(call, map[string]gateway.Question{"step1": form("Step 1: What is your name?", nameField, "name")}, s.seal("1"))
	case s.open(state, "2"):
		if color, ok := field[string](given["step2"], "color"); ok {
			return gateway.TextResult("Your favorite color is " + color + "."), nil
		}
		return input(call, step2, s.seal("2"))
	default:
		return nil, errState
	}
}

// inputCapable asks only what the client declared that it answers.
func inputCapable(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
	if given, _ := answers(call); len(given) > 0 {
		return gateway.TextResult("The client answered."), nil
	}
	questions := map[string]gateway.Question{}
	for key, q := range map[string]gateway.Question{
		"user_name": form("What is your name?", nameField, "name"), "greeting": sample("Generate a greeting", 50), "client_roots": roots,
	} {
		if call.CanAnswer(q) {
			questions[key] = q
		}
	}
	if len(questions) == 0 {
		return gateway.TextResult("The client answers nothing."), nil
	}
	return input(call, questions, "")
}

func inputPrompt(_ context.Context, call *gateway.Call) (*gateway.Result, error) {
	given, _ := answers(call)
	about, ok := field[string](given["user_context"], "context")
	if !ok {
		return input(call, map[string]gateway.Question{"user_context": form("What context should the prompt use?", `{"context":{"type":"string"}}`, "context")}, "")
	}
	return marshal(map[string]any{"messages": []any{userMessage(map[string]string{"type": "text", "text": "Use this context: " + about})}})
}
