package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/trilith-gateway/trilith/gateway/config"
)

// TestLint loads the gateway.yaml of each archive, with the other files of the
// archive beside it, and compares the problems with the file want.
func TestLint(t *testing.T) {
	archives, err := filepath.Glob("testdata/lint/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got, want := lint(t, archive)
			if got == *want {
				return
			}
			if !*update {
				t.Fatalf("problems (-want +got):\n%s", cmp.Diff(*want, got))
			}
			for i := range archive.Files {
				if archive.Files[i].Name == "want" {
					archive.Files[i].Data = []byte(got)
				}
			}
			if err := os.WriteFile(name, txtar.Format(archive), 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// lint returns the problems that Load finds, one a line, and the wanted ones.
func lint(t *testing.T, archive *txtar.Archive) (got string, want *string) {
	t.Helper()
	dir := t.TempDir()
	for _, f := range archive.Files {
		if f.Name == "want" {
			s := string(f.Data)
			want = &s
			continue
		}
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if want == nil {
		t.Fatal("the archive has no file want")
	}
	c, err := config.Load(filepath.Join(dir, "gateway.yaml"))
	if err == nil {
		return "", want
	}
	if c != nil {
		t.Error("Load returned a configuration and problems")
	}
	return strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), "") + "\n", want
}
