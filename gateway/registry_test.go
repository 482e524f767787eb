package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

func tools(t testing.TB, names ...string) gateway.Catalog {
	t.Helper()
	var c gateway.Catalog
	for _, n := range names {
		def, err := json.Marshal(map[string]any{"name": n, "inputSchema": map[string]string{"type": "object"}})
		if err != nil {
			t.Fatal(err)
		}
		tool, err := gateway.ParseTool(def)
		if err != nil {
			t.Fatal(err)
		}
		c.Tools = append(c.Tools, tool)
	}
	return c
}

func names(s *gateway.Snapshot) []string {
	var out []string
	for _, t := range s.Tools {
		out = append(out, t.Name+" "+t.Object)
	}
	return out
}

func TestAttach(t *testing.T) {
	var r gateway.Registry
	before := r.Changed()
	if err := r.Attach("b", gateway.Func(ok), tools(t, "two", "one"), gateway.Options{Prefix: "b."}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-before:
	default:
		t.Error("Attach told nobody")
	}
	if err := r.Attach("a", gateway.Func(ok), tools(t, "one"), gateway.Options{}); err != nil {
		t.Fatal(err)
	}
	want := []string{"b.one tool/b/one", "b.two tool/b/two", "one tool/a/one"}
	if diff := cmp.Diff(want, names(r.Snapshot())); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	if got := string(r.Snapshot().Tool("b.one").Definition); got != `{"inputSchema":{"type":"object"},"name":"b.one"}` {
		t.Errorf("definition is %s", got)
	}
	r.Detach("b")
	if diff := cmp.Diff([]string{"one tool/a/one"}, names(r.Snapshot())); diff != "" {
		t.Errorf("after Detach (-want +got):\n%s", diff)
	}
}

func TestAttachLeavesOutWhatCannotBeRegistered(t *testing.T) {
	var r gateway.Registry
	if err := r.Attach("first", gateway.Func(ok), tools(t, "same"), gateway.Options{}); err != nil {
		t.Fatal(err)
	}
	err := r.Attach("second", gateway.Func(ok), tools(t, "same", "sp ace", "fine"), gateway.Options{})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`source "second": tool "same" is taken by source "first"`, `"sp ace"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %s", err, want)
		}
	}
	if diff := cmp.Diff([]string{"fine tool/second/fine", "same tool/first/same"}, names(r.Snapshot())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWithdrawn(t *testing.T) {
	var r gateway.Registry
	if err := r.Attach("demo", gateway.Func(ok), tools(t, "tool"), gateway.Options{}); err != nil {
		t.Fatal(err)
	}
	r.Withdraw("demo", errors.New("process exited"))
	if n := len(r.Snapshot().Tools); n != 0 {
		t.Errorf("%d tools are listed", n)
	}
	call := func(gates ...gateway.Gate) *gateway.Error {
		g, err := gateway.New(&r, nil, gates)
		if err != nil {
			t.Fatal(err)
		}
		_, err = g.Do(t.Context(), &gateway.Call{Op: gateway.OpCall, Name: "tool", Principal: anyone})
		return gateway.AsError(err)
	}
	if e := call(); e == nil || e.Code != gateway.Unavailable || strings.Contains(e.Msg, "exited") {
		t.Errorf("whoever may call it is told %v, want Unavailable without the cause", e)
	}
	if e := call(refuse(gateway.NotFound)); e == nil || e.Code != gateway.NotFound {
		t.Errorf("whoever may not is told %v, want NotFound", e)
	}
	for name, cause := range r.Sources() {
		if name != "demo" || cause == nil {
			t.Errorf("source %q: %v", name, cause)
		}
	}
	if err := r.Attach("demo", gateway.Func(ok), tools(t, "tool"), gateway.Options{}); err != nil {
		t.Fatal(err)
	}
	if e := call(); e != nil {
		t.Errorf("after it came back: %v", e)
	}
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r gateway.Registry
		var f gateway.Funcs
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.Follow(ctx, "demo", &f, gateway.Options{Prefix: "demo."}, func(err error) {
				if err != nil {
					t.Error(err)
				}
			})
		}()
		synctest.Wait()
		for _, name := range []string{"b", "a"} {
			changed := r.Changed()
			if err := f.AddTool(json.RawMessage(`{"name":"`+name+`","inputSchema":{}}`), ok); err != nil {
				t.Fatal(err)
			}
			<-changed
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"demo.a tool/demo/a", "demo.b tool/demo/b"}, names(r.Snapshot())); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		f.Remove(gateway.KindTool, "b")
		synctest.Wait()
		if r.Snapshot().Tool("demo.b") != nil {
			t.Error("a removed tool is still registered")
		}
		cancel()
		<-done
		if n := len(r.Snapshot().Tools); n != 0 {
			t.Errorf("%d tools are left after the end", n)
		}
	})
}

func TestMemoIsBuiltOnceForASnapshot(t *testing.T) {
	r := one(t, ok)
	type key struct{}
	builds := 0
	get := func() int {
		return r.Snapshot().Memo(key{}, func(s *gateway.Snapshot) any { builds++; return len(s.Tools) }).(int)
	}
	if first, second := get(), get(); first != 1 || second != 1 || builds != 1 {
		t.Errorf("built %d times", builds)
	}
	r.Refresh()
	get()
	if builds != 2 {
		t.Errorf("built %d times after a refresh", builds)
	}
}

func TestSame(t *testing.T) {
	r := one(t, ok)
	a := r.Snapshot()
	r.Refresh()
	if b := r.Snapshot(); a == b || !a.SameTools(b) || !a.SameResources(b) || !a.SamePrompts(b) {
		t.Error("a refresh changed the definitions")
	}
	r.Detach("demo")
	if b := r.Snapshot(); a.SameTools(b) || !a.SamePrompts(b) {
		t.Error("a removed tool went unnoticed, or a prompt changed")
	}
}

func TestWhatClashedComesInWhenTheOtherGoes(t *testing.T) {
	var r gateway.Registry
	if err := r.Attach("first", gateway.Func(ok), tools(t, "same"), gateway.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := r.Attach("second", gateway.Func(ok), tools(t, "same", "fine"), gateway.Options{}); err == nil {
		t.Fatal("the clash was not reported")
	}
	r.Detach("first")
	if diff := cmp.Diff([]string{"fine tool/second/fine", "same tool/second/same"}, names(r.Snapshot())); diff != "" {
		t.Errorf("after the first has gone (-want +got):\n%s", diff)
	}
	if err := r.Attach("first", gateway.Func(ok), tools(t, "same"), gateway.Options{}); err == nil {
		t.Error("the clash was not reported the other way round")
	}
}

type onlySource struct {
	gateway.Gate
	source string
}

func (o onlySource) View(_ *gateway.Principal, s *gateway.Snapshot) *gateway.Snapshot {
	return s.Filter(func(c *gateway.Capability) bool { return c.Source == o.source })
}

func TestTemplatesThatAreSeenComeFirst(t *testing.T) {
	var r gateway.Registry
	for source, uriTemplate := range map[string]string{"a": "file:///{+all}", "b": "file:///{path}"} {
		tmpl, err := gateway.ParseTemplate(json.RawMessage(`{"uriTemplate":"` + uriTemplate + `","name":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Attach(source, gateway.Func(ok), gateway.Catalog{Templates: []*gateway.Template{tmpl}}, gateway.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	for source, uri := range map[string]string{"a": "file:///x", "b": "file:///x"} {
		g, err := gateway.New(&r, nil, []gateway.Gate{onlySource{admit(), source}})
		if err != nil {
			t.Fatal(err)
		}
		call := &gateway.Call{Op: gateway.OpRead, Name: uri, Principal: anyone}
		if _, err := g.Do(t.Context(), call); err != nil || call.Object != "resource/"+source+"/"+uri {
			t.Errorf("who sees only source %s reads %s, %v", source, call.Object, err)
		}
	}
	g, err := gateway.New(&r, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	long := "file:///" + strings.Repeat("x", 1<<20)
	if _, err := g.Do(t.Context(), &gateway.Call{Op: gateway.OpRead, Name: long, Principal: anyone}); gateway.AsError(err).Code != gateway.NotFound {
		t.Errorf("a URI of 1 MiB: %v", err)
	}
}
