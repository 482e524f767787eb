package schema

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		bounds     Bounds
		want       *Malformed
	}{
		{name: "object", text: `{"a":[1,-2.5e+3,"x\u00e9\ud83d\ude00",true,false,null,{}]}`},
		{name: "scalar", text: " 9007199254740993\n"},
		{name: "names that differ in case", text: `{"method":1,"Method":2}`},
		{name: "one name in two objects", text: `[{"a":1},{"a":1}]`},
		{name: "empty", text: ``, want: &Malformed{Reason: "no value"}},
		{name: "white space", text: " \n", want: &Malformed{Reason: "no value"}},
		{name: "cut off", text: `{"a":`, want: &Malformed{Reason: "ends too early", Offset: 5}},
		{name: "name twice", text: `{"a":1,"a":2}`, want: &Malformed{Reason: "a member name occurs twice in one object", Offset: 7}},
		{name: "name twice by an escape", text: `[{"a":1,"\u0061":2}]`, want: &Malformed{Reason: "a member name occurs twice in one object", Offset: 8}},
		{name: "name not a string", text: `{1:2}`, want: &Malformed{Reason: "not valid JSON", Offset: 1}},
		{name: "two values", text: `{} {}`, want: &Malformed{Reason: "data after the value", Offset: 2}},
		{name: "rubbish behind", text: `{}x`, want: &Malformed{Reason: "data after the value", Offset: 2}},
		{name: "trailing comma", text: `[1,]`, want: &Malformed{Reason: "not valid JSON", Offset: 3}},
		{name: "invalid UTF-8", text: "[\"\xff\"]", want: &Malformed{Reason: "not valid JSON", Offset: 2}},
		{name: "half a surrogate pair", text: `["\ud83d"]`, want: &Malformed{Reason: "not valid JSON", Offset: 2}},
		{name: "half a surrogate pair, allowed", text: `["\ud83d",{"\ude00":1}]`, bounds: Bounds{Halves: true}},
		{name: "invalid UTF-8 beside half a pair", text: "[\"\\ud83d\xff\"]", bounds: Bounds{Halves: true}, want: &Malformed{Reason: "not valid JSON", Offset: 11}},
		{name: "no JSON beside half a pair", text: `["\ud83d"`, bounds: Bounds{Halves: true}, want: &Malformed{Reason: "ends too early", Offset: 9}},
		{name: "leading zero", text: `[01]`, want: &Malformed{Reason: "not valid JSON", Offset: 2}},
		{name: "byte order mark", text: "\ufeff{}", want: &Malformed{Reason: "not valid JSON"}},
		{name: "comment", text: `{/**/}`, want: &Malformed{Reason: "not valid JSON", Offset: 1}},
		{name: "as long as allowed", text: `[1]`, bounds: Bounds{Bytes: 3}},
		{name: "too long", text: `[1] `, bounds: Bounds{Bytes: 3}, want: &Malformed{Reason: "longer than 3 bytes", Offset: 3}},
		{name: "as deep as allowed", text: `[{"[{":[]}]`, bounds: Bounds{Depth: 3}},
		{name: "too deep", text: `[{"a":[[]]}]`, bounds: Bounds{Depth: 3}, want: &Malformed{Reason: "nested deeper than 3 levels", Offset: 7}},
		{name: "as many tokens as allowed", text: `{"a,b":[1,"\"2",null]}`, bounds: Bounds{Tokens: 8}},
		{name: "too many tokens", text: `{"a,b":[1,"\"2",null]}`, bounds: Bounds{Tokens: 7}, want: &Malformed{Reason: "more than 7 tokens", Offset: 21}},
		{name: "far too deep", text: strings.Repeat("[", 4<<20), want: &Malformed{Reason: "nested deeper than 64 levels", Offset: 64}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := Check([]byte(test.text), test.bounds)
			var got *Malformed
			if err != nil && !errors.As(err, &got) {
				t.Fatalf("Check: %v, want a *Malformed", err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("Check (-want +got):\n%s", diff)
			}
		})
	}
}

// TestCheckAllocs holds the cost of a call to what the hot path can bear.
func TestCheckAllocs(t *testing.T) {
	args := toolArguments(t)
	if n := testing.AllocsPerRun(200, func() {
		if err := Check(args, Bounds{}); err != nil {
			t.Fatal(err)
		}
	}); n > 1 && !raceEnabled {
		t.Errorf("Check of %d bytes allocates %v times, want at most once", len(args), n)
	}
}

// readable is Check by other means: it reads the text token by token.
func readable(data []byte, b Bounds) bool {
	b = b.withDefaults()
	d := jsontext.NewDecoder(bytes.NewReader(data))
	for tokens := 0; ; tokens++ {
		if _, err := d.ReadToken(); err != nil {
			return tokens > 0 && errors.Is(err, io.EOF) && d.StackDepth() == 0 && len(data) <= b.Bytes && tokens <= b.Tokens
		}
		if d.StackDepth() > b.Depth || d.StackDepth() == 0 && tokensEnded(d, data) {
			return false
		}
	}
}

// tokensEnded reports whether another value follows a complete one.
func tokensEnded(d *jsontext.Decoder, data []byte) bool {
	return len(bytes.TrimLeft(data[d.InputOffset():], " \t\r\n")) > 0
}

func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		``, ` `, `{}`, `[]`, `{"a":[1,2.5e-3,"x",true,null]}`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{} {}`, `[1,]`,
		"\"\xff\"", `"\ud800"`, `[[[[[[[[[]]]]]]]]]`, `{"a":{"b":{"c":[0,1,2,3,4,5,6,7,8,9]}}}`, `"\\"`, `"\"`, `1 2`, `-`, `nul`, `]`, `"a`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, b := range []Bounds{{}, {Bytes: 64, Depth: 4, Tokens: 20}} {
			err := Check(data, b)
			if want := readable(data, b); (err == nil) != want {
				t.Fatalf("Check(%q, %+v) = %v, want acceptance %v", data, b, err, want)
			}
			var m *Malformed
			if err != nil && (!errors.As(err, &m) || m.Reason == "" || m.Offset < 0 || m.Offset > int64(len(data))) {
				t.Fatalf("Check(%q): %#v", data, err)
			}
		}
	})
}
