package grpc

import (
	"context"
	"strings"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
)

// A frame is one message as it is on the wire.
type frame struct{ data []byte }

// frames is the codec of the server: frames pass as they are, for methods that
// read and write them by themselves; everything else is protobuf. It stands for
// every content type, so that a method learns from [isJSON] which one it is.
type frames struct{ encoding.CodecV2 }

func newFrames() frames { return frames{encoding.GetCodecV2(proto.Name)} }

// Marshal writes a frame or a protobuf message.
func (c frames) Marshal(v any) (mem.BufferSlice, error) {
	if f, ok := v.(*frame); ok {
		return mem.BufferSlice{mem.SliceBuffer(f.data)}, nil
	}
	return c.CodecV2.Marshal(v)
}

// Unmarshal reads a frame or a protobuf message.
func (c frames) Unmarshal(data mem.BufferSlice, v any) error {
	if f, ok := v.(*frame); ok {
		f.data = data.Materialize()
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}

// isJSON reports whether the messages of a call are JSON: its content type is
// application/grpc+json.
func isJSON(ctx context.Context) bool {
	for _, kind := range metadata.ValueFromIncomingContext(ctx, "content-type") {
		kind, _, _ = strings.Cut(kind, ";")
		if strings.EqualFold(strings.TrimSpace(kind), "application/grpc+json") {
			return true
		}
	}
	return false
}
