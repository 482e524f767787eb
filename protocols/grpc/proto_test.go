package grpc

import (
	"net/http"
	"strings"
	"testing"
)

func TestProtoFiles(t *testing.T) {
	w := newWorld(t)
	h := withPrincipal(typed(t, w, Options{}).REST())
	get := func(who, path string) (int, string) {
		res := call(h, http.MethodGet, path, "", "Who", who)
		return res.Code, res.Body.String()
	}
	if code, body := get("alice", "/v1/proto"); code != http.StatusOK || body != `{"files":[{"source":"demo","package":"trilith.demo.v1","service":"trilith.demo.v1.DemoService","path":"trilith/demo/v1/demo.proto"}]}` {
		t.Errorf("%d %s", code, body)
	}
	code, text := get("alice", "/v1/proto/demo.proto")
	if code != http.StatusOK {
		t.Fatalf("%d %s", code, text)
	}
	for _, want := range []string{
		"syntax = \"proto3\";\n\npackage trilith.demo.v1;\n\nimport \"google/protobuf/struct.proto\";\n",
		"  // Adds two numbers.\n  rpc Add ( AddRequest ) returns ( AddResponse );\n",
		"  // Add with its progress.\n  rpc AddStream ( AddStreamRequest ) returns ( stream AddStreamResponse );\n",
		"message AddRequest {\n  optional int64 a = 1;\n\n  optional int64 b = 2;\n}\n",
		"rpc Secret ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
			break
		}
	}
	if strings.Contains(text, "PromptStream") {
		t.Error("a prompt has progress")
	}
	if _, text := get("bob", "/v1/proto/demo.proto"); strings.Contains(text, "Secret") || !strings.Contains(text, "rpc Add ") {
		t.Errorf("bob sees\n%s", text)
	}
	for _, path := range []string{"/v1/proto/nope.proto", "/v1/proto/demo", "/v1/proto/", "/v1/proto/demo.proto/x"} {
		if code, body := get("alice", path); code != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if code, body := get("", "/v1/proto/demo.proto"); code != http.StatusNotFound || strings.Contains(body, "demo") {
		t.Errorf("nobody: %d %s", code, body)
	}
	if code, _ := get("alice", "/v1/proto?x=1"); code != http.StatusBadRequest {
		t.Errorf("an unknown parameter: %d", code)
	}
	if res := call(h, http.MethodPost, "/v1/proto", "", "Who", "alice"); res.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", res.Code)
	}
}
