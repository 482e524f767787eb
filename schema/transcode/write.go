package transcode

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// An Error says which value of a JSON text does not fit the message. Its text is safe to show to whoever wrote the
// JSON.
type Error struct {
	Pointer string // a JSON Pointer (RFC 6901) to the value; "" is the whole text
	Reason  string // such as "must be an integer"
}

// Error returns the pointer and the reason.
func (e *Error) Error() string {
	if e.Pointer == "" {
		return e.Reason
	}
	return e.Pointer + ": " + e.Reason
}

// at returns the error as one about a part of what it was about.
func at(name string, err error) error {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Reason: err.Error()}
	}
	name = strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
	return &Error{Pointer: "/" + name + e.Pointer, Reason: e.Reason}
}

func atIndex(i int, err error) error { return at(strconv.Itoa(i), err) }

// AppendWire appends the wire bytes of the message that the JSON text says. The error is an *Error, and what it
// returns then is dst as it was.
func (p *Plan) AppendWire(dst, text []byte) ([]byte, error) {
	w := p.writer(dst)
	w.in = text
	err := w.message(p, 0)
	if err == nil && w.peek() != 0 {
		err = errSyntax
	}
	if err == nil && w.at != len(text) { // a zero byte
		err = errSyntax
	}
	if err != nil {
		if _, ok := errors.AsType[*Error](err); !ok {
			err = &Error{Reason: err.Error()}
		}
		return dst, err
	}
	return w.buf, nil
}

// writer returns one that appends to dst and has nothing to read yet.
func (p *Plan) writer(dst []byte) writer {
	o := &p.compiler.options
	return writer{
		scanner: scanner{lone: o.Dialect == ToolJSON},
		buf:     dst,
		dialect: o.Dialect,
		discard: o.DiscardUnknown || o.Dialect == ToolJSON,
	}
}

// writer writes wire bytes while it reads JSON.
type writer struct {
	scanner
	buf     []byte
	dialect Dialect
	discard bool
	anys    int
}

// open writes a byte for a length and returns where it stands; shut puts the length in when it is known.
func (w *writer) open() int {
	w.buf = append(w.buf, 0)
	return len(w.buf)
}

func (w *writer) shut(from int) {
	n := len(w.buf) - from
	if n < 0x80 {
		w.buf[from-1] = byte(n) //nolint:gosec // below 128
		return
	}
	size := protowire.SizeVarint(uint64(n))
	var pad [10]byte
	w.buf = append(w.buf, pad[:size-1]...)
	copy(w.buf[from+size-1:], w.buf[from:from+n])
	protowire.AppendVarint(w.buf[from-1:from-1], uint64(n))
}

// message writes a message of any form.
func (w *writer) message(p *Plan, depth int) error {
	if depth > maxDepth {
		return ErrDepth
	}
	switch p.form { //nolint:exhaustive // The others are alike.
	case asObject:
		return w.object(p, nil, depth)
	case asWhole:
		return w.field(&p.fields[0], depth)
	case asStruct:
		return w.entries(&p.fields[0], depth)
	case asList:
		return w.list(&p.fields[0], depth)
	case asValue:
		return w.kind(p, depth)
	default:
		return w.wellKnown(p, depth)
	}
}

// further is a property that no field stands for: where its name and its value begin.
type further struct{ name, value int }

// object writes the members of an object. Skip names a member that is not of the message, or is nil.
func (w *writer) object(p *Plan, skip []byte, depth int) error {
	more, err := w.begin('{')
	if err != nil {
		return orType(err, w.peek(), "must be an object")
	}
	var seen, oneofs bits
	var rest []further
	for more {
		w.peek()
		start := w.at
		name, err := w.name()
		if err != nil {
			return err
		}
		i, known := p.byName[string(name)]
		switch {
		case skip != nil && bytes.Equal(name, skip):
			err = w.skip(depth)
		case known:
			err = w.member(&p.fields[i], &seen, &oneofs, depth)
		case p.inline != nil:
			rest = append(rest, further{start, w.at})
			err = w.skip(depth)
		case w.discard:
			err = w.skip(depth)
		default:
			return at(string(name), errors.New("is not a property that this message knows"))
		}
		if err != nil {
			return err
		}
		if more, err = w.more('}'); err != nil {
			return err
		}
	}
	if len(rest) > 0 {
		return w.rest(p.inline, rest, depth)
	}
	return nil
}

// orType returns the error for a value of another type than it should be.
func orType(err error, c byte, what string) error {
	switch c {
	case '{', '[', '"', 't', 'f', 'n', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return errors.New(what)
	}
	return err
}

// string takes a value that must be a string.
func (w *writer) string() ([]byte, error) {
	if c := w.peek(); c != '"' {
		return nil, orType(w.fail(), c, "must be a string")
	}
	return w.text()
}

// member writes one member of an object. Null is the same as no member, except where null is a value.
func (w *writer) member(f *field, seen, oneofs *bits, depth int) error {
	if !seen.add(f.index) {
		return at(f.name, errors.New("is there twice"))
	}
	if w.peek() == 'n' && !f.takesNull() {
		return w.word("null")
	}
	if f.oneof >= 0 && !oneofs.add(f.oneof) {
		return at(f.name, errors.New("cannot be set together with another property of its group"))
	}
	if err := w.field(f, depth); err != nil {
		return at(f.name, err)
	}
	return nil
}

func (f *field) takesNull() bool {
	if f.list || f.isMap {
		return false
	}
	return f.sub != nil && f.sub.form == asValue || f.enum != nil && f.enum.null ||
		f.sub != nil && f.sub.form == asWhole
}

// rest writes the properties that no field stands for as the entries of the field that holds them.
func (w *writer) rest(f *field, rest []further, depth int) error {
	end := w.at
	from, of := 0, f
	if !f.isMap {
		w.buf = append(w.buf, f.tag...)
		from, of = w.open(), &f.sub.fields[0]
	}
	seen := make(map[string]struct{}, len(rest))
	for _, r := range rest {
		w.at = r.name
		name, err := w.text()
		if err != nil {
			return err
		}
		if _, twice := seen[string(name)]; twice {
			return at(string(name), errors.New("is there twice"))
		}
		seen[string(name)] = struct{}{}
		w.at = r.name
		if err := w.entry(of, depth); err != nil {
			return err
		}
	}
	if !f.isMap {
		w.shut(from)
	}
	w.at = end
	return nil
}

// field writes all of a field: its elements, its entries or its value.
func (w *writer) field(f *field, depth int) error {
	switch {
	case f.isMap:
		return w.entries(f, depth)
	case f.list:
		return w.list(f, depth)
	}
	w.buf = append(w.buf, f.tag...)
	return w.value(f, depth)
}

func (w *writer) list(f *field, depth int) error {
	more, err := w.begin('[')
	if err != nil {
		return orType(err, w.peek(), "must be an array")
	}
	if !more {
		return nil
	}
	from := 0
	if f.packed {
		w.buf = append(w.buf, f.pack...)
		from = w.open()
	}
	for i := 0; more; i++ {
		if !f.packed {
			w.buf = append(w.buf, f.tag...)
		}
		if err := w.value(f, depth); err != nil {
			return atIndex(i, err)
		}
		if more, err = w.more(']'); err != nil {
			return err
		}
	}
	if f.packed {
		w.shut(from)
	}
	return nil
}

// entries writes the members of an object as the entries of a map. Of a name that comes twice the last one holds:
// who must know has asked schema.Check.
func (w *writer) entries(f *field, depth int) error {
	more, err := w.begin('{')
	if err != nil {
		return orType(err, w.peek(), "must be an object")
	}
	for more {
		if err := w.entry(f, depth); err != nil {
			return err
		}
		if more, err = w.more('}'); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) entry(f *field, depth int) error {
	w.peek()
	start := w.at
	name, err := w.name()
	if err != nil {
		return err
	}
	w.buf = append(w.buf, f.tag...)
	from := w.open()
	w.buf = append(w.buf, f.key.tag...)
	if err = w.key(f.key, name); err == nil {
		w.buf = append(w.buf, f.val.tag...)
		err = w.value(f.val, depth)
	}
	if err != nil {
		w.at = start
		name, _ := w.text() // it could be read before
		return at(string(name), err)
	}
	w.shut(from)
	return nil
}

func (w *writer) key(f *field, name []byte) error {
	switch f.kind { //nolint:exhaustive // The others are alike.
	case protoreflect.StringKind:
		w.buf = protowire.AppendBytes(w.buf, name)
		return nil
	case protoreflect.BoolKind:
		switch string(name) {
		case "true":
			w.buf = append(w.buf, 1)
		case "false":
			w.buf = append(w.buf, 0)
		default:
			return errors.New(`the property's name must be "true" or "false"`)
		}
		return nil
	default:
		return w.integer(f.kind, name)
	}
}

// value writes one value of a field, without the tag before it.
func (w *writer) value(f *field, depth int) error {
	switch f.kind { //nolint:exhaustive // The others are alike.
	case protoreflect.StringKind:
		v, err := w.string()
		if err != nil {
			return err
		}
		w.buf = protowire.AppendBytes(w.buf, v)
		return nil
	case protoreflect.BytesKind:
		return w.bytes()
	case protoreflect.BoolKind:
		return w.bool()
	case protoreflect.EnumKind:
		return w.enum(f.enum)
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return w.float(f.kind)
	case protoreflect.MessageKind:
		from := w.open()
		if err := w.message(f.sub, depth+1); err != nil {
			return err
		}
		w.shut(from)
		return nil
	case protoreflect.GroupKind:
		if err := w.message(f.sub, depth+1); err != nil {
			return err
		}
		w.buf = append(w.buf, f.end...)
		return nil
	default:
		v, err := w.numeral()
		if err != nil {
			return orType(err, w.peek(), "must be an integer")
		}
		return w.integer(f.kind, v)
	}
}

// kind writes a google.protobuf.Value.
func (w *writer) kind(p *Plan, depth int) error {
	f := p.kindField(w.peek())
	w.buf = append(w.buf, f.tag...)
	if f.kind == protoreflect.DoubleKind {
		v, err := w.number()
		if err != nil {
			return err
		}
		x, err := strconv.ParseFloat(string(v), 64)
		if err != nil {
			return errors.New("is out of the range of a number")
		}
		w.buf = protowire.AppendFixed64(w.buf, math.Float64bits(x))
		return nil
	}
	return w.value(f, depth)
}

// kindField returns the field of a Value that holds what begins with the byte.
func (p *Plan) kindField(c byte) *field {
	switch c {
	case 'n':
		return p.find(1)
	case '"':
		return p.find(3)
	case 't', 'f':
		return p.find(4)
	case '{':
		return p.find(5)
	case '[':
		return p.find(6)
	default:
		return p.find(2)
	}
}
