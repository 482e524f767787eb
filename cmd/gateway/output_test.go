package main

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestSafeText(t *testing.T) {
	for in, want := range map[string]string{
		"two\n\tlines\r\n":  "two\n\tlines\n",
		"\x1b]0;title\a":    "�]0;title�",
		"over\rwritten\x7f": "over�written�",
		"\u009b31m\u202eab": "�31m�ab",
		"\x9b31m":           "�31m",
		"ä 漢 🙂":             "ä 漢 🙂",
	} {
		if diff := cmp.Diff(want, safeText(in)); diff != "" {
			t.Errorf("%q (-want +got)\n%s", in, diff)
		}
	}
}

func FuzzSafeJSON(f *testing.F) {
	for _, s := range []string{`{"a": "\u001b"}`, "[\"\u009b\u202e\x7f\x9b\", 1]", "{\n\t\"ä\": \"漢\"\r\n}", `"\ud800"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) {
			return
		}
		var out bytes.Buffer
		a := &app{std: streams{out: &out}}
		if err := a.indent(raw); err != nil {
			t.Fatal(err)
		}
		for _, r := range out.String() {
			if obeyed(r) && r != '\n' {
				t.Errorf("%q is in %q", r, &out)
			}
		}
		if !utf8.Valid(out.Bytes()) {
			t.Errorf("%q is not UTF-8", &out)
		}
		var before, after any
		if json.Unmarshal(raw, &before) != nil {
			return // A number beyond all bounds, for example.
		}
		if err := json.Unmarshal(out.Bytes(), &after); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("another value (-before +after)\n%s", diff)
		}
	})
}
