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
	"time"

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
	run := func(text string) string {
		query, err := json.Marshal(text)
		if err != nil {
			t.Error(err)
		}
		r := httptest.NewRequestWithContext(auth.With(t.Context(), alice()), http.MethodPost, "/graphql", strings.NewReader(`{"query":`+string(query)+`}`))
		r.Header = http.Header{"Content-Type": {typeJSON}, "Accept": {typeEvents}}
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		return w.Body.String()
	}
	check := func(text, got string) {
		if !strings.Contains(got, `data: {"data":{`) || strings.Contains(got, `"errors"`) || strings.Contains(got, `:null`) && !strings.Contains(text, "blob") && !strings.Contains(text, "url") {
			t.Errorf("%s\ngives\n%s", text, got)
		}
	}
	for i, b := range blocks {
		switch text := b[1]; {
		case strings.Contains(text, "ToolQuestion"):
			ended := make(chan string)
			go func() { ended <- run(text) }()
			answer := strings.Replace(blocks[i+1][1], "OF-THE-QUESTION", f.waitForQuestion(t), 1)
			check(answer, run(answer))
			check(text, <-ended)
		case !strings.Contains(text, "OF-THE-QUESTION"):
			check(text, run(text))
		}
	}
}

// waitForQuestion returns the id of a question as soon as there is one.
func (f *Frontend) waitForQuestion(t *testing.T) string {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		f.questions.mu.Lock()
		for id := range f.questions.byID {
			f.questions.mu.Unlock()
			return id
		}
		f.questions.mu.Unlock()
		select {
		case <-deadline:
			t.Fatal("nobody is asked")
		case <-time.After(time.Millisecond):
		}
	}
}
