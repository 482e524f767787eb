package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// greeter starts the gRPC server of examples/grpc-reflection, which is described
// by greeter.binpb beside it, and sets GREETER to its address.
func greeter(ts *testscript.TestScript, _ bool, _ []string) {
	data, err := os.ReadFile(ts.MkAbs("greeter.binpb"))
	ts.Check(err)
	var set descriptorpb.FileDescriptorSet
	ts.Check(proto.Unmarshal(data, &set))
	for _, f := range set.GetFile() {
		f.SourceCodeInfo = nil // As in the code that protoc-gen-go makes.
	}
	files, err := protodesc.NewFiles(&set)
	ts.Check(err)
	g := &greetings{files: files, counts: map[string]int64{}}
	s := grpc.NewServer(grpc.UnknownServiceHandler(g.serve))
	reflectionv1.RegisterServerReflectionServer(s, reflection.NewServerV1(reflection.ServerOptions{Services: g, DescriptorResolver: files}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	ts.Defer(func() { s.Stop(); <-done })
	ts.Setenv("GREETER", l.Addr().String())
}

// greetings is the service.
type greetings struct {
	files *protoregistry.Files

	mu     sync.Mutex
	counts map[string]int64
}

// GetServiceInfo names the service for reflection.
func (g *greetings) GetServiceInfo() map[string]grpc.ServiceInfo {
	return map[string]grpc.ServiceInfo{"greeter.v1.Greeter": {}}
}

func (g *greetings) serve(_ any, stream grpc.ServerStream) error {
	path, _ := grpc.MethodFromServerStream(stream)
	d, err := g.files.FindDescriptorByName(protoreflect.FullName("greeter.v1.Greeter." + path[len("/greeter.v1.Greeter/"):]))
	m, ok := d.(protoreflect.MethodDescriptor)
	if err != nil || !ok {
		return status.Error(codes.Unimplemented, path)
	}
	in := dynamicpb.NewMessage(m.Input())
	if err := stream.RecvMsg(in); err != nil {
		return err
	}
	get := func(name protoreflect.Name) protoreflect.Value { return in.Get(m.Input().Fields().ByName(name)) }
	who, times := get("name").String(), int64(1)
	if who == "nobody" {
		return status.Error(codes.NotFound, "nobody is not here")
	}
	greeting := "Hello, " + who + "."
	if m.IsStreamingServer() {
		times = get("times").Int()
	} else if get("tone").Enum() == 2 {
		greeting = "Good day, " + who + "."
	}
	for range times {
		g.mu.Lock()
		g.counts[who]++
		count := g.counts[who]
		g.mu.Unlock()
		out := dynamicpb.NewMessage(m.Output())
		out.Set(m.Output().Fields().ByName("text"), protoreflect.ValueOfString(greeting))
		out.Set(m.Output().Fields().ByName("count"), protoreflect.ValueOfInt64(count))
		if err := stream.SendMsg(out); err != nil {
			return errors.Join(err, fmt.Errorf("greeting %d", count))
		}
	}
	return nil
}
