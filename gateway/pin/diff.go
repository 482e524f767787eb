package pin

import (
	"encoding/json"
	"maps"
	"slices"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Bounds of a diff.
const (
	maxChanges = 200
	maxText    = 4096 // bytes of a value
	maxDiff    = 32   // how deep members are compared one by one
)

// A Change is one member in which two definitions differ, for people to read:
// characters that are not seen are spelt out, and what is long is cut.
type Change struct {
	Path string // such as "inputSchema.properties.city.description"
	Old  string // "" where the member is new
	New  string // "" where it is gone
}

// Diff returns where two definitions differ, by path. Objects are compared
// member by member; arrays, and what lies very deep, are compared whole. At most
// 200 changes are returned. An empty old definition compares as one without
// members.
func Diff(old, now json.RawMessage) []Change {
	var d differ
	d.compare("", jsontext.Value(old), jsontext.Value(now), 0)
	return d.changes
}

type differ struct{ changes []Change }

func (d *differ) compare(path string, old, now jsontext.Value, depth int) {
	if len(d.changes) >= maxChanges {
		return
	}
	was, is := members(old), members(now)
	if depth >= maxDiff || path != "" && (was == nil || is == nil) {
		if !same(old, now) {
			d.changes = append(d.changes, Change{visible(path, 512), textOf(old), textOf(now)})
		}
		return
	}
	names := maps.Clone(is)
	if names == nil {
		names = map[string]jsontext.Value{}
	}
	maps.Copy(names, was)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		inner := name
		if path != "" {
			inner = path + "." + name
		}
		d.compare(inner, was[name], is[name], depth+1)
	}
}

// members returns those of an object, or nil.
func members(v jsontext.Value) map[string]jsontext.Value {
	var m map[string]jsontext.Value
	if len(v) == 0 || v.Kind() != '{' || jsonv2.Unmarshal(v, &m, jsontext.AllowInvalidUTF8(true)) != nil {
		return nil
	}
	return m
}

func same(a, b jsontext.Value) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	return string(canonical(0, json.RawMessage(a))) == string(canonical(0, json.RawMessage(b)))
}

func textOf(v jsontext.Value) string {
	if len(v) == 0 {
		return ""
	}
	return text(v)
}
