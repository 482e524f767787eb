package graphql

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write the responses into the transcripts")

// TestTranscripts plays testdata/transcripts: sections "query", optionally "variables", and "response", which is
// compared byte for byte. Each file has a frontend of its own; alice asks.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/transcripts/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			f := newFixture(t, Options{})
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			query, variables := "", "{}"
			for i, s := range a.Files {
				switch s.Name {
				case "query":
					query, variables = string(s.Data), "{}"
				case "variables":
					variables = string(s.Data)
				case "response":
					got := f.run(t, query, variables) + "\n"
					if *update {
						a.Files[i].Data = []byte(got)
					} else if diff := cmp.Diff(string(s.Data), got); diff != "" {
						t.Errorf("%s\n-want +got:\n%s", query, diff)
					}
				default:
					t.Fatalf("unknown section %q", s.Name)
				}
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(a), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
