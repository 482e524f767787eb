package transcode

import (
	"errors"
	"math"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
)

var errUTF8 = errors.New("text is not valid UTF-8")

// appendString appends text as a JSON string.
func appendString(dst, s []byte) ([]byte, error) {
	if !utf8.Valid(s) {
		return dst, errUTF8
	}
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i, c := range s {
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(dst, s[from:]...), '"'), nil
}

// appendFloat appends a finite number in the shortest form that reads back as the same number, and without an
// exponent where it is not far from 1 (as ECMA-262 has it), so that who wants an integer can read one.
func appendFloat(dst []byte, v float64, size int) []byte {
	format := byte('f')
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, v, format, -1, size)
}

// appendAnyFloat appends a number that may be infinite or none; only ProtoJSON has a form for those.
func appendAnyFloat(dst []byte, v float64, size int, d Dialect) ([]byte, error) {
	var word string
	switch {
	case math.IsNaN(v):
		word = `"NaN"`
	case math.IsInf(v, 1):
		word = `"Infinity"`
	case math.IsInf(v, -1):
		word = `"-Infinity"`
	default:
		return appendFloat(dst, v, size), nil
	}
	if d != ProtoJSON {
		return dst, errNoNumber
	}
	return append(dst, word...), nil
}

// append appends the value of an enum: its name, or the number where it has none.
func (e *enum) append(dst []byte, n int32) []byte {
	if e.null {
		return append(dst, "null"...)
	}
	if name, ok := e.names[n]; ok {
		return append(dst, name...)
	}
	return strconv.AppendInt(dst, int64(n), 10)
}

// is64 reports whether ProtoJSON writes the kind as a string.
func is64(k protoreflect.Kind) bool {
	switch k { //nolint:exhaustive // The others are alike.
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind, protoreflect.Uint64Kind,
		protoreflect.Fixed64Kind:
		return true
	default:
		return false
	}
}

// isInteger reports whether the kind is one of the integers. Enums are not.
func isInteger(k protoreflect.Kind) bool {
	switch k { //nolint:exhaustive // The others are alike.
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind, protoreflect.Uint32Kind,
		protoreflect.Fixed32Kind:
		return true
	default:
		return is64(k)
	}
}
