package transcode

import (
	"errors"
	"math"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// errNoBridge says that a value has no way across but as a part of the whole JSON.
var errNoBridge = errors.New("the message must be written as JSON first")

// A Bridge turns the wire bytes of one message into those of another whose JSON is the same, as [Plan.AppendJSON] of
// the one and [Plan.AppendWire] of the other do, without the JSON of the whole. Messages are crossed field by field in
// the order of the wire. The value of a field goes through JSON by itself, by the code of the two plans; only texts,
// booleans, integers and doubles, which each have one form, and messages of such fields are spared that. A Bridge is
// immutable and safe for concurrent use.
type Bridge struct {
	from, to *Plan
	root     *span
}

// span is how the fields of one message get into another.
type span struct {
	from  *Plan
	steps []step // by the indexes of the fields that they are from
}

// step is how a field gets across.
type step struct {
	way    way
	to     *field // nil where the other message has no such property
	sub    *span  // of byMessage
	absent []byte // what is written where the field is not on the wire
}

// way is how the values of a field get across.
type way uint8

const (
	byJSON way = iota
	byText
	byBool
	byDigits // of an integer, which stand for it in JSON, and in a text where JSON has a text
	byDouble
	byMessage
)

// NewBridge returns the bridge from one message to another, or nil where there is none: where one of them is no plain
// object of properties that are all known by name.
func NewBridge(from, to *Plan) *Bridge {
	root := bridges{}.span(from, to)
	if root == nil {
		return nil
	}
	return &Bridge{from, to, root}
}

// bridges are the spans that are known: messages may hold themselves.
type bridges map[[2]*Plan]*span

// span returns how a message gets into another, or nil where that takes its JSON.
func (all bridges) span(from, to *Plan) *span {
	pair := [2]*Plan{from, to}
	if s := all[pair]; s != nil {
		return s
	}
	if from.form != asObject || to.form != asObject || from.inline != nil || to.inline != nil || to.oneofs {
		return nil
	}
	s := &span{from: from, steps: make([]step, len(from.fields))}
	taken := map[int]bool{}
	for i := range from.fields {
		f, step := &from.fields[i], &s.steps[i]
		if at, known := to.byName[f.name]; known {
			if taken[at] {
				return nil // Which of the two holds is for the plan to say.
			}
			taken[at], step.to = true, &to.fields[at]
		}
		if f.absent != "" {
			w := to.writer(nil)
			if w.property(step.to, []byte(f.absent), 0) != nil {
				return nil
			}
			step.absent = slices.Clip(w.buf)
		}
	}
	all[pair] = s
	for i := range s.steps {
		if s.steps[i].to != nil {
			all.choose(&s.steps[i], &from.fields[i], from.compiler.options.Dialect)
		}
	}
	return s
}

// choose sets the way of the values of a field, which the dialect writes.
func (all bridges) choose(s *step, f *field, dialect Dialect) {
	switch {
	case f.isMap || s.to.isMap || f.list != s.to.list:
	case isInteger(f.kind):
		if !f.list && s.to.takesDigits(is64(f.kind) && dialect == ProtoJSON) {
			s.way = byDigits
		}
	case f.kind != s.to.kind:
	case f.kind == protoreflect.MessageKind:
		if s.sub = all.span(f.sub, s.to.sub); s.sub != nil {
			s.way = byMessage
		}
	default:
		s.way = copied(f)
	}
}

// takesDigits reports whether the digits of an integer are a value of the field where JSON has them as such, or as a
// text.
func (f *field) takesDigits(text bool) bool {
	if text {
		return f.kind == protoreflect.StringKind
	}
	return isInteger(f.kind)
}

// copied returns the way of values that have one JSON form, and byJSON for others.
func copied(f *field) way {
	switch {
	case f.kind == protoreflect.StringKind:
		return byText
	case f.kind == protoreflect.BoolKind && !f.list:
		return byBool
	case f.kind == protoreflect.DoubleKind && !f.list:
		return byDouble
	}
	return byJSON
}

// Append appends the other message's wire bytes. What it returns on an error is dst as it was. The error only says
// that the way must be that through JSON, which may fail as well or not: it also takes fields that come in pieces.
// Options.MaxJSON bounds what is appended.
func (b *Bridge) Append(dst, wire []byte) ([]byte, error) {
	o := &b.from.compiler.options
	c := crossing{r: reader{dialect: o.Dialect}, w: b.to.writer(dst), max: len(dst) + o.MaxJSON}
	if err := c.message(b.root, wire, 0); err != nil {
		return dst, err
	}
	return c.w.buf, nil
}

// crossing is one message on its way.
type crossing struct {
	r   reader // of the values that go through JSON, one after another
	w   writer
	max int
}

// message crosses a message: what reader.members and writer.object do in turn.
func (c *crossing) message(s *span, b []byte, depth int) error {
	if depth > maxDepth {
		return ErrDepth
	}
	var o object
	for len(b) > 0 {
		f, t, n, err := s.from.next(b)
		if err != nil {
			return err
		}
		if b = b[n:]; f == nil {
			continue
		}
		if f != o.open {
			if err := c.begin(s, &o, f, depth); err != nil {
				return err
			}
		}
		if n, err = c.occurrence(s, &o, f, t, b, depth); err != nil {
			return err
		}
		b = b[n:]
	}
	if err := c.end(s, o.open, depth); err != nil {
		return err
	}
	for _, i := range s.from.absent {
		if !o.seen.has(i) {
			c.w.buf = append(c.w.buf, s.steps[i].absent...)
		}
	}
	return nil
}

// begin is called before the first value of a field.
func (c *crossing) begin(s *span, o *object, f *field, depth int) error {
	if !o.seen.add(f.index) || f.oneof >= 0 && !o.oneofs.add(f.oneof) {
		return errOrder
	}
	if err := c.end(s, o.open, depth); err != nil {
		return err
	}
	o.open = nil
	if len(c.w.buf) > c.max {
		return ErrTooLarge
	}
	if f.list || f.isMap {
		o.open, o.keys = f, keys{spans: o.keys.spans[:0]}
	}
	if s.steps[f.index].way == byJSON {
		c.r.buf, c.r.max = append(c.r.buf[:0], f.opening()...), c.max-len(c.w.buf)
	}
	return nil
}

// end is called after the last value of a list or a map, if one is open.
func (c *crossing) end(s *span, open *field, depth int) error {
	if open == nil || s.steps[open.index].way != byJSON {
		return nil
	}
	c.r.buf = append(c.r.buf, open.closing()...)
	return c.w.property(s.steps[open.index].to, c.r.buf, depth)
}

// occurrence crosses what one tag of a field brings and returns its length.
func (c *crossing) occurrence(s *span, o *object, f *field, t protowire.Type, b []byte, depth int) (int, error) {
	step := &s.steps[f.index]
	switch step.way {
	case byText, byMessage:
		v, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return 0, ErrMalformed
		}
		c.w.buf = append(c.w.buf, step.to.tag...)
		if step.way == byMessage {
			from := c.w.open()
			if err := c.message(step.sub, v, depth+1); err != nil {
				return 0, err
			}
			c.w.shut(from)
			return n, nil
		}
		if !utf8.Valid(v) {
			return 0, errUTF8
		}
		c.w.buf = protowire.AppendBytes(c.w.buf, v)
		return n, nil
	case byBool:
		return c.bool(step, b)
	case byDouble:
		return c.double(step, b)
	case byDigits:
		return c.digits(step, f, b)
	case byJSON:
	}
	n, err := c.r.occurrence(s.from, f, t, b, &o.keys, depth)
	if err == nil && o.open == nil { // Of a list or a map, end writes all.
		err = c.w.property(step.to, c.r.buf, depth)
	}
	return n, err
}

func (c *crossing) bool(s *step, b []byte) (int, error) {
	v, n := protowire.ConsumeVarint(b)
	if n < 0 {
		return 0, ErrMalformed
	}
	c.w.buf = protowire.AppendVarint(append(c.w.buf, s.to.tag...), protowire.EncodeBool(v != 0))
	return n, nil
}

func (c *crossing) double(s *step, b []byte) (int, error) {
	v, n := protowire.ConsumeFixed64(b)
	if n < 0 {
		return 0, ErrMalformed
	}
	if x := math.Float64frombits(v); math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, errNoNumber
	}
	c.w.buf = protowire.AppendFixed64(append(c.w.buf, s.to.tag...), v)
	return n, nil
}

// digits crosses an integer and returns its length.
func (c *crossing) digits(s *step, f *field, b []byte) (int, error) {
	c.r.buf = c.r.buf[:0]
	n, err := c.r.value(f, b, 0)
	if err != nil {
		return 0, err
	}
	c.w.buf = append(c.w.buf, s.to.tag...)
	if s.to.kind != protoreflect.StringKind {
		return n, c.w.integer(s.to.kind, c.r.buf)
	}
	c.w.buf = protowire.AppendBytes(c.w.buf, c.r.buf[1:len(c.r.buf)-1]) // Without the quotes.
	return n, nil
}

// property writes the value of a property of an object, of a field or, where that is nil, of none.
func (w *writer) property(f *field, value []byte, depth int) (err error) {
	w.in, w.at = value, 0
	switch {
	case f != nil:
		var seen, oneofs bits
		err = w.member(f, &seen, &oneofs, depth)
	case w.discard:
		err = w.skip(depth)
	default:
		err = errNoBridge
	}
	if err == nil && w.at != len(value) {
		err = errSyntax
	}
	return err
}
