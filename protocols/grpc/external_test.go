//go:build external

package grpc

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

// These tests run programs of other makers against the door. They need the
// tools of tools/go.mod, which the go command builds, and Node.js with npm.

// serve serves the frontend of a world on loopback and returns its address.
func serve(t *testing.T) string {
	t.Helper()
	return onLoopback(t, frontend(t, newWorld(t), Options{Reflection: true}))
}

// onLoopback serves a frontend on loopback and returns its address.
func onLoopback(t *testing.T, f *Frontend) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := f.Server(door()...)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		f.Shutdown(ctx)
		if ctx.Err() != nil {
			t.Error("a client left a stream open")
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// run runs a program and returns what it printed.
func run(t *testing.T, dir, stdin, name string, args ...string) (out string, err error) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%s is needed for this test; install it and see that it is on the PATH: %v", name, err)
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader(stdin)
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	err = cmd.Run()
	return b.String(), err
}

func tool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return run(t, "../..", "", "go", append([]string{"tool", "-modfile=tools/go.mod"}, args...)...)
}

func TestExternalBufLint(t *testing.T) {
	if out, err := tool(t, "buf", "lint"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := tool(t, "buf", "format", "--diff", "--exit-code", "api"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestExternalGrpcurl(t *testing.T) {
	address := serve(t)
	for _, test := range []struct {
		name string
		args []string
		want string // a part of what is printed; JSON without white space
		fail bool
	}{
		{"list", []string{address, "list"}, "gateway.v1.GatewayService\n", false},
		{"describe", []string{address, "describe", "gateway.v1.GatewayService.CallTool"}, "rpc CallTool ( .gateway.v1.CallToolRequest ) returns ( .gateway.v1.CallToolResponse )", false},
		{"call", []string{"-H", "who: alice", "-d", `{"name":"demo.add","argumentsJson":"{\"a\":1,\"b\":2}"}`, address, "gateway.v1.GatewayService/CallTool"}, `\"structuredContent\":{\"sum\":3}`, false},
		{"stream", []string{"-H", "who: alice", "-d", `{"name":"demo.steps"}`, address, "gateway.v1.GatewayService/CallToolStream"}, `"message": "half"`, false},
		{"health", []string{address, "grpc.health.v1.Health/Check"}, `"status": "SERVING"`, false},
		{"refused", []string{"-H", "who: alice", "-d", `{"name":"demo.add","argumentsJson":"{\"a\":\"x\",\"b\":2}"}`, address, "gateway.v1.GatewayService/CallTool"}, `"field": "/a"`, true},
		{"nobody", []string{address, "gateway.v1.GatewayService/ListTools"}, "Code: Unauthenticated", true},
	} {
		out, err := tool(t, append([]string{"grpcurl", "-plaintext"}, test.args...)...)
		if (err != nil) != test.fail || !strings.Contains(out, test.want) {
			t.Errorf("%s: %v\n%s\nwant %s", test.name, err, out, test.want)
		}
	}
}

// clients returns the directory of the programs for Node.js, installed.
func clients(t *testing.T) string {
	t.Helper()
	dir := filepath.Join("testdata", "clients")
	if out, err := run(t, dir, "", "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return dir
}

func TestExternalNode(t *testing.T) {
	dir := clients(t)
	out, err := run(t, dir, "", "node", "client.js", serve(t), "../../../../api", "../../../../third_party")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := []string{
		`["unary",{"sum":3}]`,
		`["refused",{"code":3,"message":"invalid arguments: /a: want integer, got string","details":1}]`,
		`["stream",{"events":["progress","log","result"],"code":0}]`,
		`["cancelled",{"first":{"tools":true,"resources":true,"prompts":true},"code":1}]`,
	}
	if d := cmp.Diff(want, strings.Split(strings.TrimSpace(out), "\n")); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// TestExternalOpenAPI validates the document against OpenAPI's own schema.
func TestExternalOpenAPI(t *testing.T) {
	w := typedWorld(t)
	changed := w.registry.Changed()
	w.funcs.Remove(gateway.KindTool, "named") // The validator takes a property of that name for the keyword.
	<-changed
	got := call(frontend(t, w, Options{URL: "https://gateway.example.com", KeyHeader: "X-API-Key"}).REST(), "GET", "/openapi.json", "")
	doc := got.Body.Bytes()
	dir := clients(t)
	if out, err := run(t, dir, string(doc), "node", "openapi.js"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	broken := map[string]any{}
	if err := json.Unmarshal(doc, &broken); err != nil {
		t.Fatal(err)
	}
	delete(broken, "info")
	doc, err := json.Marshal(broken)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, dir, string(doc), "node", "openapi.js"); err == nil {
		t.Error("the validator accepts a document without info")
	}
}
