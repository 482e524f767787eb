//go:build external

package protoschema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// buildBuf returns a buf of this test's own, built from tools/go.mod: the go command may drop the one in its cache.
func buildBuf(t *testing.T) string {
	t.Helper()
	module, err := filepath.Abs("../../tools/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "buf")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-modfile="+module, "-o", path, "github.com/bufbuild/buf/cmd/buf").CombinedOutput(); err != nil {
		t.Fatalf("buf is needed for this test, and the go command builds it from tools/go.mod: %v\n%s", err, out)
	}
	return path
}

// run runs a program in a directory and returns what it says.
func run(t *testing.T, dir, path string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "BUF_CACHE_DIR="+t.TempDir())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// write compiles methods and writes their protobuf below a directory.
func write(t *testing.T, dir string, methods []Method, l *Lock) {
	t.Helper()
	m, err := Compile(methods, l)
	if err != nil {
		t.Fatal(err)
	}
	text, err := m.Text(nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, m.Path())
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func configure(t *testing.T, dir, breaking string) {
	t.Helper()
	text := "version: v2\nlint:\n  use: [STANDARD]\nbreaking:\n  use: [" + breaking + "]\n"
	if err := os.WriteFile(filepath.Join(dir, "buf.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// keywords are words that mean something in the text of protobuf.
func keywords() string {
	var props []string
	for w := range strings.FieldsSeq("syntax import weak public package option optional repeated required oneof map reserved extensions message enum service rpc returns stream " +
		"to max inf nan true false group extend double float int32 int64 bool string bytes google trilith class func type") {
		props = append(props, fmt.Sprintf(`"%s":{"type":"string"},"%s_object":{"type":"object","properties":{"%s":{"type":"integer"}}}`, w, w, w))
	}
	return `{"type":"object","properties":{` + strings.Join(props, ",") + `}}`
}

// TestExternalBuf has sources change step by step: each state is free of what
// buf lint finds, and breaks nothing for programs that were made for the one
// before, on the wire and in JSON.
func TestExternalBuf(t *testing.T) {
	buf := buildBuf(t)
	r := rand.New(rand.NewPCG(3, 4))
	for _, source := range []string{"test", "google", "9-Lives_of"} {
		l := NewLock(source, PackageOf(source))
		object := func(props ...string) json.RawMessage {
			return json.RawMessage(`{"type":"object","properties":{` + strings.Join(props, ",") + `}}`)
		}
		base := []Method{
			{Key: "keywords", Name: "message", Comment: "Has words of protobuf.\n\nbuf:lint:ignore NOTHING */ // \u2028 x", Input: json.RawMessage(keywords()), Output: json.RawMessage(keywords())},
			{Key: "free", Name: "import-stream"},
			{Key: "same", Name: "import", Input: object(`"a":{"type":"string"}`, `"b":{"type":"integer"}`, `"c":{"type":"array","items":{"type":"string"}}`)},
		}
		for i := range 25 {
			base = append(base, Method{Key: fmt.Sprint("random", i), Name: fmt.Sprintf("random %d", i), Input: json.RawMessage(randomDocument(r)), Output: json.RawMessage(randomDocument(r))})
		}
		with := func(same json.RawMessage, drop int) []Method {
			next := append([]Method(nil), base...)
			next[2].Input = same
			return append(next[:3:3], next[3+drop:]...)
		}
		dir, old := t.TempDir(), filepath.Join(t.TempDir(), "old.binpb")
		for _, step := range []struct {
			name     string
			methods  []Method
			breaking string
		}{
			{"first", base, ""},
			{"added", with(object(`"a":{"type":"string"}`, `"aa":{"type":"object","properties":{"x":{}}}`, `"b":{"type":"integer"}`, `"c":{"type":"array","items":{"type":"string"}}`), 0), "FILE"},
			{"removed", with(object(`"b":{"type":"integer"}`, `"c":{"type":"array","items":{"type":"string"}}`), 5), "WIRE, WIRE_JSON"},
			{"type changed", with(object(`"b":{"type":"string"}`, `"c":{"type":"string"}`), 5), "WIRE, WIRE_JSON"},
			{"type changed again", with(object(`"b":{"type":"array","items":{"type":"boolean"}}`, `"c":{"type":"object","properties":{"q":{"type":"string"}}}`), 9), "WIRE, WIRE_JSON"},
		} {
			write(t, dir, step.methods, l)
			configure(t, dir, step.breaking)
			if step.breaking == "" {
				configure(t, dir, "WIRE")
			}
			if out, err := run(t, dir, buf, "lint"); err != nil {
				t.Fatalf("%s, %s: lint: %v\n%s", source, step.name, err, out)
			}
			if step.breaking != "" {
				if out, err := run(t, dir, buf, "breaking", "--against", old); err != nil {
					t.Errorf("%s, %s: breaking: %v\n%s", source, step.name, err, out)
				}
			}
			if out, err := run(t, dir, buf, "build", "-o", old); err != nil {
				t.Fatalf("%s, %s: build: %v\n%s", source, step.name, err, out)
			}
		}
		fresh := NewLock(source, PackageOf(source)) // What a lock is there for.
		write(t, dir, with(object(`"aaa":{"type":"integer"}`, `"b":{"type":"string"}`), 9), fresh)
		configure(t, dir, "WIRE")
		if out, err := run(t, dir, buf, "breaking", "--against", old); err == nil {
			t.Errorf("%s: without its lock nothing breaks\n%s", source, out)
		}
	}
}
