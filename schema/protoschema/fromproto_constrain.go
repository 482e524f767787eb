package protoschema

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

func (r fieldRules) items() *rules {
	if r.rules == nil || r.Repeated == nil {
		return nil
	}
	return r.Repeated.Items
}

func (r fieldRules) keys() *rules {
	if r.rules == nil || r.Map == nil {
		return nil
	}
	return r.Map.Keys
}

func (r fieldRules) values() *rules {
	if r.rules == nil || r.Map == nil {
		return nil
	}
	return r.Map.Values
}

// onCollection adds the rules about how many there are.
func (r fieldRules) onCollection(s *scheme, fd protoreflect.FieldDescriptor) {
	switch {
	case r.rules == nil:
	case fd.IsMap() && r.Map != nil:
		s.MinProperties, s.MaxProperties = r.Map.MinPairs, r.Map.MaxPairs
	case fd.IsList() && r.Repeated != nil:
		s.MinItems, s.MaxItems, s.UniqueItems = r.Repeated.MinItems, r.Repeated.MaxItems, r.Repeated.Unique
	}
}

// on adds the rules to the schema of a value.
func (r *rules) on(s *scheme, fd protoreflect.FieldDescriptor) {
	if r == nil || s.Ref != "" {
		return
	}
	switch fd.Kind() { //nolint:exhaustive // The others are alike.
	case protoreflect.StringKind:
		r.String.on(s)
	case protoreflect.EnumKind:
		r.Enum.onEnum(s, fd.Enum())
	default:
		r.number(fd.Kind()).on(s)
	}
}

func (r *rules) number(k protoreflect.Kind) *numberRules {
	return map[protoreflect.Kind]*numberRules{
		protoreflect.FloatKind: r.Float, protoreflect.DoubleKind: r.Double,
		protoreflect.Int32Kind: r.Int32, protoreflect.Int64Kind: r.Int64,
		protoreflect.Uint32Kind: r.Uint32, protoreflect.Uint64Kind: r.Uint64,
		protoreflect.Sint32Kind: r.Sint32, protoreflect.Sint64Kind: r.Sint64,
		protoreflect.Fixed32Kind: r.Fixed32, protoreflect.Fixed64Kind: r.Fixed64,
		protoreflect.Sfixed32Kind: r.Sfixed32, protoreflect.Sfixed64Kind: r.Sfixed64,
	}[k]
}

func (r *stringRules) on(s *scheme) {
	if r == nil || r.IgnoreEmpty {
		return
	}
	s.MinLength, s.MaxLength = r.MinLen, r.MaxLen
	if r.Len != nil {
		s.MinLength, s.MaxLength = r.Len, r.Len
	}
	if r.Const != nil {
		s.Const = *r.Const
	}
	for _, v := range r.In {
		s.Enum = append(s.Enum, v)
	}
	switch {
	case r.Pattern == "":
	case portable(r.Pattern):
		s.Pattern = r.Pattern
	default:
		s.say("Matches the regular expression (RE2) %s", r.Pattern)
	}
	s.Format = r.format()
}

func (r *stringRules) format() string {
	switch {
	case r.Email:
		return "email"
	case r.Hostname:
		return "hostname"
	case r.IPv4:
		return "ipv4"
	case r.IPv6:
		return "ipv6"
	case r.URI:
		return "uri"
	case r.URIRef:
		return "uri-reference"
	case r.UUID:
		return "uuid"
	}
	return ""
}

// portable reports whether an expression of RE2 means the same in the dialect of JSON Schema, ECMA-262.
func portable(expression string) bool {
	if _, err := regexp.Compile(expression); err != nil {
		return false
	}
	plain := strings.ReplaceAll(expression, "(?:", "(")
	for _, own := range []string{"(?", `\A`, `\z`, `\Q`, `\C`, `\a`, `\p`, `\P`, `\x{`, "[:"} {
		if strings.Contains(plain, own) {
			return false
		}
	}
	return true
}

func (r *numberRules) on(s *scheme) {
	if r == nil || r.IgnoreEmpty {
		return
	}
	if s.Pattern != "" { // it is a string, which has no bounds
		r.say(s)
		return
	}
	for _, bound := range []struct {
		is   *json.Number
		into *any
	}{{r.GTE, &s.Minimum}, {r.LTE, &s.Maximum}, {r.GT, &s.ExclusiveMinimum}, {r.LT, &s.ExclusiveMaximum}} {
		if bound.is != nil && finite(*bound.is) {
			*bound.into = *bound.is
		}
	}
	if r.Const != nil && finite(*r.Const) {
		s.Const = *r.Const
	}
	for _, v := range r.In {
		if finite(v) {
			s.Enum = append(s.Enum, v)
		}
	}
}

// finite reports whether the number has a form in JSON.
func finite(n json.Number) bool {
	return json.Valid([]byte(n))
}

// say tells in words what a schema of strings cannot.
func (r *numberRules) say(s *scheme) {
	for _, bound := range []struct {
		is   *json.Number
		text string
	}{{r.Const, "Must be %s."}, {r.GTE, "At least %s."}, {r.GT, "More than %s."}, {r.LTE, "At most %s."}, {r.LT, "Less than %s."}} {
		if bound.is != nil {
			s.say(bound.text, *bound.is)
		}
	}
	if len(r.In) > 0 {
		var all []string
		for _, v := range r.In {
			all = append(all, v.String())
		}
		s.say("One of %s.", strings.Join(all, ", "))
	}
}

// onEnum leaves only the names that the rules allow.
func (r *numberRules) onEnum(s *scheme, ed protoreflect.EnumDescriptor) {
	if r == nil || r.IgnoreEmpty || s.Enum == nil {
		return
	}
	allowed := func(n json.Number) bool {
		if r.Const != nil {
			return n == *r.Const
		}
		if slices.Contains(r.NotIn, n) {
			return false
		}
		if slices.Contains(r.In, n) {
			return true
		}
		return len(r.In) == 0
	}
	var left []any
	for i := range ed.Values().Len() {
		v := ed.Values().Get(i)
		if allowed(json.Number(strconv.Itoa(int(v.Number())))) {
			left = append(left, string(v.Name()))
		}
	}
	if len(left) > 0 {
		s.Enum = left
	}
}
