package trilith_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/trilith-gateway/trilith/"

// TestLayers holds every import in the module against the table in docs/ARCHITECTURE.md.
func TestLayers(t *testing.T) {
	doc, err := os.ReadFile("docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(doc), "```layers\n")
	table, _, _ = strings.Cut(table, "```")

	may := map[string][]string{}
	for line := range strings.Lines(table) {
		pkg, list, _ := strings.Cut(strings.TrimSpace(line), ":")
		for dep := range strings.FieldsSeq(list) {
			if _, above := may[dep]; !above && dep != "*" {
				t.Errorf("%s: may import %s, which must come above it in the table", pkg, dep)
			}
		}
		may[pkg] = strings.Fields(list)
	}

	out, err := exec.Command("go", "list", "-f", `{{if .GoFiles}}{{.ImportPath}} {{join .Imports " "}}{{end}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		pkg := strings.TrimPrefix(f[0], module)
		allowed, listed := may[pkg]
		if !listed {
			t.Errorf("%s: is not in the table", pkg)
			continue
		}
		for _, dep := range f[1:] {
			if dep, ours := strings.CutPrefix(dep, module); ours && !slices.Contains(allowed, dep) && !slices.Contains(allowed, "*") {
				t.Errorf("%s: may not import %s", pkg, dep)
			}
		}
	}
}
