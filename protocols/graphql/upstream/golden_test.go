package upstream

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// TestGolden shows what becomes of one schema, by its fields and by documents,
// told in SDL and by introspection.
func TestGolden(t *testing.T) {
	s := newServer(t, shop(t), nil)
	for _, documents := range []string{"", "testdata/documents"} {
		golden := "testdata/fields.golden"
		if documents != "" {
			golden = "testdata/documents.golden"
		}
		for _, schema := range []string{"testdata/shop.graphql", ""} {
			t.Run(filepath.Base(golden)+"/"+filepath.Base(schema), func(t *testing.T) {
				o := s.options()
				o.Schema, o.Documents = schema, documents
				got := show(t, s.loaded(t, o).catalog.Load())
				if *update && schema != "" {
					if err := os.WriteFile(golden, got, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), string(got)); diff != "" {
					t.Errorf("run go test -run TestGolden -update where this is meant (-have +want):\n%s", diff)
				}
			})
		}
	}
}

// show writes what a catalog offers and notes.
func show(t *testing.T, c *catalog) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(c.operations)) {
		o := c.operations[name]
		var sent struct {
			Query, OperationName string
		}
		if err := json.Unmarshal(o.request(nil), &sent); err != nil {
			t.Fatalf("%s: %v in %s", name, err, o.head)
		}
		fmt.Fprintf(&b, "== %s: %s\n", name, o.tool.Description)
		fmt.Fprintln(&b, sent.Query)
		for _, part := range []json.RawMessage{o.tool.Input.JSON(), o.tool.Output.JSON()} {
			if err := json.Indent(&b, part, "", " "); err != nil {
				t.Fatal(err)
			}
			b.WriteByte('\n')
		}
		var d toolDefinition
		if err := json.Unmarshal(o.tool.Definition, &d); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s\n\n", d.Annotations)
	}
	for _, n := range c.notes.all {
		fmt.Fprintf(&b, "-- %s %s: %s\n", n.Change, n.Subject, n.Reason)
	}
	return b.Bytes()
}
