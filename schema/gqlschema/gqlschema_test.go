package gqlschema

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/google/go-cmp/cmp"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write what the tests get into their files")

const staticSDL = `
scalar JSON
type CallResult { isError: Boolean! structured: JSON }
interface ToolCallEvent { dropped: Int! }
type ToolProgress implements ToolCallEvent { dropped: Int! progress: Float! total: Float message: String }
type ToolLog implements ToolCallEvent { dropped: Int! level: String! logger: String data: JSON! }
type ToolQuestion implements ToolCallEvent { dropped: Int! id: ID! kind: String! message: String! schema: JSON url: String }
type PromptResult { description: String }
type Tool { name: String! }
scalar Typed
type Query { tools: [Tool!]! hello: String _dynamic: Typed }
type Mutation { callTool(name: String!): CallResult }
type Subscription { toolCall(name: String!): ToolCallEvent! }
`

func static(tb testing.TB) *ast.Schema {
	tb.Helper()
	return gqlparser.MustLoadSchema(&ast.Source{Input: staticSDL})
}

// entries makes tools of triples: name, input, output.
func entries(tools ...string) []Entry {
	var out []Entry
	for t := range slices.Chunk(tools, 3) {
		tool := &Tool{Name: t[0]}
		if t[1] != "" {
			tool.Input = json.RawMessage(t[1])
		}
		if t[2] != "" {
			tool.Output = json.RawMessage(t[2])
		}
		out = append(out, Entry{Key: t[0], Tool: tool})
	}
	return out
}

// viewOf returns the schema of tools, all of them on Query, and fails where it is not valid.
func viewOf(tb testing.TB, es []Entry) (*ast.Schema, *Set) {
	tb.Helper()
	s := static(tb)
	set := NewLibrary(s).Update(es)
	var parts []Part
	for _, e := range es {
		parts = append(parts, Part{Plan: set.Plan(e.Key)})
	}
	v := NewView(Base(s, "Typed"), parts).Whole()
	if _, err := gqlparser.LoadSchema(&ast.Source{Input: sdl(v)}); err != nil {
		tb.Fatalf("the schema is not valid: %v\n%s", err, sdl(v))
	}
	return v, set
}

func sdl(s *ast.Schema) string {
	var b strings.Builder
	formatter.NewFormatter(&b, formatter.WithIndent("  ")).FormatSchema(s)
	return b.String()
}

// TestMapping holds the types of testdata/mapping/*.txtar: sections "input" and "output" are schemas of a tool named as
// the file, "graphql" is what they become, and "notes" is what was lost.
func TestMapping(t *testing.T) {
	files, err := filepath.Glob("testdata/mapping/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sections := map[string]string{}
			for _, f := range a.Files {
				sections[f.Name] = string(f.Data)
			}
			es := entries(name, sections["input"], sections["output"])
			_, set := viewOf(t, es)
			types, notes := describePlan(set.Plan(name))
			if *update {
				a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return f.Name == "graphql" || f.Name == "notes" })
				a.Files = append(a.Files, txtar.File{Name: "graphql", Data: []byte(types)}, txtar.File{Name: "notes", Data: []byte(notes)})
				if err := os.WriteFile(file, txtar.Format(a), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(sections["graphql"], types); diff != "" {
				t.Errorf("types, -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(sections["notes"], notes); diff != "" {
				t.Errorf("notes, -want +got:\n%s", diff)
			}
		})
	}
}

// describePlan returns a plan's part of the schema as SDL, and its notes as lines. The field on Subscription is left out.
func describePlan(p *Plan) (types, notes string) {
	doc := &ast.SchemaDocument{Definitions: ast.DefinitionList{{Kind: ast.Object, Name: "Query", Fields: ast.FieldList{p.Field}}}}
	for _, d := range p.Types {
		if d.Name != p.Names.Prefix+"Event" && d.Name != p.Names.Prefix+"Finished" {
			doc.Definitions = append(doc.Definitions, d)
		}
	}
	var b strings.Builder
	formatter.NewFormatter(&b, formatter.WithIndent("  ")).FormatSchemaDocument(doc)
	for _, n := range p.Notes {
		notes += n.At + ": " + n.Reason + "\n"
	}
	return b.String(), notes
}

// An operation is a document that is valid on a view.
type operation struct {
	context *graphql.OperationContext
	field   graphql.CollectedField
	plan    *Plan
}

func operationOf(tb testing.TB, v *ast.Schema, set *Set, query string, key any) operation {
	tb.Helper()
	doc, err := parser.ParseQuery(&ast.Source{Input: query})
	if err != nil {
		tb.Fatal(err)
	}
	if errs := validator.ValidateWithRules(v, doc, rules.NewDefaultRules()); len(errs) > 0 {
		tb.Fatalf("%s: %v", query, errs)
	}
	op := &graphql.OperationContext{Doc: doc, Operation: doc.Operations[0], Variables: map[string]any{}}
	fields := graphql.CollectFields(op, op.Operation.SelectionSet, nil)
	return operation{op, fields[0], set.Plan(key)}
}

// result projects a value and returns the data and the errors, one a line.
func (o operation) result(value string) string {
	var errs []string
	pr := &Projection{Operation: o.context, Fail: func(path ast.Path, message string) {
		errs = append(errs, path.String()+": "+message)
	}}
	data := o.plan.Result(pr, o.field, ast.Path{ast.PathName(o.field.Alias)}, json.RawMessage(value))
	return strings.Join(append([]string{string(data)}, errs...), "\n")
}

// TestNames are the rules for names.
func TestNames(t *testing.T) {
	for in, want := range map[string]string{
		"ok_1": "ok_1", "bad-name": "bad_name", "a..b": "a_b", "1x": "_1x", "__x": "_x", "____x": "_x", "-a": "a", "a-": "a",
		"日本": "x_" + hash("日本", 8), "": "x_" + hash("", 8), "_": "x_" + hash("_", 8), "é1": "_1", "demo.get-user": "demo_get_user",
	} {
		if got := Name(in); got != want {
			t.Errorf("Name(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"get_user": "GetUser", "getUser": "GetUser", "demo.x-y": "DemoXY", "1": "T1", "a1b": "A1b"} {
		if got := Pascal(in); got != want {
			t.Errorf("Pascal(%q) = %q, want %q", in, got, want)
		}
	}
	got := unique([]string{"b-c", "b.c", "d", "e-f", "e_f"}, Name)
	want := map[string]string{"b-c": "b_c_" + hash("b-c", 8), "b.c": "b_c_" + hash("b.c", 8), "d": "d", "e-f": "e_f_" + hash("e-f", 8), "e_f": "e_f"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestCollisions: names of fields and types are unique over all tools and the static schema, and do not depend on the
// order.
func TestCollisions(t *testing.T) {
	obj := `{"type":"object","properties":{"a":{"type":"string"}}}`
	for _, c := range []struct {
		name  string
		tools []string
		want  []string // "field type" for each tool
	}{
		{"two names become one", []string{"a-b", "a.b"}, []string{
			"a_b_" + hash("a-b", 8) + " AB_" + hash("a-b", 8) + "Result", "a_b_" + hash("a.b", 8) + " AB_" + hash("a.b", 8) + "Result",
		}},
		{"the exact name wins", []string{"a-b", "a_b"}, []string{"a_b_" + hash("a-b", 8) + " AB_" + hash("a-b", 8) + "Result", "a_b AB_" + hash("a_b", 8) + "Result"}},
		{"a static root field", []string{"tools", "hello", "callTool"}, []string{"tools_tool ToolsResult", "hello_tool HelloResult", "callTool_tool CallToolResult"}},
		{"a static root field whose suffix is taken", []string{"tools", "tools_tool"}, []string{"tools_tool_" + hash("tools", 8) + " ToolsResult", "tools_tool ToolsToolResult"}},
		{"one type name", []string{"get_user", "getUser"}, []string{"get_user GetUser_" + hash("get_user", 8) + "Result", "getUser GetUser_" + hash("getUser", 8) + "Result"}},
		{"a static type", []string{"Call"}, []string{"Call Call_" + hash("Call", 8) + "Result"}},
	} {
		for _, reverse := range []bool{false, true} {
			var triples []string
			for _, n := range c.tools {
				triples = append(triples, n, "", obj)
			}
			es := entries(triples...)
			if reverse {
				slices.Reverse(es)
			}
			_, set := viewOf(t, es)
			for i, n := range c.tools {
				p := set.Plan(n)
				if got := p.Field.Name + " " + p.Field.Type.Name(); got != c.want[i] {
					t.Errorf("%s (reverse %v): %s is %s, want %s", c.name, reverse, n, got, c.want[i])
				}
			}
		}
	}
	// The names of types may run together where those of tools do not.
	deep := `{"type":"object","properties":{"x":{"type":"object","properties":{"a":{}}}}}`
	viewOf(t, entries("list", `{"type":"object","properties":{"x":{"$ref":"#/$defs/IssuesResult"}},"$defs":{"IssuesResult":`+obj+`}}`, deep, "listIssues", "", deep, "list_issues_result", "", deep))
	// Prompts share the fields with tools.
	es := append(entries("review_prompt", "", ""), Entry{Key: "p", Prompt: &Prompt{Name: "review", Arguments: []PromptArgument{{Name: "lang", Required: true}, {Name: "a-b"}}}})
	_, set := viewOf(t, es)
	if a, b := set.Plan("review_prompt").Field.Name, set.Plan("p").Field.Name; a != "review_prompt" || b != "review_prompt_"+hash("\x00review", 8) {
		t.Error(a, b)
	}
}

// TestLibrary: what does not change is not compiled again.
func TestLibrary(t *testing.T) {
	l := NewLibrary(static(t))
	one := l.Update(entries("a", "", "{}", "b", "", "{}"))
	two := l.Update(entries("b", "", "{}", "c", "", "{}"))
	if one.Plan("b") != two.Plan("b") || two.Plan("a") != nil || two.Plan("c") == nil {
		t.Error("b was compiled again, a is still there or c is not")
	}
	es := entries("b", "", "{}")
	es[0].Key = "another"
	if l.Update(es).Plan("another") != two.Plan("b") {
		t.Error("the same definition under another key was compiled again")
	}
}

// TestHostile: schemas that would be endless are cut off, and say so.
func TestHostile(t *testing.T) {
	many := func(n int, f func(i int) string) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = f(i)
		}
		return strings.Join(parts, ",")
	}
	deep := strings.Repeat(`{"type":"object","properties":{"a":`, 60) + `{"type":"string"}` + strings.Repeat("}}", 60)
	for name, schema := range map[string]string{
		"deep":        deep,
		"many types":  `{"type":"object","properties":{` + many(400, func(i int) string { return fmt.Sprintf(`"p%d":{"type":"object","properties":{"a":{}}}`, i) }) + `}}`,
		"many fields": `{"type":"object","properties":{` + many(600, func(i int) string { return fmt.Sprintf(`"p%d":{}`, i) }) + `}}`,
		"many values": `{"type":"object","properties":{"e":{"enum":[` + many(1000, func(i int) string { return fmt.Sprintf(`"v%d"`, i) }) + `]}}}`,
		"many members": `{"oneOf":[` + many(60, func(i int) string {
			return fmt.Sprintf(`{"type":"object","title":"T%d","properties":{"a":{}}}`, i)
		}) + `]}`,
		"exponential": `{"$ref":"#/$defs/d0","$defs":{` + many(40, func(i int) string {
			return fmt.Sprintf(`"d%d":{"type":"object","properties":{"x":{"allOf":[{"$ref":"#/$defs/d%d"}]},"y":{"allOf":[{"$ref":"#/$defs/d%d"}]}}}`, i, (i+1)%40, (i+1)%40)
		}) + `}}`,
		"array of itself":     `{"$ref":"#/$defs/a","$defs":{"a":{"type":"array","items":{"$ref":"#/$defs/a"}}}}`,
		"circle of refs":      `{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}`,
		"not a schema at all": `[1]`,
	} {
		_, set := viewOf(t, entries("t", schema, schema))
		p := set.Plan("t")
		if len(p.Notes) == 0 && !strings.HasSuffix(name, "itself") && !strings.HasPrefix(name, "circle") {
			t.Errorf("%s: nothing is noted", name)
		}
		if len(p.Types) > maxTypes+3 {
			t.Errorf("%s: %d types", name, len(p.Types))
		}
	}
}

// FuzzCompile: whatever the schemas are, the types are valid and nothing panics.
func FuzzCompile(f *testing.F) {
	files, err := filepath.Glob("testdata/mapping/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add("t", string(a.Files[0].Data))
	}
	s := static(f)
	f.Fuzz(func(t *testing.T, name, schema string) {
		if !json.Valid([]byte(schema)) || name == "" {
			return
		}
		tool := Tool{Name: name, Input: json.RawMessage(schema), Output: json.RawMessage(schema)}
		p := Compile(tool, Names{Field: Name(name) + "_x", Prefix: Pascal(name) + "X"})
		if problem := p.verify(s); problem != "" {
			t.Errorf("%s: %s", schema, problem)
		}
	})
}

// TestMutations: schemas that were damaged at random still become valid schemas. Unlike fuzzing this asks the library
// whether they are.
func TestMutations(t *testing.T) {
	files, err := filepath.Glob("testdata/mapping/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for range 200 {
			s := slices.Clone(a.Files[0].Data)
			for range random.IntN(6) {
				i, j, n := random.IntN(len(s)), random.IntN(len(s)), random.IntN(30)
				copy(s[i:min(i+n, len(s))], s[j:])
			}
			if json.Valid(s) {
				viewOf(t, []Entry{{Key: 1, Tool: &Tool{Name: "t", Input: s, Output: s}}})
			}
		}
	}
}
