package protoschema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/trilith-gateway/trilith/schema/transcode"
)

// Bounds of one schema that is made from a message.
const (
	maxSchema      = 512 << 10 // bytes; messages beyond that are open objects
	maxDescription = 4 << 10   // bytes of one comment
	maxDef         = 256       // bytes of the name of a message
)

// A Purpose is what a schema made from a message is for.
type Purpose uint8

// The purposes.
const (
	// ForInput describes what is to be sent, with the rules that the message declares for its fields.
	ForInput Purpose = iota
	// ForCheck is ForInput for whoever checks what was sent: it also accepts the other forms that protobuf's JSON
	// allows, such as integers of 64 bits as numbers, enums by number, and null for no value.
	ForCheck
	// ForOutput describes what comes back, written with its defaults: fields without presence are always there.
	ForOutput
)

// From makes JSON Schemas (draft 2020-12) from messages, for the form that transcode.ProtoJSON gives them. It is not
// safe for concurrent use.
type From struct {
	compiler *transcode.Compiler
	rules    *ruleReader
	comments map[protoreflect.FullName]string
}

// NewFrom returns a maker of schemas. The compiler is the one whose plans read and write the JSON; from the files
// that it knows come the extensions that hold rules (google.api.field_behavior, protovalidate, protoc-gen-validate).
//
// The comments are those of declarations whose own files have none, as servers give theirs away; nil is none.
func NewFrom(c *transcode.Compiler, comments map[protoreflect.FullName]string) *From {
	return &From{compiler: c, rules: newRuleReader(c), comments: comments}
}

// Schema returns the schema of a message, with those of the messages that it reaches under $defs. A message whose
// JSON is not always an object is what the property "value" of an object holds. Cut says that the message reaches so
// much that some of it is only known as an object.
func (g *From) Schema(md protoreflect.MessageDescriptor, p Purpose) (schema json.RawMessage, cut bool, err error) {
	m := &maker{From: g, purpose: p, defs: map[protoreflect.FullName]bool{}}
	return m.finish(m.root(md))
}

// Stream returns the schema of an object that holds a stream of the message, as far as it was read.
func (g *From) Stream(md protoreflect.MessageDescriptor) (schema json.RawMessage, cut bool, err error) {
	m := &maker{From: g, purpose: ForOutput, defs: map[protoreflect.FullName]bool{}}
	return m.finish(&scheme{
		Type: "object",
		Properties: members{
			{"messages", &scheme{Type: "array", Items: m.message(md), Description: "The messages of the stream, in order."}},
			{"truncated", &scheme{Type: "boolean", Description: "Whether the stream went on."}},
		},
		Required:   []string{"messages", "truncated"},
		Additional: false,
	})
}

// finish adds the messages that the schema reaches.
func (m *maker) finish(root *scheme) (schema json.RawMessage, cut bool, err error) {
	var defs members
	size := 0
	for len(m.queue) > 0 {
		md := m.queue[0]
		m.queue = m.queue[1:]
		def := m.object(md)
		if size > maxSchema {
			m.cut = true
			def = &scheme{Type: "object", Description: "More than can be described here."}
		}
		raw, err := json.Marshal(def)
		if err != nil {
			return nil, false, err
		}
		size += len(raw)
		defs = append(defs, member{string(md.FullName()), json.RawMessage(raw)})
	}
	root.Defs = defs
	raw, err := json.Marshal(root)
	if err != nil {
		return nil, false, err
	}
	if len(raw) > 2*maxSchema {
		return nil, false, errors.New("the schema would be too large")
	}
	return raw, m.cut, nil
}

// scheme is a JSON Schema in the making.
type scheme struct {
	Ref              string    `json:"$ref,omitempty"`
	Type             any       `json:"type,omitempty"`
	AnyOf            []*scheme `json:"anyOf,omitempty"`
	Format           string    `json:"format,omitempty"`
	Pattern          string    `json:"pattern,omitempty"`
	ContentEncoding  string    `json:"contentEncoding,omitempty"`
	Const            any       `json:"const,omitempty"`
	Enum             []any     `json:"enum,omitempty"`
	MinLength        *uint64   `json:"minLength,omitempty"`
	MaxLength        *uint64   `json:"maxLength,omitempty"`
	Minimum          any       `json:"minimum,omitempty"`
	Maximum          any       `json:"maximum,omitempty"`
	ExclusiveMinimum any       `json:"exclusiveMinimum,omitempty"`
	ExclusiveMaximum any       `json:"exclusiveMaximum,omitempty"`
	MinItems         *uint64   `json:"minItems,omitempty"`
	MaxItems         *uint64   `json:"maxItems,omitempty"`
	UniqueItems      bool      `json:"uniqueItems,omitempty"`
	MinProperties    *uint64   `json:"minProperties,omitempty"`
	MaxProperties    *uint64   `json:"maxProperties,omitempty"`
	PropertyNames    *scheme   `json:"propertyNames,omitempty"`
	Items            *scheme   `json:"items,omitempty"`
	Properties       members   `json:"properties,omitempty"`
	Additional       any       `json:"additionalProperties,omitempty"` // a *scheme or a bool
	Required         []string  `json:"required,omitempty"`
	Default          any       `json:"default,omitempty"`
	Deprecated       bool      `json:"deprecated,omitempty"`
	ReadOnly         bool      `json:"readOnly,omitempty"`
	WriteOnly        bool      `json:"writeOnly,omitempty"`
	Description      string    `json:"description,omitempty"`
	Defs             members   `json:"$defs,omitempty"`
}

// say adds a sentence to the description.
func (s *scheme) say(format string, args ...any) {
	if s.Description != "" {
		s.Description += "\n"
	}
	s.Description += fmt.Sprintf(format, args...)
}

// members are the members of an object in their own order.
type members []member

type member struct {
	name  string
	value any
}

// MarshalJSON writes the object.
func (m members) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, x := range m {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(x.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(x.value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// maker makes one schema.
type maker struct {
	*From
	purpose Purpose
	defs    map[protoreflect.FullName]bool // that are made or in the queue
	queue   []protoreflect.MessageDescriptor
	cut     bool
}

// root returns the schema of the message at the top, which is an object without any union.
func (m *maker) root(md protoreflect.MessageDescriptor) *scheme {
	plan := m.compiler.Plan(md)
	switch {
	case !plan.IsObject():
		return &scheme{
			Type:       "object",
			Properties: members{{"value", m.message(md)}},
			Required:   []string{"value"},
			Additional: false,
		}
	case plan.WellKnown():
		return m.message(md)
	default:
		return m.object(md)
	}
}

// object returns the schema of a message that is an object of its fields.
func (m *maker) object(md protoreflect.MessageDescriptor) *scheme {
	s := &scheme{Type: "object", Properties: members{}, Additional: false, Description: m.Remarks(md)}
	for _, fd := range m.compiler.Fields(md) {
		f := m.field(fd)
		name := fd.JSONName()
		if fd.IsExtension() {
			name = "[" + string(fd.FullName()) + "]"
		}
		if m.requires(fd) {
			s.Required = append(s.Required, name)
		} else if m.purpose == ForCheck {
			f = nullable(f)
		}
		s.Properties = append(s.Properties, member{name, f})
	}
	for i := range md.Oneofs().Len() {
		one := md.Oneofs().Get(i)
		if one.IsSynthetic() || one.Fields().Len() < 2 {
			continue
		}
		names := make([]string, one.Fields().Len())
		for j := range names {
			names[j] = one.Fields().Get(j).JSONName()
		}
		most := "at most"
		if m.rules.oneof(one) {
			most = "exactly"
		}
		switch all := strings.Join(names, ", "); m.purpose { //nolint:exhaustive // The others are alike.
		case ForOutput:
			s.say("Has %s one of %s.", most, all)
		default:
			s.say("Set %s one of %s.", most, all)
		}
	}
	return s
}

// requires reports whether the field is always there, or must be.
func (m *maker) requires(fd protoreflect.FieldDescriptor) bool {
	if fd.Cardinality() == protoreflect.Required {
		return true
	}
	if m.purpose == ForOutput {
		return !fd.HasPresence() && !fd.IsExtension()
	}
	return fd.ContainingOneof() == nil && m.rules.of(fd).required
}

// nullable returns the schema with null, which means that there is no value.
func nullable(s *scheme) *scheme {
	switch t := s.Type.(type) {
	case string:
		if len(s.Enum) > 0 || s.Const != nil || t == "null" {
			break
		}
		s.Type = []string{t, "null"}
		return s
	case []string:
		if t[len(t)-1] != "null" {
			s.Type = append(t, "null")
		}
		return s
	case nil:
		if s.Ref == "" && s.AnyOf == nil && len(s.Enum) == 0 {
			return s // anything
		}
	}
	return &scheme{AnyOf: []*scheme{s, {Type: "null"}}}
}

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
	s.Description = clip(s.Description)
	if m.purpose == ForCheck {
		return &scheme{AnyOf: []*scheme{s, {Type: "integer", Minimum: math.MinInt32, Maximum: math.MaxInt32}}}
	}
	return s
}

// message returns the schema of a message: a form of its own, or a reference.
func (m *maker) message(md protoreflect.MessageDescriptor) *scheme {
	if m.compiler.Plan(md).WellKnown() {
		return m.wellKnown(md)
	}
	name := md.FullName()
	if len(name) > maxDef {
		m.cut = true
		return &scheme{Type: "object", Description: "Its name is too long."}
	}
	if !m.defs[name] {
		m.defs[name] = true
		m.queue = append(m.queue, md)
	}
	return &scheme{Ref: "#/$defs/" + string(name)}
}

// wellKnown returns the schema of a message that has a form of its own.
func (m *maker) wellKnown(md protoreflect.MessageDescriptor) *scheme {
	switch md.Name() {
	case "Timestamp":
		return &scheme{Type: "string", Format: "date-time"}
	case "Duration":
		return &scheme{Type: "string", Pattern: `^-?[0-9]+(\.[0-9]{1,9})?s$`, Description: `A number of seconds, such as "1.5s".`}
	case "FieldMask":
		return &scheme{Type: "string", Description: `Names of fields, such as "user.displayName,photo".`}
	case "Struct":
		return &scheme{Type: "object"}
	case "Empty":
		return &scheme{Type: "object", Additional: false}
	case "ListValue":
		return &scheme{Type: "array", Items: &scheme{}}
	case "Value":
		return &scheme{}
	case "Any":
		return &scheme{
			Type: "object", Required: anyRequired(m.purpose), Properties: members{{"@type", &scheme{Type: "string"}}},
			Description: "A message of the type that @type names, with its properties.",
		}
	default: // a wrapper
		return nullable(m.value(md.Fields().Get(0)))
	}
}

// anyRequired returns what an Any must have: what comes back may be empty.
func anyRequired(p Purpose) []string {
	if p == ForOutput {
		return nil
	}
	return []string{"@type"}
}

// Remarks returns the comments at a declaration, as one text for people and models; "" where there are none.
func (g *From) Remarks(d protoreflect.Descriptor) string {
	if text := commentAt(d); text != "" {
		return text
	}
	return g.comments[d.FullName()]
}

// Comments returns the comments of all declarations in files.
func Comments(files *protoregistry.Files) map[protoreflect.FullName]string {
	all := map[protoreflect.FullName]string{}
	note := func(d protoreflect.Descriptor) {
		if text := commentAt(d); text != "" {
			all[d.FullName()] = text
		}
	}
	files.RangeFiles(func(fd protoreflect.FileDescriptor) bool {
		if fd.SourceLocations().Len() == 0 {
			return true
		}
		noteDeclarations(fd, note)
		for i := range fd.Services().Len() {
			s := fd.Services().Get(i)
			note(s)
			for j := range s.Methods().Len() {
				note(s.Methods().Get(j))
			}
		}
		return true
	})
	return all
}

// noteDeclarations calls note for all messages, fields, enums and values below a file or a message.
func noteDeclarations(d interface {
	Messages() protoreflect.MessageDescriptors
	Enums() protoreflect.EnumDescriptors
}, note func(protoreflect.Descriptor),
) {
	for i := range d.Enums().Len() {
		e := d.Enums().Get(i)
		note(e)
		for j := range e.Values().Len() {
			note(e.Values().Get(j))
		}
	}
	for i := range d.Messages().Len() {
		m := d.Messages().Get(i)
		note(m)
		for j := range m.Fields().Len() {
			note(m.Fields().Get(j))
		}
		noteDeclarations(m, note)
	}
}

// commentAt returns the comments at a declaration in its own file.
func commentAt(d protoreflect.Descriptor) string {
	at := d.ParentFile().SourceLocations().ByDescriptor(d)
	text := strings.TrimSpace(at.LeadingComments)
	if text == "" {
		text = strings.TrimSpace(at.TrailingComments)
	}
	if text == "" {
		return ""
	}
	var lines []string
	for line := range strings.Lines(clean(text)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "buf:lint:") && !strings.HasPrefix(line, "@exclude") {
			lines = append(lines, line)
		}
	}
	return clip(strings.TrimSpace(strings.Join(lines, "\n")))
}

// clip cuts a text to what a description may hold.
func clip(text string) string {
	if len(text) <= maxDescription {
		return text
	}
	return strings.ToValidUTF8(text[:maxDescription], "") + "…"
}

// wireOf returns the bytes of a declaration's options.
func wireOf(options proto.Message) []byte {
	b, err := proto.MarshalOptions{AllowPartial: true}.Marshal(options)
	if err != nil {
		return nil
	}
	return b
}
