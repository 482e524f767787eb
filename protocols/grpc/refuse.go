package grpc

import (
	"context"
	"slices"

	"google.golang.org/grpc"

	gatewayv1 "github.com/trilith-gateway/trilith/api/gateway/v1"
	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
)

// maxName bounds what a record quotes of a request that was refused, in bytes.
const maxName = 256

// record leaves the record of a request that this frontend refused. What failed
// on the road has one already. The name stands for the request where no call
// is known. It returns err as what the caller is told.
func (f *Frontend) record(ctx context.Context, via, name string, err error) *callError {
	e := failure(err)
	if e.recorded {
		return e
	}
	call := gateway.Call{Via: via, Name: name, Principal: auth.From(ctx)}
	if e.call != nil {
		call.Op, call.Kind, call.Name = e.call.Op, e.call.Kind, e.call.Name
	}
	call.Name = clip(call.Name, maxName)
	refusal := *e.err
	refusal.By = via
	_ = f.gw.Refuse(ctx, &call, &refusal) // The answer is made of e.
	return e
}

// describe returns the description of the service with a record of all that it
// refuses, behind the Door.
func (f *Frontend) describe() *grpc.ServiceDesc {
	desc := gatewayv1.GatewayService_ServiceDesc
	desc.Methods = slices.Clone(desc.Methods)
	for i, m := range desc.Methods {
		desc.Methods[i].Handler = func(srv any, ctx context.Context, read func(any) error, door grpc.UnaryServerInterceptor) (any, error) {
			c := &unaryCall{f: f, read: read, door: door}
			return m.Handler(srv, ctx, c.decode, c.intercept)
		}
	}
	desc.Streams = slices.Clone(desc.Streams)
	for i, s := range desc.Streams {
		desc.Streams[i].Handler = f.recordStream(s.Handler)
	}
	return &desc
}

// A unaryCall records the refusal of one call of a unary method. A message that
// cannot be read is refused behind the Door, so that strangers learn nothing of
// it and the record names the caller.
type unaryCall struct {
	f          *Frontend
	read       func(any) error
	door       grpc.UnaryServerInterceptor
	unreadable error
	method     string
	next       grpc.UnaryHandler
}

func (c *unaryCall) decode(m any) error {
	c.unreadable = c.read(m)
	return nil
}

func (c *unaryCall) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	c.method, c.next = info.FullMethod, next
	return c.door(ctx, req, info, c.admitted)
}

func (c *unaryCall) admitted(ctx context.Context, req any) (res any, err error) {
	if err = c.unreadable; err == nil {
		res, err = c.next(ctx, req)
	}
	if err != nil {
		return nil, c.f.record(ctx, "grpc", c.method, err)
	}
	return res, nil
}

// recordStream returns a streaming method with a record of all that it refuses.
func (f *Frontend) recordStream(method grpc.StreamHandler) grpc.StreamHandler {
	return func(srv any, s grpc.ServerStream) error {
		if err := method(srv, s); err != nil {
			name, _ := grpc.Method(s.Context())
			return f.record(s.Context(), "grpc", name, err)
		}
		return nil
	}
}
