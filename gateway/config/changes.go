package config

import (
	"cmp"
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Change is one difference between two configurations.
type Change struct {
	Path    string // such as limits.call_timeout or sources[github].mcp.url
	From    string // the old value as in the file; empty when there was none
	To      string // the new value; empty when there is none
	Restart bool   // whether it takes effect only when the gateway starts again
}

// String returns the change as one line:
//
//	limits.call_timeout: 30s → 1m0s (needs a restart)
func (c Change) String() string {
	s := fmt.Sprintf("%s: %s → %s", c.Path, cmp.Or(c.From, "nothing"), cmp.Or(c.To, "nothing"))
	if c.Restart {
		s += " (needs a restart)"
	}
	return s
}

// Changes returns what differs between two configurations, in the order of the
// declaration; nothing when they mean the same. Items of a list that have a
// name are compared by name, so moving them is no change. Secrets are compared
// by their references and shown as an ellipsis.
func Changes(old, updated *Config) []Change {
	var d differ
	d.fields(reflect.ValueOf(old).Elem(), reflect.ValueOf(updated).Elem(), "", "restart")
	return d.changes
}

// differ collects changes.
type differ struct{ changes []Change }

// fields compares two structs.
func (d *differ) fields(a, b reflect.Value, path, reload string) {
	for _, f := range fieldsOf(a.Type(), reload) {
		d.values(a.FieldByIndex(f.index), b.FieldByIndex(f.index), joinPath(path, f.key), f.reload)
	}
}

// values compares two values of the same type.
func (d *differ) values(a, b reflect.Value, path, reload string) {
	if reflect.DeepEqual(a.Interface(), b.Interface()) {
		return
	}
	switch s := shapeOf(a.Type()); {
	case s == shapeStruct && a.Kind() == reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			d.add(path, a, b, reload)
			return
		}
		d.fields(a.Elem(), b.Elem(), path, reload)
	case s == shapeStruct:
		d.fields(a, b, path, reload)
	case s == shapeList && shapeOf(a.Type().Elem()) == shapeStruct:
		d.named(a, b, path, reload)
	default:
		d.add(path, a, b, reload)
	}
}

// named compares two lists of structs with a field Name.
func (d *differ) named(a, b reflect.Value, path, reload string) {
	before, after := byName(a), byName(b)
	for _, name := range slices.Sorted(maps.Keys(before)) {
		at := fmt.Sprintf("%s[%s]", path, name)
		if v, ok := after[name]; ok {
			d.values(before[name], v, at, reload)
		} else {
			d.changes = append(d.changes, Change{Path: at, From: "…", Restart: reload == "restart"})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if _, ok := before[name]; !ok {
			d.changes = append(d.changes, Change{Path: fmt.Sprintf("%s[%s]", path, name), To: "…", Restart: reload == "restart"})
		}
	}
}

// byName indexes a list of structs.
func byName(list reflect.Value) map[string]reflect.Value {
	index := make(map[string]reflect.Value, list.Len())
	for _, v := range list.Seq2() {
		index[v.FieldByName("Name").String()] = v
	}
	return index
}

// add records a change.
func (d *differ) add(path string, a, b reflect.Value, reload string) {
	from, to := render(a), render(b)
	d.changes = append(d.changes, Change{Path: path, From: from, To: to, Restart: reload == "restart"})
}

// render returns a value as text, without what is secret.
func render(v reflect.Value) string {
	switch shapeOf(v.Type()) { //nolint:exhaustive // The rest prints itself.
	case shapeStruct:
		if v.Kind() == reflect.Pointer && v.IsNil() {
			return ""
		}
		return "…"
	case shapeList:
		items := make([]string, v.Len())
		for i, item := range v.Seq2() {
			items[i.Int()] = render(item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case shapeMap:
		return fmt.Sprint(v.Interface()) // Secrets hide themselves.
	case shapeText, shapeRate:
		if m, ok := reflect.TypeAssert[encoding.TextMarshaler](v); ok {
			b, _ := m.MarshalText() // It cannot fail for what was read from text.
			return strings.ToLower(string(b))
		}
	}
	return fmt.Sprint(v.Interface())
}
