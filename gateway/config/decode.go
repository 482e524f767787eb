package config

import (
	"encoding"
	"fmt"
	"net/textproto"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// decoder fills a Config from nodes, by the declaration in its types, and
// records every problem on the way.
type decoder struct {
	*report

	dir     string      // of the file, where relative paths begin
	pending []fileCheck // files that Load looks for
}

// fileCheck is a file or directory that must exist.
type fileCheck struct {
	path string // in the configuration
	file string
	dir  bool
}

// value fills v from n. f is the declaration of the key that n stands under, or
// of the list that n is an item of.
func (d *decoder) value(v reflect.Value, n *node, f field, path string) {
	d.at[path] = n.position
	switch shapeOf(v.Type()) { //nolint:exhaustive // The rest are scalars.
	case shapeStruct:
		if v.Kind() == reflect.Pointer {
			v.Set(reflect.New(v.Type().Elem()))
			v = v.Elem()
			setDefaults(v)
		}
		d.object(v, n, path)
	case shapeList:
		d.list(v, n, f, path)
	case shapeMap:
		d.names(v, n, f, path)
	default:
		d.scalar(v, n, f, path)
	}
}

// want records that n is of the wrong kind, unless it is right.
func (d *decoder) want(n *node, k kind, path string) bool {
	if n.kind == k {
		return true
	}
	d.fail(path, fmt.Sprintf("want %s, not %s", k, n.kind), "")
	return false
}

// fail records that the value at path cannot be read. Later checks of the same
// path stay silent.
func (d *decoder) fail(path, msg, hint string) {
	d.add(path, msg, hint)
	d.bad[path] = true
}

// object fills the struct v from a mapping.
func (d *decoder) object(v reflect.Value, n *node, path string) {
	if n.kind != null && !d.want(n, mapping, path) {
		return
	}
	fields := fieldsOf(v.Type(), "")
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.key
	}
	for e := range d.unique(n, path) {
		i := slices.Index(keys, e.key)
		if i < 0 {
			d.unknown(e, keys, path)
			continue
		}
		// A key without a value is a key that is not there.
		if e.value.kind != null {
			d.value(v.Field(i), e.value, fields[i], joinPath(path, e.key))
		}
	}
	d.rules(v, fields, path)
}

// unique yields the entries of a mapping and records keys that came before.
func (d *decoder) unique(n *node, path string) func(yield func(entry) bool) {
	return func(yield func(entry) bool) {
		seen := make(map[string]position, len(n.entries))
		for _, e := range n.entries {
			if first, dup := seen[e.key]; dup {
				d.addAt(e.position, path, "duplicate key "+show(e.key), fmt.Sprintf("it stands in line %d already", first.line))
				continue
			}
			seen[e.key] = e.position
			if !yield(e) {
				return
			}
		}
	}
}

// unknown records a key that the declaration does not have.
func (d *decoder) unknown(e entry, keys []string, path string) {
	hint := "known keys: " + strings.Join(keys, ", ")
	if near := nearest(e.key, keys); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
		d.bad[joinPath(path, near)] = true // It is misspelt rather than missing.
	}
	d.addAt(e.position, path, "unknown key "+show(e.key), hint)
}

// rules checks what the declaration says about keys beside each other.
func (d *decoder) rules(v reflect.Value, fields []field, path string) {
	set := make(map[string]bool, len(fields))
	groups := map[string]bool{}
	for _, f := range fields {
		set[f.key] = isSet(v.Field(f.index)) || d.bad[joinPath(path, f.key)]
	}
	for _, f := range fields {
		at := joinPath(path, f.key)
		if f.required && !set[f.key] {
			d.add(at, f.key+" is required", "")
		}
		if f.with != "" && set[f.key] && !set[f.with] {
			d.add(at, fmt.Sprintf("%s has no meaning without %s", f.key, f.with), "")
		}
		if f.group != "" && !groups[f.group] {
			groups[f.group] = true
			d.exactlyOne(f.group, set, fields, path)
		}
	}
}

// isSet tells whether a field has a value.
func isSet(v reflect.Value) bool {
	if k := v.Kind(); k == reflect.Slice || k == reflect.Map {
		return v.Len() > 0
	}
	return !v.IsZero()
}

// exactlyOne checks that one key of a group is set.
func (d *decoder) exactlyOne(group string, set map[string]bool, fields []field, path string) {
	var all, given []string
	for _, f := range fields {
		if f.group != group {
			continue
		}
		all = append(all, f.key)
		if set[f.key] {
			given = append(given, f.key)
		}
	}
	switch {
	case len(given) == 0:
		d.add(path, "one of "+strings.Join(all, ", ")+" is required", "")
	case len(given) > 1:
		d.add(joinPath(path, given[1]), fmt.Sprintf("%s and %s exclude each other", given[0], given[1]), "keep one of them")
	}
}

// list fills the slice v from a list.
func (d *decoder) list(v reflect.Value, n *node, f field, path string) {
	if !d.want(n, list, path) {
		return
	}
	if most, err := strconv.Atoi(f.max); err == nil && len(n.items) > most {
		d.fail(path, fmt.Sprintf("%d items are more than the permitted %d", len(n.items), most), "")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	f.min, f.max = "", ""
	for i, item := range n.items {
		if ev := v.Index(i); ev.Kind() == reflect.Struct && shapeOf(ev.Type()) == shapeStruct {
			setDefaults(ev)
		}
		d.value(v.Index(i), item, f, fmt.Sprintf("%s[%d]", path, i))
	}
}

// names fills the map v from a mapping with free keys.
func (d *decoder) names(v reflect.Value, n *node, f field, path string) {
	if !d.want(n, mapping, path) {
		return
	}
	if most, err := strconv.Atoi(f.max); err == nil && len(n.entries) > most {
		d.fail(path, fmt.Sprintf("%d entries are more than the permitted %d", len(n.entries), most), "")
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.entries)))
	f.min, f.max = "", ""
	if f.keys == "header" {
		for i := range n.entries {
			n.entries[i].key = textproto.CanonicalMIMEHeaderKey(n.entries[i].key)
		}
	}
	for e := range d.unique(n, path) {
		if msg := checkKey(f.keys, e.key); msg != "" {
			d.addAt(e.position, path, msg, "")
			continue
		}
		f.key = e.key
		ev := reflect.New(v.Type().Elem()).Elem()
		d.value(ev, e.value, f, joinPath(path, e.key))
		v.SetMapIndex(reflect.ValueOf(e.key), ev)
	}
}

// scalar fills v from a plain value and checks it.
func (d *decoder) scalar(v reflect.Value, n *node, f field, path string) {
	if plain := n.kind == text || n.kind == number; plain && len(f.enum) > 0 && !slices.Contains(f.enum, n.text) {
		d.fail(path, "unknown value "+show(n.text), oneOf(n.text, f.enum))
		return
	}
	if msg := setScalar(v, n, false); msg != "" {
		d.fail(path, msg, "")
		return
	}
	if msg := checkRange(v, f); msg != "" {
		d.fail(path, msg, "")
		return
	}
	d.format(v, f, path)
}

// oneOf is the hint that lists what a value may be.
func oneOf(value string, permitted []string) string {
	if near := nearest(value, permitted); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "one of " + strings.Join(permitted, ", ")
}

// setScalar reads a plain value into v and returns what is wrong with it, if
// anything. tag is set when the value comes from a tag, where all is text.
func setScalar(v reflect.Value, n *node, tag bool) string {
	s := shapeOf(v.Type())
	if wants := kindsOf(s); !tag && !slices.Contains(wants, n.kind) {
		return mismatch(s, n.kind)
	}
	var err error
	switch s { //nolint:exhaustive // Structs, lists and maps are no scalars.
	case shapeBool:
		v.SetBool(n.text == "true")
	case shapeInt:
		var i int64
		i, err = strconv.ParseInt(n.text, 10, 64)
		v.SetInt(i)
	case shapeSize:
		var size Size
		size, err = ParseSize(n.text)
		v.SetInt(int64(size))
	case shapeDuration:
		var t time.Duration
		t, err = time.ParseDuration(n.text)
		v.SetInt(int64(t))
	case shapeText:
		err = v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(n.text))
	default:
		v.SetString(n.text)
	}
	if err != nil {
		return "want " + wanted(s)
	}
	return ""
}

// kindsOf returns the kinds of node that a scalar is read from.
func kindsOf(s shape) []kind {
	switch s { //nolint:exhaustive // The rest are strings.
	case shapeBool:
		return []kind{boolean}
	case shapeInt:
		return []kind{number}
	case shapeSize:
		return []kind{number, text}
	}
	return []kind{text}
}

// wanted says what a scalar should be, for messages.
func wanted(s shape) string {
	switch s { //nolint:exhaustive // The rest are strings.
	case shapeBool:
		return string(boolean)
	case shapeInt:
		return "a whole number"
	case shapeSize:
		return "a size such as 512KiB or 4MiB"
	case shapeDuration:
		return "a duration such as 500ms, 30s or 5m"
	case shapeText:
		return "a network such as 10.0.0.0/8" // The other such type has an enum.
	}
	return string(text)
}

// mismatch says that a node is of the wrong kind, with the likely reason.
func mismatch(s shape, k kind) string {
	msg := fmt.Sprintf("want %s, not %s", wanted(s), k)
	if scalar := k == number || k == boolean; scalar && (s == shapeString || s == shapeSecret) {
		msg += "; put it in quotes if it is one"
	}
	return msg
}

// checkRange compares v with the bounds of its declaration.
func checkRange(v reflect.Value, f field) string {
	if !v.CanInt() {
		return ""
	}
	for _, bound := range []struct {
		tag, word string
		beyond    func(value, limit int64) bool
	}{
		{f.min, "least", func(value, limit int64) bool { return value < limit }},
		{f.max, "most", func(value, limit int64) bool { return value > limit }},
	} {
		if bound.tag == "" {
			continue
		}
		limit := reflect.New(v.Type()).Elem()
		mustSet(limit, bound.tag)
		if bound.beyond(v.Int(), limit.Int()) {
			return fmt.Sprintf("must be at %s %s", bound.word, bound.tag)
		}
	}
	return ""
}

// resolve returns a path of the file relative to the working directory.
func (d *decoder) resolve(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(d.dir, path)
}
