package grpc

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/gateway"
)

// adminPath is where the paths of admin.v1 begin.
const adminPath = "/admin/v1/"

// adminRoutes adds grpc-gateway's routes of admin.v1.
func (h *rest) adminRoutes(ctx context.Context, mux *runtime.ServeMux) error {
	conn := inProcess{h.admin}
	for _, register := range []func(context.Context, *runtime.ServeMux, grpc.ClientConnInterface) error{
		func(ctx context.Context, mux *runtime.ServeMux, c grpc.ClientConnInterface) error {
			return adminv1.RegisterAuditServiceHandlerClient(ctx, mux, adminv1.NewAuditServiceClient(c))
		},
		func(ctx context.Context, mux *runtime.ServeMux, c grpc.ClientConnInterface) error {
			return adminv1.RegisterKeyServiceHandlerClient(ctx, mux, adminv1.NewKeyServiceClient(c))
		},
		func(ctx context.Context, mux *runtime.ServeMux, c grpc.ClientConnInterface) error {
			return adminv1.RegisterLimitServiceHandlerClient(ctx, mux, adminv1.NewLimitServiceClient(c))
		},
		func(ctx context.Context, mux *runtime.ServeMux, c grpc.ClientConnInterface) error {
			return adminv1.RegisterPolicyServiceHandlerClient(ctx, mux, adminv1.NewPolicyServiceClient(c))
		},
		func(ctx context.Context, mux *runtime.ServeMux, c grpc.ClientConnInterface) error {
			return adminv1.RegisterSessionServiceHandlerClient(ctx, mux, adminv1.NewSessionServiceClient(c))
		},
		func(ctx context.Context, mux *runtime.ServeMux, c grpc.ClientConnInterface) error {
			return adminv1.RegisterSourceServiceHandlerClient(ctx, mux, adminv1.NewSourceServiceClient(c))
		},
		func(ctx context.Context, mux *runtime.ServeMux, c grpc.ClientConnInterface) error {
			return adminv1.RegisterTrafficServiceHandlerClient(ctx, mux, adminv1.NewTrafficServiceClient(c))
		},
	} {
		if err := register(ctx, mux, conn); err != nil {
			return err
		}
	}
	return nil
}

// tail answers GET /admin/v1/audit/records:tail with events.
func (h *rest) tail(w http.ResponseWriter, r *http.Request) {
	if req := new(adminv1.TailRecordsRequest); h.query(w, r, req) {
		serveEvents(h, w, r, messageEvent, req, h.admin.TailRecords)
	}
}

// traffic answers GET /admin/v1/traffic:watch with events.
func (h *rest) traffic(w http.ResponseWriter, r *http.Request) {
	if req := new(adminv1.WatchTrafficRequest); h.query(w, r, req) {
		serveEvents(h, w, r, messageEvent, req, h.admin.WatchTraffic)
	}
}

// sources answers GET /admin/v1/sources:watch with events.
func (h *rest) sources(w http.ResponseWriter, r *http.Request) {
	if req := new(adminv1.WatchSourcesRequest); h.query(w, r, req) {
		serveEvents(h, w, r, messageEvent, req, h.admin.WatchSources)
	}
}

// query fills a request from the query, and reports whether it could.
func (h *rest) query(w http.ResponseWriter, r *http.Request, into proto.Message) bool {
	if err := runtime.PopulateQueryParameters(into, r.URL.Query(), utilities.NewDoubleArray(nil)); err != nil {
		h.fail(w, r, refuse(nil, gateway.InvalidArgument, err.Error()))
		return false
	}
	return true
}

// knownAdminQuery refuses query parameters that no method of admin.v1 has.
func knownAdminQuery(query url.Values) error {
	for key, v := range query {
		if len(v) > 1 {
			return refuse(nil, gateway.InvalidArgument, "query parameter "+clip(key, 64)+" is given more than once")
		}
		known := false
		for _, s := range adminv1.Services() {
			for i := range s.Methods().Len() {
				known = known || hasField(s.Methods().Get(i).Input(), key)
			}
		}
		if !known {
			return refuse(nil, gateway.InvalidArgument, fmt.Sprintf("unknown query parameter %q", clip(key, 64)))
		}
	}
	return nil
}

// hasField reports whether a path such as "filter.principal" names a field.
func hasField(m protoreflect.MessageDescriptor, path string) bool {
	name, rest, more := strings.Cut(path, ".")
	f := m.Fields().ByJSONName(name)
	if f == nil {
		f = m.Fields().ByName(protoreflect.Name(name))
	}
	switch {
	case f == nil:
		return false
	case !more:
		return true
	case f.Message() == nil:
		return false
	default:
		return hasField(f.Message(), rest)
	}
}

// adminMethods returns the methods that a path of admin.v1 allows, "" for none.
func adminMethods(path string) string {
	var all []string
	for _, s := range adminv1.Services() {
		for i := range s.Methods().Len() {
			rule, _ := proto.GetExtension(s.Methods().Get(i).Options(), annotations.E_Http).(*annotations.HttpRule) // Every method has one.
			for method, pattern := range map[string]string{
				http.MethodGet: rule.GetGet(), http.MethodPost: rule.GetPost(), http.MethodPut: rule.GetPut(), http.MethodDelete: rule.GetDelete(),
			} {
				if samePath(pattern, path) {
					all = append(all, method)
				}
			}
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// samePath reports whether a path is one of a pattern such as "/a/{id}:b".
func samePath(pattern, path string) bool {
	p, q := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(p) != len(q) {
		return false
	}
	for i, segment := range p {
		_, verb, variable := strings.Cut(segment, "}")
		if _, asked, _ := strings.Cut(q[i], ":"); segment != q[i] && (!variable || ":"+asked != verb && asked+verb != "") {
			return false
		}
	}
	return true
}
