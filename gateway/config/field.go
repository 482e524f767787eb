package config

import (
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"
)

// field is the declaration of one key, read from the tags of a struct field:
//
//	yaml      the key
//	default   value when the key is missing; a list is separated by spaces
//	required  "true": the key must be there and its value not empty
//	format    what a string must be; see checkFormat
//	enum      the permitted values, separated by spaces
//	min, max  bounds of a number, size or duration; max also of a list's length
//	keys      what the keys of a mapping must be; see checkKey
//	oneof     exactly one of the fields with this group must be set
//	with      the key beside it, without which this key has no meaning
//	reload    "hot" or "restart"; inherited by what is below
//
// An embedded struct adds its keys to those of the struct that it stands in. The
// tag required of the embedding names the keys that are so there.
type field struct {
	index []int // as for reflect.Value.FieldByIndex
	typ   reflect.Type
	name  string // "Type.Field", as in descriptions

	key, def, format, min, max, keys, group, with, reload string

	required bool
	enum     []string
}

// fieldsOf returns the declarations of a struct type, in the order of source.
// reload is what fields inherit that do not say it themselves.
func fieldsOf(t reflect.Type, reload string) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get
		if f.Anonymous {
			for _, in := range fieldsOf(f.Type, reload) {
				in.index = append([]int{i}, in.index...)
				in.required = in.required || slices.Contains(strings.Fields(tag("required")), in.key)
				fields = append(fields, in)
			}
			continue
		}
		own := field{
			index: []int{i}, typ: f.Type, name: t.Name() + "." + f.Name,
			key: tag("yaml"), def: tag("default"), format: tag("format"),
			min: tag("min"), max: tag("max"), keys: tag("keys"),
			group: tag("oneof"), with: tag("with"), reload: tag("reload"),
			required: tag("required") == "true", enum: strings.Fields(tag("enum")),
		}
		if own.reload == "" {
			own.reload = reload
		}
		fields = append(fields, own)
	}
	return fields
}

// shape says how values of a type are written in the file.
type shape string

const (
	shapeStruct   shape = "mapping"
	shapeList     shape = "list"
	shapeMap      shape = "mapping of names"
	shapeBool     shape = "boolean"
	shapeInt      shape = "integer"
	shapeSize     shape = "size"
	shapeDuration shape = "duration"
	shapeText     shape = "text" // a type that reads itself from a string
	shapeRate     shape = "rate"
	shapeSecret   shape = "secret"
	shapeString   shape = "string"
)

// shapeOf returns the shape of a field's type. It panics on a type that has
// none, which the test of the declarations would find.
func shapeOf(t reflect.Type) shape {
	switch t {
	case reflect.TypeFor[Size]():
		return shapeSize
	case reflect.TypeFor[Rate]():
		return shapeRate
	case reflect.TypeFor[time.Duration]():
		return shapeDuration
	case reflect.TypeFor[Secret]():
		return shapeSecret
	case reflect.TypeFor[netip.Prefix](), reflect.TypeFor[slog.Level]():
		return shapeText
	}
	switch t.Kind() { //nolint:exhaustive // Other kinds are not used in a declaration.
	case reflect.Pointer:
		return shapeOf(t.Elem())
	case reflect.Struct:
		return shapeStruct
	case reflect.Slice:
		return shapeList
	case reflect.Map:
		return shapeMap
	case reflect.Bool:
		return shapeBool
	case reflect.Int:
		return shapeInt
	case reflect.String:
		return shapeString
	}
	panic("config: no shape for " + t.String())
}

// setDefaults gives v, a struct, the defaults of its declaration.
func setDefaults(v reflect.Value) {
	for _, f := range fieldsOf(v.Type(), "") {
		fv := v.FieldByIndex(f.index)
		if shapeOf(f.typ) == shapeStruct && f.typ.Kind() == reflect.Struct {
			setDefaults(fv)
			continue
		}
		if f.def == "" {
			continue
		}
		if shapeOf(f.typ) != shapeList {
			mustSet(fv, f.def)
			continue
		}
		words := strings.Fields(f.def)
		fv.Set(reflect.MakeSlice(f.typ, len(words), len(words)))
		for i, w := range words {
			mustSet(fv.Index(i), w)
		}
	}
}

// mustSet gives v a value from a tag. It panics when the tag is wrong, which
// every test would find.
func mustSet(v reflect.Value, value string) {
	if msg := setScalar(v, &node{kind: text, text: value}, true); msg != "" {
		panic("config: " + value + " in a tag: " + msg)
	}
}
