package grpc

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	reflection "google.golang.org/grpc/reflection/grpc_reflection_v1"
	_ "google.golang.org/grpc/reflection/grpc_reflection_v1alpha" // Describes the older version.
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
)

// reflector is gRPC reflection, of the services that the server was built with
// and of the typed ones that the caller may use. It differs from grpc-go's in
// that: an import is looked at once however often it is imported, answers stay
// small, and each request is answered from what the caller may use then.
type reflector struct {
	reflection.UnimplementedServerReflectionServer
	*Frontend
	static     *fileSet
	nothing    *fileSet                       // the files of who is nobody
	extensions map[string]map[int32]*fileDesc // by the message that they extend
}

// newReflector returns the reflection of a server with these services.
func newReflector(f *Frontend, services []string) (*reflector, error) {
	r := &reflector{Frontend: f, static: newFileSet(), nothing: newFileSet(), extensions: map[string]map[int32]*fileDesc{}}
	for _, name := range services {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", name, err)
		}
		if err := r.describe(d.ParentFile()); err != nil {
			return nil, err
		}
		r.static.services = append(r.static.services, name)
	}
	if err := r.describe(structpb.File_google_protobuf_struct_proto); err != nil {
		return nil, err
	}
	slices.Sort(r.static.services)
	return r, nil
}

// describe adds a file of this program behind those that it imports.
func (r *reflector) describe(fd protoreflect.FileDescriptor) error {
	if r.static.files[fd.Path()] != nil {
		return nil
	}
	for i := range fd.Imports().Len() {
		in := fd.Imports().Get(i)
		if in.IsPlaceholder() {
			continue
		}
		if err := r.describe(in.FileDescriptor); err != nil {
			return err
		}
	}
	if err := r.static.add(protodesc.ToFileDescriptorProto(fd)); err != nil {
		return err
	}
	for i := range fd.Extensions().Len() {
		x := fd.Extensions().Get(i)
		of := string(x.ContainingMessage().FullName())
		if r.extensions[of] == nil {
			r.extensions[of] = map[int32]*fileDesc{}
		}
		r.extensions[of][int32(x.Number())] = r.static.files[fd.Path()]
	}
	return nil
}

// register adds both versions to a server: their messages are the same.
func (r *reflector) register(s *grpc.Server) {
	desc := reflection.ServerReflection_ServiceDesc
	desc.Streams = slices.Clone(desc.Streams)
	for i, m := range desc.Streams {
		desc.Streams[i].Handler = r.recordStream(m.Handler)
	}
	older := desc
	older.ServiceName = reflectionOlder
	s.RegisterService(&desc, r)
	s.RegisterService(&older, r)
}

const reflectionOlder = "grpc.reflection.v1alpha.ServerReflection"

// ServerReflectionInfo answers the requests of one stream.
func (r *reflector) ServerReflectionInfo(stream reflection.ServerReflection_ServerReflectionInfoServer) error {
	ctx, p := stream.Context(), auth.From(stream.Context())
	known := [2]*fileSet{r.static}
	var sent map[string]bool
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if typed := r.typedFiles(p); typed != known[1] { // What was sent before may not be so any more.
			if err := r.gw.Listed(ctx, gateway.Listing{Principal: p, Via: "grpc", Count: len(typed.services)}); err != nil {
				return &callError{err: gateway.AsError(err), recorded: true}
			}
			known[1], sent = typed, map[string]bool{}
		}
		res := &reflection.ServerReflectionResponse{ValidHost: req.GetHost(), OriginalRequest: req}
		r.answer(res, req, known, sent)
		if err := stream.Send(res); err != nil {
			return err
		}
	}
}

func (r *reflector) answer(res *reflection.ServerReflectionResponse, req *reflection.ServerReflectionRequest, known [2]*fileSet, sent map[string]bool) {
	var found *fileDesc
	switch ask := req.GetMessageRequest().(type) {
	case *reflection.ServerReflectionRequest_ListServices:
		list := &reflection.ListServiceResponse{}
		for _, name := range slices.Sorted(slices.Values(slices.Concat(known[0].services, known[1].services))) {
			list.Service = append(list.Service, &reflection.ServiceResponse{Name: name})
		}
		res.MessageResponse = &reflection.ServerReflectionResponse_ListServicesResponse{ListServicesResponse: list}
		return
	case *reflection.ServerReflectionRequest_FileByFilename:
		found = cmp.Or(known[0].files[ask.FileByFilename], known[1].files[ask.FileByFilename])
	case *reflection.ServerReflectionRequest_FileContainingSymbol:
		found = cmp.Or(known[0].find(ask.FileContainingSymbol), known[1].find(ask.FileContainingSymbol))
	case *reflection.ServerReflectionRequest_FileContainingExtension:
		found = r.extensions[ask.FileContainingExtension.GetContainingType()][ask.FileContainingExtension.GetExtensionNumber()]
	case *reflection.ServerReflectionRequest_AllExtensionNumbersOfType:
		if name := ask.AllExtensionNumbersOfType; known[0].symbols[name].message != nil || known[1].symbols[name].message != nil {
			res.MessageResponse = &reflection.ServerReflectionResponse_AllExtensionNumbersResponse{
				AllExtensionNumbersResponse: &reflection.ExtensionNumberResponse{BaseTypeName: name, ExtensionNumber: slices.Sorted(maps.Keys(r.extensions[name]))},
			}
			return
		}
	default:
		res.MessageResponse = reflectionError(codes.InvalidArgument, "the request asks for nothing")
		return
	}
	if found == nil {
		res.MessageResponse = reflectionError(codes.NotFound, "not found")
		return
	}
	res.MessageResponse = &reflection.ServerReflectionResponse_FileDescriptorResponse{
		FileDescriptorResponse: &reflection.FileDescriptorResponse{FileDescriptorProto: found.answer(sent)},
	}
}

func reflectionError(code codes.Code, text string) *reflection.ServerReflectionResponse_ErrorResponse {
	return &reflection.ServerReflectionResponse_ErrorResponse{
		ErrorResponse: &reflection.ErrorResponse{ErrorCode: int32(code), ErrorMessage: text}, //nolint:gosec // Codes are below 17.
	}
}

// A filesKey is the key of a view's files in its memo: they are those of one
// state of the types.
type filesKey struct{ types *types }

// typedFiles returns the files of the typed services that a principal may use,
// with those methods alone.
func (r *reflector) typedFiles(p *gateway.Principal) *fileSet {
	now := r.types.Load()
	if p == nil {
		return r.nothing
	}
	made := r.gw.View(p).Memo(filesKey{now}, func(view *gateway.Snapshot) any {
		s := newFileSet()
		s.files[structPath] = r.static.files[structPath]
		for _, name := range sortedKeys(now.sources) {
			source := now.sources[name]
			files := source.module.Files(source.visible(view))
			for _, f := range files {
				_ = s.add(f.Proto) // Made of what was marshalled before.
			}
			if len(files) > 0 {
				s.services = append(s.services, source.service)
			}
		}
		return s
	})
	return made.(*fileSet) //nolint:forcetypeassert // The key is of this function alone.
}

const structPath = "google/protobuf/struct.proto"

// shows reports whether a view shows something of the source.
func (s *typedSource) shows(view *gateway.Snapshot) bool {
	visible := s.visible(view)
	for key := range s.byKey {
		if visible(key) {
			return true
		}
	}
	return false
}

// visible returns what tells the methods of a source that a view shows.
func (s *typedSource) visible(view *gateway.Snapshot) func(key string) bool {
	return func(key string) bool {
		c := s.byKey[key]
		if c.Kind == gateway.KindPrompt {
			return view.Prompt(c.Name) != nil
		}
		return view.Tool(c.Name) != nil
	}
}
