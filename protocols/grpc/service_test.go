package grpc

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
)

func TestCallTool(t *testing.T) {
	c := client(t, frontend(t, newWorld(t), Options{}))
	for _, test := range []struct {
		tool, args string
		want       *gatewayv1.CallToolResponse
	}{
		{"demo.add", `{"a":1,"b":2}`, &gatewayv1.CallToolResponse{ResultJson: `{"content":[{"type":"text","text":"{\"sum\":3}"}],"structuredContent":{"sum":3}}`}},
		{"demo.echo", `{ "z":12345678901234567890, "a":1.0 }`, &gatewayv1.CallToolResponse{ResultJson: `{"content":[],"structuredContent":{ "z":12345678901234567890, "a":1.0 },"vendor":1e400}`}},
		{"demo.fail", ``, &gatewayv1.CallToolResponse{ResultJson: `{"content":[{"type":"text","text":"it broke"}],"isError":true}`, IsError: true}},
		{"demo.steps", ``, &gatewayv1.CallToolResponse{ResultJson: `{"content":[{"type":"text","text":"done"}]}`}},
	} {
		got, err := c.CallTool(as(t.Context(), "alice"), &gatewayv1.CallToolRequest{Name: test.tool, ArgumentsJson: test.args}, grpc.UseCompressor(gzip.Name))
		if err != nil {
			t.Fatalf("%s: %v", test.tool, err)
		}
		if d := cmp.Diff(test.want, got, protocmp.Transform()); d != "" {
			t.Errorf("%s: (-want +got)\n%s", test.tool, d)
		}
	}
}

func TestErrors(t *testing.T) {
	c := client(t, frontend(t, newWorld(t), Options{}))
	info := func(reason, tool string) *errdetails.ErrorInfo {
		i := &errdetails.ErrorInfo{Reason: reason, Domain: "trilith"}
		if tool != "" {
			i.Metadata = map[string]string{"kind": "tool", "name": tool}
		}
		return i
	}
	malformed := func(text string) *errdetails.BadRequest {
		return &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Description: text}}}
	}
	for _, test := range []struct {
		name, who, tool, args string
		code                  codes.Code
		message               string
		details               []proto.Message
	}{
		{"no principal", "", "demo.add", `{}`, codes.Unauthenticated, "authentication required", []proto.Message{info("UNAUTHENTICATED", "")}},
		{"unknown", "alice", "nope", ``, codes.NotFound, `no tool named "nope"`, []proto.Message{
			info("NOT_FOUND", "nope"), &errdetails.ResourceInfo{ResourceType: "tool", ResourceName: "nope"},
		}},
		{"hidden", "bob", "demo.secret", ``, codes.NotFound, `no tool named "demo.secret"`, []proto.Message{
			info("NOT_FOUND", "demo.secret"), &errdetails.ResourceInfo{ResourceType: "tool", ResourceName: "demo.secret"},
		}},
		{"schema", "alice", "demo.add", `{"a":"x","b":2}`, codes.InvalidArgument, "invalid arguments: /a: want integer, got string", []proto.Message{
			info("INVALID_ARGUMENTS", "demo.add"),
			&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "/a", Description: "want integer, got string"}}},
		}},
		{"duplicate member", "alice", "demo.echo", `{"a":1,"a":2}`, codes.InvalidArgument, "arguments: malformed JSON at byte 7: a member name occurs twice in one object", []proto.Message{
			info("INVALID_ARGUMENTS", ""), malformed("malformed JSON at byte 7: a member name occurs twice in one object"),
		}},
		{"deep", "alice", "demo.echo", `{"a":` + strings.Repeat("[", 100), codes.InvalidArgument, "arguments: malformed JSON at byte 68: nested deeper than 64 levels", []proto.Message{
			info("INVALID_ARGUMENTS", ""), malformed("malformed JSON at byte 68: nested deeper than 64 levels"),
		}},
		{"not an object", "alice", "demo.echo", ` [1]`, codes.InvalidArgument, "arguments are not a JSON object", []proto.Message{info("INVALID_ARGUMENT", "")}},
		{"limit", "alice", "demo.limited", ``, codes.ResourceExhausted, "slow down", []proto.Message{
			info("RESOURCE_EXHAUSTED", "demo.limited"), &errdetails.RetryInfo{RetryDelay: durationpb.New(1500 * time.Millisecond)},
		}},
		{"upstream's data", "alice", "demo.refused", ``, codes.FailedPrecondition, "no account", []proto.Message{
			info("FAILED_PRECONDITION", "demo.refused"), &gatewayv1.UpstreamDetail{DataJson: `{"id":12345678901234567890}`},
		}},
		{"hidden cause", "alice", "demo.broken", ``, codes.Internal, "internal error", []proto.Message{info("INTERNAL", "demo.broken")}},
		{"panic", "alice", "demo.panic", ``, codes.Internal, "internal error", []proto.Message{info("INTERNAL", "demo.panic")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx := t.Context()
			if test.who != "" {
				ctx = as(ctx, test.who)
			}
			_, err := c.CallTool(ctx, &gatewayv1.CallToolRequest{Name: test.tool, ArgumentsJson: test.args})
			s := status.Convert(err)
			if s.Code() != test.code || s.Message() != test.message {
				t.Errorf("%v %q, want %v %q", s.Code(), s.Message(), test.code, test.message)
			}
			var details []proto.Message
			for _, d := range s.Details() {
				details = append(details, d.(proto.Message))
			}
			if d := cmp.Diff(test.details, details, protocmp.Transform()); d != "" {
				t.Errorf("details (-want +got)\n%s", d)
			}
			// The twin and its stream answer alike.
			stream, err := c.CallToolStream(ctx, &gatewayv1.CallToolStreamRequest{Name: test.tool, ArgumentsJson: test.args})
			if err == nil {
				_, err = stream.Recv()
			}
			if d := cmp.Diff(s.Proto(), status.Convert(err).Proto(), protocmp.Transform()); d != "" {
				t.Errorf("stream (-unary +stream)\n%s", d)
			}
		})
	}
}

func TestDeadlineReachesTheTool(t *testing.T) {
	c := client(t, frontend(t, newWorld(t), Options{}))
	ctx, cancel := context.WithTimeout(as(t.Context(), "alice"), 20*time.Millisecond)
	defer cancel()
	_, err := c.CallTool(ctx, &gatewayv1.CallToolRequest{Name: "demo.wait"})
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
}

func TestMessagesAreBounded(t *testing.T) {
	c := client(t, frontend(t, newWorld(t), Options{}))
	_, err := c.CallTool(as(t.Context(), "alice"), &gatewayv1.CallToolRequest{Name: "demo.echo", ArgumentsJson: strings.Repeat("x", 4<<20)})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("large request: %v", err)
	}
	_, err = c.CallTool(as(t.Context(), "alice"), &gatewayv1.CallToolRequest{Name: "demo.big"})
	if s := status.Convert(err); s.Code() != codes.ResourceExhausted || !strings.Contains(s.Message(), "REST") {
		t.Errorf("large result: %v", err)
	}
	// Compressed, it is as large as it is.
	_, err = c.CallTool(as(t.Context(), "alice"), &gatewayv1.CallToolRequest{Name: "demo.echo", ArgumentsJson: strings.Repeat("x", 8<<20)}, grpc.UseCompressor(gzip.Name))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("bomb: %v", err)
	}
}

func TestLists(t *testing.T) {
	c := client(t, frontend(t, newWorld(t), Options{}))
	ctx := as(t.Context(), "bob")
	var names []string
	for token := ""; ; {
		page, err := c.ListTools(ctx, &gatewayv1.ListToolsRequest{PageSize: 3, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.GetTools()) > 3 {
			t.Fatalf("a page of %d", len(page.GetTools()))
		}
		for _, tool := range page.GetTools() {
			names = append(names, tool.GetName())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	want := []string{"demo.a/b", "demo.add", "demo.big", "demo.broken", "demo.echo", "demo.fail", "demo.limited", "demo.panic", "demo.refused", "demo.steps", "demo.wait"}
	if d := cmp.Diff(want, names); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// TestDefinitions has everything that a source says of its capabilities shown.
func TestDefinitions(t *testing.T) {
	c := client(t, frontend(t, newWorld(t), Options{}))
	ctx := as(t.Context(), "bob")
	tool, err := c.GetTool(ctx, &gatewayv1.GetToolRequest{Name: "demo.add"})
	if err != nil {
		t.Fatal(err)
	}
	yes, no := true, false
	if d := cmp.Diff(&gatewayv1.Tool{
		Name: "demo.add", Title: "Add", Description: "Adds two numbers.", Source: "demo", Tags: []string{"test"},
		InputSchemaJson:  `{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"required":["a","b"],"additionalProperties":false}`,
		OutputSchemaJson: `{"type":"object","properties":{"sum":{"type":"integer"}},"required":["sum"],"additionalProperties":false}`,
		Annotations:      &gatewayv1.ToolAnnotations{ReadOnly: &yes, Idempotent: &yes, OpenWorld: &no},
	}, tool.GetTool(), protocmp.Transform()); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if _, err = c.GetTool(ctx, &gatewayv1.GetToolRequest{Name: "demo.secret"}); status.Code(err) != codes.NotFound {
		t.Errorf("hidden tool: %v", err)
	}
	resources, err := c.ListResources(ctx, &gatewayv1.ListResourcesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	size := int64(5)
	if d := cmp.Diff([]*gatewayv1.Resource{{Uri: "demo://motd", Name: "motd", MimeType: "text/plain", Size: &size, Source: "demo", Tags: []string{"test"}}}, resources.GetResources(), protocmp.Transform()); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	templates, err := c.ListResourceTemplates(ctx, &gatewayv1.ListResourceTemplatesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]*gatewayv1.ResourceTemplate{{UriTemplate: "demo://users/{id}", Name: "user", Source: "demo", Tags: []string{"test"}}}, templates.GetResourceTemplates(), protocmp.Transform()); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	prompts, err := c.ListPrompts(ctx, &gatewayv1.ListPromptsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]*gatewayv1.Prompt{{
		Name: "demo.greet", Description: "Greets.", Arguments: []*gatewayv1.PromptArgument{{Name: "who", Required: true}}, Source: "demo", Tags: []string{"test"},
	}}, prompts.GetPrompts(), protocmp.Transform()); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestListsRefuse(t *testing.T) {
	c := client(t, frontend(t, newWorld(t), Options{}))
	ctx := as(t.Context(), "alice")
	for _, req := range []*gatewayv1.ListToolsRequest{
		{PageSize: -1},
		{PageToken: "!"},
		{PageToken: "AA"},
		{PageToken: strings.Repeat("A", tokenMost+1)},
		{PageToken: pageToken(2, "of resources")},
	} {
		if _, err := c.ListTools(ctx, req); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%v: %v", req, err)
		}
	}
	for name, list := range map[string]func(context.Context) error{
		"ListTools": func(ctx context.Context) error { _, err := c.ListTools(ctx, &gatewayv1.ListToolsRequest{}); return err },
		"GetTool":   func(ctx context.Context) error { _, err := c.GetTool(ctx, &gatewayv1.GetToolRequest{}); return err },
		"ListResources": func(ctx context.Context) error {
			_, err := c.ListResources(ctx, &gatewayv1.ListResourcesRequest{})
			return err
		},
		"ListResourceTemplates": func(ctx context.Context) error {
			_, err := c.ListResourceTemplates(ctx, &gatewayv1.ListResourceTemplatesRequest{})
			return err
		},
		"ListPrompts": func(ctx context.Context) error {
			_, err := c.ListPrompts(ctx, &gatewayv1.ListPromptsRequest{})
			return err
		},
		"ReadResource": func(ctx context.Context) error {
			_, err := c.ReadResource(ctx, &gatewayv1.ReadResourceRequest{Uri: "demo://motd"})
			return err
		},
		"GetPrompt": func(ctx context.Context) error {
			_, err := c.GetPrompt(ctx, &gatewayv1.GetPromptRequest{Name: "demo.greet"})
			return err
		},
	} {
		if err := list(t.Context()); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s without a principal: %v", name, err)
		}
	}
}

func TestResourcesAndPrompts(t *testing.T) {
	c := client(t, frontend(t, newWorld(t), Options{}))
	ctx := as(t.Context(), "alice")
	read, err := c.ReadResource(ctx, &gatewayv1.ReadResourceRequest{Uri: "demo://users/7"})
	if err != nil || read.GetResultJson() != `{"contents":[{"uri":"demo://users/7","text":"seven"}]}` {
		t.Errorf("%v, %v", read, err)
	}
	if _, err = c.ReadResource(ctx, &gatewayv1.ReadResourceRequest{Uri: "demo://none"}); status.Code(err) != codes.NotFound {
		t.Errorf("unknown resource: %v", err)
	}
	if _, err = c.ReadResource(ctx, &gatewayv1.ReadResourceRequest{Uri: "demo://users/" + strings.Repeat("x", nameMost)}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("long URI: %v", err)
	}
	prompt, err := c.GetPrompt(ctx, &gatewayv1.GetPromptRequest{Name: "demo.greet", Arguments: map[string]string{"who": "you", "a": "\"b"}})
	if err != nil || prompt.GetResultJson() != `{"messages":[{"role":"user","content":{"type":"text","text":{"a":"\"b","who":"you"}}}]}` {
		t.Errorf("%v, %v", prompt, err)
	}
	got, err := c.Complete(ctx, &gatewayv1.CompleteRequest{
		Target: &gatewayv1.CompleteRequest_Prompt{Prompt: "demo.greet"}, Argument: "who", Value: "w", Context: map[string]string{"x": "y"},
	})
	if err != nil {
		t.Fatal(err)
	}
	total := int64(7)
	if d := cmp.Diff(&gatewayv1.CompleteResponse{Values: []string{"world", "wife"}, Total: &total, HasMore: true}, got, protocmp.Transform()); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	got, err = c.Complete(ctx, &gatewayv1.CompleteRequest{Target: &gatewayv1.CompleteRequest_UriTemplate{UriTemplate: "demo://users/{id}"}, Argument: "id"})
	if err != nil || len(got.GetValues()) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err = c.Complete(ctx, &gatewayv1.CompleteRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("no target: %v", err)
	}
}
