package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustCompile(tb testing.TB, raw string) *Schema {
	tb.Helper()
	s, err := Compile(json.RawMessage(raw))
	if err != nil {
		tb.Fatalf("Compile(%s): %v", raw, err)
	}
	return s
}

func TestViolations(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300)
	for _, test := range []struct {
		name, schema, value string
		want                []Violation
	}{
		{"type", `{"properties":{"a":{"type":"integer"}}}`, `{"a":"secret"}`, []Violation{{"/a", "want integer, got string"}}},
		{"types", `{"type":["array","null"]}`, `1`, []Violation{{"", "want null or array, got number"}}},
		{"empty value", `{"required":["a"]}`, ``, []Violation{{"", `the member "a" is missing`}}},
		{"required", `{"required":["b","a","c"]}`, `{"b":1}`, []Violation{{"", `the member "a" is missing`}, {"", `the member "c" is missing`}}},
		{"additional", `{"properties":{"a":true},"additionalProperties":false}`, `{"a":1,"b/~":2}`, []Violation{{"/b~1~0", "not allowed here"}}},
		{"case matters", `{"properties":{"a":true},"additionalProperties":false}`, `{"A":1}`, []Violation{{"/A", "not allowed here"}}},
		{"escaped name", `{"properties":{"a":{"type":"null"}}}`, `{"\u0061":1}`, []Violation{{"/a", "want null, got number"}}},
		{"escaped string", `{"maxLength":2}`, `"\ud83d\ude00\n"`, nil},
		{"pattern", `{"pattern":"^\\u0061$"}`, `"b"`, []Violation{{"", `does not match the pattern ^\u0061$`}}},
		{"pattern of control", `{"pattern":"^\\cA\\w$"}`, `"\u0001w"`, nil},
		{"length", `{"minLength":2}`, `"é"`, []Violation{{"", "want at least 2 characters, got 1"}}},
		{"items", `{"items":{"items":{"type":"string"}}}`, `[["a"],["b",3]]`, []Violation{{"/1/1", "want string, got number"}}},
		{"enum", `{"enum":["a",null,1.0]}`, `"secret"`, []Violation{{"", `want one of "a", null, 1.0`}}},
		{"long enum", `{"enum":["` + long + `"]}`, `1`, []Violation{{"", "not one of the values that the schema allows"}}},
		{"enum by value", `{"enum":[{"a":[1,2],"b":0}]}`, `{"b":-0.0,"a":[1.0,0.2e1]}`, nil},
		{"const beyond 2^53", `{"const":9007199254740992}`, `9007199254740993`, []Violation{{"", "want 9007199254740992"}}},
		{"maximum beyond 2^53", `{"maximum":9007199254740992}`, `9007199254740993`, []Violation{{"", "want at most 9007199254740992"}}},
		{"minimum beyond 2^53", `{"exclusiveMinimum":-9007199254740993}`, `-9007199254740992`, nil},
		{"fraction", `{"exclusiveMaximum":0.3}`, `0.29999999999999999999999`, nil},
		{"integer", `{"type":"integer"}`, `1.5e1`, nil},
		{"no integer", `{"type":"integer"}`, `1.5`, []Violation{{"", "want integer, got number"}}},
		{"multiple", `{"multipleOf":0.1}`, `1.23`, []Violation{{"", "want a multiple of 0.1"}}},
		{"unique", `{"uniqueItems":true}`, `[1,"1",[1],1.0]`, []Violation{{"", "items 0 and 3 are equal"}}},
		{"contains", `{"contains":{"type":"null"},"minContains":2}`, `[null]`, []Violation{{"", "want at least 2 items of the kind that it must contain, got 1"}}},
		{"not", `{"not":{"type":"null"}}`, `null`, []Violation{{"", "is of a form that is excluded"}}},
		{"none of", `{"anyOf":[{"type":"string"},{"type":"null"}]}`, `1`, []Violation{{"", "matches none of the 2 forms that the schema allows"}}},
		{"none of, one fits", `{"anyOf":[{"$ref":"#/$defs/o"},{"type":"null"}],"$defs":{"o":{"type":"object","required":["a"]}}}`, `{}`, []Violation{{"", `the member "a" is missing`}}},
		{"more than one of", `{"oneOf":[true,true]}`, `1`, []Violation{{"", "matches more than one of 2 forms that exclude each other"}}},
		{"property names", `{"propertyNames":{"maxLength":1}}`, `{"ab":1}`, []Violation{{"/ab", "no member may be called so"}}},
		{"dependent", `{"dependentRequired":{"a":["b"]}}`, `{"a":1}`, []Violation{{"", `the member "b" is missing, which "a" asks for`}}},
		{"unevaluated", `{"allOf":[{"properties":{"a":true}}],"unevaluatedProperties":false}`, `{"a":1,"b":2}`, []Violation{{"/b", "not allowed here"}}},
		{"then", `{"if":{"required":["a"]},"then":{"required":["b"]}}`, `{"a":1}`, []Violation{{"", `the member "b" is missing`}}},
		{"false", `false`, `1`, []Violation{{"", "not allowed here"}}},
		{"format", `{"$schema":"http://json-schema.org/draft-07/schema#","format":"email"}`, `"no address"`, nil},
		{"long name", `{"additionalProperties":{"additionalProperties":false}}`, `{"a":{"` + long + `":1}}`, []Violation{{"/a", "not allowed here"}}},
		{"long schema", `{"required":["` + long + `"]}`, `{}`, []Violation{{"", `the member "` + long[:77] + `…" is missing`}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got []Violation
			var invalid *Invalid
			if err := mustCompile(t, test.schema).Validate(json.RawMessage(test.value)); errors.As(err, &invalid) {
				got = invalid.Violations
			} else if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("Validate (-want +got):\n%s", diff)
			}
		})
	}
}

func TestViolationsAreBounded(t *testing.T) {
	t.Parallel()
	s := mustCompile(t, `{"items":{"type":"string"}}`)
	err := s.Validate(json.RawMessage("[" + repeat(100, fixed("1")) + "]"))
	var invalid *Invalid
	if !errors.As(err, &invalid) || len(invalid.Violations) != maxViolations {
		t.Fatalf("Validate: %v, want %d violations", err, maxViolations)
	}
	if want := "arguments/0: want string, got number (and 7 more)"; err.Error() != want {
		t.Errorf("Error() = %q, want %q", err, want)
	}
}

func TestErrorIsPrintable(t *testing.T) {
	t.Parallel()
	s := mustCompile(t, `{"additionalProperties":false}`)
	err := s.Validate(json.RawMessage(`{"a\n\u001b[31m\u202e":1}`))
	if err == nil {
		t.Fatal("Validate: no error")
	}
	if want := `arguments/a\n\x1b[31m\u202e: not allowed here`; err.Error() != want {
		t.Errorf("Error() = %q, want %q", err, want)
	}
}

func TestZeroSchema(t *testing.T) {
	t.Parallel()
	var none *Schema
	for _, s := range []*Schema{none, {}} {
		if err := s.Validate(json.RawMessage(`{"anything":[`)); err != nil {
			t.Errorf("Validate: %v", err)
		}
		if s.JSON() != nil {
			t.Errorf("JSON() = %q, want nil", s.JSON())
		}
	}
}

func TestJSONIsWhatWasGiven(t *testing.T) {
	t.Parallel()
	raw := []byte("{ \"x-own\" : 1.0e0,\n\"type\":\"object\" }")
	want := bytes.Clone(raw)
	s := mustCompile(t, string(raw))
	clear(raw)
	if !bytes.Equal(s.JSON(), want) {
		t.Errorf("JSON() = %q, want %q", s.JSON(), want)
	}
}

func TestFor(t *testing.T) {
	t.Parallel()
	type point struct {
		X float64 `json:"x"`
		Y float64 `json:"y"`
	}
	type shape struct {
		Name   string  `json:"name,omitempty" jsonschema:"what it is called"`
		Points []point `json:"points"`
		hidden int
	}
	_ = shape{hidden: 1}
	raw, err := For[shape]()
	if err != nil {
		t.Fatal(err)
	}
	s := mustCompile(t, string(raw))
	if err := s.Validate(json.RawMessage(`{"points":[{"x":1,"y":2.5}]}`)); err != nil {
		t.Error(err)
	}
	for _, value := range []string{`{}`, `{"points":[{"x":1}]}`, `{"points":[],"hidden":1}`, `{"points":[],"name":1}`} {
		if s.Validate(json.RawMessage(value)) == nil {
			t.Errorf("Validate(%s): no error", value)
		}
	}
	if _, err := For[struct{ C chan int }](); err == nil {
		t.Error("For a channel: no error")
	}
}

// TestConcurrent validates different values with one schema at the same time.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	s := mustCompile(t, toolSchema)
	good := toolArguments(t)
	bad := json.RawMessage(`{"owner":"a","repo":"b","limit":0,"state":"lost","labels":[1],"x":{}}`)
	var want *Invalid
	if !errors.As(s.Validate(bad), &want) {
		t.Fatal("Validate: no *Invalid")
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if err := s.Validate(good); err != nil {
					t.Errorf("Validate: %v", err)
				}
				var got *Invalid
				if !errors.As(s.Validate(bad), &got) || !cmp.Equal(want, got) {
					t.Errorf("Validate: %v, want %v", got, want)
				}
			}
		})
	}
	wg.Wait()
}

// TestValidateAllocs holds the cost of a call to what the hot path can bear.
func TestValidateAllocs(t *testing.T) {
	s, args := mustCompile(t, toolSchema), toolArguments(t)
	if n := testing.AllocsPerRun(200, func() {
		if err := s.Validate(args); err != nil {
			t.Fatal(err)
		}
	}); n > 1 && !raceEnabled {
		t.Errorf("Validate of %d bytes allocates %v times, want at most once", len(args), n)
	}
}
