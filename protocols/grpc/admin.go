package grpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
)

// An administration serves the services of admin.v1 for one of the two
// protocols. Each method is a tool of the gateway of administration: the request
// in its JSON form is the arguments, the structured content is the answer. So
// every method takes the road, whichever it is.
type administration struct {
	adminv1.UnimplementedAuditServiceServer
	adminv1.UnimplementedSourceServiceServer
	adminv1.UnimplementedTrafficServiceServer
	*Frontend

	via string // "grpc" or "rest"
}

// services returns the descriptions of admin.v1's services.
func (a *administration) services() []*grpc.ServiceDesc {
	var all []*grpc.ServiceDesc
	for _, s := range adminv1.Services() {
		desc := &grpc.ServiceDesc{ServiceName: string(s.FullName()), HandlerType: (*any)(nil), Metadata: s.ParentFile().Path()}
		for i := range s.Methods().Len() {
			if m := s.Methods().Get(i); !m.IsStreamingServer() {
				desc.Methods = append(desc.Methods, grpc.MethodDesc{MethodName: string(m.Name()), Handler: a.unary(m)})
			}
		}
		for _, streaming := range []*grpc.ServiceDesc{&adminv1.AuditService_ServiceDesc, &adminv1.SourceService_ServiceDesc, &adminv1.TrafficService_ServiceDesc} {
			if desc.ServiceName != streaming.ServiceName {
				continue
			}
			for _, stream := range streaming.Streams {
				stream.Handler = a.recordStream(stream.Handler)
				desc.Streams = append(desc.Streams, stream)
			}
		}
		all = append(all, desc)
	}
	return all
}

// unary returns the handler of a method.
func (a *administration) unary(m protoreflect.MethodDescriptor) grpc.MethodHandler {
	full := "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
	return func(_ any, ctx context.Context, read func(any) error, door grpc.UnaryServerInterceptor) (any, error) {
		req, err := newMessage(m.Input())
		if err != nil {
			return nil, err
		}
		c := &unaryCall{f: a.Frontend, read: read, door: door}
		_ = c.decode(req) // It is reported behind the Door.
		return c.intercept(ctx, req, &grpc.UnaryServerInfo{Server: a, FullMethod: full}, func(ctx context.Context, _ any) (any, error) {
			return a.invoke(ctx, m, req)
		})
	}
}

// invoke takes a request along the road.
func (a *administration) invoke(ctx context.Context, m protoreflect.MethodDescriptor, req proto.Message) (proto.Message, error) {
	call, err := a.call(ctx, m, req)
	if err != nil {
		return nil, err
	}
	res, err := a.options.Admin.Do(ctx, call)
	if err != nil {
		return nil, failed(ctx, call, err)
	}
	out, err := newMessage(m.Output())
	if err == nil {
		var parts gateway.Parts
		if parts, err = res.Parts(); err == nil {
			err = protojson.Unmarshal(parts.Structured, out)
		}
	}
	if err != nil {
		return nil, failed(ctx, call, err)
	}
	return out, nil
}

func (a *administration) call(ctx context.Context, m protoreflect.MethodDescriptor, req proto.Message) (*gateway.Call, error) {
	call := &gateway.Call{Op: gateway.OpAdmin, Name: adminv1.Tool(m), Principal: auth.From(ctx), Via: a.via}
	args, err := protojson.Marshal(req)
	if err != nil {
		return nil, refuse(call, gateway.InvalidArgument, "the request is not valid UTF-8")
	}
	// protojson puts white space where it likes, which the audit record's hash would show.
	var b bytes.Buffer
	if err := json.Compact(&b, args); err != nil {
		return nil, refuse(call, gateway.Internal, "internal error")
	}
	call.Args = b.Bytes()
	return call, nil
}

// TailRecords sends audit records as they are written: the running call is fed
// each of them as the reader takes them.
func (a *administration) TailRecords(req *adminv1.TailRecordsRequest, stream grpc.ServerStreamingServer[adminv1.TailRecordsResponse]) error {
	return follow(a, adminMethod(adminv1.AuditService_TailRecords_FullMethodName), req, stream, func(call *gateway.Call, box *outbox[adminv1.TailRecordsResponse]) {
		call.Feed = func(ctx context.Context, line gateway.LogMessage, leftOut int64) error {
			return box.offer(ctx, &adminv1.TailRecordsResponse{RecordJson: string(line.Data), Dropped: leftOut})
		}
	})
}

// WatchTraffic sends what happened in the last seconds, every second. Of what
// waits for a reader only the latest is kept.
func (a *administration) WatchTraffic(req *adminv1.WatchTrafficRequest, stream grpc.ServerStreamingServer[adminv1.WatchTrafficResponse]) error {
	return follow(a, adminMethod(adminv1.TrafficService_WatchTraffic_FullMethodName), req, stream, latest[adminv1.WatchTrafficResponse])
}

// WatchSources sends how the sources do, when that changes. Of what waits for a
// reader only the latest is kept.
func (a *administration) WatchSources(req *adminv1.WatchSourcesRequest, stream grpc.ServerStreamingServer[adminv1.WatchSourcesResponse]) error {
	return follow(a, adminMethod(adminv1.SourceService_WatchSources_FullMethodName), req, stream, latest[adminv1.WatchSourcesResponse])
}

// latest makes each log line of a running call what waits for the reader, in
// place of the one before.
func latest[T any, M interface {
	*T
	proto.Message
}](call *gateway.Call, box *outbox[T]) {
	call.Log = func(line gateway.LogMessage) {
		next := M(new(T))
		if err := protojson.Unmarshal(line.Data, next); err != nil {
			return // It came from this process.
		}
		box.edit(func(queue []*T) []*T { return append(queue[:0], next) })
	}
}

// follow runs a streaming method. What the running call says is for the stream:
// listen takes it to what waits for its reader.
func follow[T any](a *administration, m protoreflect.MethodDescriptor, req proto.Message, stream grpc.ServerStreamingServer[T],
	listen func(*gateway.Call, *outbox[T]),
) error {
	box, err := open(stream.Context(), &service{Frontend: a.Frontend, via: a.via}, stream, true)
	if err != nil {
		return err
	}
	defer box.close()
	call, err := a.call(box.ctx, m, req)
	if err != nil {
		return err
	}
	listen(call, box)
	_, err = a.options.Admin.Do(box.ctx, call)
	if cause := box.cause(); cause != nil {
		return cause
	}
	if err != nil {
		return failed(box.ctx, call, err)
	}
	return box.flush()
}

// newMessage returns an empty message of a type that is compiled in.
func newMessage(d protoreflect.MessageDescriptor) (proto.Message, error) {
	t, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		return nil, err
	}
	return t.New().Interface(), nil
}

// method returns the method of a path such as "/admin.v1.KeyService/ListKeys",
// or nil.
func adminMethod(path string) protoreflect.MethodDescriptor {
	service, name, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	for _, s := range adminv1.Services() {
		if string(s.FullName()) == service {
			return s.Methods().ByName(protoreflect.Name(name))
		}
	}
	return nil
}

// An inProcess is the connection by which grpc-gateway's routes call the
// administration: a function call.
type inProcess struct{ *administration }

var errNoStreams = errors.New("streams do not go this way")

// Invoke calls a unary method.
func (c inProcess) Invoke(ctx context.Context, path string, req, reply any, _ ...grpc.CallOption) error {
	m := adminMethod(path)
	in, isMessage := req.(proto.Message)
	out, isReply := reply.(proto.Message)
	if m == nil || !isMessage || !isReply {
		return refuse(nil, gateway.Unimplemented, "there is no such method")
	}
	res, err := c.invoke(ctx, m, in)
	if err == nil {
		proto.Merge(out, res)
	}
	return err
}

// NewStream fails: streams are served as events.
func (inProcess) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, errNoStreams
}
