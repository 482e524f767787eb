package protoschema

import (
	"strings"

	dpb "google.golang.org/protobuf/types/descriptorpb"
)

// The kinds of fields as a lock has them. They are also parts of longer ones:
// "[]int64", "map:string", "message:User".
const (
	kindString  = "string"
	kindBytes   = "bytes"
	kindBool    = "bool"
	kindDouble  = "double"
	kindStruct  = "struct"
	kindValue   = "value"
	kindList    = "list"
	kindMap     = "map:"
	kindMessage = "message:"
	repeated    = "[]"
)

const structFile = "google/protobuf/struct.proto"

// typeOf sets the type of the field that a property gets, and returns its kind.
func (b *builder) typeOf(property string, n *node, f *dpb.FieldDescriptorProto) (kind string, err error) {
	f.Label = dpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()
	u := b.doc.resolve(n)
	switch {
	case u.is("array"):
		items := b.doc.resolve(u.node.Items)
		if len(u.node.PrefixItems) > 0 || items.nullable || items.node == nil || items.is("array") || len(items.types) != 1 {
			return b.known(f, kindList), nil
		}
		kind, err := b.single(property, items, f)
		f.Label = dpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		return repeated + kind, err
	case u.is("object") && !typedObject(u.node):
		return b.mapping(property, u.node, f)
	}
	return b.single(property, u, f)
}

// mapping sets the type of an object that names no properties: a map where all
// values are of one type, otherwise any object.
func (b *builder) mapping(property string, n *node, f *dpb.FieldDescriptorProto) (kind string, err error) {
	values := b.doc.resolve(n.Additional)
	if len(n.Patterns) > 0 || values.node == nil || values.nullable || len(values.types) != 1 {
		return b.known(f, kindStruct), nil
	}
	value := &dpb.FieldDescriptorProto{
		Name: new("value"), JsonName: new("value"), Number: new(int32(2)),
		Label: dpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
	}
	if kind, err = b.single(property, values, value); err != nil {
		return "", err
	}
	key := &dpb.FieldDescriptorProto{
		Name: new("key"), JsonName: new("key"), Number: new(int32(1)),
		Label: dpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(), Type: dpb.FieldDescriptorProto_TYPE_STRING.Enum(),
	}
	b.desc.NestedType = append(b.desc.NestedType, &dpb.DescriptorProto{
		Name: new(""), Field: []*dpb.FieldDescriptorProto{key, value}, Options: &dpb.MessageOptions{MapEntry: new(true)},
	})
	f.Label = dpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	f.Type, f.TypeName = dpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), new("")
	return kindMap + kind, nil
}

// entryOf returns the message of a map's entries that has no name yet, if that
// is the type of the field.
func (b *builder) entryOf(f *dpb.FieldDescriptorProto) *dpb.DescriptorProto {
	if f.TypeName == nil || f.GetTypeName() != "" {
		return nil
	}
	return b.desc.GetNestedType()[len(b.desc.GetNestedType())-1]
}

// entryName returns the name that the entries of a map field must have.
func entryName(field string) string {
	var name strings.Builder
	for part := range strings.SplitSeq(field, "_") {
		if part != "" {
			name.WriteString(strings.ToUpper(part[:1]) + part[1:])
		}
	}
	return name.String() + "Entry"
}

// single sets the type of one value.
func (b *builder) single(property string, u use, f *dpb.FieldDescriptorProto) (kind string, err error) {
	if u.node == nil || len(u.types) != 1 {
		return b.known(f, kindValue), nil
	}
	switch u.types[0] {
	case "string":
		if strings.EqualFold(u.node.Encoding, "base64") {
			return scalar(f, dpb.FieldDescriptorProto_TYPE_BYTES, kindBytes), nil
		}
		return scalar(f, dpb.FieldDescriptorProto_TYPE_STRING, kindString), nil
	case "boolean":
		return scalar(f, dpb.FieldDescriptorProto_TYPE_BOOL, kindBool), nil
	case "number":
		return scalar(f, dpb.FieldDescriptorProto_TYPE_DOUBLE, kindDouble), nil
	case "integer":
		switch u.node.Format {
		case "int32":
			return scalar(f, dpb.FieldDescriptorProto_TYPE_INT32, "int32"), nil
		case "uint32":
			return scalar(f, dpb.FieldDescriptorProto_TYPE_UINT32, "uint32"), nil
		case "uint64":
			return scalar(f, dpb.FieldDescriptorProto_TYPE_UINT64, "uint64"), nil
		}
		return scalar(f, dpb.FieldDescriptorProto_TYPE_INT64, "int64"), nil
	case "array":
		return b.known(f, kindList), nil
	case "object":
		if typedObject(u.node) {
			return b.message(property, u, f)
		}
		return b.known(f, kindStruct), nil
	}
	return b.known(f, kindValue), nil
}

// message sets the type of an object with properties: the message of its
// definition, or one inside this message.
func (b *builder) message(property string, u use, f *dpb.FieldDescriptorProto) (kind string, err error) {
	var name string
	switch shape := b.doc.shapes[u.ref]; {
	case u.ref == "#":
		name = b.self
		b.top.uses[name] = true
	case shape != "":
		if name, err = b.shared(u, shape); err != nil {
			return "", err
		}
		b.top.uses[name] = true
	case len(b.outer) >= maxNesting || b.budget <= 0:
		return b.known(f, kindStruct), nil
	default:
		in := b.inside(property)
		in.comment(in.path, describe(u.node))
		if err := in.object(u.node); err != nil {
			return "", err
		}
		name = in.name()
	}
	f.Type, f.TypeName = dpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), new(b.typeName(name))
	return kindMessage + name, nil
}

// shared returns the message of a definition, and makes it when it is first
// needed.
func (b *builder) shared(u use, shape string) (string, error) {
	def := defName(u.ref)
	name, err := b.compiler.lock.shared(def, shape, b.top.name, b.present[def])
	if err != nil || b.messages[name] != nil {
		return name, err
	}
	d := b.newMessage(name, b.doc, b.self)
	d.comment(nil, describe(u.node))
	return name, d.object(u.node)
}

func scalar(f *dpb.FieldDescriptorProto, t dpb.FieldDescriptorProto_Type, kind string) string {
	f.Type = t.Enum()
	return kind
}

// known sets a type of struct.proto.
func (b *builder) known(f *dpb.FieldDescriptorProto, kind string) string {
	name := map[string]string{kindStruct: "Struct", kindValue: "Value", kindList: "ListValue"}[kind]
	f.Label = dpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()
	f.Type, f.TypeName = dpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), new(".google.protobuf."+name)
	b.top.uses[""] = true
	return kind
}

// typeName returns the reference to a message of the package.
func (c *compiler) typeName(name string) string { return "." + c.module.Package + "." + name }
