package mcp

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/schema"
)

func TestSplitBatch(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
		ok   bool
	}{
		{`[]`, nil, true},
		{` [ {"a":[1,2]} , "x,]" ]`, []string{`{"a":[1,2]}`, `"x,]"`}, true},
		{`[1,2,3]`, []string{"1", "2", "3"}, true},
		{`[1,2,3,4]`, nil, false},
		{`[1,2,3,4,`, nil, false},
		{`[`, nil, true},
		{`[{`, nil, true},
	} {
		entries, ok := splitBatch([]byte(tt.text), 3)
		var got []string
		for _, e := range entries {
			got = append(got, string(e))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || ok != tt.ok {
			t.Errorf("%s: %v\n%s", tt.text, ok, diff)
		}
	}
}

// FuzzSplitBatch holds the split of a valid array against the strict reader's:
// joined again, the elements are the array.
func FuzzSplitBatch(f *testing.F) {
	for _, seed := range []string{`[]`, `[1]`, ` [ {"a":"]"} ,null]`, `[[[],{}],"\""]`, `[1,`, `[,]`, `{`, `[` + strings.Repeat(`{},`, 200)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !isBatch([]byte(text)) {
			return
		}
		entries, ok := splitBatch([]byte(text), maxBatch)
		if len(entries) > maxBatch {
			t.Fatalf("%d entries", len(entries))
		}
		if !ok || schema.Check([]byte(text), schema.DefaultBounds()) != nil {
			return
		}
		squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
		joined := "["
		for i, e := range entries {
			if i > 0 {
				joined += ","
			}
			joined += string(e)
			if err := schema.Check(e, schema.DefaultBounds()); err != nil {
				t.Fatalf("%q: %v", e, err)
			}
		}
		if squeeze(joined+"]") != squeeze(text) {
			t.Fatalf("%q became %q", text, joined)
		}
	})
}
