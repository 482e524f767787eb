package gqlschema

import (
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// scalar returns a JSON scalar as the tool gets it, or an *[InputError].
func (t *Type) scalar(raw []byte) ([]byte, error) {
	wrong := &InputError{"", "is no " + t.name}
	switch k := jsontext.Value(raw).Kind(); t.kind {
	case kindString:
		if k == jsontext.KindString {
			return raw, nil
		}
	case kindBoolean:
		if k == jsontext.KindTrue || k == jsontext.KindFalse {
			return raw, nil
		}
	case kindFloat:
		if k == jsontext.KindNumber {
			return raw, nil
		}
	case kindInt, kindLong:
		if t.kind == kindLong && k == jsontext.KindString {
			raw = unquote(raw)
			k = jsontext.KindNumber
		}
		if k == jsontext.KindNumber {
			if text, ok := whole(raw, t.kind); ok {
				return text, nil
			}
		}
	}
	return nil, wrong
}

// whole returns a number without a fraction that fits 32 or 64 bits, in digits.
func whole(raw []byte, k kind) ([]byte, bool) {
	text := strings.TrimSpace(string(raw))
	if strings.ContainsAny(text, ".eE") {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return nil, false
		}
		text = strconv.FormatInt(int64(f), 10)
	}
	bits := 64
	if k == kindInt {
		bits = 32
	}
	if _, err := strconv.ParseInt(text, 10, bits); err == nil && text[0] != '+' {
		return []byte(text), true
	}
	if _, err := strconv.ParseUint(text, 10, 64); err == nil && k == kindLong {
		return []byte(text), true
	}
	return nil, false
}
