package audit

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the table of fields into docs/audit.md")

const docPath = "../../docs/audit.md"

// TestDocFields holds the table of docs/audit.md against the fields of Record
// and their comments.
func TestDocFields(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "record.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("\n| Member | JSON | Meaning |\n|---|---|---|\n")
	rows := 0
	row := func(prefix string, f *ast.Field) {
		tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json")
		name, _, _ := strings.Cut(tag, ",")
		fmt.Fprintf(&table, "| `%s%s` | %s | %s |\n", prefix, name, jsonType(t, f.Type), strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(strings.TrimSpace(f.Comment.Text())))
		rows++
	}
	structs := map[string]*ast.StructType{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok {
			structs[spec.Name.Name], _ = spec.Type.(*ast.StructType)
		}
		return true
	})
	for _, f := range structs["Record"].Fields.List {
		row("", f)
		if f.Names[0].Name == "Principal" {
			for _, f := range structs["Principal"].Fields.List {
				row("principal.", f)
			}
		}
	}
	if want := reflect.TypeFor[Record]().NumField() + reflect.TypeFor[Principal]().NumField(); rows != want {
		t.Errorf("%d rows for %d fields", rows, want)
	}

	doc, err := os.ReadFile(docPath)
	if err != nil {
		t.Fatal(err)
	}
	const from, to = "<!-- fields -->\n", "\n<!-- /fields -->"
	before, rest, _ := strings.Cut(string(doc), from)
	got, after, ok := strings.Cut(rest, to)
	if !ok {
		t.Fatal("docs/audit.md has no place for the table")
	}
	if *update {
		if err := os.WriteFile(docPath, []byte(before+from+table.String()+to+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(table.String(), got); diff != "" {
		t.Errorf("docs/audit.md differs from record.go; run go test ./gateway/audit -run TestDocFields -update (-want +got):\n%s", diff)
	}
}

func jsonType(t *testing.T, e ast.Expr) string {
	t.Helper()
	switch e := e.(type) {
	case *ast.Ident:
		return map[string]string{"string": "string", "int": "integer", "int64": "integer", "bool": "true", "Principal": "object"}[e.Name]
	case *ast.ArrayType:
		return "array of strings"
	case *ast.SelectorExpr:
		return map[string]string{"Time": "string", "RawMessage": "object"}[e.Sel.Name]
	}
	t.Fatalf("a field of type %T", e)
	return ""
}

// TestEveryFieldIsWritten fills every field by reflection, so that a new one
// cannot be forgotten where records are written.
func TestEveryFieldIsWritten(t *testing.T) {
	var want Record
	fill(t, reflect.ValueOf(&want).Elem())
	want.V, want.Seq, want.Prev = version, 1, strings.Repeat("0", 64)
	line := want.appendTail(appendHead(nil, 1, [32]byte{}))
	got, err := ParseRecord(line)
	if err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("written and read (-want +got):\n%s", diff)
	}
	// The order of the members is that of the struct, so that lines look alike.
	same, err := jsonv2.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(same), string(line)); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}

// TestLongestLine holds that no record is too long to be read, even when every
// character is escaped.
func TestLongestLine(t *testing.T) {
	var r Record
	fill(t, reflect.ValueOf(&r).Elem())
	long := strings.Repeat("\x01", 2*maxName)
	list := slices.Repeat([]string{long}, 2*maxItems)
	stretch := func(v reflect.Value) {
		for _, f := range v.Fields() {
			if f.Kind() == reflect.String {
				f.SetString(long)
			}
		}
	}
	stretch(reflect.ValueOf(&r).Elem())
	stretch(reflect.ValueOf(&r.Principal).Elem())
	r.Principal.Groups, r.Principal.Roles, r.Principal.Scopes = list, list, list
	r.Args = []byte(`"` + strings.Repeat("x", maxArgs-2) + `"`)
	r.Result = []byte(`"` + strings.Repeat("x", maxResult-2) + `"`)
	line := r.appendTail(appendHead(nil, 1<<62, [32]byte{}))
	if _, err := ParseRecord(line); err != nil || len(line) < maxLine/2 {
		t.Errorf("%d bytes: %v", len(line), err)
	}
}

func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		switch p := v.Field(i).Addr().Interface().(type) {
		case *string:
			*p = "the " + name
		case *int:
			*p = 40 + i
		case *int64:
			*p = int64(40 + i)
		case *bool:
			*p = true
		case *time.Time:
			*p = time.Date(2026, 11, 23, 12, 0, 0, 1, time.UTC)
		case *[]string:
			*p = []string{"a", "b"}
		case *Principal:
			fill(t, v.Field(i))
		default:
			if v.Field(i).Type().String() != "json.RawMessage" {
				t.Fatalf("field %s has a type that this test does not know", name)
			}
			v.Field(i).SetBytes([]byte(`{"a":1}`))
		}
	}
}

// TestDocScript runs the script of docs/audit.md over a good segment and a bad
// one.
func TestDocScript(t *testing.T) {
	doc, err := os.ReadFile(docPath)
	if err != nil {
		t.Fatal(err)
	}
	_, script, _ := strings.Cut(string(doc), "```sh\n")
	script, _, ok := strings.Cut(script, "```")
	if !ok {
		t.Fatal("docs/audit.md has no script")
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal("this test needs a POSIX shell with sed, cut and sha256sum (GNU coreutils)")
	}
	dir := t.TempDir()
	l := mustOpen(t, Options{Dir: dir})
	if err := l.Event(t.Context(), Event{Type: "door", Detail: `a\b "quoted"`}); err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	path := segmentPath(dir, 1)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		data []byte
		want int
	}{{good, 0}, {bytes.Replace(good, []byte("quoted"), []byte("edited"), 1), 1}} {
		restore(t, map[string][]byte{path: test.data})
		cmd := exec.CommandContext(t.Context(), sh, "-c", script)
		cmd.Dir = filepath.Dir(path)
		out, err := cmd.CombinedOutput()
		if err != nil || bytes.Count(out, []byte("broken")) != test.want {
			t.Errorf("%v: %s; want %d breaks", err, out, test.want)
		}
	}
}
