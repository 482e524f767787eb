package schema

import (
	"encoding/json"
	"fmt"
	"testing"
)

// toolSchema is what a typical tool takes: 655 bytes, five properties.
const toolSchema = `{"type":"object","properties":{` +
	`"owner":{"type":"string","description":"Account that owns the repository, as it stands in the address","minLength":1,"maxLength":64},` +
	`"repo":{"type":"string","description":"Name of the repository without the owner","pattern":"^[A-Za-z0-9_.-]+$"},` +
	`"labels":{"type":"array","description":"Labels that every listed issue must have","items":{"type":"string"},"maxItems":50},` +
	`"state":{"type":"string","description":"Which issues to list","enum":["open","closed","all"]},` +
	`"limit":{"type":"integer","description":"How many issues to return at most","minimum":1,"maximum":1000}},` +
	`"required":["owner","repo"],"additionalProperties":false}`

// toolArguments are arguments of about one KiB that match toolSchema.
func toolArguments(tb testing.TB) json.RawMessage {
	tb.Helper()
	var labels []string
	for i := range 40 {
		labels = append(labels, fmt.Sprintf("component/area-%04d", i))
	}
	raw, err := json.Marshal(map[string]any{
		"owner": "trilith-gateway", "repo": "trilith", "labels": labels, "state": "open", "limit": 250,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile(json.RawMessage(toolSchema)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	s, err := Compile(json.RawMessage(toolSchema))
	if err != nil {
		b.Fatal(err)
	}
	args := toolArguments(b)
	b.SetBytes(int64(len(args)))
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Validate(args); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	args := toolArguments(b)
	b.SetBytes(int64(len(args)))
	b.ReportAllocs()
	for b.Loop() {
		if err := Check(args, Bounds{}); err != nil {
			b.Fatal(err)
		}
	}
}
