package protoschema

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNames(t *testing.T) {
	for _, test := range []struct{ in, snake, pascal string }{
		{"fooBar", "foo_bar", "FooBar"},
		{"foo-bar", "foo_bar", "FooBar"},
		{"FOO_BAR", "foo_bar", "FOOBAR"},
		{"HTTPServer", "http_server", "HTTPServer"},
		{"userID", "user_id", "UserID"},
		{"oauth2Token", "oauth2_token", "Oauth2Token"},
		{"__a__", "a", "A"},
		{"9lives", "x_9lives", "X9lives"},
		{"日本", "x", "X"},
		{"", "x", "X"},
		{"io.k8s.api.core.v1.Pod", "io_k8s_api_core_v1_pod", "IoK8sApiCoreV1Pod"},
	} {
		if got := snake(test.in, "x"); got != test.snake {
			t.Errorf("snake(%q) = %q, want %q", test.in, got, test.snake)
		}
		if got := pascal(test.in, "X"); got != test.pascal {
			t.Errorf("pascal(%q) = %q, want %q", test.in, got, test.pascal)
		}
	}
	m := compileOne(t, testLock(), `{"properties":{"fooBar":{"type":"string"},"foo_bar":{"type":"string"},"foo-bar":{"type":"string"},"foo_bar2":{"type":"string"},"":{"type":"string"}}}`, ``)
	want := []string{
		`field "" 1 optional string`, `foo_bar "foo-bar" 2 optional string`, `foo_bar_2 "fooBar" 3 optional string`, `foo_bar_3 "foo_bar" 4 optional string`,
		`foo_bar2_2 "foo_bar2" 5 optional string`,
	}
	if d := cmp.Diff(want, show(m.RPCs[0].Input)); d != "" {
		t.Error(d)
	}
}

// TestClashes has names of methods, messages and definitions that would meet.
func TestClashes(t *testing.T) {
	schema := json.RawMessage(`{"properties":{"a":{"$ref":"#/$defs/ImportRequest"},"b":{"$ref":"#/$defs/TestService"},"c":{"$ref":"#/$defs/CallProgress"},
		"XRequest":{"properties":{"XRequest":{"properties":{"q":{"type":"string"}}}}},"mEntry":{"properties":{"q":{"type":"string"}}},"m":{"additionalProperties":{"type":"string"},"type":"object"}},
		"$defs":{"ImportRequest":{"properties":{"x":{"type":"string"}}},"TestService":{"properties":{"x":{"type":"string"}}},"CallProgress":{"properties":{"x":{"type":"string"}}}}}`)
	var methods []Method
	for _, name := range []string{"import", "import-stream", "importStream", "Import", "import request", "x", "test service", "call progress", "日"} {
		methods = append(methods, Method{Key: "tool/" + name, Name: name, Input: schema, Output: schema})
	}
	l := testLock()
	m, err := Compile(methods, l)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, r := range m.RPCs {
		if names[r.Name] {
			t.Errorf("two RPCs %s", r.Name)
		}
		names[r.Name] = true
	}
	if len(names) != 2*len(methods) {
		t.Errorf("%d names", len(names))
	}
}
