package protoschema

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	dpb "google.golang.org/protobuf/types/descriptorpb"
)

// The messages that every package has for its streaming methods.
const (
	progressName = "CallProgress"
	logName      = "CallLog"
)

// static adds the messages that do not come from schemas. Their numbers never
// change.
func (c *compiler) static() {
	const (
		text   = dpb.FieldDescriptorProto_TYPE_STRING
		double = dpb.FieldDescriptorProto_TYPE_DOUBLE
	)
	c.fixed(progressName, "How far a call has come.", nil, []fixedField{
		{"progress", 1, double, "", "Grows with each report."},
		{"total", 2, double, "", "What progress will be at the end, where that is known."},
		{"message", 3, text, "", ""},
	})
	c.fixed(logName, "A line that a tool wrote about a call.", nil, []fixedField{
		{"level", 1, text, "", "As syslog's: debug, info, notice, warning, error, critical, alert or emergency."},
		{"logger", 2, text, "", ""},
		{"data", 3, dpb.FieldDescriptorProto_TYPE_MESSAGE, ".google.protobuf.Value", ""},
	})
	c.messages[logName].uses[""] = true
}

type fixedField struct {
	name    string
	number  int32
	kind    dpb.FieldDescriptorProto_Type
	message string
	text    string
}

// fixed adds a message whose scalars are optional.
func (c *compiler) fixed(name, text string, oneof []string, fields []fixedField) *message {
	m := &message{name: name, desc: &dpb.DescriptorProto{Name: new(name)}, uses: map[string]bool{}}
	c.messages[name] = m
	if text != "" {
		m.comments = append(m.comments, comment{nil, text})
	}
	if oneof != nil {
		m.desc.OneofDecl = []*dpb.OneofDescriptorProto{{Name: new("event")}}
	}
	for i, f := range fields {
		d := &dpb.FieldDescriptorProto{
			Name: new(f.name), JsonName: new(f.name), Number: new(f.number),
			Label: dpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(), Type: f.kind.Enum(),
		}
		switch {
		case slices.Contains(oneof, f.name):
			d.OneofIndex = new(int32(0))
		case f.message == "":
			d.Proto3Optional, d.OneofIndex = new(true), new(int32(len(m.desc.GetOneofDecl()))) //nolint:gosec // A few.
			m.desc.OneofDecl = append(m.desc.OneofDecl, &dpb.OneofDescriptorProto{Name: new("_" + f.name)})
		}
		if f.message != "" {
			d.TypeName = new(f.message)
		}
		m.desc.Field = append(m.desc.Field, d)
		if f.text != "" {
			m.comments = append(m.comments, comment{[]int32{2, int32(i)}, f.text})
		}
	}
	return m
}

// twin adds the messages of a method's streaming twin: a request with the same
// fields, and a response that is an event.
func (c *compiler) twin(method string) {
	c.mirror(c.messages[method+requestSuffix], method+streamSuffix+requestSuffix)
	const message = dpb.FieldDescriptorProto_TYPE_MESSAGE
	m := c.fixed(method+streamSuffix+responseSuffix, "", []string{"progress", "result", "log"}, []fixedField{
		{"progress", 1, message, c.typeName(progressName), ""},
		{"result", 2, message, c.typeName(method + responseSuffix), "The end of the stream."},
		{"log", 3, message, c.typeName(logName), ""},
		{"dropped", 4, dpb.FieldDescriptorProto_TYPE_INT64, "", "How many events before this one were left out because they came faster than they were read."},
	})
	m.uses[progressName], m.uses[logName], m.uses[method+responseSuffix] = true, true, true
}

// mirror adds a message with the fields of another one: the same numbers, and
// the same messages inside, save the entries of maps, which every message must
// have for itself.
func (c *compiler) mirror(of *message, name string) {
	m := &message{name: name, desc: proto.CloneOf(of.desc), uses: map[string]bool{of.name: true}}
	c.messages[name] = m
	for n := range of.uses {
		m.uses[n] = true
	}
	m.desc.Name = new(name)
	m.desc.NestedType = slices.DeleteFunc(m.desc.GetNestedType(), func(d *dpb.DescriptorProto) bool { return !d.GetOptions().GetMapEntry() })
	from, to := c.typeName(of.name), c.typeName(name)
	for _, f := range m.desc.GetField() {
		for _, entry := range m.desc.GetNestedType() {
			if f.GetTypeName() == from+"."+entry.GetName() {
				f.TypeName = new(to + "." + entry.GetName())
			}
		}
		was := protoreflect.FullName(strings.TrimPrefix(from, ".") + "." + f.GetName())
		is := protoreflect.FullName(strings.TrimPrefix(to, ".") + "." + f.GetName())
		if text, ok := c.module.absent[was]; ok {
			c.module.absent[is] = text
		}
		if c.module.inline[was] {
			c.module.inline[is] = true
		}
		if c.module.whole[was] {
			c.module.whole[is] = true
		}
	}
	for _, text := range of.comments {
		if len(text.path) == 2 { // Of the message's own fields.
			m.comments = append(m.comments, text)
		}
	}
}
