package graphql

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/demo"
)

// TestGuide runs every operation of docs/graphql.md on the demo.
func TestGuide(t *testing.T) {
	text, err := os.ReadFile("../../docs/graphql.md")
	if err != nil {
		t.Fatal(err)
	}
	funcs, reg := &gateway.Funcs{}, &gateway.Registry{}
	if err := demo.Tools(funcs); err != nil {
		t.Fatal(err)
	}
	for c := range funcs.Watch(t.Context()) {
		if err := reg.Attach("demo", funcs, c, gateway.Options{Prefix: "demo."}); err != nil {
			t.Fatal(err)
		}
		break
	}
	gw, err := gateway.New(reg, nil, []gateway.Gate{gateway.ValidateArgs{}})
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewFrontend(gw, Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	blocks := regexp.MustCompile("(?s)```graphql\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 4 {
		t.Fatalf("%d operations in the guide", len(blocks))
	}
	for _, b := range blocks {
		query, err := json.Marshal(b[1])
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(auth.With(t.Context(), alice()), http.MethodPost, "/graphql", strings.NewReader(`{"query":`+string(query)+`}`))
		r.Header = http.Header{"Content-Type": {typeJSON}, "Accept": {typeEvents}}
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		got := w.Body.String()
		if !strings.Contains(got, `data: {"data":{`) || strings.Contains(got, `"errors"`) || strings.Contains(got, `:null`) && !strings.Contains(b[1], "blob") {
			t.Errorf("%s\ngives\n%s", b[1], got)
		}
	}
}
