package protoschema

import "strings"

// A Note says where the protobuf of a module differs from the schemas that it
// was made of.
type Note struct {
	At      string // full name of a field, a message or a method
	Renamed bool   // it only has another name than the schema's would be
	Reason  string
}

// maxNotes bounds the notes of one module. The last one then says that there
// are more.
const maxNotes = 10_000

// note adds a note about what has that name within the package.
func (c *compiler) note(n Note) {
	n.At = c.module.Package + "." + n.At
	switch notes := &c.module.Notes; {
	case len(*notes) < maxNotes-1:
		*notes = append(*notes, n)
	case len(*notes) < maxNotes:
		*notes = append(*notes, Note{At: c.module.Package, Reason: "there is more that is not as its schema says"})
	}
}

// placed notes what is to be said of a field, which has its place now.
func (b *builder) placed(wish, name, kind string, n *node) {
	at := b.name() + "." + name
	if want := snake(wish, "field"); name != want {
		b.note(Note{At: at, Renamed: true, Reason: "is not called " + want + ": a property of that name has had another type, or another one has the name"})
	}
	if why := b.loose(n, kind); why != "" {
		b.note(Note{At: at, Reason: why})
	}
}

// loose returns why the kind of a field allows more than the schema does, or "".
// What validates says of values, such as a pattern, is not the concern of types.
func (b *builder) loose(n *node, kind string) string {
	u := b.doc.resolve(n)
	if rest, ok := strings.CutPrefix(kind, repeated); ok {
		return b.loose(u.node.Items, rest)
	}
	if rest, ok := strings.CutPrefix(kind, kindMap); ok {
		return b.loose(u.node.Additional, rest)
	}
	switch {
	case kind == kindValue && !anything(n):
		return "is any value: it may be of several types, or refers to what is not there"
	case kind == kindList && (len(u.node.PrefixItems) > 0 || !anything(u.node.Items)):
		return "is a list of any values: its items may be null, lists or of several types"
	case kind == kindStruct && typedObject(u.node):
		return "is any object: it lies too deep, or the schema is too large"
	case kind == kindStruct && (len(u.node.Patterns) > 0 || !anything(u.node.Additional)):
		return "is any object: its members may be null or of several types"
	}
	return ""
}

// anything reports whether a schema says nothing of what a value is.
func anything(n *node) bool {
	return n == nil || n.always ||
		n.Ref == "" && n.DynamicRef == "" && !n.never && !n.tuple && n.Const == nil && n.Items == nil && n.Additional == nil &&
			len(n.Types)+len(n.Properties)+len(n.Patterns)+len(n.PrefixItems)+len(n.Enum)+len(n.OneOf)+len(n.AnyOf)+len(n.AllOf) == 0
}
