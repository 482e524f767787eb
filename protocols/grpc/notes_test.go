package grpc

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

// TestNotes: the operator is told what the types of gRPC and the documents of
// REST do not show as it is, and that the types are not up to date.
func TestNotes(t *testing.T) {
	w, l := newWorld(t), newMemoryLocks()
	f := typed(t, w, Options{Locks: l})
	if got := f.Notes("demo"); got != nil {
		t.Errorf("%v, want nothing", got)
	}
	w.addTool(t, "loose", `"a":{"type":["string","integer"]},"b":{"type":"string"}`)
	def := `{"name":"old","inputSchema":{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"a":{"$ref":"#named"}},"definitions":{"x":{"$id":"#named","type":"string"}}}}`
	if err := w.funcs.AddTool(json.RawMessage(def), func(context.Context, *gateway.Call) (*gateway.Result, error) { return gateway.TextResult("x"), nil }); err != nil {
		t.Fatal(err)
	}
	w.settle(t, func(s *gateway.Snapshot) bool { return s.Tool("demo.old") != nil })
	if !f.update(t.Context()) {
		t.Fatal("no types")
	}
	want := []string{
		"approximated grpc: trilith.demo.v1.LooseRequest.a",
		"approximated grpc: trilith.demo.v1.OldRequest.a",
		"approximated rest: tool old: input",
	}
	about := func() (out []string) {
		for _, n := range f.Notes("demo") {
			if n.Reason == "" {
				t.Errorf("%s has no reason", n.Subject)
			}
			out = append(out, string(n.Change)+" "+n.Subject)
		}
		return out
	}
	if diff := cmp.Diff(want, about()); diff != "" {
		t.Error(diff)
	}
	if got := f.Notes("another"); got != nil {
		t.Errorf("another source has %v", got)
	}

	l.setAway(errors.New("no leader"))
	w.addTool(t, "late", `"a":{"type":"string"}`)
	if f.update(t.Context()) {
		t.Error("the lock was written")
	}
	if diff := cmp.Diff(append([]string{"skipped grpc: the typed service"}, want...), about()); diff != "" {
		t.Error(diff)
	}
	if why := f.Notes("demo")[0].Reason; !strings.Contains(why, "no leader") {
		t.Error(why)
	}
	l.setAway(nil)
	if f.update(t.Context()); !cmp.Equal(about(), want) {
		t.Error(about())
	}
}
