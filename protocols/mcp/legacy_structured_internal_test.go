package mcp

import (
	"encoding/json"
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
)

// TestLegacyDefinition keeps output schemas of objects alone from clients whose
// revision knows no others.
func TestLegacyDefinition(t *testing.T) {
	for output, kept := range map[string]bool{
		`{"type":"object","properties":{"a":{"type":"string"}}}`: true,
		`{"description":"x", "type" : "object"}`:                 true,
		`{"type":["object","null"]}`:                             false,
		`{"type":"array","items":{"type":"object"}}`:             false,
		`{"anyOf":[{"type":"object"}]}`:                          false,
		`{}`:                                                     false,
		`true`:                                                   false,
	} {
		def := `{"name":"a","outputSchema":` + output + `,"inputSchema":{"type":"object"},"x\u0041":[1 ,2]}`
		tool, err := gateway.ParseTool(json.RawMessage(def))
		if err != nil {
			t.Fatal(err)
		}
		want := def
		if !kept {
			want = `{"name":"a","inputSchema":{"type":"object"},"xA":[1 ,2]}`
		}
		if got := string(legacyDefinition(tool)); got != want {
			t.Errorf("%s became %s", def, got)
		}
	}
}

// TestLegacyResult leaves out structured content that is no object, and nothing
// else.
func TestLegacyResult(t *testing.T) {
	for value, bare := range map[string]bool{`{"a":1}`: false, `[1]`: true, `null`: true, `"x"`: true, `1`: true} {
		res := gateway.StructuredResult(json.RawMessage(value))
		if res.Bare != bare {
			t.Errorf("%s: Bare is %v", value, res.Bare)
		}
		if !bare {
			continue
		}
		parts, err := (&gateway.Result{Raw: legacyResult(res.Raw)}).Parts()
		if err != nil || parts.Structured != nil || len(parts.Content) != 1 {
			t.Errorf("%s became %s, %v", res.Raw, legacyResult(res.Raw), err)
		}
	}
}
