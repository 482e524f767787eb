package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/protocols/grpc/testdata/orders"
)

// bytesCodec passes messages on as they are.
type bytesCodec struct{}

// Name returns what the content type says: protobuf.
func (bytesCodec) Name() string { return "proto" }

// Marshal sends bytes.
func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil //nolint:forcetypeassert // It is used for bytes alone.
}

// Unmarshal receives bytes.
func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize() //nolint:forcetypeassert // As in Marshal.
	return nil
}

// listenGRPC serves on loopback.
func listenGRPC(ctx context.Context, s *grpc.Server, service string) (endpoint, func() error, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return endpoint{}, nil, err
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	return endpoint{URL: l.Addr().String(), Token: "none", Tool: service}, func() error {
		s.Stop()
		return <-done
	}, nil
}

// orderServer is generated code that answers ten orders of three lines each.
type orderServer struct {
	orders.UnimplementedOrdersServer
	answer *orders.SearchResponse
}

// Search answers.
func (o *orderServer) Search(context.Context, *orders.SearchRequest) (*orders.SearchResponse, error) {
	return o.answer, nil
}

const ordersService = "bench.orders.Orders"

// grpcOrders is the server behind the proxies.
func grpcOrders(ctx context.Context) (endpoint, func() error, error) {
	answer := &orders.SearchResponse{NextPageToken: new("abc"), TotalCount: new(int64(1234))}
	for i := range 10 {
		o := &orders.SearchResponse_Order{
			Id: new(fmt.Sprintf("ord_%06d", i)), Total: new(100.25 + float64(i)), Status: new("shipped"),
			CreatedAt: new(fmt.Sprintf("2026-11-23T10:00:%02dZ", i)), Paid: new(true),
		}
		for j := range 3 {
			o.Lines = append(o.Lines, &orders.SearchResponse_Order_Line{Sku: new(fmt.Sprintf("SKU-%04d-%d", i, j)), Qty: new(int64(j + 1)), Price: new(float64(10*j) + 3.5)})
		}
		answer.Items = append(answer.Items, o)
	}
	s := grpc.NewServer()
	orders.RegisterOrdersServer(s, &orderServer{answer: answer})
	reflection.Register(s)
	return listenGRPC(ctx, s, ordersService)
}

// grpcProxy passes calls on: bytes and deadlines, nothing else.
func grpcProxy(ctx context.Context) (endpoint, func() error, error) {
	to, err := grpc.NewClient("passthrough:///"+os.Getenv(upstreamVariable), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(bytesCodec{})))
	if err != nil {
		return endpoint{}, nil, err
	}
	return listenGRPC(ctx, grpc.NewServer(grpc.ForceServerCodecV2(bytesCodec{}), grpc.UnknownServiceHandler(func(_ any, in grpc.ServerStream) error {
		name, _ := grpc.MethodFromServerStream(in)
		var message []byte
		if err := in.RecvMsg(&message); err != nil {
			return err
		}
		ctx := in.Context()
		if md, ok := metadata.FromIncomingContext(ctx); ok && len(md.Get("authorization")) > 0 {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", md.Get("authorization")[0])
		}
		if err := to.Invoke(ctx, name, &message, &message); err != nil {
			return err
		}
		return in.SendMsg(&message)
	})), ordersService)
}

// trilithGRPC is the whole gateway with that server as a source, whose methods
// are typed at its gRPC door.
func trilithGRPC(ctx context.Context) (endpoint, func() error, error) {
	var address string
	e, wait, err := openServer(ctx, "trilith.up.v1.UpService", nil, func(cfg *config.Config) error {
		cfg.Sources = append(cfg.Sources, config.Source{
			Name: "up", Prefix: true, MaxTools: 2000, Pin: "off", Guard: config.DefaultGuard(),
			GRPC: &config.GRPCServer{
				Remote:     config.Remote{URL: "http://" + os.Getenv(upstreamVariable), AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: 30 * time.Second},
				Reflection: true, Reload: 5 * time.Minute, MaxMessage: 4 << 20, MaxMessages: 1000,
			},
		})
		return nil
	}, &address)
	e.URL = address
	return e, wait, err
}

// A grpcRequest is what is sent again and again to a gRPC server.
type grpcRequest struct{ endpoint }

// search is a call of the service that the subject says.
func search(e endpoint) requester { return grpcRequest{e} }

const searchJSON = `{"query":"shoes","limit":"10","filters":{"status":"shipped","minTotal":10.5,"tags":["a","b"],"labels":{"region":"eu"}},"includeLines":true}`

// open connects, and asks the server for the types of the request.
func (r grpcRequest) open(ctx context.Context, conns int) (func(context.Context) error, func(), error) {
	to := make([]*grpc.ClientConn, min(conns, grpcConns))
	closeAll := func() {
		for _, c := range to {
			if c != nil {
				_ = c.Close() // It has no calls.
			}
		}
	}
	for i := range to {
		var err error
		if to[i], err = grpc.NewClient("passthrough:///"+r.URL, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
			closeAll()
			return nil, nil, err
		}
	}
	method, message, err := r.describe(ctx, to[0])
	if err != nil {
		closeAll()
		return nil, nil, err
	}
	next := make(chan int, conns)
	for i := range conns {
		next <- i % len(to)
	}
	return func(ctx context.Context) error {
		i := <-next
		defer func() { next <- i }()
		var answer []byte
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+r.Token)
		if err := to[i].Invoke(ctx, method, &message, &answer, grpc.ForceCodecV2(bytesCodec{})); err != nil {
			return err
		}
		if len(answer) < 1000 {
			return fmt.Errorf("an answer of %d bytes", len(answer))
		}
		return nil
	}, closeAll, nil
}

// grpcConns is over how many connections the calls go: one carries many.
const grpcConns = 4

// describe returns the method and the request as its server has their types, once it has them.
func (r grpcRequest) describe(ctx context.Context, conn *grpc.ClientConn) (method string, message []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		if method, message, err = r.ask(ctx, conn); err == nil {
			return method, message, nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return "", nil, fmt.Errorf("%s: %w", r.Tool, err)
		}
	}
}

func (r grpcRequest) ask(ctx context.Context, conn *grpc.ClientConn) (method string, message []byte, err error) {
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+r.Token))
	defer cancel()
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		return "", nil, err
	}
	if err := stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: r.Tool}}); err != nil {
		return "", nil, err
	}
	res, err := stream.Recv()
	if err != nil {
		return "", nil, err
	}
	set := &descriptorpb.FileDescriptorSet{}
	for _, raw := range res.GetFileDescriptorResponse().GetFileDescriptorProto() {
		f := &descriptorpb.FileDescriptorProto{}
		if err := proto.Unmarshal(raw, f); err != nil {
			return "", nil, err
		}
		set.File = append(set.File, f)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return "", nil, err
	}
	d, err := files.FindDescriptorByName(protoreflect.FullName(r.Tool))
	if err != nil {
		return "", nil, err
	}
	service, ok := d.(protoreflect.ServiceDescriptor)
	if !ok {
		return "", nil, errors.New("not a service")
	}
	for i := range service.Methods().Len() {
		if m := service.Methods().Get(i); !m.IsStreamingServer() {
			in := dynamicpb.NewMessage(m.Input())
			if err := protojson.Unmarshal([]byte(searchJSON), in); err != nil {
				return "", nil, err
			}
			message, err = proto.Marshal(in)
			return "/" + r.Tool + "/" + string(m.Name()), message, err
		}
	}
	return "", nil, errors.New("the service has no such method")
}
