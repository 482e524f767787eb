package upstream_test

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/gatewaytest"
	"github.com/trilith-gateway/trilith/protocols/egress"
	"github.com/trilith-gateway/trilith/protocols/grpc/upstream"
)

// fixtureSet returns the descriptors of the fixture; edit changes them, or is nil.
func fixtureSet(t testing.TB, edit func(fixture *descriptorpb.FileDescriptorProto)) *descriptorpb.FileDescriptorSet {
	t.Helper()
	b, err := os.ReadFile("testdata/fixture.binpb")
	if err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(b, &set); err != nil {
		t.Fatal(err)
	}
	for _, f := range set.GetFile() {
		if f.GetName() == "fixture/v1/fixture.proto" && edit != nil {
			edit(f)
		}
	}
	return &set
}

// without leaves a method of the first service out.
func without(name string) func(*descriptorpb.FileDescriptorProto) {
	return func(f *descriptorpb.FileDescriptorProto) {
		s := f.GetService()[0]
		for i, m := range s.GetMethod() {
			if m.GetName() == name {
				s.Method = append(s.GetMethod()[:i:i], s.GetMethod()[i+1:]...)
				return
			}
		}
	}
}

// bare leaves the comments out, as servers do.
func bare(set *descriptorpb.FileDescriptorSet) *descriptorpb.FileDescriptorSet {
	set = proto.CloneOf(set)
	for _, f := range set.GetFile() {
		f.SourceCodeInfo = nil
	}
	return set
}

// handler answers one method: it reads the request as JSON and sends responses as JSON.
type handler func(ctx context.Context, request string, send func(string) error) error

// fakeServer serves methods by their descriptors, with reflection and health.
type fakeServer struct {
	*grpc.Server
	addr   string
	health *health.Server
	files  atomic.Pointer[protoregistry.Files]

	mu       sync.Mutex
	handlers map[string]handler // by the names of methods
}

type serverOptions struct {
	set      *descriptorpb.FileDescriptorSet // what is served
	reflect  string                          // "v1", "v1alpha" or "" for none
	noHealth bool
	grpc     []grpc.ServerOption
	listen   string // "127.0.0.1:0" by default
}

func serve(t testing.TB, o serverOptions) *fakeServer {
	t.Helper()
	s := &fakeServer{handlers: map[string]handler{}, health: health.NewServer()}
	s.describe(t, o.set)
	s.Server = grpc.NewServer(append(o.grpc, grpc.UnknownServiceHandler(s.handle))...)
	options := reflection.ServerOptions{Services: s, DescriptorResolver: s, ExtensionResolver: &protoregistry.Types{}}
	switch o.reflect {
	case "v1":
		reflectionv1.RegisterServerReflectionServer(s.Server, reflection.NewServerV1(options))
	case "v1alpha":
		reflectionv1alpha.RegisterServerReflectionServer(s.Server, reflection.NewServer(options))
	}
	if !o.noHealth {
		healthv1.RegisterHealthServer(s.Server, s.health)
	}
	if o.listen == "" {
		o.listen = "127.0.0.1:0"
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", o.listen)
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() { s.Stop(); <-done })
	return s
}

// describe replaces what the server says about itself.
func (s *fakeServer) describe(t testing.TB, set *descriptorpb.FileDescriptorSet) {
	t.Helper()
	files, err := protodesc.NewFiles(set)
	if err != nil {
		t.Fatal(err)
	}
	s.files.Store(files)
}

// FindFileByPath and FindDescriptorByName are what reflection asks.
func (s *fakeServer) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	return s.files.Load().FindFileByPath(path)
}

func (s *fakeServer) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	return s.files.Load().FindDescriptorByName(name)
}

// GetServiceInfo names the services.
func (s *fakeServer) GetServiceInfo() map[string]grpc.ServiceInfo {
	all := map[string]grpc.ServiceInfo{"grpc.health.v1.Health": {}}
	s.files.Load().RangeFiles(func(fd protoreflect.FileDescriptor) bool {
		for i := range fd.Services().Len() {
			all[string(fd.Services().Get(i).FullName())] = grpc.ServiceInfo{}
		}
		return true
	})
	delete(all, "grpc.health.v1.Health") // It has no file here.
	return all
}

func (s *fakeServer) on(method string, h handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlers[method] = h
}

func (s *fakeServer) handle(_ any, stream grpc.ServerStream) error {
	path, _ := grpc.MethodFromServerStream(stream)
	service, name, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	d, err := s.FindDescriptorByName(protoreflect.FullName(service + "." + name))
	m, ok := d.(protoreflect.MethodDescriptor)
	s.mu.Lock()
	h := s.handlers[name]
	s.mu.Unlock()
	if err != nil || !ok || h == nil {
		return status.Error(codes.Unimplemented, "no such method")
	}
	in := dynamicpb.NewMessage(m.Input())
	if err := stream.RecvMsg(in); err != nil {
		return err
	}
	text, err := protojson.Marshal(in)
	if err != nil {
		return err
	}
	return h(stream.Context(), string(text), func(text string) error {
		out := dynamicpb.NewMessage(m.Output())
		if err := protojson.Unmarshal([]byte(text), out); err != nil {
			return err
		}
		return stream.SendMsg(out)
	})
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func mustClient(t testing.TB, addr string) *egress.Client {
	t.Helper()
	client, err := egress.New(egress.Options{Name: "test", URL: "http://" + addr, AllowPrivate: loopback})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// upstreamTo returns an upstream to an address on this machine.
func upstreamTo(t testing.TB, addr string, edit func(*upstream.Options)) *upstream.Upstream {
	t.Helper()
	o := upstream.Options{Name: "test", Reflection: true, Reload: 100 * time.Millisecond, Client: mustClient(t, addr)}
	if edit != nil {
		edit(&o)
	}
	u, err := upstream.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := u.Close(); err != nil {
			t.Error(err)
		}
	})
	return u
}

// watched follows an upstream: each catalog or error that it yields.
type watched struct {
	catalogs chan gateway.Catalog
	errs     chan error
}

func watch(t testing.TB, u *upstream.Upstream) *watched {
	t.Helper()
	w := &watched{catalogs: make(chan gateway.Catalog, 100), errs: make(chan error, 100)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for c, err := range u.Watch(ctx) {
			if err != nil {
				select {
				case w.errs <- err:
				default:
				}
				continue
			}
			w.catalogs <- c
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

const patience = 20 * time.Second

func next[T any](t testing.TB, from <-chan T, what string) (v T) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v = <-from:
	case <-timer.C:
		t.Fatalf("%s: nothing after %v", what, patience)
	}
	return v
}

// catalog returns the next one.
func (w *watched) catalog(t testing.TB) gateway.Catalog {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var last error
	for {
		select {
		case c := <-w.catalogs:
			return c
		case last = <-w.errs:
		case <-timer.C:
			t.Fatalf("no catalog after %v: %v", patience, last)
		}
	}
}

// call makes a call of a tool by its origin.
func call(ctx context.Context, u gateway.Upstream, tool, args string, progress func(gateway.Progress)) (*gateway.Result, error) {
	return u.Do(ctx, &gateway.Call{
		Op: gateway.OpCall, Kind: gateway.KindTool, Name: tool, Args: []byte(args), Principal: gatewaytest.Caller(), Via: "test",
		Target: &gateway.Capability{Kind: gateway.KindTool, Name: tool, Origin: tool}, Progress: progress,
	})
}
