package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// keptLog writes a log of several segments and lets it be tidied with the
// options, once.
func keptLog(t *testing.T, o Options) string {
	t.Helper()
	dir := closedLog(t, 20)
	o.Dir = dir
	l := mustOpen(t, o)
	if err := l.tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	return dir
}

// TestCompressed holds that a log whose closed segments are compressed is read
// and verified like any other, and that damage to them is found.
func TestCompressed(t *testing.T) {
	dir := keptLog(t, Options{Compress: true})
	all, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !all[0].packed || all[len(all)-1].packed {
		t.Fatalf("%+v", all)
	}
	report := mustVerify(t, dir)
	if report.Records != 24 || len(readAll(t, dir)) != 24 {
		t.Errorf("%+v", report)
	}
	if p, err := Prove(t.Context(), dir, 3); err != nil || p.Record == "" {
		t.Errorf("%+v, %v", p, err)
	}
	// Every byte of a compressed segment: either the damage is found, or the
	// segment still holds the same records.
	data, err := os.ReadFile(all[0].path)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for i := 0; i < len(data); i += 3 {
		changed := append([]byte(nil), data...)
		changed[i] ^= 0x41
		restore(t, map[string][]byte{all[0].path: changed})
		r, err := Verify(dir, Proofs{})
		switch {
		case err == nil && r != report:
			t.Errorf("byte %d: %+v", i, r)
		case err != nil && !errors.As(err, new(*Damage)):
			t.Errorf("byte %d: %v", i, err)
		case err != nil:
			found++
		}
	}
	if found == 0 {
		t.Error("no damage was found")
	}
	// A crash between the two leaves both: the segment counts.
	restore(t, map[string][]byte{all[0].path: data[:len(data)/2]})
	l, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, l)
	if _, err := Verify(dir, Proofs{}); !errors.As(err, new(*Damage)) {
		t.Errorf("a compressed segment that was cut: %v", err)
	}
}

// TestRetention holds that old segments go, that their checkpoints stay, that
// the rest verifies and proves, and that removing more than the log says is
// found.
func TestRetention(t *testing.T) {
	for what, o := range map[string]Options{
		"size": {RetainBytes: 6 << 10},
		"age":  {RetainAge: time.Minute, Now: func() time.Time { return time.Now().Add(time.Hour) }},
	} {
		dir := keptLog(t, o)
		all, err := segments(dir)
		if err != nil {
			t.Fatal(err)
		}
		report := mustVerify(t, dir)
		if report.First == 1 || all[0].first != report.First {
			t.Fatalf("%s: %+v", what, report)
		}
		if _, err := os.Stat(pointsPath(dir, 1)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		keys, err := PublicKeys(dir)
		if err != nil {
			t.Fatal(err)
		}
		for seq := report.First; seq <= report.Records; seq++ {
			p, err := Prove(t.Context(), dir, seq)
			if err != nil {
				t.Fatalf("%s: record %d: %v", what, seq, err)
			}
			if _, _, err := p.Check(keys...); err != nil {
				t.Errorf("%s: record %d: %v", what, seq, err)
			}
		}
		mustClose(t, mustOpen(t, Options{Dir: dir}))
		mustVerify(t, dir)
		if len(all) < 2 {
			continue
		}
		if err := os.Remove(all[0].path); err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(dir, Proofs{}); !errors.As(err, new(*Damage)) {
			t.Errorf("%s: without one more segment: %v", what, err)
		}
	}
}

// TestSegmentAge holds that a segment does not stay open for ever.
func TestSegmentAge(t *testing.T) {
	dir := t.TempDir()
	now := clock{at: time.Now()}
	l := mustOpen(t, Options{Dir: dir, SegmentAge: time.Hour, Now: now.now})
	for i := range 3 {
		now.add(2 * time.Hour)
		if err := l.Event(t.Context(), Event{Type: "login", Detail: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, l)
	if r := mustVerify(t, dir); r.Segments < 3 {
		t.Errorf("%+v", r)
	}
	if found, err := filepath.Glob(filepath.Join(dir, "*"+packedSuffix)); err != nil || len(found) > 0 {
		t.Errorf("compressed without being asked: %v, %v", found, err)
	}
}

// TestRedaction holds what records keep of arguments and results, by rules.
func TestRedaction(t *testing.T) {
	const args = `{"id":7,"name":"x","deep":{"a":[1,{"b":2}],"c":"d"},"password":"p","k":"ghp_0123456789abcdef","max_tokens":5,"api_key":{"x":1}}`
	for _, c := range []struct {
		rule         Redaction
		args, result string
	}{
		{Redaction{Level: LevelNone}, "", ""},
		{Redaction{Level: LevelMetadata}, "", ""},
		{Redaction{Level: LevelRequest, Keep: []string{"/id", "/deep/c", "/none", "/name/x"}}, `{"id":7,"name":{},"deep":{"c":"d"}}`, ""},
		{Redaction{Level: LevelRequest, Keep: []string{"/deep/a/0"}}, `{"deep":{"a":{}}}`, ""},
		{
			Redaction{Level: LevelRequestResponse},
			`{"id":7,"name":"x","deep":{"a":[1,{"b":2}],"c":"d"},"password":"[redacted]","k":"[redacted]","max_tokens":5,"api_key":"[redacted]"}`,
			`{"content":[{"type":"text","text":"hi"}]}`,
		},
	} {
		dir := t.TempDir()
		c.rule.Objects = []string{"tool/x/*", "tool/demo/e?ho"}
		l := mustOpen(t, Options{Dir: dir, Redactions: []Redaction{{Objects: []string{"tool/other/*"}, Level: LevelNone}, c.rule}})
		call := testCall("echo")
		call.Args = []byte(args)
		do(t.Context(), l, call, gateway.TextResult("hi"), nil)
		do(t.Context(), l, testCall("free"), gateway.TextResult("hi"), nil)
		do(t.Context(), l, testCall("echo"), gateway.MessageResult([]byte{1}, func() (json.RawMessage, error) { return json.RawMessage(`7`), nil }), nil)
		mustClose(t, l)
		all := readAll(t, dir)
		if r := all[1]; string(r.Args) != c.args || string(r.Result) != c.result || (r.ArgsHMAC == "") != (c.rule.Level == LevelNone) {
			t.Errorf("%+v: args %s, result %s, HMAC %q", c.rule, r.Args, r.Result, r.ArgsHMAC)
		}
		if r := all[2]; r.Args != nil || r.ArgsHMAC == "" {
			t.Errorf("%+v: what no rule names: %+v", c.rule, r)
		}
		if r, want := all[3], `{"content":[{"type":"text","text":"7"}],"structuredContent":7}`; r.BytesOut != 1 || c.result != "" && string(r.Result) != want || c.result == "" && r.Result != nil {
			t.Errorf("%+v: of a message: %d bytes, %s", c.rule, r.BytesOut, r.Result)
		}
		mustVerify(t, dir)
	}
	for _, bad := range []Redaction{{Level: "x"}, {Level: LevelNone, Keep: []string{"a"}}, {Level: LevelNone, Keep: []string{""}}} {
		if l, err := Open(Options{Dir: t.TempDir(), Redactions: []Redaction{bad}}); err == nil {
			t.Errorf("%+v was accepted", bad)
			_ = l.Close()
		}
	}
}

func FuzzRedact(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,"x"]},"token":"y"}`), "/a/b")
	f.Add([]byte(`[{"~":1}]`), "/~0")
	f.Fuzz(func(t *testing.T, doc []byte, keep string) {
		names, err := pointer(keep)
		if err != nil {
			return
		}
		for _, r := range []redaction{{}, {keep: [][]string{names}}} {
			out := r.part(doc, maxArgs)
			if out == nil {
				continue
			}
			if again := (&redaction{}).part(out, maxArgs); again == nil {
				t.Errorf("%s became %s, which is not JSON", doc, out)
			}
		}
	})
}
