package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// decodeArgs returns a call's arguments as conditions see them: a map whose
// members are decoded when they are asked for. Where they are no JSON object
// every use of them is an error.
func decodeArgs(args json.RawMessage) ref.Val {
	if len(bytes.TrimSpace(args)) == 0 {
		args = json.RawMessage("{}")
	}
	value := jsontext.Value(args)
	if value.Kind() != '{' {
		return types.NewErr("the arguments are not an object")
	}
	return (&jsonValue{raw: value}).decode(jsonAdapter{types.DefaultTypeAdapter})
}

// A jsonValue is a part of the arguments. Each is decoded once, one level at a
// time, by the one goroutine that evaluates.
type jsonValue struct {
	raw     jsontext.Value
	decoded ref.Val
}

// A jsonAdapter turns JSON into CEL's values, and leaves everything else to
// CEL.
type jsonAdapter struct{ types.Adapter }

// NativeToValue returns the value in CEL.
func (a jsonAdapter) NativeToValue(value any) ref.Val {
	v, ok := value.(*jsonValue)
	if !ok {
		return a.Adapter.NativeToValue(value)
	}
	if v.decoded == nil {
		v.decoded = v.decode(a)
	}
	return v.decoded
}

func (v *jsonValue) decode(a jsonAdapter) ref.Val {
	switch v.raw.Kind() { //nolint:exhaustive // other kinds are none that begins a value.
	case '{':
		var members map[string]jsontext.Value
		if err := jsonv2.Unmarshal(v.raw, &members); err != nil {
			return types.WrapErr(fmt.Errorf("arguments: %w", err))
		}
		m := make(map[string]*jsonValue, len(members))
		for name, raw := range members {
			m[name] = &jsonValue{raw: raw}
		}
		return types.NewDynamicMap(a, m)
	case '[':
		var items []jsontext.Value
		if err := jsonv2.Unmarshal(v.raw, &items); err != nil {
			return types.WrapErr(fmt.Errorf("arguments: %w", err))
		}
		l := make([]*jsonValue, len(items))
		for i, raw := range items {
			l[i] = &jsonValue{raw: raw}
		}
		return types.NewDynamicList(a, l)
	case '"':
		var s string
		if err := jsonv2.Unmarshal(v.raw, &s); err != nil {
			return types.WrapErr(fmt.Errorf("arguments: %w", err))
		}
		return types.String(s)
	case 't':
		return types.True
	case 'f':
		return types.False
	case 'n':
		return types.NullValue
	case '0':
		return number(string(v.raw))
	}
	return types.NewErr("the arguments are not JSON")
}

var errNumber = errors.New("a number in the arguments is not exact in 64 bits")

// exactDouble bounds the integers that a double holds all of, and that none
// beyond is rounded to.
const exactDouble = 1 << 53

// number returns a double, as CEL has the numbers of JSON, except for integers
// that a double does not hold: those are integers of 64 bits. What neither holds
// is an error, so that no condition is decided by a number that the upstream
// reads differently.
func number(text string) ref.Val {
	if !strings.ContainsAny(text, ".eE") {
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			if -exactDouble < i && i < exactDouble {
				return types.Double(i)
			}
			return types.Int(i)
		}
		if u, err := strconv.ParseUint(text, 10, 64); err == nil {
			return types.Uint(u)
		}
		return types.WrapErr(errNumber)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return types.WrapErr(errNumber)
	}
	if f >= exactDouble || f <= -exactDouble {
		// An integer written with a fraction or an exponent.
		exact, _, err := big.ParseFloat(text, 10, 256, big.ToNearestEven)
		if err != nil || exact.Cmp(big.NewFloat(f)) != 0 {
			return types.WrapErr(errNumber)
		}
	}
	return types.Double(f)
}
