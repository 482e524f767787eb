package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// patience is how long any one attack may take. It is generous, for slow and shared machines and for the race
// detector; what it guards against takes minutes to centuries.
const patience = 2 * time.Minute

// within fails the test if f takes longer than patience. It measures instead of interrupting: nothing could
// interrupt a validation.
func within(t *testing.T, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if took := time.Since(start); took > patience {
		t.Errorf("took %v, want at most %v", took, patience)
	} else {
		t.Logf("took %v", took)
	}
}

// repeat joins n texts with commas.
func repeat(n int, f func(i int) string) string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = f(i)
	}
	return strings.Join(texts, ",")
}

func fixed(s string) func(int) string { return func(int) string { return s } }

func TestValidateAttacks(t *testing.T) {
	t.Parallel()
	const costly = "too costly"
	nested := strings.Repeat("[", 60) + strings.Repeat("]", 60)
	objects := strings.Repeat(`{"a":`, 60) + "1" + strings.Repeat("}", 60)
	const digits = 2_000_000
	for _, test := range []struct {
		name, schema, value string
		want                string // part of the error, "" for none
	}{
		{"two ways down", `{"items":{"allOf":[{"$ref":"#"},{"$ref":"#"}]}}`, nested, costly},
		{"two ways down, unseen", `{"not":{"not":{"$ref":"#/$defs/a"}},"$defs":{"a":{"items":{"anyOf":[{"allOf":[{"$ref":"#/$defs/a"},false]},{"$ref":"#/$defs/a"}]}}}}`, nested, costly},
		{"two ways down, all failing", `{"$ref":"#/$defs/a","$defs":{"a":{"anyOf":[{"properties":{"a":{"$ref":"#/$defs/a"}},"required":["b"]},{"properties":{"a":{"$ref":"#/$defs/a"}},"required":["c"]}]}}}`, objects, costly},
		{"two ways down, evaluated", `{"unevaluatedProperties":false,"anyOf":[{"properties":{"a":{"$ref":"#"}}},{"properties":{"a":{"$ref":"#"}}}]}`, objects, costly},
		{"fan-out", `{"$ref":"#/$defs/d0","$defs":{"d40":{},` + repeat(40, func(i int) string {
			return fmt.Sprintf(`"d%d":{"allOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]}`, i, i+1, i+1)
		}) + `}}`, `1`, costly},
		{"dynamic circle", `{"$dynamicAnchor":"a","not":{"$id":"b","$dynamicAnchor":"a","allOf":[{"if":false,"else":{"$dynamicRef":"#a"}}]}}`, `1`, costly},
		{"large expression, long string", `{"pattern":"(a?b?c?){300}d$"}`, `"` + strings.Repeat("abc", 1<<20) + `"`, costly},
		{
			"many expressions, many names",
			`{"patternProperties":{` + repeat(1000, func(i int) string { return fmt.Sprintf(`"^x%d[a-z]*$":{}`, i) }) + `}}`,
			`{` + repeat(50_000, func(i int) string { return fmt.Sprintf(`"x%d":1`, i) }) + `}`, costly,
		},
		{
			"many required, many objects",
			`{"items":{"required":[` + repeat(5000, func(i int) string { return fmt.Sprintf(`"r%d"`, i) }) + `]}}`,
			`[` + repeat(50_000, fixed(`{"a":1}`)) + `]`, "is missing",
		},
		{
			"many allowed, many values",
			`{"items":{"enum":[` + repeat(20_000, func(i int) string { return fmt.Sprintf("%d", i) }) + `]}}`,
			`[` + repeat(100_000, fixed("1.9999e4")) + `]`, "",
		},
		{"many equal items", `{"uniqueItems":true}`, `[` + repeat(100_000, func(i int) string { return fmt.Sprintf(`{"a":%d}`, i) }) + `,{"a":0.0}]`, "items 0 and 100000 are equal"},
		{
			"nested uniqueItems", `{"uniqueItems":true,"items":{"$ref":"#"}}`,
			strings.Repeat("[", 60) + repeat(50_000, func(i int) string { return fmt.Sprint(i) }) + strings.Repeat("]", 60), "",
		},
		{
			"many forms, many values", `{"items":{"oneOf":[` + repeat(1000, func(i int) string { return fmt.Sprintf(`{"const":%d}`, i) }) + `]}}`,
			`[` + repeat(100_000, fixed("1")) + `]`, costly,
		},
		{
			"many marks", `{"unevaluatedProperties":false,"allOf":[` + repeat(2000, fixed(`{"minProperties":1}`)) + `],"patternProperties":{"":true}}`,
			`{` + repeat(90_000, func(i int) string { return fmt.Sprintf(`"x%d":1`, i) }) + `}`, costly,
		},
		{
			"dependencies of one on all", `{"dependentRequired":{` + repeat(3000, func(i int) string { return fmt.Sprintf(`"x%d":["x0"]`, i) }) + `}}`,
			`{` + repeat(90_000, func(i int) string { return fmt.Sprintf(`"x%d":1`, 89_999-i) }) + `}`, costly,
		},
		{"huge exponent", `{"minimum":1,"maximum":2}`, `1e999999999`, "at most 2"},
		{"exponent beyond all", `{"maximum":2}`, `1e99999999999999999999`, "out of range"},
		{"negative exponent beyond all", `{"maximum":2}`, `[1E-1000000000]`, "out of range"},
		{"huge exponent, multiple", `{"multipleOf":0.0007}`, `7e999999998`, ""},
		{"huge exponents, unique", `{"uniqueItems":true}`, `[1e999999999,10e999999998]`, "are equal"},
		{"many digits, multiple", `{"type":"integer","multipleOf":7}`, strings.Repeat("7", digits), ""},
		{"many digits, limit", `{"minimum":` + strings.Repeat("7", 999) + `}`, strings.Repeat("7", digits), ""},
		{"many digits, allowed", `{"const":1}`, "1." + strings.Repeat("0", digits), ""},
		{"too deep", `{"type":"array"}`, strings.Repeat("[", 300) + strings.Repeat("]", 300), "nested deeper"},
		{"not JSON", `{"type":"array"}`, `[1`, "malformed"},
		{"second member of a name", `{"properties":{"a":{"type":"integer"}}}`, `{"a":"x","a":1}`, "occurs twice"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			within(t, func() {
				s, err := Compile(json.RawMessage(test.schema))
				if err != nil {
					t.Fatal(err)
				}
				err = s.Validate(json.RawMessage(test.value))
				var invalid *Invalid
				switch {
				case test.want == "" && err != nil:
					t.Errorf("Validate: %v", err)
				case test.want != "" && !errors.As(err, &invalid):
					t.Errorf("Validate: %v, want an *Invalid with %q", err, test.want)
				case test.want != "" && !strings.Contains(err.Error(), test.want):
					t.Errorf("Validate: %v, want %q", err, test.want)
				}
				if err != nil && len(err.Error()) > 700 {
					t.Errorf("error of %d bytes", len(err.Error()))
				}
			})
		})
	}
}

func TestCompileAttacks(t *testing.T) {
	t.Parallel()
	chain := repeat(2500, func(i int) string { return fmt.Sprintf(`"d%d":{"$ref":"#/$defs/d%d"}`, i, i+1) })
	for _, test := range []struct {
		name, schema string
		want         string // part of the error, "" for none
	}{
		{"too long", `{"description":"` + strings.Repeat("x", maxSchemaBytes) + `"}`, "longer than"},
		{"too deep", strings.Repeat(`{"not":`, 200) + "{}" + strings.Repeat("}", 200), "nested deeper"},
		{"too many subschemas", `{"anyOf":[` + repeat(9000, fixed("{}")) + `]}`, "subschemas"},
		{"most subschemas", `{"properties":{` + repeat(8000, func(i int) string { return fmt.Sprintf(`"p%d":{"type":"string"}`, i) }) + `}}`, ""},
		{"many anchors", `{"$defs":{` + repeat(4000, func(i int) string { return fmt.Sprintf(`"p%d":{"$dynamicAnchor":"a%d"}`, i, i) }) + `},"$dynamicRef":"#a0"}`, ""},
		{"many identifiers", `{"$defs":{` + repeat(4000, func(i int) string { return fmt.Sprintf(`"p%d":{"$id":"a%d","$ref":"a%d"}`, i, i, (i+1)%4000) }) + `}}`, ""},
		{"chain of references", `{"$ref":"#/$defs/d0","$defs":{"d2500":{},` + chain + `}}`, ""},
		{"circle of references", `{"$ref":"#/$defs/d0","$defs":{"d2500":{"$ref":"#"},` + chain + `}}`, "without end"},
		{"itself", `{"$ref":"#"}`, "without end"},
		{"itself, negated", `{"not":{"not":{"$ref":"#"}}}`, "without end"},
		{"large repetition", `{"pattern":"((a{100}){100}){100}"}`, "pattern"},
		{"many repetitions", `{"patternProperties":{` + repeat(500, func(i int) string { return fmt.Sprintf(`"(a%d){900}":{}`, i) }) + `}}`, "too large"},
		{"huge exponent", `{"minimum":1e9999999}`, "too many digits"},
		{"huge exponent, negative", `{"multipleOf":1e-9999999}`, "too many digits"},
		{"huge exponent, in an annotation", `{"default":[{"a":1e9999999}]}`, "too many digits"},
		{"huge count", `{"minLength":1e30}`, "too large"},
		{"huge divisor", `{"multipleOf":123456789012345678901234567890}`, "too many digits"},
		{"remote reference", `{"$ref":"https://internal.example/secret.json#/a"}`, "https://internal.example/secret.json: a schema must not refer to another document"},
		{"file reference", `{"$ref":"file:///etc/passwd"}`, "file:///etc/passwd"},
		{"relative reference", `{"properties":{"a":{"$ref":"other.json"}}}`, "schema:///other.json"},
		{"remote meta-schema", `{"$schema":"https://internal.example/meta"}`, "https://internal.example/meta"},
		{"published meta-schema", `{"$ref":"https://json-schema.org/draft/2020-12/schema"}`, ""},
		{"second member of a name", `{"type":"object","type":"string"}`, "occurs twice"},
		{"no schema", `[]`, "not a valid schema"},
		{"nothing", ``, "no value"},
		{"wrong keyword", `{"properties":{"a":{"type":"strnig"}}}`, `not a valid schema at "/properties/a/type"`},
		{"look-ahead", `{"pattern":"(?=a)b"}`, "pattern"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			within(t, func() {
				_, err := Compile(json.RawMessage(test.schema))
				switch {
				case test.want == "" && err != nil:
					t.Errorf("Compile: %v", err)
				case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
					t.Errorf("Compile: %v, want %q", err, test.want)
				}
				if err != nil && (len(err.Error()) > 700 || strings.Contains(err.Error(), "\n")) {
					t.Errorf("error not one short line: %q", err)
				}
			})
		})
	}
}
