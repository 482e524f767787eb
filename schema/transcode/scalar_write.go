package transcode

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// numeral takes a number; ProtoJSON has it as a string too.
func (w *writer) numeral() ([]byte, error) {
	if w.peek() != '"' || w.dialect != ProtoJSON {
		return w.number()
	}
	return w.text()
}

// integer writes the integer that the text is.
func (w *writer) integer(k protoreflect.Kind, text []byte) error {
	negative, m, ok := false, uint64(0), len(text) > 0 && numberLen(text) == len(text)
	if ok {
		negative, m, ok = whole(text)
	}
	if !ok {
		return fmt.Errorf("must be an integer of %s", k)
	}
	lowest, highest := bounds(k)
	if negative && m > lowest || !negative && m > highest {
		return fmt.Errorf("is out of the range of %s", k)
	}
	v := m
	if negative {
		v = -m // two's complement
	}
	switch k { //nolint:exhaustive // The others are alike.
	case protoreflect.Sint32Kind, protoreflect.Sint64Kind:
		w.buf = protowire.AppendVarint(w.buf, protowire.EncodeZigZag(int64(v)))
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind:
		w.buf = protowire.AppendFixed32(w.buf, uint32(v))
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		w.buf = protowire.AppendFixed64(w.buf, v)
	default:
		w.buf = protowire.AppendVarint(w.buf, v)
	}
	return nil
}

// bounds returns the magnitudes of the lowest and the highest value.
func bounds(k protoreflect.Kind) (lowest, highest uint64) {
	switch k { //nolint:exhaustive // The others are alike.
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return 1 << 31, 1<<31 - 1
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return 0, math.MaxUint32
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return 1 << 63, 1<<63 - 1
	default:
		return 0, math.MaxUint64
	}
}

func (w *writer) float(k protoreflect.Kind) error {
	text := w.peek() == '"'
	v, err := w.numeral()
	if err != nil {
		return orType(err, w.peek(), "must be a number")
	}
	size := 64
	if k == protoreflect.FloatKind {
		size = 32
	}
	var x float64
	switch {
	case numberLen(v) == len(v) && len(v) > 0:
		if x, err = strconv.ParseFloat(string(v), size); err != nil {
			return fmt.Errorf("is out of the range of %s", k)
		}
	case text && string(v) == "NaN":
		x = math.NaN()
	case text && string(v) == "Infinity":
		x = math.Inf(1)
	case text && string(v) == "-Infinity":
		x = math.Inf(-1)
	default:
		return errors.New("must be a number")
	}
	if size == 32 {
		w.buf = protowire.AppendFixed32(w.buf, math.Float32bits(float32(x)))
	} else {
		w.buf = protowire.AppendFixed64(w.buf, math.Float64bits(x))
	}
	return nil
}

func (w *writer) bool() error {
	switch w.peek() {
	case 't':
		w.buf = append(w.buf, 1)
		return w.word("true")
	case 'f':
		w.buf = append(w.buf, 0)
		return w.word("false")
	}
	return orType(w.fail(), w.peek(), "must be true or false")
}

// bytes writes base64: the standard alphabet, and in ProtoJSON the one for URLs too, with or without padding.
func (w *writer) bytes() error {
	v, err := w.string()
	if err != nil {
		return err
	}
	enc := base64.StdEncoding
	if w.dialect == ProtoJSON {
		if bytes.ContainsAny(v, "-_") {
			enc = base64.URLEncoding
		}
		if len(v)%4 != 0 {
			enc = enc.WithPadding(base64.NoPadding)
		}
	}
	from := w.open()
	if w.buf, err = enc.AppendDecode(w.buf, v); err != nil {
		return errors.New("must be base64")
	}
	w.shut(from)
	return nil
}

func (w *writer) enum(e *enum) error {
	switch c := w.peek(); {
	case c == '"':
		v, err := w.text()
		if err != nil {
			return err
		}
		n, ok := e.values[string(v)]
		if !ok {
			return errors.New("is not one of the values that are allowed")
		}
		w.buf = protowire.AppendVarint(w.buf, uint64(int64(n))) //nolint:gosec // negative ones have ten bytes
		return nil
	case c == 'n' && e.null:
		w.buf = append(w.buf, 0)
		return w.word("null")
	case w.dialect == ProtoJSON:
		v, err := w.number()
		if err != nil {
			return orType(err, c, "must be the name of a value")
		}
		return w.integer(protoreflect.Int32Kind, v)
	default:
		return orType(w.fail(), c, "must be a string")
	}
}
