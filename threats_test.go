package trilith_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestThreatModel finds every attack script and test that docs/threat-model.md
// names, and every attack script in the document.
func TestThreatModel(t *testing.T) {
	doc, err := os.ReadFile("docs/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		name := strings.TrimSuffix(d.Name(), ".txtar")
		switch {
		case err != nil || d.IsDir():
			return err
		case strings.HasPrefix(name, "attack-") && name != d.Name():
			there[name] = true
			if !strings.Contains(string(doc), "`"+name+"`") {
				t.Errorf("docs/threat-model.md says nothing of %s", name)
			}
		case strings.HasSuffix(name, "_test.go"):
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, f := range function.FindAllStringSubmatch(string(text), -1) {
				there[f[1]] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(attack-[a-z-]+|Test\\w+|Fuzz\\w+)`").FindAllStringSubmatch(string(doc), -1)
	for _, n := range named {
		if !there[n[1]] {
			t.Errorf("docs/threat-model.md names %s, which does not exist", n[1])
		}
	}
	if len(named) < 40 {
		t.Errorf("docs/threat-model.md names %d tests", len(named))
	}
}
