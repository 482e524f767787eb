package transcode

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The bounds that protobuf sets for its own types.
const (
	minTimestamp = -62135596800 // 0001-01-01T00:00:00Z
	maxTimestamp = 253402300799 // 9999-12-31T23:59:59Z
	maxDuration  = 315576000000 // 10,000 years
	maxAnys      = 16           // how many Any values may lie in each other
)

var (
	errTaken     = errors.New("a further property has the name of one that the message knows")
	errTimestamp = errors.New("google.protobuf.Timestamp out of range")
	errDuration  = errors.New("google.protobuf.Duration out of range")
	errFieldMask = errors.New("a path of a google.protobuf.FieldMask has no JSON form")
)

// wellKnown writes a message that has a form of its own.
func (r *reader) wellKnown(p *Plan, b []byte, depth int) error {
	switch p.form { //nolint:exhaustive // The others are alike.
	case asTimestamp, asDuration:
		seconds, nanos, err := p.time(b)
		if err != nil {
			return err
		}
		if p.form == asTimestamp {
			return r.timestamp(seconds, nanos)
		}
		return r.duration(seconds, nanos)
	case asFieldMask:
		return r.fieldMask(p, b)
	case asWrapper:
		return r.wrapper(p, b)
	case asAny:
		return r.any(p, b, depth)
	default: // Empty
		for len(b) > 0 {
			_, _, n, err := p.next(b)
			if err != nil {
				return err
			}
			b = b[n:]
		}
		r.buf = append(r.buf, '{', '}')
		return nil
	}
}

// time reads a Timestamp or a Duration.
func (p *Plan) time(b []byte) (seconds int64, nanos int32, err error) {
	for len(b) > 0 {
		f, _, n, err := p.next(b)
		if err != nil {
			return 0, 0, err
		}
		b = b[n:]
		if f == nil {
			continue
		}
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return 0, 0, ErrMalformed
		}
		b = b[n:]
		if f.num == 1 {
			seconds = int64(v) //nolint:gosec // two's complement
		} else {
			nanos = int32(v) //nolint:gosec // an int32 is the low 32 bits
		}
	}
	return seconds, nanos, nil
}

func (r *reader) timestamp(seconds int64, nanos int32) error {
	if seconds < minTimestamp || seconds > maxTimestamp || nanos < 0 || nanos > 999_999_999 {
		return errTimestamp
	}
	r.buf = append(r.buf, '"')
	r.buf = time.Unix(seconds, 0).UTC().AppendFormat(r.buf, "2006-01-02T15:04:05")
	r.fraction(int64(nanos))
	r.buf = append(r.buf, 'Z', '"')
	return nil
}

func (r *reader) duration(seconds int64, nanos int32) error {
	if seconds < -maxDuration || seconds > maxDuration || nanos < -999_999_999 || nanos > 999_999_999 ||
		seconds > 0 && nanos < 0 || seconds < 0 && nanos > 0 {
		return errDuration
	}
	r.buf = append(r.buf, '"')
	if seconds < 0 || nanos < 0 {
		r.buf = append(r.buf, '-')
		seconds, nanos = -seconds, -nanos
	}
	r.buf = strconv.AppendInt(r.buf, seconds, 10)
	r.fraction(int64(nanos))
	r.buf = append(r.buf, 's', '"')
	return nil
}

// fraction writes nanoseconds with 0, 3, 6 or 9 digits.
func (r *reader) fraction(nanos int64) {
	switch {
	case nanos == 0:
	case nanos%1_000_000 == 0:
		r.buf = fmt.Appendf(r.buf, ".%03d", nanos/1_000_000)
	case nanos%1_000 == 0:
		r.buf = fmt.Appendf(r.buf, ".%06d", nanos/1_000)
	default:
		r.buf = fmt.Appendf(r.buf, ".%09d", nanos)
	}
}

func (r *reader) fieldMask(p *Plan, b []byte) error {
	var text []byte
	for i := 0; len(b) > 0; {
		f, _, n, err := p.next(b)
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
		if i > 0 {
			text = append(text, ',')
		}
		i++
		if text, err = appendCamel(text, v); err != nil {
			return err
		}
		if len(text) > r.max {
			return ErrTooLarge
		}
	}
	var err error
	r.buf, err = appendString(r.buf, text)
	return err
}

// appendCamel appends a path such as foo_bar.baz as fooBar.baz.
func appendCamel(dst, path []byte) ([]byte, error) {
	if !validPath(path) {
		return dst, errFieldMask
	}
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case c >= 'A' && c <= 'Z':
			return dst, errFieldMask
		case c == '_':
			i++
			if i == len(path) || path[i] < 'a' || path[i] > 'z' {
				return dst, errFieldMask
			}
			dst = append(dst, path[i]-'a'+'A')
		default:
			dst = append(dst, c)
		}
	}
	return dst, nil
}

// appendSnake appends a path such as fooBar.baz as foo_bar.baz.
func appendSnake(dst, path []byte) ([]byte, error) {
	if !validPath(path) || bytes.IndexByte(path, '_') >= 0 {
		return dst, errFieldMask
	}
	for _, c := range path {
		if c >= 'A' && c <= 'Z' {
			dst = append(dst, '_')
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst, nil
}

// validPath reports whether the path is names with dots between them.
func validPath(path []byte) bool {
	start := true
	for _, c := range path {
		switch {
		case c == '.':
			if start {
				return false
			}
			start = true
			continue
		case c == '_', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case c >= '0' && c <= '9' && !start:
		default:
			return false
		}
		start = false
	}
	return !start
}

func (r *reader) wrapper(p *Plan, b []byte) error {
	f := &p.fields[0]
	start := len(r.buf)
	for len(b) > 0 {
		is, _, n, err := p.next(b)
		if err != nil {
			return err
		}
		b = b[n:]
		if is == nil {
			continue
		}
		r.buf = r.buf[:start] // the last value holds
		if n, err = r.value(f, b, 0); err != nil {
			return err
		}
		b = b[n:]
	}
	if len(r.buf) == start {
		r.buf = append(r.buf, f.zero...)
	}
	return nil
}

func (r *reader) any(p *Plan, b []byte, depth int) error {
	var url, value []byte
	for len(b) > 0 {
		f, _, n, err := p.next(b)
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
		if f.num == 1 {
			url = v
		} else {
			value = v
		}
	}
	if r.anys++; r.anys > maxAnys {
		return ErrDepth
	}
	defer func() { r.anys-- }()
	if len(url) == 0 {
		if len(value) > 0 {
			return errors.New("a google.protobuf.Any has a value but no type")
		}
		r.buf = append(r.buf, '{', '}')
		return nil
	}
	var err error
	r.buf = append(r.buf, `{"@type":`...)
	if r.buf, err = appendString(r.buf, url); err != nil {
		return err
	}
	if err := r.anyValue(p.compiler.resolve(typeName(url)), value, depth); err != nil {
		return err
	}
	r.buf = append(r.buf, '}')
	return nil
}

func (r *reader) anyValue(inner *Plan, value []byte, depth int) error {
	switch {
	case inner == nil:
		r.buf = append(r.buf, `,"value":`...)
		return r.bytes(&field{kind: protoreflect.BytesKind}, value, depth)
	case inner.form == asObject || inner.form == asEmpty:
		if depth >= maxDepth {
			return ErrDepth
		}
		return r.members(inner, value, depth+1)
	default:
		r.buf = append(r.buf, `,"value":`...)
		return r.message(inner, value, depth+1)
	}
}

// typeName returns the full name at the end of a type URL.
func typeName(url []byte) string {
	return string(url[bytes.LastIndexByte(url, '/')+1:])
}
