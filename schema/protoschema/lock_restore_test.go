package protoschema

import (
	"encoding/json"
	"strings"
	"testing"
)

// lockOf returns the lock of tools, one after the other, each with these properties.
func lockOf(t *testing.T, lock *Lock, tools map[string]string) *Lock {
	t.Helper()
	next := lock.Clone()
	var methods []Method
	for name, properties := range tools {
		methods = append(methods, Method{
			Key: "tool/" + name, Name: name, Output: json.RawMessage(`{"type":"object","properties":{"d":{"$ref":"#/$defs/D"}},"$defs":{"D":{"type":"object","properties":{"x":{"type":"string"}}}}}`),
			Input: json.RawMessage(`{"type":"object","properties":{` + properties + `}}`),
		})
	}
	if _, err := Compile(methods, next); err != nil {
		t.Fatal(err)
	}
	return next
}

// TestLockExtends: a lock may take the place of another one that it has grown from, and of no other.
func TestLockExtends(t *testing.T) {
	const a, b, inner = `"a":{"type":"string"}`, `"b":{"type":"string"}`, `"o":{"type":"object","properties":{"p":{"type":"string"}}}`
	first := lockOf(t, NewLock("s", "trilith.s.v1"), map[string]string{"t": a + "," + inner})
	grown := lockOf(t, first, map[string]string{"t": `"a":{"type":"integer"},` + b, "u": a})
	if err := grown.Check(); err != nil {
		t.Fatal(err)
	}
	if !grown.Extends(first) || !grown.Extends(grown) || first.Extends(grown) {
		t.Error("a lock extends those that it has grown from")
	}
	for name, other := range map[string]*Lock{
		"another source":  lockOf(t, NewLock("z", "trilith.s.v1"), map[string]string{"t": a}),
		"another package": lockOf(t, NewLock("s", "trilith.z.v1"), map[string]string{"t": a}),
		"other numbers":   lockOf(t, lockOf(t, NewLock("s", "trilith.s.v1"), map[string]string{"t": b}), map[string]string{"t": a}),
		"more":            lockOf(t, NewLock("s", "trilith.s.v1"), map[string]string{"t": a, "v": a}),
		"another name":    lockOf(t, NewLock("s", "trilith.s.v1"), map[string]string{"T": a, "t": a}),
	} {
		if grown.Extends(other) {
			t.Errorf("it extends one with %s", name)
		}
	}
	for name, damage := range map[string]func(*Lock){
		"a message less":    func(l *Lock) { delete(l.Messages, "TRequest") },
		"a definition less": func(l *Lock) { delete(l.Shared, "D") },
		"an inner name":     func(l *Lock) { l.Messages["TRequest"].Types["o"] = "Other" },
		"the next number":   func(l *Lock) { l.Messages["TRequest"].Next-- },
	} {
		lacking := first.Clone()
		if damage(lacking); lacking.Extends(first) {
			t.Errorf("it extends in spite of %s", name)
		}
	}
}

// TestLockCheck refuses what no lock of ours has.
func TestLockCheck(t *testing.T) {
	good := lockOf(t, NewLock("s", "trilith.s.v1"), map[string]string{"t": `"a":{"type":"string"},"b":{"type":"string"}`})
	for name, damage := range map[string]func(*Lock){
		"package":      func(l *Lock) { l.Package = "google.protobuf" },
		"a package":    func(l *Lock) { l.Package = "trilith.a.b.v1" },
		"cannot be":    func(l *Lock) { l.Methods["tool/x"] = "T" },
		"1x":           func(l *Lock) { l.Methods["tool/t"] = "1x" },
		"cannot have":  func(l *Lock) { l.Messages["TRequest"].Fields["a"][0].Number = 2 },
		"= 0":          func(l *Lock) { l.Messages["TRequest"].Fields["a"][0].Number = 0 },
		"= 19000":      func(l *Lock) { m := l.Messages["TRequest"]; m.Fields["a"][0].Number, m.Next = 19000, 20001 },
		"= 900":        func(l *Lock) { l.Messages["TRequest"].Fields["a"][0].Number = 900 },
		`the field b`:  func(l *Lock) { l.Messages["TRequest"].Fields["a"][0].Name = "b" },
		"the field  =": func(l *Lock) { l.Messages["TRequest"].Fields["a"][0].Name = "" },
	} {
		l := good.Clone()
		damage(l)
		if err := l.Check(); err == nil || name != "a package" && !strings.Contains(err.Error(), name) && name != "the field b" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
