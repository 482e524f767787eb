package transcode

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// wellKnown writes a message that has a form of its own.
func (w *writer) wellKnown(p *Plan, depth int) error {
	switch p.form { //nolint:exhaustive // The others are alike.
	case asWrapper:
		return w.field(&p.fields[0], depth)
	case asAny:
		return w.any(p, depth)
	case asEmpty:
		return w.object(p, nil, depth)
	default:
	}
	v, err := w.string()
	if err != nil {
		return err
	}
	switch p.form { //nolint:exhaustive // The others are alike.
	case asTimestamp:
		return w.timestamp(string(v))
	case asDuration:
		return w.duration(string(v))
	default:
		return w.fieldMask(p, v)
	}
}

func (w *writer) timestamp(s string) error {
	t, err := time.Parse(time.RFC3339Nano, s)
	fraction := strings.IndexByte(s, '.')
	if err != nil || strings.IndexByte(s, ',') >= 0 || fraction >= 0 && digits([]byte(s[fraction+1:])) > 9 {
		return errors.New("must be a date and time such as 2026-01-31T09:30:00Z (RFC 3339)")
	}
	if t.Unix() < minTimestamp || t.Unix() > maxTimestamp {
		return errTimestamp
	}
	w.time(t.Unix(), int64(t.Nanosecond()))
	return nil
}

func (w *writer) duration(s string) error {
	wrong := errors.New(`must be a duration in seconds such as "1.5s"`)
	body, ok := strings.CutSuffix(s, "s")
	body, negative := strings.CutPrefix(body, "-")
	whole, fraction, dot := strings.Cut(body, ".")
	if !ok || whole == "" && !dot || digits([]byte(whole)) != len(whole) || len(fraction) > 9 ||
		digits([]byte(fraction)) != len(fraction) {
		return wrong
	}
	seconds, err := strconv.ParseInt("0"+whole, 10, 64) // ".5s" is what protojson takes, too.
	if err != nil || seconds > maxDuration {
		return errDuration
	}
	nanos, _ := strconv.ParseInt((fraction + "000000000")[:9], 10, 64) // nine digits are a number
	if seconds == maxDuration && nanos > 0 {
		return errDuration
	}
	if negative {
		seconds, nanos = -seconds, -nanos
	}
	w.time(seconds, nanos)
	return nil
}

func (w *writer) time(seconds, nanos int64) {
	if seconds != 0 {
		w.buf = protowire.AppendVarint(append(w.buf, 1<<3), uint64(seconds)) //nolint:gosec // two's complement
	}
	if nanos != 0 {
		w.buf = protowire.AppendVarint(append(w.buf, 2<<3), uint64(nanos)) //nolint:gosec // two's complement
	}
}

func (w *writer) fieldMask(p *Plan, v []byte) error {
	if len(v) == 0 {
		return nil
	}
	for path := range bytes.SplitSeq(v, []byte(",")) {
		w.buf = append(w.buf, p.fields[0].tag...)
		from := w.open()
		var err error
		if w.buf, err = appendSnake(w.buf, path); err != nil {
			return errors.New("must be names of fields with commas between them, such as \"fooBar,baz.qux\"")
		}
		w.shut(from)
	}
	return nil
}

// any writes a google.protobuf.Any: an object whose @type says what the rest is.
func (w *writer) any(p *Plan, depth int) error {
	if w.anys++; w.anys > maxAnys {
		return ErrDepth
	}
	defer func() { w.anys-- }()
	url, empty, err := w.typeURL(depth)
	if err != nil || empty {
		return err
	}
	if len(url) == 0 {
		return at("@type", errors.New("must say what the object is"))
	}
	w.buf = protowire.AppendBytes(append(w.buf, p.fields[0].tag...), []byte(url))
	w.buf = append(w.buf, p.fields[1].tag...)
	from := w.open()
	inner := p.compiler.resolve(typeName([]byte(url)))
	if inner != nil && inner.form == asObject {
		err = w.object(inner, []byte("@type"), depth+1)
	} else {
		err = w.anyValue(inner, depth+1)
	}
	if err != nil {
		return err
	}
	w.shut(from)
	return nil
}

// typeURL looks ahead for the type of an Any. An object without any member is taken whole.
func (w *writer) typeURL(depth int) (url string, empty bool, err error) {
	start := w.at
	more, err := w.begin('{')
	if err != nil {
		return "", false, orType(err, w.peek(), "must be an object")
	}
	if !more {
		return "", true, nil
	}
	found := false
	for more {
		name, err := w.name()
		if err != nil {
			return "", false, err
		}
		if string(name) != "@type" {
			if err := w.skip(depth); err != nil {
				return "", false, err
			}
		} else {
			v, err := w.string()
			if err != nil {
				return "", false, at("@type", err)
			}
			if found {
				return "", false, at("@type", errors.New("is there twice"))
			}
			url, found = string(v), true
		}
		if more, err = w.more('}'); err != nil {
			return "", false, err
		}
	}
	w.at = start
	return url, false, nil
}

// anyValue writes the member "value" of an Any whose type has a form of its own, or of one whose type is not known,
// in base64.
func (w *writer) anyValue(inner *Plan, depth int) error {
	if depth > maxDepth {
		return ErrDepth
	}
	more, err := w.begin('{')
	found := false
	for more && err == nil {
		var name []byte
		if name, err = w.name(); err != nil {
			return err
		}
		switch string(name) {
		case "@type":
			err = w.skip(depth)
		case "value":
			if found {
				return at("value", errors.New("is there twice"))
			}
			found = true
			err = w.opaque(inner, depth)
		default:
			if !w.discard {
				return at(string(name), errors.New("is not a property that this message knows"))
			}
			err = w.skip(depth)
		}
		if err != nil {
			return err
		}
		more, err = w.more('}')
	}
	if err == nil && !found && (inner == nil || inner.form != asEmpty) {
		err = at("value", errors.New("must be there"))
	}
	return err
}

func (w *writer) opaque(inner *Plan, depth int) error {
	if inner != nil {
		if err := w.message(inner, depth); err != nil {
			return at("value", err)
		}
		return nil
	}
	v, err := w.text()
	if err == nil {
		w.buf, err = base64.StdEncoding.AppendDecode(w.buf, v)
	}
	if err != nil {
		return at("value", errors.New("must be base64, because the type is not known here"))
	}
	return nil
}
