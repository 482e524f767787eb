package protoschema

import (
	"encoding/json"
	"errors"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

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
