//go:build external

package grpc

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestExternalTypedGrpcurl asks for the typed service, and calls it, with what
// reflection tells.
func TestExternalTypedGrpcurl(t *testing.T) {
	address := onLoopback(t, typed(t, newWorld(t), Options{Reflection: true}))
	for _, test := range []struct {
		name string
		args []string
		want string // a part of what is printed
		fail bool
	}{
		{"list", []string{"-H", "who: alice", address, "list"}, demoService + "\n", false},
		{"list methods", []string{"-H", "who: alice", address, "list", demoService}, demoService + ".AddStream\n", false},
		{"describe", []string{"-H", "who: alice", address, "describe", demoService + ".Add"}, "// Adds two numbers.\nrpc Add ( .trilith.demo.v1.AddRequest ) returns ( .trilith.demo.v1.AddResponse )", false},
		{"describe message", []string{"-H", "who: alice", address, "describe", "trilith.demo.v1.AddRequest"}, "optional int64 a = 1;", false},
		{"call", []string{"-H", "who: alice", "-d", `{"a":40,"b":2}`, address, demoService + "/Add"}, `"sum": "42"`, false},
		{"stream", []string{"-H", "who: alice", "-d", `{}`, address, demoService + "/StepsStream"}, `"message": "half"`, false},
		{"tool error", []string{"-H", "who: alice", "-d", `{}`, address, demoService + "/Fail"}, `"reason": "TOOL_ERROR"`, true},
		{"hidden from bob", []string{"-H", "who: bob", address, "describe", demoService + ".Secret"}, "not found", true},
		{"call hidden from bob", []string{"-H", "who: bob", "-d", `{}`, address, demoService + "/Secret"}, "does not include a method named", true},
	} {
		out, err := tool(t, append([]string{"grpcurl", "-plaintext"}, test.args...)...)
		if (err != nil) != test.fail || !strings.Contains(out, test.want) {
			t.Errorf("%s: %v\n%s\nwant %s", test.name, err, out, test.want)
		}
	}
	out, err := tool(t, "buf", "curl", "--http2-prior-knowledge", "--protocol", "grpc", "-H", "who: alice", "--reflect-header", "who: alice",
		"-d", `{"a":"40","b":"2"}`, "http://"+address+"/"+demoService+"/Add")
	if err != nil || compact(out) != `{"sum":"42"}` {
		t.Errorf("buf curl: %v\n%s", err, out)
	}
	out, err = tool(t, "buf", "curl", "--http2-prior-knowledge", "--protocol", "grpc", "-H", "who: alice", "--reflect-header", "who: alice",
		"-d", `{}`, "http://"+address+"/"+demoService+"/StepsStream")
	if err != nil || !strings.Contains(out, `"done"`) {
		t.Errorf("buf curl of a stream: %v\n%s", err, out)
	}
}

// exported writes what alice may download below a directory.
func exported(t *testing.T, f *Frontend) (dir string) {
	t.Helper()
	res := call(withPrincipal(f.REST()), http.MethodGet, "/v1/proto/demo.proto", "", "Who", "alice")
	if res.Code != http.StatusOK {
		t.Fatalf("%d %s", res.Code, res.Body)
	}
	dir = t.TempDir()
	put(t, filepath.Join(dir, "trilith", "demo", "v1", "demo.proto"), res.Body.String())
	return dir
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestExternalTypedNode calls the service from Node.js with the exported file.
func TestExternalTypedNode(t *testing.T) {
	f := typed(t, newWorld(t), Options{})
	out, err := run(t, clients(t), "", "node", "typed.js", onLoopback(t, f), exported(t, f))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := []string{
		`["unary",{"sum":"42"}]`,
		`["free",{"content":[],"structuredContent":{"x":[1,null,"é"]}}]`,
		`["refused",{"code":2,"message":"it broke"}]`,
		`["stream",["progress","log","result"]]`,
	}
	if d := cmp.Diff(want, strings.Split(strings.TrimSpace(out), "\n")); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// TestExternalTypedGo generates a client in Go from the exported file, with buf
// and the plugins of tools/go.mod, builds it as a module of its own, and runs it.
func TestExternalTypedGo(t *testing.T) {
	f := typed(t, newWorld(t), Options{})
	dir := exported(t, f)
	put(t, filepath.Join(dir, "buf.yaml"), "version: v2\n")
	var plugins []string
	for _, name := range []string{"protoc-gen-go", "protoc-gen-go-grpc"} {
		path, err := tool(t, "-n", name)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, path)
		}
		plugins = append(plugins, `  - {local: "`+strings.TrimSpace(path)+`", out: gen, opt: paths=source_relative}`)
	}
	put(t, filepath.Join(dir, "buf.gen.yaml"), "version: v2\nmanaged: {enabled: true, override: [{file_option: go_package_prefix, value: example.test/client/gen}]}\nplugins:\n"+strings.Join(plugins, "\n")+"\n")
	if out, err := tool(t, "buf", "generate", dir, "--template", filepath.Join(dir, "buf.gen.yaml"), "-o", dir); err != nil {
		t.Fatalf("buf generate: %v\n%s", err, out)
	}
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile("../../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "go.mod"), strings.Replace(string(mod), "module github.com/trilith-gateway/trilith", "module example.test/client", 1))
	put(t, filepath.Join(dir, "go.sum"), string(sum))
	source, err := os.ReadFile(filepath.Join("testdata", "clients", "typed.go.txt"))
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "main.go"), string(source))
	if out, err := run(t, dir, "", "go", "run", "-mod=mod", ".", onLoopback(t, f)); err != nil || out != "sum 42\nprogress half\nresult done\n" {
		t.Errorf("%v\n%s", err, out)
	}
}
