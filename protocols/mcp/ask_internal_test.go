package mcp

import (
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

func TestAbilities(t *testing.T) {
	for _, tt := range []struct {
		declared string
		rev      string
		want     string
	}{
		{`{}`, rev20251125, `{}`},
		{`7`, rev20251125, `{}`},
		{`{"elicitation":7,"sampling":null,"tasks":{}}`, rev20251125, `{}`},
		{`{"elicitation":{}}`, rev20251125, `{"elicitation":{"form":{}}}`},
		{`{"elicitation":{"url":{}}}`, rev20251125, `{"elicitation":{"url":{}}}`},
		{`{"elicitation":{"url":{}}}`, rev20250618, `{}`},
		{`{"elicitation":{}}`, rev20250326, `{}`},
		{
			`{"roots":{"listChanged":true},"sampling":{"tools":{},"context":{}},"elicitation":{"form":{},"url":{}}}`, rev20251125,
			`{"elicitation":{"form":{},"url":{}},"sampling":{"tools":{},"context":{}},"roots":{}}`,
		},
		{`{"sampling":{"tools":{}},"roots":{}}`, rev20241105, `{"sampling":{},"roots":{}}`},
	} {
		if got := string(abilities(json.RawMessage(tt.declared)).within(tt.rev).declared()); got != tt.want {
			t.Errorf("%s in %s: %s, want %s", tt.declared, tt.rev, got, tt.want)
		}
	}
	for can := range abilityCount {
		again := abilities(can.declared())
		if can&canSample == 0 {
			again |= can & (canSampleTools | canSampleTheirs) // They mean nothing alone.
		}
		if again != can {
			t.Errorf("%s declares %b, not %b", can.declared(), again, can)
		}
	}
}

func TestLacks(t *testing.T) {
	for _, tt := range []struct {
		can            ability
		method, params string
		needs          string // "" for none
	}{
		{canElicit, methodElicit, `{}`, ``},
		{canElicit, methodElicit, `{"mode":"url"}`, `{"elicitation":{"url":{}}}`},
		{canElicitURL, methodElicit, `{"mode":"form"}`, `{"elicitation":{}}`},
		{canSample, methodSample, `{"tools":[]}`, `{"sampling":{"tools":{}}}`},
		{canSample | canSampleTools, methodSample, `{"toolChoice":{}}`, ``},
		{canElicit, methodRoots, ``, `{"roots":{}}`},
	} {
		e := tt.can.lacks(gateway.Question{Method: tt.method, Params: json.RawMessage(tt.params)})
		if (e == nil) != (tt.needs == "") || e != nil && string(e.Needs) != tt.needs {
			t.Errorf("%s %s: %v", tt.method, tt.params, e)
		}
	}
	if e := abilityCount.lacks(gateway.Question{Method: "tools/call"}); e == nil || e.Code != gateway.Unimplemented {
		t.Errorf("an unknown question: %v", e)
	}
}

func FuzzInputState(f *testing.F) {
	var key [32]byte
	rand.Read(key[:]) // No seed of another process opens.
	s := newInputSealer(key)
	now := time.Unix(1_800_000_000, 0)
	r := &request{message: message{Method: "tools/call"}, principal: &gateway.Principal{ID: "alice"}}
	r.params = readParams(json.RawMessage(`{"name":"x","arguments":{"b":1,"a":2}}`))
	state := inputState{expires: now.Add(time.Minute), waiting: place{"node", newSuspension()}, upstream: "up"}
	good := s.seal(r, state)
	for _, seed := range []string{good, good[1:], good + "A", "", "?", strings.Repeat("A", 200)} {
		f.Add(seed, `{"name":"x","arguments":{"b":1,"a":2}}`, "alice")
	}
	f.Add(good, `{"name":"x","arguments":{ "a":2, "b":1 }}`, "alice")
	f.Add(good, `{"name":"y"}`, "alice")
	f.Add(good, `{"name":"x","arguments":{"b":1,"a":2}}`, "bob")
	f.Fuzz(func(t *testing.T, text, params, who string) {
		other := &request{message: message{Method: "tools/call"}, principal: &gateway.Principal{ID: who}, params: readParams(json.RawMessage(params))}
		got, ok := s.open(other, text, now)
		own := string(belongsTo(other)) == string(belongsTo(r))
		if ok != (text == good && own) || ok && got != state {
			t.Fatalf("open(%q, %s, %q): %v, %+v", text, params, who, ok, got)
		}
		if _, ok := s.open(r, good, state.expires.Add(time.Second)); ok {
			t.Fatal("an expired state was taken")
		}
	})
}
