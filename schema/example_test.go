package schema_test

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/trilith-gateway/trilith/schema"
)

func ExampleCompile() {
	s, err := schema.Compile(json.RawMessage(`{
		"type": "object",
		"properties": {
			"account": {"type": "integer", "maximum": 9007199254740992},
			"state":   {"enum": ["open", "closed"]}
		},
		"required": ["account"]
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Validate(json.RawMessage(`{"account": 9007199254740992, "state": "open"}`)))

	err = s.Validate(json.RawMessage(`{"account": 9007199254740993, "state": "lost"}`))
	if invalid, ok := errors.AsType[*schema.Invalid](err); ok {
		for _, v := range invalid.Violations {
			fmt.Printf("%s: %s\n", v.Pointer, v.Message)
		}
	}

	_, err = schema.Compile(json.RawMessage(`{"$ref": "https://example.com/account.json"}`))
	fmt.Println(err)
	// Output:
	// <nil>
	// /account: want at most 9007199254740992
	// /state: want one of "open", "closed"
	// JSON Schema: cannot follow the reference to https://example.com/account.json: a schema must not refer to another document
}

func ExampleCheck() {
	for _, text := range []string{
		`{"method": "tools/list", "Method": "tools/call"}`,
		`{"method": "tools/list", "method": "tools/call"}`,
		`{"method": "tools/list"} {}`,
	} {
		fmt.Println(schema.Check([]byte(text), schema.Bounds{}))
	}
	// Output:
	// <nil>
	// malformed JSON at byte 25: a member name occurs twice in one object
	// malformed JSON at byte 24: data after the value
}

func ExampleFor() {
	type query struct {
		Text  string `json:"text" jsonschema:"what to look for"`
		Limit int    `json:"limit,omitempty"`
	}
	raw, err := schema.For[query]()
	fmt.Println(string(raw), err)
	// Output:
	// {"type":"object","properties":{"text":{"type":"string","description":"what to look for"},"limit":{"type":"integer"}},"required":["text"],"additionalProperties":false} <nil>
}
