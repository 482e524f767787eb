//go:build external || corpus

package openapi

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/graphql/generated"
	"github.com/trilith-gateway/trilith/schema/gqlschema"
	"github.com/trilith-gateway/trilith/schema/protoschema"
)

// typedBatch is how many documents are looked at by one run of buf and graphql-js.
const typedBatch = 100

// A typedCorpus holds what the typed doors make of documents against buf and graphql-js.
type typedCorpus struct {
	t       *testing.T
	buf     string
	script  string
	static  *ast.Schema
	dir     string // of the batch
	number  int    // of the document
	pending []typedDocument
	schemas int // that were looked at
}

type typedDocument struct {
	name    string
	methods []protoschema.Method
	lock    *protoschema.Lock
}

func newTypedCorpus(t *testing.T) *typedCorpus {
	t.Helper()
	tools, err := filepath.Abs("../../tools/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	buf := filepath.Join(t.TempDir(), "buf") // The cache of the go command may drop its own meanwhile.
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-modfile="+tools, "-o", buf, "github.com/bufbuild/buf/cmd/buf").CombinedOutput(); err != nil {
		t.Fatalf("buf is needed for this test, and the go command builds it from tools/go.mod: %v\n%s", err, out)
	}
	script, err := filepath.Abs("testdata/corpus/validate.mjs")
	if err != nil {
		t.Fatal(err)
	}
	return &typedCorpus{
		t: t, buf: buf, script: script, dir: t.TempDir(),
		static: generated.NewExecutableSchema(generated.Config{}).Schema(),
	}
}

// add types the tools of a document.
func (c *typedCorpus) add(name string, tools []*gateway.Tool) {
	c.t.Helper()
	if len(tools) == 0 {
		return
	}
	c.number++
	source := fmt.Sprintf("doc%d", c.number)
	doc := typedDocument{name: name, lock: protoschema.NewLock(source, protoschema.PackageOf(source))}
	var entries []gqlschema.Entry
	for _, t := range tools {
		doc.methods = append(doc.methods, protoschema.Method{Key: "tool/" + t.Name, Name: t.Name, Comment: t.Description, Input: t.Input.JSON(), Output: t.Output.JSON()})
		entries = append(entries, gqlschema.Entry{Key: t, Tool: &gqlschema.Tool{
			Name: source + "." + t.Name, Title: t.Title, Description: t.Description, Input: t.Input.JSON(), Output: t.Output.JSON(),
		}})
	}
	c.proto(doc, "new")
	set := gqlschema.NewLibrary(c.static).Update(entries)
	parts := make([]gqlschema.Part, len(entries))
	for i, e := range entries {
		parts[i] = gqlschema.Part{Plan: set.Plan(e.Key), Root: gqlschema.Root(i % 2)}
	}
	var sdl strings.Builder
	formatter.NewFormatter(&sdl, formatter.WithIndent(" ")).FormatSchema(gqlschema.NewView(gqlschema.Base(c.static, "Typed"), parts).Whole())
	c.write(filepath.Join("graphql", source+".graphqls"), []byte(sdl.String()))
	if c.pending = append(c.pending, doc); len(c.pending) == typedBatch {
		c.judge()
	}
}

// proto writes the protobuf of a document below a folder.
func (c *typedCorpus) proto(doc typedDocument, folder string) {
	c.t.Helper()
	m, err := protoschema.Compile(doc.methods, doc.lock)
	if err != nil {
		c.t.Errorf("%s: %v", doc.name, err)
		return
	}
	text, err := m.Text(nil)
	if err != nil {
		c.t.Errorf("%s: %v", doc.name, err)
		return
	}
	c.write(filepath.Join(folder, m.Path()), text)
}

func (c *typedCorpus) write(path string, text []byte) {
	c.t.Helper()
	path = filepath.Join(c.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// judge looks at a batch: lint finds nothing in its protobuf, nothing breaks when every third method of each document
// goes, and graphql-js takes the schemas.
func (c *typedCorpus) judge() {
	c.t.Helper()
	if len(c.pending) == 0 {
		return
	}
	names := map[string]string{}
	var paths strings.Builder
	for _, doc := range c.pending {
		names[doc.lock.Source] = doc.name
		fmt.Fprintln(&paths, filepath.Join(c.dir, "graphql", doc.lock.Source+".graphqls"))
		var left []protoschema.Method
		for i, m := range doc.methods {
			if i%3 != 2 {
				left = append(left, m)
			}
		}
		doc.methods = left
		c.proto(doc, "later")
	}
	c.write("new/buf.yaml", []byte("version: v2\nlint:\n  use: [STANDARD]\n"))
	c.write("later/buf.yaml", []byte("version: v2\nbreaking:\n  use: [WIRE, WIRE_JSON]\n"))
	old := filepath.Join(c.dir, "old.binpb")
	c.run("buf lint", filepath.Join(c.dir, "new"), "", c.buf, "lint")
	c.run("buf build", filepath.Join(c.dir, "new"), "", c.buf, "build", "-o", old)
	c.run("buf breaking", filepath.Join(c.dir, "later"), "", c.buf, "breaking", "--against", old)
	if got, want := c.run("graphql-js", filepath.Dir(c.script), paths.String(), "node", c.script), fmt.Sprintf("read %d\n", len(c.pending)); got != want {
		c.t.Errorf("graphql-js: %s", got)
	}
	if c.t.Failed() {
		c.t.Logf("the documents are %v", names)
	}
	c.schemas += len(c.pending)
	c.pending, c.dir = nil, c.t.TempDir()
}

// run runs a program and returns what it says.
func (c *typedCorpus) run(what, dir, input string, name string, args ...string) string {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), name, args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(input)
	cmd.Env = append(os.Environ(), "BUF_CACHE_DIR="+c.t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Errorf("%s: %v\n%.4000s", what, err, out)
	}
	return string(out)
}
