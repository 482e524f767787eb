package config

import (
	"bytes"
	_ "embed" // For the texts below.
	"fmt"
	"io"
	"reflect"
	"strings"
)

// intro is the prose before the tables of the reference.
//
//go:embed reference.md
var intro string

// example is a whole configuration, shown in the reference.
//
//go:embed example.yaml
var example string

// Reference writes the reference of the configuration file in Markdown, which
// is docs/config.md.
func Reference(w io.Writer) error {
	docs, err := descriptions()
	if err != nil {
		return err
	}
	r := reference{docs: docs}
	r.out.WriteString(strings.Replace(intro, "EXAMPLE\n", example, 1))
	r.section(reflect.TypeFor[Config](), "", "")
	_, err = w.Write(r.out.Bytes())
	return err
}

// reference is a reference that is being written.
type reference struct {
	out  bytes.Buffer
	docs map[string]string
}

// section writes a table of the keys of t, then the sections of those that are
// mappings themselves.
func (r *reference) section(t reflect.Type, path, reload string) {
	fields := fieldsOf(t, reload)
	r.out.WriteString("\n| Key | Value | Default | Description |\n|---|---|---|---|\n")
	for _, f := range fields {
		fmt.Fprintf(&r.out, "| `%s` | %s | %s | %s |\n", f.key, valueOf(f), defaultOf(f), r.describe(t, f, reload))
	}
	for _, f := range fields {
		below, suffix := structOf(f.typ)
		if below == nil {
			continue
		}
		at := joinPath(path, f.key) + suffix
		fmt.Fprintf(&r.out, "\n#%s `%s`\n\n%s", strings.Repeat("#", 1+strings.Count(at, ".")), at, r.docs[f.name])
		if f.reload != reload {
			r.out.WriteString(" " + effect(f.reload))
		}
		r.out.WriteString("\n")
		r.section(below, at, f.reload)
	}
}

// describe returns the description of a field, with what its tags add.
func (r *reference) describe(t reflect.Type, f field, reload string) string {
	text := r.docs[f.name]
	if f.group != "" {
		text += " Exactly one of " + code(group(t, f.group)) + " is set."
	}
	if f.with != "" {
		text += " Only with `" + f.with + "`."
	}
	if below, _ := structOf(f.typ); below == nil && f.reload != reload {
		text += " " + effect(f.reload)
	}
	return strings.ReplaceAll(text, "|", `\|`)
}

// group returns the keys of a group of t.
func group(t reflect.Type, name string) []string {
	var keys []string
	for _, f := range fieldsOf(t, "") {
		if f.group == name {
			keys = append(keys, f.key)
		}
	}
	return keys
}

// effect says when a change takes effect.
func effect(reload string) string {
	if reload == "hot" {
		return "A change takes effect at once."
	}
	return "A change takes effect after a restart."
}

// structOf returns the struct type that values of t hold, if any, and what to
// add to their path.
func structOf(t reflect.Type) (below reflect.Type, suffix string) {
	if t.Kind() == reflect.Slice {
		t, suffix = t.Elem(), "[]"
	}
	if shapeOf(t) != shapeStruct {
		return nil, ""
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t, suffix
}

// valueOf returns what a field may hold, for people.
func valueOf(f field) string {
	s := shapeOf(f.typ)
	var out string
	switch {
	case s == shapeList:
		item := f
		item.typ, item.min, item.max, item.required = f.typ.Elem(), "", "", false
		out = "list: " + valueOf(item)
		if f.max != "" {
			out += "; at most " + f.max
		}
	case s == shapeMap:
		out = f.keys + " to " + string(shapeOf(f.typ.Elem())) + "; at most " + f.max
	case len(f.enum) > 0:
		out = "one of " + code(f.enum)
	case f.format != "" && f.format != "not-empty":
		out = strings.ReplaceAll(f.format, "-", " ")
	default:
		out = string(s)
	}
	if s != shapeList && s != shapeMap && f.min != "" {
		out += ", `" + f.min + "` to `" + f.max + "`"
	}
	if f.required {
		out += ", **required**"
	}
	return out
}

// defaultOf returns the default of a field, for people.
func defaultOf(f field) string {
	switch {
	case f.def == "" && shapeOf(f.typ) == shapeBool:
		return "`false`"
	case f.def == "":
		return ""
	case shapeOf(f.typ) == shapeList:
		return code(strings.Fields(f.def))
	}
	return "`" + f.def + "`"
}

// code returns words as inline code with commas between.
func code(words []string) string {
	return "`" + strings.Join(words, "`, `") + "`"
}
