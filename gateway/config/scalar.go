package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

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
	case shapeText, shapeRate:
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
	case shapeRate:
		return "a rate such as 5/s, 100/m, 1000/h or 10000/d"
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
