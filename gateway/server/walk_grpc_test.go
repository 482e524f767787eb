package server_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/trilith-gateway/trilith/gateway/server"
)

// TestWalkGRPC goes to every method of every service that the server has, which
// are those that reflection tells of.
func TestWalkGRPC(t *testing.T) {
	w := startWalk(t, nil)
	var steps []step
	var services []string
	for service := range server.GRPC(w.Server) {
		services = append(services, service)
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
		if err != nil {
			t.Fatal(err)
		}
		methods := d.(protoreflect.ServiceDescriptor).Methods() //nolint:forcetypeassert // It is registered as one.
		for i := range methods.Len() {
			m := methods.Get(i)
			steps = append(steps, step{name: string(m.FullName()), by: refuser(m, "grpc"), ask: w.askGRPC(m)})
		}
		for _, m := range server.GRPC(w.Server)[service].Methods {
			if methods.ByName(protoreflect.Name(m.Name)) == nil {
				t.Errorf("%s serves %s, which its description has not", service, m.Name)
			}
		}
	}
	for _, m := range w.typed(t) {
		services = append(services, string(m.Parent().FullName()))
		steps = append(steps, step{name: string(m.FullName()), by: "policy", ask: w.askGRPC(m)})
	}
	slices.Sort(services)
	services = slices.Compact(services)
	if diff := cmp.Diff(w.reflected(t), services); diff != "" {
		t.Errorf("services (-reflected +served):\n%s", diff)
	}
	w.walk(t, steps, []string{"grpc.health.v1.Health.Check", "grpc.health.v1.Health.List", "grpc.health.v1.Health.Watch"}, append(openMethods(),
		"grpc.reflection.v1.ServerReflection.ServerReflectionInfo", "grpc.reflection.v1alpha.ServerReflection.ServerReflectionInfo"))
}

func outgoing(ctx context.Context, token string) context.Context {
	if token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// askGRPC returns a step's call of a method. Of a stream it is the first message.
func (w *walker) askGRPC(m protoreflect.MethodDescriptor) func(*testing.T, string) answer {
	return func(t *testing.T, token string) answer {
		t.Helper()
		ctx, cancel := context.WithTimeout(outgoing(t.Context(), token), time.Second)
		if !m.IsStreamingServer() {
			ctx, cancel = context.WithTimeout(outgoing(t.Context(), token), 30*time.Second)
		}
		defer cancel()
		in, out := message(t, m.Input()), message(t, m.Output())
		fill(in.ProtoReflect(), 0)
		err := w.first(ctx, m, in, out)
		if err == nil {
			return answer{text: compact(t, out)}
		}
		a := answer{text: err.Error(), unknown: status.Code(err) == codes.Unauthenticated, code: status.Code(err).String()}
		if ctx.Err() != nil || errors.Is(err, io.EOF) {
			a.code = "" // It has nothing to say yet.
		}
		return a
	}
}

func (w *walker) first(ctx context.Context, m protoreflect.MethodDescriptor, in, out proto.Message) error {
	path := "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
	if !m.IsStreamingServer() {
		return w.grpc.Invoke(ctx, path, in, out)
	}
	s, err := w.grpc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: m.IsStreamingClient()}, path)
	if err != nil {
		return err
	}
	if err := s.SendMsg(in); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	_ = s.CloseSend() // It never fails.
	return s.RecvMsg(out)
}

// typed returns the methods of the typed service of the sesame, as reflection
// tells the owner of them.
func (w *walker) typed(t *testing.T) (all []protoreflect.MethodDescriptor) {
	t.Helper()
	const name = "trilith.sesame.v1.SesameService"
	res := w.reflect(t, &reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name},
	})
	set := &descriptorpb.FileDescriptorSet{}
	for _, raw := range res.GetFileDescriptorResponse().GetFileDescriptorProto() {
		f := &descriptorpb.FileDescriptorProto{}
		if err := proto.Unmarshal(raw, f); err != nil {
			t.Fatal(err)
		}
		set.File = append(set.File, f)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	d, err := files.FindDescriptorByName(name)
	if err != nil {
		t.Fatal(err)
	}
	methods := d.(protoreflect.ServiceDescriptor).Methods() //nolint:forcetypeassert // Its name is that of one.
	for i := range methods.Len() {
		all = append(all, methods.Get(i))
	}
	if len(all) != 3 { // A tool, its progress, and a prompt.
		t.Errorf("%d typed methods", len(all))
	}
	return all
}

// reflected returns the services that reflection tells the owner of.
func (w *walker) reflected(t *testing.T) (names []string) {
	t.Helper()
	res := w.reflect(t, &reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
	for _, service := range res.GetListServicesResponse().GetService() {
		names = append(names, service.GetName())
	}
	slices.Sort(names)
	return names
}

// reflect puts one question of reflection as the owner.
func (w *walker) reflect(t *testing.T, req *reflectionv1.ServerReflectionRequest) *reflectionv1.ServerReflectionResponse {
	t.Helper()
	s, err := reflectionv1.NewServerReflectionClient(w.grpc).ServerReflectionInfo(outgoing(t.Context(), w.owner))
	if err == nil {
		err = s.Send(req)
	}
	if err == nil {
		err = s.CloseSend()
	}
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return res
}
