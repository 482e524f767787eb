package protoschema

import (
	"math"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/trilith-gateway/trilith/internal/clip"
)

// field returns the schema of a field.
func (m *maker) field(fd protoreflect.FieldDescriptor) *scheme {
	r := m.rules.of(fd)
	if m.purpose == ForOutput {
		r = fieldRules{behaviour: r.behaviour}
	}
	var s *scheme
	switch {
	case fd.IsMap():
		s = &scheme{Type: "object", Additional: m.ruled(fd.MapValue(), r.values()), PropertyNames: mapKeys(fd.MapKey(), r.keys())}
	case fd.IsList():
		s = &scheme{Type: "array", Items: m.ruled(fd, r.items())}
	default:
		s = m.ruled(fd, r.rules)
	}
	r.onCollection(s, fd)
	text := m.Remarks(fd)
	if s.Description != "" && text != "" {
		text += "\n" + s.Description
	}
	if text != "" {
		s.Description = text
	}
	if o, ok := fd.Options().(interface{ GetDeprecated() bool }); ok {
		s.Deprecated = o.GetDeprecated()
	}
	s.ReadOnly, s.WriteOnly = r.outputOnly, r.inputOnly
	if fd.HasDefault() && fd.Message() == nil && m.purpose != ForOutput {
		s.Default = defaultOf(fd)
	}
	return s
}

// defaultOf returns the default of a field of proto2 in JSON, or nil where it is not plain.
func defaultOf(fd protoreflect.FieldDescriptor) any {
	switch fd.Kind() { //nolint:exhaustive // The others are alike.
	case protoreflect.EnumKind:
		if v := fd.DefaultEnumValue(); v != nil {
			return string(v.Name())
		}
		return nil
	case protoreflect.BoolKind, protoreflect.StringKind:
		return fd.Default().Interface()
	case protoreflect.BytesKind, protoreflect.FloatKind, protoreflect.DoubleKind:
		return nil
	default:
		if is64(fd.Kind()) {
			return fd.Default().String()
		}
		return fd.Default().Interface()
	}
}

func mapKeys(fd protoreflect.FieldDescriptor, r *rules) *scheme {
	switch fd.Kind() { //nolint:exhaustive // The others are alike.
	case protoreflect.StringKind:
		s := &scheme{}
		r.on(s, fd)
		if s.Pattern == "" && s.Description == "" && s.MinLength == nil && s.MaxLength == nil && s.Enum == nil {
			return nil
		}
		return s
	case protoreflect.BoolKind:
		return &scheme{Enum: []any{"true", "false"}}
	default:
		return &scheme{Pattern: integerPattern(fd.Kind())}
	}
}

// ruled returns the schema of one value, with the rules that hold for it.
func (m *maker) ruled(fd protoreflect.FieldDescriptor, r *rules) *scheme {
	s := m.value(fd)
	r.on(s, fd)
	return s
}

func integerPattern(k protoreflect.Kind) string {
	switch k { //nolint:exhaustive // The others are alike.
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return "^[0-9]+$"
	default:
		return "^-?[0-9]+$"
	}
}

// is64 reports whether the kind is an integer that protobuf's JSON writes as a string.
func is64(k protoreflect.Kind) bool {
	switch k { //nolint:exhaustive // The others are alike.
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return true
	default:
		return false
	}
}

// value returns the schema of one value of a field.
func (m *maker) value(fd protoreflect.FieldDescriptor) *scheme {
	var s *scheme
	other := "string"  // the type that ForCheck also allows
	switch fd.Kind() { //nolint:exhaustive // The others are alike.
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return m.message(fd.Message())
	case protoreflect.EnumKind:
		return m.enum(fd.Enum())
	case protoreflect.BoolKind:
		return &scheme{Type: "boolean"}
	case protoreflect.StringKind:
		return &scheme{Type: "string"}
	case protoreflect.BytesKind:
		return &scheme{Type: "string", ContentEncoding: "base64"}
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		s = &scheme{Type: "number"}
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		s = &scheme{Type: "integer", Minimum: math.MinInt32, Maximum: math.MaxInt32}
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		s = &scheme{Type: "integer", Minimum: 0, Maximum: uint32(math.MaxUint32)}
	default:
		s, other = &scheme{Type: "string", Pattern: integerPattern(fd.Kind())}, "integer"
	}
	if m.purpose == ForCheck {
		s.Type = []string{s.Type.(string), other}
	}
	return s
}

// enum returns the schema of an enum: its names.
func (m *maker) enum(ed protoreflect.EnumDescriptor) *scheme {
	if ed.FullName() == "google.protobuf.NullValue" {
		return &scheme{Type: "null"}
	}
	s := &scheme{Type: "string", Enum: make([]any, ed.Values().Len())}
	var notes []string
	for i := range s.Enum {
		v := ed.Values().Get(i)
		s.Enum[i] = string(v.Name())
		if text := m.Remarks(v); text != "" && len(notes) < 64 {
			notes = append(notes, string(v.Name())+": "+strings.ReplaceAll(text, "\n", " "))
		}
	}
	s.Description = m.Remarks(ed)
	if len(notes) > 0 {
		s.say("%s", strings.Join(notes, "\n"))
	}
	s.Description = clip.Text(s.Description, maxDescription)
	if m.purpose == ForCheck {
		return &scheme{AnyOf: []*scheme{s, {Type: "integer", Minimum: math.MinInt32, Maximum: math.MaxInt32}}}
	}
	return s
}
