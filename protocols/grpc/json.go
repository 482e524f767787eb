package grpc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/trilith-gateway/trilith/schema"
)

// codec is how grpc-gateway reads bodies and writes answers. It differs from
// the protocol buffers JSON mapping in this: the value of a string field whose
// name ends in _json is JSON, shown in place under the name without the
// ending; lists are shown even when empty; 64-bit integers are numbers.
// Bodies are strict: no unknown member, none twice.
type codec struct{ bounds schema.Bounds }

var (
	errNotObject  = errors.New("the body is not a JSON object")
	errNotStrings = errors.New("the values of the arguments must be strings")
)

// ContentType returns application/json.
func (codec) ContentType(any) string { return "application/json" }

// Marshal writes a message, or a string that is JSON already.
func (codec) Marshal(v any) ([]byte, error) {
	switch v := v.(type) {
	case string:
		return []byte(v), nil
	case proto.Message:
		return appendMessage(nil, v.ProtoReflect())
	}
	return nil, fmt.Errorf("cannot write %T", v)
}

// Unmarshal reads a body into a string as it is, into a map of strings, or
// into a message.
func (c codec) Unmarshal(data []byte, v any) error {
	if s, ok := v.(*string); ok { // Checked by who takes it.
		*s = string(data)
		return nil
	}
	if len(data) == 0 {
		return nil
	}
	if err := schema.Check(data, c.bounds); err != nil {
		return err
	}
	if jsontext.Value(data).Kind() != '{' {
		return errNotObject
	}
	switch v := v.(type) {
	case *map[string]string:
		return unmarshalStrings(data, v)
	case proto.Message:
		data, err := quoteJSON(data, v.ProtoReflect().Descriptor())
		if err != nil {
			return err
		}
		if err := protojson.Unmarshal(data, v); err != nil {
			return errors.New(strings.TrimLeft(strings.TrimPrefix(err.Error(), "proto:"), " \u00a0"))
		}
		return nil
	}
	return fmt.Errorf("cannot read %T", v)
}

// quoteJSON turns members that hold JSON in place, where a message has a field
// ending in _json, into what the JSON mapping has: a text of the field's own
// name. Data is an object whose members are unique.
func quoteJSON(data []byte, m protoreflect.MessageDescriptor) ([]byte, error) {
	in := map[string]string{}
	for i := range m.Fields().Len() {
		if name, ok := strings.CutSuffix(m.Fields().Get(i).JSONName(), "Json"); ok {
			in[name] = m.Fields().Get(i).JSONName()
		}
	}
	if len(in) == 0 {
		return data, nil
	}
	var members map[string]jsontext.Value
	if err := jsonv2.Unmarshal(data, &members); err != nil {
		return nil, err
	}
	for name, field := range in {
		if v, ok := members[name]; ok {
			if members[field] != nil {
				return nil, fmt.Errorf("%s and %s are the same", name, field)
			}
			text, err := jsontext.AppendQuote(nil, string(v))
			if err != nil {
				return nil, err
			}
			delete(members, name)
			members[field] = text
		}
	}
	return jsonv2.Marshal(members)
}

// unmarshalStrings reads an object whose values are all strings, not null.
func unmarshalStrings(data []byte, out *map[string]string) error {
	var values map[string]*string
	if err := jsonv2.Unmarshal(data, &values); err != nil {
		return errNotStrings
	}
	*out = make(map[string]string, len(values))
	for name, v := range values {
		if v == nil {
			return errNotStrings
		}
		(*out)[name] = *v
	}
	return nil
}

// NewDecoder returns a decoder that reads everything.
func (c codec) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error { return c.Unmarshal(textOf(r), v) })
}

// NewEncoder returns an encoder.
func (c codec) NewEncoder(w io.Writer) runtime.Encoder {
	return runtime.EncoderFunc(func(v any) error {
		b, err := c.Marshal(v)
		if err == nil {
			_, err = w.Write(b)
		}
		return err
	})
}

// appendMessage appends a message as a JSON object.
func appendMessage(b []byte, m protoreflect.Message) ([]byte, error) {
	b = append(b, '{')
	var err error
	for fields, i := m.Descriptor().Fields(), 0; i < fields.Len(); i++ {
		fd := fields.Get(i)
		if !fd.IsList() && !m.Has(fd) {
			continue
		}
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		name, isJSON := strings.CutSuffix(fd.JSONName(), "Json")
		b = append(strconv.AppendQuote(b, name), ':')
		switch v := m.Get(fd); {
		case isJSON && fd.IsList():
			b = appendTexts(b, v.List())
		case isJSON:
			b = append(b, v.String()...)
		case fd.IsList():
			b, err = appendList(b, fd, v.List())
		default:
			b, err = appendValue(b, fd, v)
		}
		if err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// appendTexts appends a list of texts that are JSON.
func appendTexts(b []byte, l protoreflect.List) []byte {
	b = append(b, '[')
	for i := range l.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, l.Get(i).String()...)
	}
	return append(b, ']')
}

func appendList(b []byte, fd protoreflect.FieldDescriptor, l protoreflect.List) ([]byte, error) {
	b = append(b, '[')
	var err error
	for i := range l.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendValue(b, fd, l.Get(i)); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func appendValue(b []byte, fd protoreflect.FieldDescriptor, v protoreflect.Value) ([]byte, error) {
	switch fd.Kind() { //nolint:exhaustive // The kinds that messages of this API have; a test fails at another.
	case protoreflect.BoolKind:
		return strconv.AppendBool(b, v.Bool()), nil
	case protoreflect.StringKind:
		b, _ = jsontext.AppendQuote(b, v.String()) // The error reports invalid UTF-8, already replaced.
		return b, nil
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		return strconv.AppendInt(b, v.Int(), 10), nil
	case protoreflect.Uint64Kind:
		return strconv.AppendUint(b, v.Uint(), 10), nil
	case protoreflect.DoubleKind:
		f, err := json.Marshal(v.Float())
		return append(b, f...), err
	case protoreflect.MessageKind:
		if t, ok := v.Message().Interface().(*timestamppb.Timestamp); ok {
			return append(t.AsTime().AppendFormat(append(b, '"'), time.RFC3339Nano), '"'), nil
		}
		return appendMessage(b, v.Message())
	default:
		return nil, fmt.Errorf("%s: a field of kind %s has no JSON form here", fd.FullName(), fd.Kind())
	}
}
