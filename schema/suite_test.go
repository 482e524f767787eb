package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// suiteGroup is a schema of the official test suite with values and whether they match.
type suiteGroup struct {
	Description string
	Schema      json.RawMessage
	Tests       []struct {
		Description string
		Data        json.RawMessage
		Valid       bool
	}
}

// moduleFile returns the path of a file that a required module ships.
func moduleFile(tb testing.TB, module, path string) string {
	tb.Helper()
	out, err := exec.CommandContext(tb.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		tb.Fatalf("go list -m %s: %v; the go command and the module cache are needed (go mod download)", module, err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), filepath.FromSlash(path))
	if _, err := os.Stat(dir); err != nil {
		tb.Fatalf("module %s does not ship %s: %v", module, path, err)
	}
	return dir
}

func readSuite(tb testing.TB, path string) []suiteGroup {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	var groups []suiteGroup
	if err := json.Unmarshal(data, &groups); err != nil {
		tb.Fatalf("%s: %v", path, err)
	}
	return groups
}

// remotes serves the documents that the suite expects at http://localhost:1234.
type remotes string

func (dir remotes) Load(url string) (any, error) {
	name, ok := strings.CutPrefix(url, "http://localhost:1234/")
	if !ok {
		return nil, errors.New("not a document of the suite")
	}
	data, err := os.ReadFile(filepath.Join(string(dir), filepath.FromSlash(name)))
	if err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(data))
}

// TestSuite runs the official JSON Schema test suite. No case is expected to fail.
func TestSuite(t *testing.T) {
	t.Parallel()
	const official = "github.com/google/jsonschema-go"
	const extra = "github.com/santhosh-tekuri/jsonschema/v6"
	officialData := moduleFile(t, official, "jsonschema/testdata")
	extraData := moduleFile(t, extra, "testdata/Extra-Test-Suite")
	for _, suite := range []struct {
		name, dir, remotes string
		draft              *jsonschema.Draft
		atLeast            int  // cases, so that a suite that shrinks does not pass unseen
		endless            bool // schemas that refer to themselves without end count as matching nothing
	}{
		{"official 2020-12", officialData + "/draft2020-12", officialData + "/remotes", jsonschema.Draft2020, 1099, false},
		{"official 7", officialData + "/draft7", officialData + "/remotes", jsonschema.Draft7, 913, false},
		{"extra 2020-12", extraData + "/tests/draft2020-12", extraData + "/remotes", jsonschema.Draft2020, 21, true},
		{"extra 2019-09", extraData + "/tests/draft2019-09", extraData + "/remotes", jsonschema.Draft2019, 1, false},
		{"extra 4", extraData + "/tests/draft4", extraData + "/remotes", jsonschema.Draft4, 4, false},
	} {
		t.Run(suite.name, func(t *testing.T) {
			files, err := filepath.Glob(filepath.Join(suite.dir, "*.json"))
			if err != nil {
				t.Fatal(err)
			}
			cases := 0
			for _, file := range files {
				for _, group := range readSuite(t, file) {
					name := strings.TrimSuffix(filepath.Base(file), ".json") + ": " + group.Description
					s, err := compile(group.Schema, suite.draft, remotes(suite.remotes))
					endless := err != nil && strings.Contains(err.Error(), "without end")
					if err != nil && (!endless || !suite.endless) {
						t.Errorf("%s: compile: %v", name, err)
						continue
					}
					for _, test := range group.Tests {
						cases++
						valid := err == nil && s.Validate(test.Data) == nil
						if valid != test.Valid {
							t.Errorf("%s: %s: valid = %v, want %v", name, test.Description, valid, test.Valid)
						}
					}
				}
			}
			if cases < suite.atLeast {
				t.Errorf("%d cases in %d files, want at least %d", cases, len(files), suite.atLeast)
			}
			t.Logf("%d cases", cases)
		})
	}
}
