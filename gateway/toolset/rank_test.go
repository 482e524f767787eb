package toolset

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

// lines returns the lines of a file of testdata, each split at the bars.
func lines(t testing.TB, name string) [][]string {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out [][]string
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.HasPrefix(s.Text(), "#") {
			continue
		}
		fields := strings.Split(s.Text(), "|")
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		out = append(out, fields)
	}
	return out
}

// corpus returns the tools of testdata/tools.txt.
func corpus(t testing.TB) []*gateway.Tool {
	t.Helper()
	var out []*gateway.Tool
	for _, l := range lines(t, "tools.txt") {
		out = append(out, tool(t, l[0], "", l[1], l[2]))
	}
	return out
}

// tool returns a tool with parameters given as "a, b: what it is".
func tool(t testing.TB, name, title, description, parameters string) *gateway.Tool {
	t.Helper()
	properties := map[string]any{}
	for p := range strings.SplitSeq(parameters, ", ") {
		if key, what, _ := strings.Cut(p, ": "); key != "" {
			properties[key] = map[string]any{"type": "string", "description": what}
		}
	}
	def, err := json.Marshal(map[string]any{
		"name": name, "title": title, "description": description,
		"inputSchema": map[string]any{"type": "object", "properties": properties},
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := gateway.ParseTool(def)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestQuality asks the queries of testdata/queries.txt: for at least nine of
// ten the right tool is among the first five.
func TestQuality(t *testing.T) {
	tools, queries := corpus(t), lines(t, "queries.txt")
	r := rank(tools)
	first, among := 0, 0
	for _, q := range queries {
		if !slices.ContainsFunc(tools, func(t *gateway.Tool) bool { return t.Name == q[1] }) {
			t.Fatalf("%q wants %s, which is no tool", q[0], q[1])
		}
		found := r.find(q[0])
		switch at := slices.Index(found, q[1]); {
		case at == 0:
			first++
			among++
		case at > 0 && at < 5:
			among++
		default:
			t.Logf("%q: %s is number %d after %v", q[0], q[1], at+1, found[:min(3, len(found))])
		}
	}
	t.Logf("of %d queries over %d tools: %d first, %d among the first five", len(queries), len(tools), first, among)
	if among*10 < len(queries)*9 {
		t.Errorf("the right tool is among the first five for %d of %d queries", among, len(queries))
	}
}

func TestWords(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "",
		"createIssue create_issue CREATE-ISSUE": "creat issu creat issu creat issu",
		"HTTPServer getHTTPLogs listPRs URLs":   "http server get http log list prs url",
		"k8s s3 base64 v2":                      "k8s s3 base64 v2",
		"What's the time?":                      "time",
		"Größe naïve":                           "größe naïv",
		"天気 予報を見る":                              "天 気 予 報 を 見 る",
		"\xff\xfe a\x00b ":                      "b",
		strings.Repeat("x", 100) + " y":         "y",
	} {
		var got []string
		newReader().read(text, 100, func(s string) { got = append(got, s) })
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	n := 0
	newReader().read(strings.Repeat("word ", 1000), 7, func(string) { n++ })
	if n != 7 {
		t.Errorf("%d words read, want 7", n)
	}
}

// TestRankIsStable holds that equals stand in the order of their names, and that
// what no word of the query describes is not found.
func TestRankIsStable(t *testing.T) {
	r := rank([]*gateway.Tool{tool(t, "a.get", "", "Gets it.", ""), tool(t, "b.get", "", "Gets it.", ""), tool(t, "c.put", "", "Puts it.", "")})
	for range 10 {
		if diff := cmp.Diff([]string{"a.get", "b.get"}, r.find("get get GET the")); diff != "" {
			t.Fatalf("found (-want +got):\n%s", diff)
		}
	}
	for _, q := range []string{"", "the", "zebra", "🦓 \x00"} {
		if got := r.find(q); len(got) != 0 {
			t.Errorf("%q found %v", q, got)
		}
	}
	if got := rank(nil).find("get"); len(got) != 0 {
		t.Errorf("nothing has %v", got)
	}
}

func FuzzFind(f *testing.F) {
	r := rank(corpus(f))
	for _, seed := range []string{"", "create an issue", "createIssue", "'''", "y's", "\xff", "天気", strings.Repeat("get ", 200), "ied ying sses"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		found := r.find(query)
		if again := r.find(query); !slices.Equal(found, again) {
			t.Errorf("found %v, then %v", found, again)
		}
		seen := map[string]bool{}
		for _, name := range found {
			if seen[name] {
				t.Errorf("%s is found twice", name)
			}
			seen[name] = true
		}
	})
}

// BenchmarkRank is the cost of an index of 5,000 tools.
func BenchmarkRank(b *testing.B) {
	tools := many(b, 5000)
	for b.Loop() {
		rank(tools)
	}
}

// BenchmarkFind is the cost of a query over 5,000 tools.
func BenchmarkFind(b *testing.B) {
	r := rank(many(b, 5000))
	for b.Loop() {
		r.find("open a new issue in the github repo")
	}
}

func many(t testing.TB, n int) []*gateway.Tool {
	t.Helper()
	all := corpus(t)
	out := make([]*gateway.Tool, n)
	for i := range out {
		c := *all[i%len(all)]
		c.Name = fmt.Sprintf("%s_%d", c.Name, i/len(all))
		out[i] = &c
	}
	return out
}
