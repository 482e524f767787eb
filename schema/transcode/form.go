package transcode

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// form is the shape that a message has in JSON.
type form uint8

const (
	asObject form = iota
	asStruct
	asValue
	asList
	asAny
	asTimestamp
	asDuration
	asFieldMask
	asEmpty
	asWrapper
	asWhole // of its only field
)

// formOf returns the form of a message. A message that only has the name of a well-known type is an ordinary one.
func formOf(md protoreflect.MessageDescriptor) form {
	if md.FullName().Parent() != "google.protobuf" {
		return asObject
	}
	f, known := wellKnownForm(md.FullName().Name())
	if known == nil || !sameFields(md, known.ProtoReflect().Descriptor()) {
		return asObject
	}
	return f
}

func wellKnownForm(name protoreflect.Name) (form, proto.Message) {
	switch name {
	case "Struct":
		return asStruct, (*structpb.Struct)(nil)
	case "Value":
		return asValue, (*structpb.Value)(nil)
	case "ListValue":
		return asList, (*structpb.ListValue)(nil)
	case "Any":
		return asAny, (*anypb.Any)(nil)
	case "Timestamp":
		return asTimestamp, (*timestamppb.Timestamp)(nil)
	case "Duration":
		return asDuration, (*durationpb.Duration)(nil)
	case "FieldMask":
		return asFieldMask, (*fieldmaskpb.FieldMask)(nil)
	case "Empty":
		return asEmpty, (*emptypb.Empty)(nil)
	}
	return asWrapper, wrapper(name)
}

func wrapper(name protoreflect.Name) proto.Message {
	switch name {
	case "DoubleValue":
		return (*wrapperspb.DoubleValue)(nil)
	case "FloatValue":
		return (*wrapperspb.FloatValue)(nil)
	case "Int64Value":
		return (*wrapperspb.Int64Value)(nil)
	case "UInt64Value":
		return (*wrapperspb.UInt64Value)(nil)
	case "Int32Value":
		return (*wrapperspb.Int32Value)(nil)
	case "UInt32Value":
		return (*wrapperspb.UInt32Value)(nil)
	case "BoolValue":
		return (*wrapperspb.BoolValue)(nil)
	case "StringValue":
		return (*wrapperspb.StringValue)(nil)
	case "BytesValue":
		return (*wrapperspb.BytesValue)(nil)
	}
	return nil
}

// sameFields reports whether two messages have the same fields on the wire.
func sameFields(a, b protoreflect.MessageDescriptor) bool {
	if a.Fields().Len() != b.Fields().Len() || a.ExtensionRanges().Len() > 0 {
		return false
	}
	for i := range b.Fields().Len() {
		if !sameField(a.Fields().Get(i), b.Fields().Get(i)) {
			return false
		}
	}
	return true
}

func sameField(a, b protoreflect.FieldDescriptor) bool {
	switch {
	case a.Number() != b.Number(), a.Kind() != b.Kind(), a.Cardinality() != b.Cardinality(), a.IsMap() != b.IsMap(),
		(a.ContainingOneof() == nil) != (b.ContainingOneof() == nil):
		return false
	case b.IsMap():
		return sameField(a.MapKey(), b.MapKey()) && sameField(a.MapValue(), b.MapValue())
	case b.Message() != nil:
		return a.Message().FullName() == b.Message().FullName()
	}
	return true
}
