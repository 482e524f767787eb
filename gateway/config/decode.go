package config

import (
	"fmt"
	"iter"
	"net/textproto"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
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
			d.value(v.FieldByIndex(fields[i].index), e.value, fields[i], joinPath(path, e.key))
		}
	}
	d.rules(v, fields, path)
}

// unique yields the entries of a mapping and records keys that came before.
func (d *decoder) unique(n *node, path string) iter.Seq[entry] {
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
		set[f.key] = isSet(v.FieldByIndex(f.index)) || d.bad[joinPath(path, f.key)]
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

// resolve returns a path of the file relative to the working directory.
func (d *decoder) resolve(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(d.dir, path)
}
