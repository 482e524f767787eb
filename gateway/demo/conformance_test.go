package demo_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/demo"
)

// conformance returns a gateway over the fixtures, kept up to date.
func conformance(t *testing.T) (*gateway.Gateway, *gateway.Registry) {
	t.Helper()
	var f gateway.Funcs
	if err := demo.Conformance(&f); err != nil {
		t.Fatal(err)
	}
	r := &gateway.Registry{}
	changed := r.Changed()
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(done)
		r.Follow(ctx, "conformance", &f, gateway.Options{}, func(err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	<-changed
	g, err := gateway.New(r, nil, []gateway.Gate{gateway.ValidateArgs{}})
	if err != nil {
		t.Fatal(err)
	}
	return g, r
}

func TestConformanceFixtures(t *testing.T) {
	g, r := conformance(t)
	p := &gateway.Principal{ID: "test"}
	for _, tool := range r.Snapshot().Tools {
		if tool.Description == "" {
			t.Errorf("tool %s has no description", tool.Name)
		}
	}
	for _, tt := range []struct {
		op         gateway.Op
		name, args string
		want       string // in the result
	}{
		{gateway.OpCall, "test_simple_text", ``, "This is a simple text response for testing."},
		{gateway.OpCall, "test_image_content", ``, `"mimeType":"image/png"`},
		{gateway.OpCall, "test_audio_content", ``, `"mimeType":"audio/wav"`},
		{gateway.OpCall, "test_embedded_resource", ``, `"uri":"test://embedded-resource"`},
		{gateway.OpCall, "test_multiple_content_types", ``, `"uri":"test://mixed-content-resource"`},
		{gateway.OpCall, "test_error_handling", ``, `"isError":true`},
		{gateway.OpCall, "json_schema_2020_12_tool", `{"contactMethod":"phone","phone":"1"}`, "valid"},
		{gateway.OpCall, "test_x_mcp_header", `{"region":"eu","level":3}`, "match"},
		{gateway.OpRead, "test://static-text", ``, `"text":"This is`},
		{gateway.OpRead, "test://static-binary", ``, `"blob":"iVBOR`},
		{gateway.OpRead, "test://template/123/data", ``, `\"id\":\"123\"`},
		{gateway.OpGet, "test_simple_prompt", ``, "simple prompt"},
		{gateway.OpGet, "test_prompt_with_image", ``, "image/png"},
		{gateway.OpGet, "test_prompt_with_arguments", `{"arg1":"one","arg2":"two"}`, "arg1='one', arg2='two'"},
		{gateway.OpGet, "test_prompt_with_embedded_resource", `{"resourceUri":"test://x"}`, `"uri":"test://x"`},
		{gateway.OpComplete, "test_prompt_with_arguments", `{"argument":{"name":"arg1","value":"par"}}`, `"values":["paris","park","party"]`},
	} {
		res, err := g.Do(t.Context(), &gateway.Call{Op: tt.op, Name: tt.name, Args: json.RawMessage(tt.args), Principal: p})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if !strings.Contains(string(res.Raw), tt.want) {
			t.Errorf("%s: %s", tt.name, res.Raw)
		}
	}
}

func TestConformanceReports(t *testing.T) {
	g, _ := conformance(t)
	for _, tt := range []struct {
		name string
		want []string
	}{
		{"test_tool_with_progress", []string{"0/100", "50/100", "100/100"}},
		{"test_streaming_elicitation", []string{"0/100", "50/100", "100/100"}},
		{"test_tool_with_logging", []string{`"Tool execution started"`, `"Tool processing data"`, `"Tool execution completed"`}},
		{"test_logging_tool", []string{`"Tool execution started"`, `"Tool processing data"`, `"Tool execution completed"`}},
	} {
		var got []string
		_, err := g.Do(t.Context(), &gateway.Call{
			Op: gateway.OpCall, Name: tt.name, Principal: &gateway.Principal{ID: "test"},
			Progress: func(p gateway.Progress) { got = append(got, p.Progress.String()+"/"+p.Total.String()) },
			Log:      func(m gateway.LogMessage) { got = append(got, string(m.Data)) },
			Ask: func(context.Context, gateway.Question) (json.RawMessage, error) {
				return json.RawMessage(`{"action":"decline"}`), nil
			},
		})
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
	}
}

func TestConformanceTriggers(t *testing.T) {
	g, r := conformance(t)
	for _, tt := range []struct {
		trigger string
		has     func(*gateway.Snapshot) bool
	}{
		{"test_trigger_tool_change", func(s *gateway.Snapshot) bool { return s.Tool("test_changing_tool") != nil }},
		{"test_trigger_prompt_change", func(s *gateway.Snapshot) bool { return s.Prompt("test_changing_prompt") != nil }},
	} {
		for _, want := range []bool{true, false} {
			changed := r.Changed()
			if _, err := g.Do(t.Context(), &gateway.Call{Op: gateway.OpCall, Name: tt.trigger, Principal: &gateway.Principal{ID: "test"}}); err != nil {
				t.Fatal(err)
			}
			<-changed
			if tt.has(r.Snapshot()) != want {
				t.Errorf("%s: there is %v, want %v", tt.trigger, !want, want)
			}
		}
	}
}

// TestConformanceRounds comes back with answers until the fixtures that
// remember nothing are done.
func TestConformanceRounds(t *testing.T) {
	g, _ := conformance(t)
	answers := map[string]string{
		"user_name": `{"action":"accept","content":{"name":"Ann"}}`, "step1": `{"action":"accept","content":{"name":"Ann"}}`,
		"step2":            `{"action":"accept","content":{"color":"red"}}`,
		"confirm":          `{"action":"accept","content":{"ok":true}}`,
		"user_context":     `{"action":"accept","content":{"context":"a test"}}`,
		"capital_question": `{"role":"assistant","model":"m","content":{"type":"text","text":"Paris"}}`,
		"greeting":         `{"role":"assistant","model":"m","content":{"type":"text","text":"Hi"}}`,
		"client_roots":     `{"roots":[{"uri":"file:///home"}]}`,
	}
	for _, tt := range []struct {
		op     gateway.Op
		name   string
		rounds int
		want   string
	}{
		{gateway.OpCall, "elicitation", 1, "Hello, Ann!"},
		{gateway.OpCall, "sampling", 1, "Paris"},
		{gateway.OpCall, "list_roots", 1, "file:///home"},
		{gateway.OpCall, "request_state", 1, "state-ok"},
		{gateway.OpCall, "tampered_state", 1, "genuine"},
		{gateway.OpCall, "multiple_inputs", 1, "Hi Ann. Roots: file:///home"},
		{gateway.OpCall, "multi_round", 2, "red"},
		{gateway.OpCall, "capabilities", 1, "answered"},
		{gateway.OpGet, "prompt", 1, "a test"},
	} {
		call := gateway.Call{
			Op: tt.op, Name: "test_input_required_result_" + tt.name, Principal: &gateway.Principal{ID: "test"},
			Capabilities: json.RawMessage(`{"elicitation":{},"sampling":{},"roots":{}}`),
		}
		for round := 0; ; round++ {
			again := call
			res, err := g.Do(t.Context(), &call)
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
				break
			}
			if res.Input == nil {
				if round != tt.rounds || !strings.Contains(string(res.Raw), tt.want) {
					t.Errorf("%s: %s after %d rounds", tt.name, res.Raw, round)
				}
				break
			}
			given := map[string]json.RawMessage{}
			for key := range res.Input.Questions {
				given[key] = json.RawMessage(answers[key])
			}
			forged := again
			forged.Resume = &gateway.Resume{Answers: given, State: res.Input.State + "x"}
			if _, err := g.Do(t.Context(), &forged); err == nil && res.Input.State != "" {
				t.Errorf("%s: took a forged state", tt.name)
			}
			again.Resume = &gateway.Resume{Answers: given, State: res.Input.State}
			call = again
		}
	}
}

// TestConformanceQuestions answers the fixtures that wait.
func TestConformanceQuestions(t *testing.T) {
	g, _ := conformance(t)
	for _, tt := range []struct{ name, args, question, answer, want string }{
		{"test_sampling", `{"prompt":"Why?"}`, `"text":"Why?"`, `{"role":"assistant","content":{"type":"text","text":"So."}}`, "LLM response: So."},
		{"test_elicitation", `{"message":"Who?"}`, `"required":["username","email"]`, `{"action":"decline"}`, "action=decline, content={}"},
		{"test_elicitation_sep1034_defaults", ``, `"default":95.5`, `{"action":"accept","content":{"age":1}}`, `action=accept, content={\"age\":1}`},
		{"test_elicitation_sep1330_enums", ``, `"enumNames"`, `{"action":"cancel"}`, "action=cancel"},
		{"test_missing_capability", ``, `"maxTokens":10`, `{}`, "has a model"},
	} {
		call := gateway.Call{Op: gateway.OpCall, Name: tt.name, Args: json.RawMessage(tt.args), Principal: &gateway.Principal{ID: "test"}}
		deaf := call
		if _, err := g.Do(t.Context(), &deaf); gateway.AsError(err) == nil || gateway.AsError(err).Needs == nil {
			t.Errorf("%s without a client that answers: %v", tt.name, err)
		}
		call.Ask = func(_ context.Context, q gateway.Question) (json.RawMessage, error) {
			if !strings.Contains(string(q.Params), tt.question) {
				t.Errorf("%s asks %s", tt.name, q.Params)
			}
			return json.RawMessage(tt.answer), nil
		}
		res, err := g.Do(t.Context(), &call)
		if err != nil || !strings.Contains(string(res.Raw), tt.want) {
			t.Errorf("%s: %v, %+v", tt.name, err, res)
		}
	}
}
