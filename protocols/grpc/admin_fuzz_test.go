package grpc

import (
	"bytes"
	"encoding/json"
	"testing"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/schema"
)

// FuzzAdminBody reads bodies that hold JSON in place of a text: what is accepted
// holds just the bytes that stand there, whatever else the body has.
func FuzzAdminBody(f *testing.F) {
	for _, seed := range []string{
		`{"object":"tool/a/b","arguments":{"n":12345678901234567890.10}}`, `{"arguments":{},"argumentsJson":"{}"}`, `{"arguments":{},"arguments_json":"[]"}`,
		`{"arguments":null}`, `{"argumentsJson":null,"arguments":1}`, `{"arguments":"\ud800"}`, `{"Arguments":{}}`, `{"arguments":{"a":1,"a":2}}`, `{"who":{"subjects":["role:a"]},"arguments":[]}`, `[]`, ``,
	} {
		f.Add([]byte(seed))
	}
	c := codec{bounds: schema.DefaultBounds()}
	f.Fuzz(func(t *testing.T, body []byte) {
		req := &adminv1.ExplainPolicyRequest{}
		if c.Unmarshal(body, req) != nil || len(body) == 0 {
			return
		}
		var in map[string]json.RawMessage
		if err := json.Unmarshal(body, &in); err != nil {
			t.Fatalf("accepted what is no JSON: %q", body)
		}
		raw, inPlace := in["arguments"]
		_, text := in["argumentsJson"]
		_, snake := in["arguments_json"]
		if inPlace && (text || snake) {
			t.Errorf("accepted arguments twice: %q", body)
		}
		if inPlace && !bytes.Equal(bytes.TrimSpace(raw), []byte(req.GetArgumentsJson())) {
			t.Errorf("%q became %q", raw, req.GetArgumentsJson())
		}
		if !inPlace && !text && !snake && req.GetArgumentsJson() != "" {
			t.Errorf("%q made arguments %q", body, req.GetArgumentsJson())
		}
	})
}
