package mcp

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/trilith-gateway/trilith/schema"
)

// FuzzReadMessage holds the envelope reader against a full JSON decoder: on
// every text that passes the strict check, both must see the same message.
func FuzzReadMessage(f *testing.F) {
	for _, s := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":[1,{"b":"\""}]},"_meta":{"progressToken":1}}}`,
		`{"jsonrpc":"2.0","id":"a\\","result":{}}`, `{"jsonrpc":"2.0","id":-1.5e3,"error":{"code":1,"message":""}}`,
		`{"json\u0072pc":"2.0","\u006dethod":"a\u0062c"}`, ` { "jsonrpc" : "2.0" , "method" : "m" } `, `[]`, `{"id":null}`, `{`, `"`, `{"a`, `{"a":}`, `{"a":[}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := readMessage(data) // Must not panic on anything.
		readMeta(readParams(got.Params).meta)
		if schema.Check(data, schema.Bounds{}) != nil {
			return
		}
		var want struct {
			ID     json.RawMessage `json:"id"`
			Method json.RawMessage `json:"method"`
			Params json.RawMessage `json:"params"`
			Result json.RawMessage `json:"result"`
			Error  json.RawMessage `json:"error"`
		}
		if jsonv2.Unmarshal(data, &want) != nil {
			if err == nil {
				t.Fatalf("accepted %q", data)
			}
			return
		}
		if err != nil {
			return
		}
		var method string
		if want.Method != nil && jsonv2.Unmarshal(want.Method, &method) != nil {
			t.Fatalf("accepted the method %q", want.Method)
		}
		if got.Method != method || !bytes.Equal(got.ID, want.ID) || !bytes.Equal(got.Params, want.Params) ||
			!bytes.Equal(got.Result, want.Result) || !bytes.Equal(got.Error, want.Error) {
			t.Errorf("%q reads as %q", data, got)
		}
	})
}

// FuzzAppendModern holds that what is put into a result leaves a result: valid,
// without members twice, with everything of the upstream's still in it.
func FuzzAppendModern(f *testing.F) {
	for _, s := range []string{
		`{}`, `{ } `, `{`, `{"a":`, `{"_meta":{}}`, `{"_meta":{ "a":1 },"x":1}`, `{"cacheScope":"public","_meta":null}`, `{"_meta":7,"cacheScope":[],"resultType":"x","ttlMs":3}`,
		`{"_meta":{"io.modelcontextprotocol/serverInfo":{}}}`, `{"cacheScope":"public"}`, `{"\u005fmeta":{}}`,
	} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	info := []byte(`{"` + metaServerInfo + `":{"name":"n","version":"1"}}`)
	f.Fuzz(func(t *testing.T, raw []byte, cached bool) {
		if !isObject(raw) {
			return
		}
		got := appendModern(nil, raw, info, cached) // Must not panic on any such text.
		if schema.Check(raw, schema.Bounds{Depth: 60}) != nil {
			return
		}
		if err := schema.Check(got, schema.Bounds{}); err != nil {
			t.Fatalf("%q became %q: %v", raw, got, err)
		}
		checkModernResult(t, raw, got, cached)
	})
}

func checkModernResult(t *testing.T, raw, got []byte, cached bool) {
	t.Helper()
	var before, after map[string]json.RawMessage
	if jsonv2.Unmarshal(raw, &before) != nil || jsonv2.Unmarshal(got, &after) != nil {
		t.Fatalf("%q became %q", raw, got)
	}
	for name, v := range before {
		if name == "_meta" || name == "cacheScope" && cached {
			continue
		}
		if !bytes.Equal(after[name], v) {
			t.Errorf("%s was %s and is %s", name, v, after[name])
		}
	}
	if after["resultType"] == nil || after["_meta"] == nil || cached && (string(after["cacheScope"]) != `"private"` || after["ttlMs"] == nil) {
		t.Errorf("%q became %q", raw, got)
	}
}

// FuzzDecodeHeader holds that every text has one header that stands for it, and
// that nothing else does.
func FuzzDecodeHeader(f *testing.F) {
	for _, s := range []string{"plain", "=?base64?SGVsbG8=?=", "=?base64?SGVsbG8?=", "=?base64?=", "=?base64??=", "Zürich", "a\tb", "\x00", "=?base64?/w==?="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v string) {
		text, ok := decodeHeader(v)
		if wrapped := strings.HasPrefix(v, "=?base64?") && strings.HasSuffix(v, "?=") && len(v) >= len("=?base64??="); ok && !wrapped && text != v {
			t.Errorf("%q reads as %q", v, text)
		} else if ok && wrapped && "=?base64?"+base64.StdEncoding.EncodeToString([]byte(text))+"?=" != v {
			t.Errorf("%q reads as %q, which has another form", v, text)
		}
		valid := strings.ToValidUTF8(v, "")
		if back, ok := decodeHeader("=?base64?" + base64.StdEncoding.EncodeToString([]byte(valid)) + "?="); !ok || back != valid {
			t.Errorf("%q came back as %q", valid, back)
		}
	})
}

// FuzzTicket holds that no id opens that was not sealed for that principal.
func FuzzTicket(f *testing.F) {
	seal, err := newSealer([32]byte{}) // Random: no seed of another process opens.
	if err != nil {
		f.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	good := seal.seal(rev20250618, 0, "alice", now)
	f.Add(good, "alice")
	f.Add(good, "bob")
	f.Add(good[1:], "alice")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, id, who string) {
		tk, ok := seal.open(id, who, now)
		if ok != (id == good && who == "alice") {
			t.Errorf("%q opens for %q: %v", id, who, ok)
		}
		if ok && (tk.rev != rev20250618 || !tk.issued.Equal(now) || tk.key == sessionKey{}) {
			t.Errorf("ticket: %+v", tk)
		}
	})
}

// FuzzCursor holds that a cursor says what it was made of, and to its own list
// alone.
func FuzzCursor(f *testing.F) {
	f.Add("name", byte('t'))
	f.Add("", byte(0))
	f.Fuzz(func(t *testing.T, text string, kind byte) {
		readCursor(text, kind) // Must not panic on anything.
		if len(text) > 3000 {
			return
		}
		cursor := string(appendCursor(nil, kind, text))
		if got, ok := readCursor(cursor, kind); !ok || got != text {
			t.Errorf("%q came back as %q", text, got)
		}
		if _, ok := readCursor(cursor, kind+1); ok {
			t.Errorf("a cursor of %d is one of %d", kind, kind+1)
		}
	})
}
