package protoschema

import (
	"encoding/json"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/trilith-gateway/trilith/schema/transcode"
)

// The numbers of the extensions that say more about fields than their types do.
const (
	fieldBehaviour = 1052 // google.api.field_behavior, of FieldOptions
	protovalidate  = 1159 // buf.validate.field and .oneof, of FieldOptions and OneofOptions
	pgv            = 1071 // validate.rules and .required, the same of protoc-gen-validate
)

// ruleReader reads the rules that the options of fields hold. The extensions are those of the files that the fields
// come from, so that whatever version of them the source has is understood by its names.
type ruleReader struct {
	fields map[protowire.Number]*transcode.Plan // of FieldOptions
	cached map[protoreflect.FullName]fieldRules
}

func newRuleReader(c *transcode.Compiler) *ruleReader {
	r := &ruleReader{fields: map[protowire.Number]*transcode.Plan{}, cached: map[protoreflect.FullName]fieldRules{}}
	for _, x := range c.Extensions("google.protobuf.FieldOptions") {
		if known := x.Number() == protovalidate && x.FullName() == "buf.validate.field" ||
			x.Number() == pgv && x.FullName() == "validate.rules"; known && x.Message() != nil && !x.IsList() {
			r.fields[x.Number()] = c.Plan(x.Message())
		}
	}
	return r
}

// behaviour is what google.api.field_behavior says.
type behaviour struct{ required, outputOnly, inputOnly bool }

// fieldRules are what the options of a field say about its values.
type fieldRules struct {
	behaviour
	*rules
}

// rules are those of protovalidate (buf.validate.FieldRules) and of protoc-gen-validate (validate.FieldRules), which
// have the same names for what JSON Schema can say.
type rules struct {
	Required bool   `json:"required"`
	Ignore   string `json:"ignore"`
	Message  *struct {
		Required bool `json:"required"`
	} `json:"message"`
	String   *stringRules `json:"string"`
	Enum     *numberRules `json:"enum"`
	Repeated *struct {
		MinItems *uint64 `json:"minItems,string"`
		MaxItems *uint64 `json:"maxItems,string"`
		Unique   bool    `json:"unique"`
		Items    *rules  `json:"items"`
	} `json:"repeated"`
	Map *struct {
		MinPairs *uint64 `json:"minPairs,string"`
		MaxPairs *uint64 `json:"maxPairs,string"`
		Keys     *rules  `json:"keys"`
		Values   *rules  `json:"values"`
	} `json:"map"`

	Float    *numberRules `json:"float"`
	Double   *numberRules `json:"double"`
	Int32    *numberRules `json:"int32"`
	Int64    *numberRules `json:"int64"`
	Uint32   *numberRules `json:"uint32"`
	Uint64   *numberRules `json:"uint64"`
	Sint32   *numberRules `json:"sint32"`
	Sint64   *numberRules `json:"sint64"`
	Fixed32  *numberRules `json:"fixed32"`
	Fixed64  *numberRules `json:"fixed64"`
	Sfixed32 *numberRules `json:"sfixed32"`
	Sfixed64 *numberRules `json:"sfixed64"`
}

type stringRules struct {
	Const       *string  `json:"const"`
	Len         *uint64  `json:"len,string"`
	MinLen      *uint64  `json:"minLen,string"`
	MaxLen      *uint64  `json:"maxLen,string"`
	Pattern     string   `json:"pattern"`
	In          []string `json:"in"`
	IgnoreEmpty bool     `json:"ignoreEmpty"`
	Email       bool     `json:"email"`
	Hostname    bool     `json:"hostname"`
	IPv4        bool     `json:"ipv4"`
	IPv6        bool     `json:"ipv6"`
	URI         bool     `json:"uri"`
	URIRef      bool     `json:"uriRef"`
	UUID        bool     `json:"uuid"`
}

// numberRules hold numbers as protobuf's JSON writes them: those of 64 bits are strings.
type numberRules struct {
	Const       *json.Number  `json:"const"`
	LT          *json.Number  `json:"lt"`
	LTE         *json.Number  `json:"lte"`
	GT          *json.Number  `json:"gt"`
	GTE         *json.Number  `json:"gte"`
	In          []json.Number `json:"in"`
	NotIn       []json.Number `json:"notIn"`
	DefinedOnly bool          `json:"definedOnly"`
	IgnoreEmpty bool          `json:"ignoreEmpty"`
}

// of returns the rules of a field. What cannot be read says nothing.
func (x *ruleReader) of(fd protoreflect.FieldDescriptor) fieldRules {
	if r, ok := x.cached[fd.FullName()]; ok {
		return r
	}
	var r fieldRules
	EachField(wireOf(fd.Options()), func(n protowire.Number, t protowire.Type, b []byte) {
		switch {
		case n == fieldBehaviour:
			r.behave(t, b)
		case x.fields[n] != nil && t == protowire.BytesType:
			text, err := x.fields[n].AppendJSON(nil, b)
			read := &rules{}
			if err != nil || json.Unmarshal(text, read) != nil || strings.HasPrefix(read.Ignore, "IGNORE_") && read.Ignore != "IGNORE_UNSPECIFIED" {
				return
			}
			r.rules = read
		}
	})
	if r.rules != nil && (r.Required || r.Message != nil && r.Message.Required) {
		r.required = true
	}
	x.cached[fd.FullName()] = r
	return r
}

// EachField calls f for each field of a message; b is the payload of one with a length, else all of its value.
func EachField(wire []byte, f func(n protowire.Number, t protowire.Type, b []byte)) {
	for len(wire) > 0 {
		n, t, size := protowire.ConsumeTag(wire)
		if size < 0 {
			return
		}
		wire = wire[size:]
		if size = protowire.ConsumeFieldValue(n, t, wire); size < 0 {
			return
		}
		b := wire[:size]
		if t == protowire.BytesType {
			b, _ = protowire.ConsumeBytes(b)
		}
		f(n, t, b)
		wire = wire[size:]
	}
}

// behave reads values of google.api.FieldBehavior, packed or not.
func (b *behaviour) behave(t protowire.Type, v []byte) {
	if t != protowire.VarintType && t != protowire.BytesType {
		return
	}
	for len(v) > 0 {
		n, size := protowire.ConsumeVarint(v)
		if size < 0 {
			return
		}
		v = v[size:]
		switch n {
		case 2:
			b.required = true
		case 3:
			b.outputOnly = true
		case 4:
			b.inputOnly = true
		}
	}
}

// oneof reports whether one of the members must be set.
func (x *ruleReader) oneof(one protoreflect.OneofDescriptor) (required bool) {
	EachField(wireOf(one.Options()), func(n protowire.Number, t protowire.Type, b []byte) {
		switch {
		case n == pgv && t == protowire.VarintType: // validate.required
			required = len(b) == 1 && b[0] == 1
		case n == protovalidate && t == protowire.BytesType: // buf.validate.OneofRules.required = 1
			EachField(b, func(n protowire.Number, t protowire.Type, b []byte) {
				if n == 1 && t == protowire.VarintType {
					required = len(b) == 1 && b[0] == 1
				}
			})
		}
	})
	return required
}

// wireOf returns the bytes of a declaration's options.
func wireOf(options proto.Message) []byte {
	b, err := proto.MarshalOptions{AllowPartial: true}.Marshal(options)
	if err != nil {
		return nil
	}
	return b
}
