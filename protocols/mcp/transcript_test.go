package mcp_test

import (
	"bufio"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/trilith-gateway/trilith/protocols/mcp"
	"github.com/trilith-gateway/trilith/schema"
)

var update = flag.Bool("update", false, "write what the frontend answers into the transcripts")

// TestTranscripts plays the HTTP transcripts in testdata: pairs of a file
// "<n> request" and a file "<n> response". A request is a method, headers and a
// body; Content-Type and Accept are added unless it gives them. {session} is
// the id of the last session, {modern} the _meta that a modern request needs,
// {call} the headers of a modern tools/call.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts:", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			f := newFixture(t, mcp.FrontendOptions{Name: "test", Version: "1", Instructions: "Be kind.", PageSize: 7, Bounds: schema.Bounds{Bytes: 2000, Depth: 12}})
			p := &player{f: f}
			var out []txtar.File
			for i := 0; i < len(archive.Files); i++ {
				req := archive.Files[i]
				name, ok := strings.CutSuffix(req.Name, " request")
				if !ok {
					t.Fatalf("%q stands where a request is wanted", req.Name)
				}
				got := p.play(t, string(req.Data))
				out = append(out, req, txtar.File{Name: name + " response", Data: []byte(got)})
				if i+1 < len(archive.Files) && archive.Files[i+1].Name == name+" response" {
					i++
					if diff := cmp.Diff(string(archive.Files[i].Data), got); diff != "" && !*update {
						t.Errorf("%s (-want +got):\n%s", name, diff)
					}
				} else if !*update {
					t.Errorf("%s: no response recorded", name)
				}
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(&txtar.Archive{Comment: archive.Comment, Files: out}), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

type player struct {
	f       *fixture
	session string
}

const modernMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`

func (p *player) play(t *testing.T, request string) string {
	t.Helper()
	request = strings.NewReplacer("{session}", p.session, "{modern}", modernMeta,
		"{call}\n", "MCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/call\n").Replace(request)
	head, body, _ := strings.Cut(request, "\n\n")
	lines := bufio.NewScanner(strings.NewReader(head))
	lines.Scan()
	r := httptest.NewRequestWithContext(t.Context(), lines.Text(), "/mcp", strings.NewReader(strings.TrimSuffix(body, "\n")))
	r.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), ":")
		if !ok {
			t.Fatalf("bad header %q", lines.Text())
		}
		if name == "Accept" || name == "Content-Type" {
			r.Header.Del(name)
		}
		r.Header.Add(name, strings.TrimSpace(value))
	}
	w := httptest.NewRecorder()
	p.f.ServeHTTP(w, r)

	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", w.Code)
	if id := w.Header().Get("Mcp-Session-Id"); id != "" {
		p.session = id
		w.Header().Set("Mcp-Session-Id", "{session}")
	}
	for _, name := range slices.Sorted(maps.Keys(w.Header())) {
		if name != "Content-Length" && name != "Cache-Control" {
			fmt.Fprintf(&b, "%s: %s\n", name, strings.Join(w.Header()[name], ", "))
		}
	}
	if w.Body.Len() > 0 {
		body := regexp.MustCompile(`(?m)^id: [0-9a-f]{16}-`).ReplaceAllString(w.Body.String(), "id: {stream}-")
		fmt.Fprintf(&b, "\n%s", strings.TrimRight(body, "\n")+"\n")
	}
	return b.String()
}
