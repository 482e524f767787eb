package server_test

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
)

// TestAdminGuide runs the operations of docs/admin.md, and holds its table
// against the methods that there are.
func TestAdminGuide(t *testing.T) {
	raw, err := os.ReadFile("../../docs/admin.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	routes := map[string]string{}
	for _, s := range adminv1.Services() {
		for i := range s.Methods().Len() {
			m := s.Methods().Get(i)
			rule, _ := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
			for method, path := range map[string]string{http.MethodGet: rule.GetGet(), http.MethodPost: rule.GetPost(), http.MethodPut: rule.GetPut(), http.MethodDelete: rule.GetDelete()} {
				if path != "" {
					routes[string(m.Name())] = method + " " + strings.TrimPrefix(path, "/admin/v1")
				}
			}
		}
	}
	rows := regexp.MustCompile("(?m)^\\|[^|]+\\|[^|]+\\| `([^`]+)` \\| `(\\w+)` \\|").FindAllStringSubmatch(text, -1)
	if len(rows) < 10 {
		t.Fatalf("%d rows in the table", len(rows))
	}
	for _, row := range rows {
		if routes[row[2]] != row[1] {
			t.Errorf("%s is at %q, not %q", row[2], routes[row[2]], row[1])
		}
	}
	r := start(t, nil, nil)
	blocks := regexp.MustCompile("(?s)```graphql\n(.*?)```").FindAllStringSubmatch(text, -1)
	if len(blocks) < 3 {
		t.Fatalf("%d operations in the guide", len(blocks))
	}
	for _, b := range blocks {
		if got := r.playGraphQL(t, "admin", b[1]); !strings.Contains(got, `{"data":{`) || strings.Contains(got, `"errors"`) {
			t.Errorf("%s\ngives\n%s", b[1], got)
		}
	}
}
