package gateway_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

func TestOptionsShapeWhatASourceSays(t *testing.T) {
	yes, no := true, false
	long := strings.Repeat("x", 70)
	var tools []*gateway.Tool
	for _, def := range []string{
		`{"description":"Get.","name":"get", "annotations": {"title":"G","readOnlyHint":false} ,"x-odd":1e2}`,
		`{"name":"drop"}`,
		`{ "name" : "` + long + `" }`,
		`{"name":"plain"}`,
	} {
		tool, err := gateway.ParseTool(json.RawMessage(def))
		if err != nil {
			t.Fatal(err)
		}
		tools = append(tools, tool)
	}
	var r gateway.Registry
	err := r.Attach("s", gateway.Func(ok), gateway.Catalog{
		Tools: tools,
		Notes: []gateway.Note{{Subject: "POST /x", Change: gateway.NoteSkipped, Reason: "no body"}},
	}, gateway.Options{
		Prefix: "s.",
		Tags:   []string{"all"},
		Keep:   func(c *gateway.Capability) bool { return c.Origin != "drop" },
		Overrides: map[string]gateway.Override{
			"get":     {Name: "fetch", Title: "Fetch", Description: `Say "hi".`, Tags: []string{"core"}, ReadOnly: &yes, Destructive: &no},
			"missing": {Name: "typo"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	snap := r.Snapshot()
	fetch := snap.Tool("s.fetch")
	if fetch == nil {
		t.Fatalf("tools are %v", names(snap))
	}
	want := `{"description":"Say \"hi\".","name":"s.fetch", "annotations": {"title":"G","readOnlyHint":true,"destructiveHint":false} ,"x-odd":1e2,"title":"Fetch"}`
	if got := string(fetch.Definition); got != want {
		t.Errorf("definition\n got %s\nwant %s", got, want)
	}
	if fetch.Object != "tool/s/get" || fetch.Title != "Fetch" || fetch.Description != `Say "hi".` || fetch.Annotations.ReadOnly == nil || !*fetch.Annotations.ReadOnly {
		t.Errorf("tool %+v", fetch)
	}
	if diff := cmp.Diff([]string{"all", "core"}, fetch.Tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	short := "s." + long[:64-9-2] + "_"
	if got := names(snap); len(got) != 3 || !strings.HasPrefix(got[2], short) {
		t.Errorf("registered are %v", got)
	}
	var notes []string
	for _, n := range r.Notes("s") {
		notes = append(notes, fmt.Sprintf("%s %s", n.Change, n.Subject))
	}
	wantNotes := []string{"skipped POST /x", "renamed tool get", "skipped tool drop", "renamed tool " + long, "skipped override missing"}
	if diff := cmp.Diff(wantNotes, notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
	if string(tools[0].Definition)[:15] != `{"description":` || tools[0].Name != "get" {
		t.Error("the source's own catalog was changed")
	}
}

func TestMaxTools(t *testing.T) {
	var r gateway.Registry
	err := r.Attach("s", gateway.Func(ok), tools(t, "a", "b", "c"), gateway.Options{MaxTools: 2})
	if err == nil || !strings.Contains(err.Error(), "3 tools") || !strings.Contains(err.Error(), "max_tools") {
		t.Errorf("error %v", err)
	}
	if n := len(r.Snapshot().Tools); n != 0 {
		t.Errorf("%d tools are registered", n)
	}
	if err := r.Attach("other", gateway.Func(ok), tools(t, "a"), gateway.Options{}); err != nil {
		t.Errorf("the names are still taken: %v", err)
	}
	if err := r.Attach("s", gateway.Func(ok), tools(t, "b", "c"), gateway.Options{MaxTools: 2}); err != nil {
		t.Error(err)
	}
}

func FuzzOverride(f *testing.F) {
	f.Add(`{"name":"a"}`, "b", "d")
	f.Add(`{ "annotations":[], "name" : "a" , "description":null }`, "b", `"}`)
	f.Fuzz(func(t *testing.T, def, name, description string) {
		tool, err := gateway.ParseTool(json.RawMessage(def))
		if err != nil {
			return // It is no definition.
		}
		yes := true
		var r gateway.Registry
		_ = r.Attach("s", gateway.Func(ok), gateway.Catalog{Tools: []*gateway.Tool{tool}}, gateway.Options{ // What cannot be registered is not.
			Overrides: map[string]gateway.Override{tool.Origin: {Name: name, Description: description, ReadOnly: &yes}},
		})
		for _, got := range r.Snapshot().Tools {
			again, err := gateway.ParseTool(got.Definition)
			if err != nil {
				t.Fatalf("%s became %s: %v", def, got.Definition, err)
			}
			if again.Name != got.Name || again.Annotations.ReadOnly == nil || !*again.Annotations.ReadOnly {
				t.Errorf("%s became %s", def, got.Definition)
			}
		}
	})
}
