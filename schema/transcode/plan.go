package transcode

import (
	"encoding/json"
	"slices"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// maxDepth is how deep messages may nest, in either direction.
const maxDepth = 100

// defaultMaxJSON is the bound of an output where the options set none.
const defaultMaxJSON = 64 << 20

// A Dialect is a way to write messages as JSON.
type Dialect uint8

// The dialects.
const (
	ProtoJSON Dialect = iota
	ToolJSON
)

// Options say what the JSON of a compiler's plans looks like. The zero value is plain ProtoJSON.
type Options struct {
	Dialect Dialect

	// Files is where the types of an Any and the extensions of a message are looked up; nil knows neither.
	Files *protoregistry.Files

	// MaxJSON bounds what AppendJSON appends, in bytes; 0 is 64 MiB.
	MaxJSON int

	// EmitDefaults writes fields that have no presence and are not on the wire with their defaults, as
	// protojson's EmitDefaultValues does: false, 0, "", the first name of an enum, [] and {}.
	EmitDefaults bool

	// DiscardUnknown leaves out properties that no field stands for; otherwise they are an error. ToolJSON always
	// leaves them out.
	DiscardUnknown bool

	// Absent returns the JSON to write for a field that is not on the wire, such as [] for a required array or
	// null for a required property that may be null; "" writes nothing, and so does a nil Absent. It comes before
	// EmitDefaults and is asked once for each field, when the plan is compiled.
	Absent func(protoreflect.FieldDescriptor) string

	// EnumName returns how a value of an enum is written; nil is the value's name.
	EnumName func(protoreflect.EnumValueDescriptor) string

	// Inline reports whether the field holds the properties that no other field stands for: its entries are
	// properties of the object itself. The field must be a google.protobuf.Struct or a map with string keys, not
	// part of a oneof, and the only such field of its message. Nil is none.
	Inline func(protoreflect.FieldDescriptor) bool

	// Whole reports whether the JSON of the message is that of this field, its only one, so that a message can
	// stand for an array, a scalar or a free object. Nil is none.
	Whole func(protoreflect.FieldDescriptor) bool
}

// A Compiler makes plans that share what they have in common. It is safe for concurrent use.
type Compiler struct {
	options    Options
	extensions map[protoreflect.FullName][]protoreflect.FieldDescriptor // by the message that they extend

	mu    sync.Mutex
	plans map[protoreflect.FullName]*Plan
}

// NewCompiler returns a compiler for messages whose types do not change: a full name must mean one type.
func NewCompiler(o Options) *Compiler {
	if o.MaxJSON <= 0 {
		o.MaxJSON = defaultMaxJSON
	}
	c := &Compiler{options: o, plans: map[protoreflect.FullName]*Plan{}}
	if o.Files != nil {
		c.extensions = map[protoreflect.FullName][]protoreflect.FieldDescriptor{}
		o.Files.RangeFiles(func(fd protoreflect.FileDescriptor) bool {
			c.addExtensions(fd)
			return true
		})
	}
	return c
}

// scope is what declares extensions and messages: a file or a message.
type scope interface {
	Extensions() protoreflect.ExtensionDescriptors
	Messages() protoreflect.MessageDescriptors
}

func (c *Compiler) addExtensions(s scope) {
	for i := range s.Extensions().Len() {
		x := s.Extensions().Get(i)
		if of := x.ContainingMessage(); of.ExtensionRanges().Has(x.Number()) {
			c.extensions[of.FullName()] = append(c.extensions[of.FullName()], x)
		}
	}
	for i := range s.Messages().Len() {
		c.addExtensions(s.Messages().Get(i))
	}
}

// Plan returns the plan of a message, with those of all messages that it reaches.
func (c *Compiler) Plan(md protoreflect.MessageDescriptor) *Plan {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.compile(md)
}

// resolve returns the plan of the message that the type URL of an Any names, or nil.
func (c *Compiler) resolve(name string) *Plan {
	full := protoreflect.FullName(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.plans[full]; p != nil {
		return p
	}
	if c.options.Files == nil {
		return nil
	}
	d, err := c.options.Files.FindDescriptorByName(full)
	if err != nil {
		return nil
	}
	md, ok := d.(protoreflect.MessageDescriptor)
	if !ok || md.IsMapEntry() {
		return nil
	}
	return c.compile(md)
}

// A Plan transcodes one message type. It is immutable and safe for concurrent use.
type Plan struct {
	compiler *Compiler
	desc     protoreflect.MessageDescriptor
	form     form
	fields   []field
	dense    [32]int32 // field number -> index + 1
	sparse   map[protowire.Number]int
	byName   map[string]int
	absent   []int  // the fields that are written even when they are not on the wire
	inline   *field // holds all other properties, or nil
	oneofs   bool
}

// field is what a plan knows of a field, of the key or value of a map's entries, or of a list's elements.
type field struct {
	index  int
	num    protowire.Number
	kind   protoreflect.Kind
	wire   protowire.Type // of one element
	list   bool
	packed bool // how a list is written; it is read either way
	isMap  bool
	inline bool   // its entries are members of the message's own object
	oneof  int    // the index of its oneof, or -1
	name   string // in JSON
	prefix []byte // `"name":`
	tag    []byte // of one element
	pack   []byte // the tag of a packed list
	end    []byte // the tag that ends a group
	zero   string // the default in JSON
	absent string // written when the field is not on the wire
	sub    *Plan  // of a message
	enum   *enum
	key    *field // of a map
	val    *field // of a map
}

type enum struct {
	null   bool             // google.protobuf.NullValue
	names  map[int32][]byte // as JSON strings
	values map[string]int32
}

// compile returns the plan of a message; the caller holds the lock.
func (c *Compiler) compile(md protoreflect.MessageDescriptor) *Plan {
	if p := c.plans[md.FullName()]; p != nil {
		return p
	}
	p := &Plan{compiler: c, desc: md, form: formOf(md), byName: map[string]int{}}
	c.plans[md.FullName()] = p
	fields := c.Fields(md)
	p.fields = make([]field, len(fields))
	for i, fd := range fields {
		f := &p.fields[i]
		f.index = i
		c.field(f, fd)
		p.enter(f, fd)
	}
	return p
}

// enter makes the field known to the plan.
func (p *Plan) enter(f *field, fd protoreflect.FieldDescriptor) {
	o := &p.compiler.options
	if int(f.num) < len(p.dense) {
		p.dense[f.num] = int32(f.index + 1) //nolint:gosec // a descriptor of 2^31 fields does not fit into memory
	} else {
		if p.sparse == nil {
			p.sparse = map[protowire.Number]int{}
		}
		p.sparse[f.num] = f.index
	}
	switch {
	case o.Whole != nil && o.Whole(fd):
		p.form = asWhole
		return
	case o.Inline != nil && o.Inline(fd):
		p.inline, f.inline = f, true
		return
	}
	p.byName[f.name] = f.index
	if _, taken := p.byName[fd.TextName()]; !taken && o.Dialect == ProtoJSON {
		p.byName[fd.TextName()] = f.index
	}
	if f.oneof >= 0 {
		p.oneofs = true
	}
	if f.absent = o.absent(f, fd); f.absent != "" {
		p.absent = append(p.absent, f.index)
	}
}

// absent returns what is written where the field is not on the wire.
func (o *Options) absent(f *field, fd protoreflect.FieldDescriptor) string {
	if o.Absent != nil {
		if text := o.Absent(fd); text != "" {
			return text
		}
	}
	if o.EmitDefaults && !fd.HasPresence() && !fd.IsExtension() {
		return f.zero
	}
	return ""
}

// field compiles one field.
func (c *Compiler) field(f *field, fd protoreflect.FieldDescriptor) {
	f.num, f.kind, f.name, f.oneof = fd.Number(), fd.Kind(), fd.JSONName(), -1
	if fd.IsExtension() {
		f.name = "[" + string(fd.FullName()) + "]"
	}
	quoted, _ := json.Marshal(f.name) // a string always has a JSON form
	f.prefix = append(quoted, ':')
	if o := fd.ContainingOneof(); o != nil && !o.IsSynthetic() {
		f.oneof = o.Index()
	}
	if fd.IsMap() {
		f.isMap, f.zero = true, "{}"
		f.wire = protowire.BytesType
		f.tag = protowire.AppendTag(nil, f.num, f.wire)
		f.key, f.val = &field{}, &field{}
		c.field(f.key, fd.MapKey())
		c.field(f.val, fd.MapValue())
		return
	}
	f.wire, f.zero = wireOf(f.kind), zeroOf(f.kind, c.options.Dialect)
	f.tag = protowire.AppendTag(nil, f.num, f.wire)
	switch f.kind { //nolint:exhaustive // The others are alike.
	case protoreflect.MessageKind:
		f.sub = c.compile(fd.Message())
	case protoreflect.GroupKind:
		f.sub = c.compile(fd.Message())
		f.end = protowire.AppendTag(nil, f.num, protowire.EndGroupType)
	case protoreflect.EnumKind:
		f.enum = c.enum(fd.Enum())
		if values := fd.Enum().Values(); values.Len() > 0 { // One that could not be resolved has none.
			f.zero = string(f.enum.append(nil, int32(values.Get(0).Number())))
		}
	default:
	}
	if fd.IsList() {
		f.list, f.packed, f.zero = true, fd.IsPacked(), "[]"
		f.pack = protowire.AppendTag(nil, f.num, protowire.BytesType)
	}
}

func (c *Compiler) enum(ed protoreflect.EnumDescriptor) *enum {
	values := ed.Values()
	e := &enum{
		null:   ed.FullName() == "google.protobuf.NullValue",
		names:  make(map[int32][]byte, values.Len()),
		values: make(map[string]int32, values.Len()),
	}
	for i := range values.Len() {
		v := values.Get(i)
		name := string(v.Name())
		if c.options.EnumName != nil {
			name = c.options.EnumName(v)
		}
		n := int32(v.Number())
		e.values[name] = n
		if _, alias := e.names[n]; !alias {
			quoted, _ := json.Marshal(name)
			e.names[n] = quoted
		}
	}
	return e
}

func wireOf(k protoreflect.Kind) protowire.Type {
	switch k { //nolint:exhaustive // The others are alike.
	case protoreflect.DoubleKind, protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return protowire.Fixed64Type
	case protoreflect.FloatKind, protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		return protowire.Fixed32Type
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	default:
		return protowire.VarintType
	}
}

func zeroOf(k protoreflect.Kind, d Dialect) string {
	switch k { //nolint:exhaustive // The others are alike.
	case protoreflect.BoolKind:
		return "false"
	case protoreflect.StringKind, protoreflect.BytesKind:
		return `""`
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind, protoreflect.Uint64Kind,
		protoreflect.Fixed64Kind:
		if d == ProtoJSON {
			return `"0"`
		}
	default:
	}
	return "0"
}

// find returns the field of that number, or nil.
func (p *Plan) find(n protowire.Number) *field {
	if int(n) < len(p.dense) {
		if i := p.dense[n]; i > 0 {
			return &p.fields[i-1]
		}
		return nil
	}
	if i, ok := p.sparse[n]; ok {
		return &p.fields[i]
	}
	return nil
}

// accepts reports whether the field can be written that way; otherwise its bytes are those of an unknown field.
func (f *field) accepts(t protowire.Type) bool {
	return t == f.wire || f.packs(t)
}

// packs reports whether a value of that wire type is a packed list of the field.
func (f *field) packs(t protowire.Type) bool {
	return f.list && t == protowire.BytesType && f.wire != protowire.BytesType && f.wire != protowire.StartGroupType
}

// Descriptor returns the message that the plan is for.
func (p *Plan) Descriptor() protoreflect.MessageDescriptor { return p.desc }

// WellKnown reports whether the message has a form of its own, as google.protobuf.Timestamp has.
func (p *Plan) WellKnown() bool { return p.form != asObject && p.form != asWhole }

// Extensions returns the extensions of a message that the files of the options declare.
func (c *Compiler) Extensions(of protoreflect.FullName) []protoreflect.FieldDescriptor {
	return slices.Clone(c.extensions[of])
}

// Fields returns the fields of a message, with its extensions behind them: what its JSON can have.
func (c *Compiler) Fields(md protoreflect.MessageDescriptor) []protoreflect.FieldDescriptor {
	more := c.extensions[md.FullName()]
	all := make([]protoreflect.FieldDescriptor, 0, md.Fields().Len()+len(more))
	for i := range md.Fields().Len() {
		all = append(all, md.Fields().Get(i))
	}
	return append(all, more...)
}

// IsObject reports whether the message is always a JSON object, as the arguments of a tool must be.
func (p *Plan) IsObject() bool {
	switch p.form { //nolint:exhaustive // The others are alike.
	case asObject, asStruct, asAny, asEmpty:
		return true
	case asWhole:
		f := &p.fields[0]
		return !f.list && (f.isMap || f.sub != nil && f.sub.IsObject())
	default:
		return false
	}
}

// bits is a set of small numbers; the first 128 need no memory.
type bits struct {
	low  [2]uint64
	high map[int]struct{}
}

// add adds a number and reports whether it was not there yet.
func (b *bits) add(i int) bool {
	if i < 128 {
		w, m := &b.low[i>>6], uint64(1)<<(i&63)
		was := *w&m != 0
		*w |= m
		return !was
	}
	if _, was := b.high[i]; was {
		return false
	}
	if b.high == nil {
		b.high = map[int]struct{}{}
	}
	b.high[i] = struct{}{}
	return true
}

func (b *bits) has(i int) bool {
	if i < 128 {
		return b.low[i>>6]&(1<<(i&63)) != 0
	}
	_, was := b.high[i]
	return was
}
