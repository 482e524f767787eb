package upstream

import (
	"context"
	"io"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// TestWatch follows a schema through changes and failures.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "schema.graphql")
		write := func(text string) {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(`type Query { a: Int }`)
		u, err := New(Options{HTTP: at("http://127.0.0.1:1"), Schema: file, Interval: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		defer u.Close()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		next, stop := iter.Pull2(u.Watch(ctx))
		defer stop()
		start := time.Now()
		want := func(after time.Duration, tools string, away bool) {
			t.Helper()
			c, err, ok := next()
			var names []string
			for _, tool := range c.Tools {
				names = append(names, tool.Name)
			}
			if !ok || (err != nil) != away || strings.Join(names, " ") != tools || time.Since(start) != after {
				t.Fatalf("after %v: %v, %v; want %q, away %v after %v", time.Since(start), names, err, tools, away, after)
			}
			start = time.Now()
		}
		want(0, "a", false)
		write(`type Query { a: Int b: Int }`)
		want(time.Minute, "a b", false)

		write(`type Query {`) // Three failures: at once, then after one and two seconds.
		want(time.Minute+3*time.Second, "", true)
		want(4*time.Second, "", true)
		write(`type Query { a: Int b: Int }`)
		want(8*time.Second, "a b", false) // Though it is the catalog that it was.

		write(`type Query { c: Int }`)
		u.Refresh()
		want(0, "c", false)

		write(`type Query {`) // One failure alone is none.
		u.Refresh()
		time.AfterFunc(500*time.Millisecond, func() { write(`type Query { d: Int }`) })
		want(time.Second, "d", false)
		cancel()
		if _, _, ok := next(); ok {
			t.Error("it goes on after its context")
		}
	})
}

// TestIntrospectionIsOff tells the operator what to do about a server that does
// not tell its schema.
func TestIntrospectionIsOff(t *testing.T) {
	s := newServer(t, callSchema, nil)
	s.intercept = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", typeJSON)
		_, _ = w.Write([]byte(`{"errors":[{"message":"introspection is not allowed"}]}`))
		return true
	}
	u := open(t, s.options())
	for _, err := range u.Watch(t.Context()) {
		if err == nil || !strings.Contains(err.Error(), "introspection is not allowed") || !strings.Contains(err.Error(), "set schema") {
			t.Errorf("got %v", err)
		}
		break
	}
	if _, err := run(t, u, "user", ""); err == nil || err.Code != gateway.NotFound {
		t.Errorf("a call without a catalog: %v", err)
	}
}

// TestOldServer reads the schema of a server that knows nothing of what came
// after 2018.
func TestOldServer(t *testing.T) {
	s := newServer(t, shop(t), nil)
	s.intercept = func(w http.ResponseWriter, r *http.Request) bool {
		body := new(strings.Builder)
		_, _ = io.Copy(body, r.Body)
		w.Header().Set("Content-Type", typeJSON)
		switch {
		case !strings.Contains(body.String(), "__schema"):
			_, _ = w.Write([]byte(`{"data":{"type":{"fields":[{"name":"kind","args":[]}]},"field":null}}`))
		case strings.Contains(body.String(), "isOneOf"), strings.Contains(body.String(), "specifiedByURL"), strings.Contains(body.String(), "inputFields(includeDeprecated"):
			_, _ = w.Write([]byte(`{"errors":[{"message":"Cannot query field"}]}`))
		default:
			_, _ = w.Write([]byte(`{"data":` + introspected(s.schema(), "__schema") + `}`))
		}
		return true
	}
	if got := s.loaded(t, s.options()).catalog.Load(); len(got.operations) == 0 {
		t.Error("there is no operation")
	}
}

// TestDocumentFolders refuses folders that cannot be offered.
func TestDocumentFolders(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[string]string
		err   string
	}{
		"none":                        {nil, "0 files"},
		"no name":                     {map[string]string{"a.graphql": "{ version }"}, "a.graphql line 1: the operation has no name"},
		"one name twice":              {map[string]string{"a.graphql": "query A { version }", "b.gql": "\nquery A { version }"}, "b.gql line 2: there is another operation A"},
		"one fragment twice":          {map[string]string{"a.graphql": "query A { version } fragment F on Query { version } fragment F on Query { version }"}, "another fragment F"},
		"no GraphQL":                  {map[string]string{"a.graphql": "query A {"}, "a.graphql:1"},
		"fragments alone":             {map[string]string{"a.graphql": "fragment F on Query { version }"}, "0 operations"},
		"too long":                    {map[string]string{"a.graphql": strings.Repeat("#", maxDocumentBytes+1)}, "at most"},
		"deep":                        {map[string]string{"a.graphql": "query A " + strings.Repeat("{a", 2000) + strings.Repeat("}", 2000)}, "nesting depth"},
		"a name with special letters": {map[string]string{"[a*].graphql": "query A { version }"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "docs [1]*")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			for file, text := range tt.files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := readDocuments(dir)
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %v, want %q", err, tt.err)
			}
		})
	}
}
