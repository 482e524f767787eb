package protoschema

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	dpb "google.golang.org/protobuf/types/descriptorpb"

	"github.com/trilith-gateway/trilith/internal/clip"
)

// Bounds of what is typed. Beyond them a schema is free form.
const (
	maxNesting  = 16     // of messages within messages
	maxFields   = 2000   // of one message
	maxBudget   = 20_000 // fields that the schemas of one method add
	maxProperty = 256    // bytes of a property's name
)

// rest is the JSON name, and the key in a lock, of the field that holds what no
// other field of its message does. No property with that name has a field.
const rest = "*"

// A message is one message at the top of a package.
type message struct {
	name     string
	desc     *dpb.DescriptorProto
	comments []comment       // their paths are relative to the message
	uses     map[string]bool // other messages at the top, and "" for struct.proto
}

// A comment is the text in front of an element of a descriptor.
type comment struct {
	path []int32
	text string
}

// A builder makes one message.
type builder struct {
	*compiler
	top   *message
	doc   *document
	self  string   // the message of the document's root
	outer []string // names, the top's first, its own last
	path  []int32  // within the top
	desc  *dpb.DescriptorProto
	lock  *MessageLock
	inUse map[int32]bool // numbers
}

// newMessage begins a message at the top of the package.
func (c *compiler) newMessage(name string, doc *document, self string) *builder {
	m := &message{name: name, desc: &dpb.DescriptorProto{Name: new(name)}, uses: map[string]bool{}}
	c.messages[name] = m
	return &builder{
		compiler: c, top: m, doc: doc, self: self, outer: []string{name},
		desc: m.desc, lock: c.lock.message(name), inUse: map[int32]bool{},
	}
}

// inside begins a message inside the message, for a property.
func (b *builder) inside(property string) *builder {
	name := b.compiler.lock.inner(b.lock, property, b.outer)
	in := &builder{
		compiler: b.compiler, top: b.top, doc: b.doc, self: b.self,
		outer: append(slices.Clone(b.outer), name),
		path:  append(slices.Clone(b.path), 3, int32(len(b.desc.GetNestedType()))), //nolint:gosec // At most maxFields.
		desc:  &dpb.DescriptorProto{Name: new(name)}, inUse: map[int32]bool{},
	}
	in.lock = b.compiler.lock.message(in.name())
	b.desc.NestedType = append(b.desc.NestedType, in.desc)
	return in
}

// name returns the message's name within the package.
func (b *builder) name() string { return strings.Join(b.outer, ".") }

// root makes the message of a whole schema.
func (c *compiler) root(name, text string, doc *document, input bool) error {
	b := c.newMessage(name, doc, name)
	b.comment(nil, text)
	u := doc.resolve(doc.root)
	if u.is("object") && (typedObject(u.node) || input && u.node.Properties != nil && u.node.Additional == nil) {
		return b.object(u.node)
	}
	f := &dpb.FieldDescriptorProto{}
	kind, err := b.typeOf(rest, doc.root, f)
	if err != nil {
		return err
	}
	wish := "value"
	switch {
	case f.GetLabel() == dpb.FieldDescriptorProto_LABEL_REPEATED && !strings.HasPrefix(kind, kindMap), kind == kindList:
		wish = "items"
	case kind == kindStruct, strings.HasPrefix(kind, kindMap):
		wish = "fields"
	}
	if err := b.place(rest, wish, kind, f); err != nil {
		return err
	}
	b.placed(wish, f.GetName(), kind, doc.root)
	c.module.whole[b.full(f)] = true
	b.finish()
	return nil
}

// typedObject reports whether an object has fields to make of its properties.
func typedObject(n *node) bool {
	return len(n.Properties) > 0 || n.Additional != nil && n.Additional.never && len(n.Patterns) == 0
}

// object makes the fields of an object's properties: first those that are
// required, then by name.
func (b *builder) object(n *node) error {
	required := setOf(n.Required)
	names := slices.SortedFunc(maps.Keys(n.Properties), func(x, y string) int {
		if required[x] != required[y] {
			if required[x] {
				return -1
			}
			return 1
		}
		return strings.Compare(x, y)
	})
	open := isOpen(n)
	for _, name := range names {
		if !hasJSONName(name) || len(b.desc.GetField()) >= maxFields || b.budget <= 0 {
			open = true
			b.note(Note{At: b.name(), Reason: "has no field for the property " + strconv.Quote(clip.Text(name, maxProperty)) + ": its name cannot be that of one, or there are too many"})
			continue
		}
		b.budget--
		if err := b.property(name, n.Properties[name], required[name]); err != nil {
			return err
		}
	}
	if open {
		f := &dpb.FieldDescriptorProto{}
		b.comment(b.fieldPath(), "Properties that have no field of their own.")
		if err := b.place(rest, "additional_properties", b.known(f, kindStruct), f); err != nil {
			return err
		}
		b.module.inline[b.full(f)] = true
	}
	b.finish()
	return nil
}

// isOpen reports whether an object says that it may have properties besides
// those that it names.
func isOpen(n *node) bool {
	if len(n.Patterns) > 0 || n.Additional != nil && !n.Additional.never {
		return true
	}
	for _, all := range [][]*node{n.OneOf, n.AnyOf, n.AllOf} {
		for _, a := range all {
			if a != nil && (a.Ref != "" || len(a.Properties) > 0 || len(a.OneOf)+len(a.AnyOf)+len(a.AllOf) > 0) {
				return true
			}
		}
	}
	return false
}

// hasJSONName reports whether a property's name can be the JSON name of a field.
// Compilers refuse the form of extensions and texts that cannot be written.
func hasJSONName(name string) bool {
	return len(name) <= maxProperty && name != rest && !strings.ContainsRune(name, 0) &&
		(!strings.HasPrefix(name, "[") || !strings.HasSuffix(name, "]"))
}

// property makes the field of one property.
func (b *builder) property(name string, n *node, required bool) error {
	f := &dpb.FieldDescriptorProto{JsonName: new(name)}
	kind, err := b.typeOf(name, n, f)
	if err != nil {
		return err
	}
	if n != nil {
		b.comment(b.fieldPath(), describe(n))
		if n.Deprecated {
			f.Options = &dpb.FieldOptions{Deprecated: new(true)}
		}
	}
	if err := b.place(name, name, kind, f); err != nil {
		return err
	}
	b.placed(name, f.GetName(), kind, n)
	if absent := b.absentOf(n, kind, f); required && absent != "" {
		b.module.absent[b.full(f)] = absent
	}
	return nil
}

// absentOf returns the JSON of a required property whose field is not on the
// wire: what protobuf cannot tell from it. It is "" where it can.
func (b *builder) absentOf(n *node, kind string, f *dpb.FieldDescriptorProto) string {
	switch {
	case strings.HasPrefix(kind, kindMap):
		return "{}"
	case f.GetLabel() == dpb.FieldDescriptorProto_LABEL_REPEATED:
		return "[]"
	case kind != kindValue && b.doc.resolve(n).nullable:
		return "null"
	}
	return ""
}

// place gives a field its name and number and adds it to the message.
func (b *builder) place(property, wish, kind string, f *dpb.FieldDescriptorProto) error {
	lock, err := b.compiler.lock.field(b.lock, property, wish, kind)
	if err != nil {
		return err
	}
	f.Name, f.Number = new(lock.Name), new(lock.Number)
	if f.JsonName == nil {
		f.JsonName = new(property)
	}
	if entry := b.entryOf(f); entry != nil { // Its name follows that of the field.
		entry.Name = new(entryName(lock.Name))
		f.TypeName = new(b.typeName(b.name() + "." + entry.GetName()))
	}
	b.inUse[lock.Number] = true
	b.desc.Field = append(b.desc.Field, f)
	return nil
}

// finish gives scalars explicit presence, and reserves what is not in use.
func (b *builder) finish() {
	for _, f := range b.desc.GetField() {
		if f.GetLabel() == dpb.FieldDescriptorProto_LABEL_OPTIONAL && f.GetType() != dpb.FieldDescriptorProto_TYPE_MESSAGE {
			f.Proto3Optional = new(true)
			f.OneofIndex = new(int32(len(b.desc.GetOneofDecl()))) //nolint:gosec // At most maxFields.
			b.desc.OneofDecl = append(b.desc.OneofDecl, &dpb.OneofDescriptorProto{Name: new("_" + f.GetName())})
		}
	}
	var numbers []int32
	for _, fields := range b.lock.Fields {
		for _, f := range fields {
			if !b.inUse[f.Number] {
				numbers = append(numbers, f.Number)
				b.desc.ReservedName = append(b.desc.ReservedName, f.Name)
			}
		}
	}
	slices.Sort(b.desc.ReservedName)
	slices.Sort(numbers)
	for _, n := range numbers {
		if r := b.desc.GetReservedRange(); len(r) > 0 && r[len(r)-1].GetEnd() == n {
			r[len(r)-1].End = new(n + 1)
			continue
		}
		b.desc.ReservedRange = append(b.desc.ReservedRange, &dpb.DescriptorProto_ReservedRange{Start: new(n), End: new(n + 1)})
	}
}

// full returns the full name of a field.
func (b *builder) full(f *dpb.FieldDescriptorProto) protoreflect.FullName {
	return protoreflect.FullName(b.module.Package + "." + b.name() + "." + f.GetName())
}

// fieldPath returns the path of the next field.
func (b *builder) fieldPath() []int32 {
	return append(slices.Clone(b.path), 2, int32(len(b.desc.GetField()))) //nolint:gosec // At most maxFields.
}

func (b *builder) comment(path []int32, text string) {
	if text = clean(text); text != "" {
		b.top.comments = append(b.top.comments, comment{path, text})
	}
}
