package transcode

import (
	"encoding/base64"
	"errors"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The ways in which wire bytes can fail.
var (
	ErrMalformed = errors.New("malformed protobuf message")             // the bytes are no message
	ErrDepth     = errors.New("message nested too deeply")              // more than 100 levels
	ErrTooLarge  = errors.New("message too large when written as JSON") // more than Options.MaxJSON

	// errOrder says that the fields come in an order that one pass cannot write.
	errOrder = errors.New("fields in pieces")

	errNoNumber = errors.New("a number is infinite or none, which JSON cannot say")
)

// AppendJSON appends the JSON of a message's wire bytes. What it returns on an error is dst as it was.
func (p *Plan) AppendJSON(dst, wire []byte) ([]byte, error) {
	r := reader{buf: dst, max: len(dst) + p.compiler.options.MaxJSON, dialect: p.compiler.options.Dialect}
	err := r.message(p, wire, 0)
	if err != nil && !hopeless(err) { // errOrder, or a value without a JSON form that a later one may replace
		r.buf, r.merging = dst, true
		err = r.message(p, wire, 0)
	}
	if err == nil && len(r.buf) > r.max {
		err = ErrTooLarge
	}
	if err != nil {
		return dst, err
	}
	return r.buf, nil
}

// hopeless reports whether a second pass over the same bytes can only end the same way.
func hopeless(err error) bool {
	return errors.Is(err, ErrMalformed) || errors.Is(err, ErrDepth) || errors.Is(err, ErrTooLarge)
}

// reader writes JSON while it reads wire bytes.
type reader struct {
	buf     []byte
	max     int
	dialect Dialect
	merging bool // fields may come in pieces: gather them first
	anys    int  // how many Any values are open
}

// object is what is known about the object that is being written.
type object struct {
	seen   bits
	oneofs bits
	open   *field // a list or a map that may go on
	keys   keys   // of the open map
}

// keys are the keys of a map as they stand in the buffer.
type keys struct {
	spans [][2]int
	set   map[string]struct{} // once there are many
}

// message writes a message of any form.
func (r *reader) message(p *Plan, b []byte, depth int) error {
	if depth > maxDepth {
		return ErrDepth
	}
	if len(r.buf) > r.max {
		return ErrTooLarge
	}
	switch p.form { //nolint:exhaustive // The others are alike.
	case asObject, asWhole, asStruct, asList, asValue:
		if r.merging {
			return r.merged(p, [][]byte{b}, depth)
		}
	default:
		return r.wellKnown(p, b, depth)
	}
	switch p.form { //nolint:exhaustive // The others are alike.
	case asValue:
		return r.kind(p, b, depth)
	case asStruct, asList, asWhole:
		return r.only(p, b, depth)
	default:
		r.buf = append(r.buf, '{')
		if err := r.members(p, b, depth); err != nil {
			return err
		}
		r.buf = append(r.buf, '}')
		return nil
	}
}

// members writes the fields of a message as members of an object that is open.
func (r *reader) members(p *Plan, b []byte, depth int) error {
	if r.merging {
		return r.mergedMembers(p, [][]byte{b}, depth)
	}
	var o object
	for len(b) > 0 {
		f, t, n, err := p.next(b)
		if err != nil {
			return err
		}
		b = b[n:]
		if f == nil {
			continue
		}
		if f != o.open {
			if err := r.begin(&o, f); err != nil {
				return err
			}
		}
		if n, err = r.occurrence(p, f, t, b, &o.keys, depth); err != nil {
			return err
		}
		b = b[n:]
	}
	r.close(o.open)
	r.absent(p, &o.seen)
	return nil
}

// next reads a tag. Where the field is not known it is nil, and n is the length of tag and value; otherwise n is the
// length of the tag.
func (p *Plan) next(b []byte) (f *field, t protowire.Type, n int, err error) {
	var num protowire.Number
	if b[0] < 0x80 {
		num, t, n = protowire.Number(b[0]>>3), protowire.Type(b[0]&7), 1
	} else {
		num, t, n = protowire.ConsumeTag(b)
	}
	if n < 0 || !num.IsValid() {
		return nil, 0, 0, ErrMalformed
	}
	if f = p.find(num); f != nil && f.accepts(t) {
		return f, t, n, nil
	}
	m := protowire.ConsumeFieldValue(num, t, b[n:])
	if m < 0 {
		return nil, 0, 0, ErrMalformed
	}
	return nil, t, n + m, nil
}

// begin writes what stands before the first value of a field.
func (r *reader) begin(o *object, f *field) error {
	if !o.seen.add(f.index) || f.oneof >= 0 && !o.oneofs.add(f.oneof) {
		return errOrder
	}
	r.close(o.open)
	o.open = nil
	if len(r.buf) > r.max {
		return ErrTooLarge
	}
	if f.list || f.isMap {
		o.open, o.keys = f, keys{spans: o.keys.spans[:0]}
	}
	if !f.inline {
		r.key(f)
		r.buf = append(r.buf, f.opening()...)
	}
	return nil
}

func (r *reader) key(f *field) {
	r.comma('{')
	r.buf = append(r.buf, f.prefix...)
}

// comma separates what follows from what was written since the bracket: no value ends in an opening bracket.
func (r *reader) comma(open byte) {
	if r.buf[len(r.buf)-1] != open {
		r.buf = append(r.buf, ',')
	}
}

func (r *reader) close(f *field) {
	if f != nil && !f.inline {
		r.buf = append(r.buf, f.closing()...)
	}
}

// absent writes the fields that are due although they are not on the wire.
func (r *reader) absent(p *Plan, seen *bits) {
	for _, i := range p.absent {
		if seen.has(i) {
			continue
		}
		f := &p.fields[i]
		r.key(f)
		r.buf = append(r.buf, f.absent...)
	}
}

// occurrence writes what one tag of a field brings and returns its length.
func (r *reader) occurrence(p *Plan, f *field, t protowire.Type, b []byte, k *keys, depth int) (int, error) {
	if f.packs(t) {
		v, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return 0, ErrMalformed
		}
		return n, r.packed(f, v)
	}
	if f.isMap || f.inline {
		v, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return 0, ErrMalformed
		}
		if f.isMap {
			return n, r.entry(p, f, v, k, depth)
		}
		return n, r.inlined(p, f.sub, v, depth)
	}
	if f.list {
		r.comma('[')
	}
	return r.value(f, b, depth)
}

func (r *reader) packed(f *field, b []byte) error {
	for len(b) > 0 {
		r.comma('[')
		n, err := r.value(f, b, 0)
		if err != nil {
			return err
		}
		b = b[n:]
		if len(r.buf) > r.max {
			return ErrTooLarge
		}
	}
	return nil
}

// inlined writes the entries of a Struct as members of the object that is open.
func (r *reader) inlined(p, sub *Plan, b []byte, depth int) error {
	var k keys
	for len(b) > 0 {
		f, _, n, err := sub.next(b)
		if err != nil {
			return err
		}
		b = b[n:]
		if f == nil {
			continue
		}
		v, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return ErrMalformed
		}
		b = b[n:]
		if err := r.entry(p, f, v, &k, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// only writes a message that is nothing but its first field: Struct, ListValue, or what Options.Whole chose.
func (r *reader) only(p *Plan, b []byte, depth int) error {
	own := &p.fields[0]
	var k keys
	seen := false
	start := len(r.buf)
	r.buf = append(r.buf, own.opening()...)
	for len(b) > 0 {
		f, t, n, err := p.next(b)
		if err != nil {
			return err
		}
		b = b[n:]
		if f == nil {
			continue
		}
		if seen && !f.list && !f.isMap {
			return errOrder
		}
		seen = true
		if n, err = r.occurrence(p, f, t, b, &k, depth); err != nil {
			return err
		}
		b = b[n:]
	}
	r.buf = append(r.buf, own.closing()...)
	if !seen && len(r.buf) == start {
		return r.zero(own, depth)
	}
	return nil
}

func (f *field) opening() string {
	switch {
	case f.list:
		return "["
	case f.isMap:
		return "{"
	}
	return ""
}

func (f *field) closing() string {
	switch {
	case f.list:
		return "]"
	case f.isMap:
		return "}"
	}
	return ""
}

// zero writes the default of a field.
func (r *reader) zero(f *field, depth int) error {
	if f.sub != nil && !f.list {
		return r.message(f.sub, nil, depth+1)
	}
	r.buf = append(r.buf, f.zero...)
	return nil
}

// kind writes a google.protobuf.Value. One without a kind is null: protojson refuses it.
func (r *reader) kind(p *Plan, b []byte, depth int) error {
	seen := false
	for len(b) > 0 {
		f, _, n, err := p.next(b)
		if err != nil {
			return err
		}
		b = b[n:]
		if f == nil {
			continue
		}
		if seen {
			return errOrder
		}
		seen = true
		if n, err = r.kindValue(f, b, depth); err != nil {
			return err
		}
		b = b[n:]
	}
	if !seen {
		r.buf = append(r.buf, "null"...)
	}
	return nil
}

func (r *reader) kindValue(f *field, b []byte, depth int) (int, error) {
	if f.kind == protoreflect.DoubleKind {
		v, n := protowire.ConsumeFixed64(b)
		if x := math.Float64frombits(v); n > 0 && (math.IsNaN(x) || math.IsInf(x, 0)) {
			return 0, errNoNumber
		}
	}
	return r.value(f, b, depth)
}

// value writes one value of a field: b begins with it. It returns the value's length.
func (r *reader) value(f *field, b []byte, depth int) (int, error) {
	switch f.wire { //nolint:exhaustive // The others are alike.
	case protowire.VarintType:
		if len(b) > 0 && b[0] < 0x80 {
			r.varint(f, uint64(b[0]))
			return 1, nil
		}
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return 0, ErrMalformed
		}
		r.varint(f, v)
		return n, nil
	case protowire.Fixed64Type:
		v, n := protowire.ConsumeFixed64(b)
		if n < 0 {
			return 0, ErrMalformed
		}
		return n, r.fixed64(f, v)
	case protowire.Fixed32Type:
		v, n := protowire.ConsumeFixed32(b)
		if n < 0 {
			return 0, ErrMalformed
		}
		return n, r.fixed32(f, v)
	case protowire.StartGroupType:
		v, n := protowire.ConsumeGroup(f.num, b)
		if n < 0 {
			return 0, ErrMalformed
		}
		return n, r.message(f.sub, v, depth+1)
	default:
		v, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return 0, ErrMalformed
		}
		return n, r.bytes(f, v, depth)
	}
}

func (r *reader) bytes(f *field, v []byte, depth int) (err error) {
	switch f.kind { //nolint:exhaustive // The others are alike.
	case protoreflect.StringKind:
		r.buf, err = appendString(r.buf, v)
		return err
	case protoreflect.BytesKind:
		r.buf = append(r.buf, '"')
		r.buf = base64.StdEncoding.AppendEncode(r.buf, v)
		r.buf = append(r.buf, '"')
		return nil
	default:
		return r.message(f.sub, v, depth+1)
	}
}

func (r *reader) varint(f *field, v uint64) {
	switch f.kind { //nolint:exhaustive // The others are alike.
	case protoreflect.BoolKind:
		r.buf = strconv.AppendBool(r.buf, v != 0)
	case protoreflect.EnumKind:
		r.buf = f.enum.append(r.buf, int32(v)) //nolint:gosec // an enum is the low 32 bits
	case protoreflect.Int32Kind:
		r.buf = strconv.AppendInt(r.buf, int64(int32(v)), 10) //nolint:gosec // an int32 is the low 32 bits
	case protoreflect.Sint32Kind:
		r.buf = strconv.AppendInt(r.buf, protowire.DecodeZigZag(v&math.MaxUint32), 10)
	case protoreflect.Uint32Kind:
		r.buf = strconv.AppendUint(r.buf, v&math.MaxUint32, 10)
	case protoreflect.Int64Kind:
		r.signed(int64(v)) //nolint:gosec // two's complement
	case protoreflect.Sint64Kind:
		r.signed(protowire.DecodeZigZag(v))
	default:
		r.unsigned(v)
	}
}

func (r *reader) fixed64(f *field, v uint64) (err error) {
	switch f.kind { //nolint:exhaustive // The others are alike.
	case protoreflect.DoubleKind:
		r.buf, err = appendAnyFloat(r.buf, math.Float64frombits(v), 64, r.dialect)
	case protoreflect.Sfixed64Kind:
		r.signed(int64(v)) //nolint:gosec // two's complement
	default:
		r.unsigned(v)
	}
	return err
}

func (r *reader) fixed32(f *field, v uint32) (err error) {
	switch f.kind { //nolint:exhaustive // The others are alike.
	case protoreflect.FloatKind:
		r.buf, err = appendAnyFloat(r.buf, float64(math.Float32frombits(v)), 32, r.dialect)
	case protoreflect.Sfixed32Kind:
		r.buf = strconv.AppendInt(r.buf, int64(int32(v)), 10) //nolint:gosec // two's complement
	default:
		r.buf = strconv.AppendUint(r.buf, uint64(v), 10)
	}
	return err
}

func (r *reader) signed(v int64) {
	if r.dialect == ToolJSON {
		r.buf = strconv.AppendInt(r.buf, v, 10)
		return
	}
	r.buf = append(strconv.AppendInt(append(r.buf, '"'), v, 10), '"')
}

func (r *reader) unsigned(v uint64) {
	if r.dialect == ToolJSON {
		r.buf = strconv.AppendUint(r.buf, v, 10)
		return
	}
	r.buf = append(strconv.AppendUint(append(r.buf, '"'), v, 10), '"')
}
