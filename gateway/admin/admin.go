// Package admin answers administration: it is the source whose tools are the
// methods of admin.v1. They are registered in a registry of their own and take
// the same road as every call, so the policy decides who may administer what,
// and the audit log holds who did. It serves no protocol: protocols/grpc turns
// methods into calls, and any other door can.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/auth/connect"
	"github.com/trilith-gateway/trilith/auth/login"
	"github.com/trilith-gateway/trilith/auth/policy"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/audit"
	"github.com/trilith-gateway/trilith/gateway/guard"
	"github.com/trilith-gateway/trilith/gateway/limits"
	"github.com/trilith-gateway/trilith/gateway/pin"
	"github.com/trilith-gateway/trilith/gateway/state"
	"github.com/trilith-gateway/trilith/gateway/telemetry"
)

// by is how errors of this package name it.
const by = "admin"

// Options are what is administered. What is nil has no methods: to their
// callers they do not exist.
type Options struct {
	Node     string // the name of this node
	Peers    Peers  // the other nodes; nil where there are none
	Registry *gateway.Registry
	Notes    func(source string) []gateway.Note // what doors do not show as the registry has it; may be nil
	Status   func(*adminv1.Source)              // fills in how the guards of a source and its sessions do; may be nil
	Sessions *gateway.Sessions

	// Endpoints returns those of a source, or nil where it has one; may be nil.
	Endpoints func(source string) *guard.Endpoints

	// Addresses returns where the endpoints of a source are, by name, without
	// credentials; may be nil.
	Addresses func(source string) map[string]string

	Logins *login.Sessions // nil where nobody can sign in with a browser

	Connections *connect.Connections // of users to sources; nil where no user can have any
	Pins        *pin.Store
	Locks       ProtoLocks // of typed gRPC services; nil where there are none

	Policies *policy.Store
	Enforcer *policy.Enforcer // required

	Keys        *auth.Keys
	Revocations *auth.Revocations

	Limits    *limits.Gate
	Overrides *limits.Overrides // those of Limits

	Traffic *telemetry.Traffic

	Audit    *audit.Log
	AuditDir string // where Audit is
}

// New returns the source of administration.
func New(o Options) (*gateway.Funcs, error) {
	f := &gateway.Funcs{}
	s := &service{Options: o}
	var methods []method
	if o.Registry != nil {
		methods = append(methods, s.sourceMethods()...)
	}
	if o.Pins != nil {
		methods = append(methods, s.pinMethods()...)
	}
	if o.Locks != nil {
		methods = append(methods, s.lockMethods()...)
	}
	if o.Sessions != nil {
		methods = append(append(methods, s.sessionMethods()...), s.connectionMethods()...)
	}
	if o.Revocations != nil {
		methods = append(methods, change("SessionService", "RevokeCredentials", s.revokeCredentials))
	}
	if o.Policies != nil {
		methods = append(methods, s.policyMethods()...)
	}
	if o.Keys != nil {
		methods = append(methods, s.keyMethods()...)
	}
	if o.Limits != nil && o.Overrides != nil {
		methods = append(methods, s.limitMethods()...)
	}
	if o.Traffic != nil {
		methods = append(methods, s.trafficMethods()...)
	}
	if o.Audit != nil {
		methods = append(methods, s.auditMethods()...)
	}
	for _, m := range methods {
		if err := m.add(f); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// service answers the methods.
type service struct{ Options }

// A method is a tool of administration.
type method struct {
	service, name protoreflect.Name
	readOnly      bool
	run           gateway.Func
}

// inspect is a method that changes nothing.
func inspect[In, Out proto.Message](service, name protoreflect.Name, run func(context.Context, *gateway.Call, In) (Out, error)) method {
	return method{service, name, true, unary(run)}
}

// change is a method that changes something.
func change[In, Out proto.Message](service, name protoreflect.Name, run func(context.Context, *gateway.Call, In) (Out, error)) method {
	return method{service, name, false, unary(run)}
}

// unary returns the function that decodes a request from a call's arguments and
// answers with a message as structured content.
func unary[In, Out proto.Message](run func(context.Context, *gateway.Call, In) (Out, error)) gateway.Func {
	return func(ctx context.Context, call *gateway.Call) (*gateway.Result, error) {
		in, err := decode[In](call)
		if err != nil {
			return nil, err
		}
		out, err := run(ctx, call, in)
		if err != nil {
			return nil, refusal(err)
		}
		value, err := protojson.Marshal(out)
		if err != nil {
			return nil, err
		}
		// Text of the same content would only double what may be megabytes.
		return gateway.NewResult(json.RawMessage(`{"content":[],"structuredContent":` + string(value) + `}`))
	}
}

func decode[In proto.Message](call *gateway.Call) (In, error) {
	var none In
	in, _ := none.ProtoReflect().New().Interface().(In) // A message makes messages of its own type.
	if len(call.Args) == 0 {
		return in, nil
	}
	if err := protojson.Unmarshal(call.Args, in); err != nil {
		return none, &gateway.Error{Code: gateway.InvalidArgument, By: by, Msg: "the request does not fit the method", Err: err}
	}
	return in, nil
}

// refusal returns an error that is an [*gateway.Error], whose text the caller
// may see, and no other.
func refusal(err error) error {
	if known, ok := errors.AsType[*gateway.Error](err); ok {
		return known
	}
	return &gateway.Error{Code: gateway.Internal, By: by, Msg: "internal error", Err: err}
}

// invalid returns the refusal of a request.
func invalid(format string, args ...any) error {
	return &gateway.Error{Code: gateway.InvalidArgument, By: by, Msg: fmt.Sprintf(format, args...)}
}

// stateError returns a failure of the shared state as what the administrator
// is told.
func stateError(err error) error {
	switch {
	case errors.Is(err, state.ErrUnavailable):
		return &gateway.Error{Code: gateway.Unavailable, By: by, Msg: "the shared state is away", Err: err}
	case errors.Is(err, state.ErrTooLarge):
		return &gateway.Error{Code: gateway.ResourceExhausted, By: by, Msg: "that is too much to be kept", Err: err}
	case errors.Is(err, state.ErrConflict):
		return &gateway.Error{Code: gateway.Aborted, By: by, Msg: "somebody else has changed that meanwhile", Err: err}
	}
	return refusal(err)
}

// add adds the method to the source, under the name that doors know.
func (m method) add(f *gateway.Funcs) error {
	for _, s := range adminv1.Services() {
		if d := s.Methods().ByName(m.name); s.Name() == m.service && d != nil {
			definition, err := json.Marshal(map[string]any{
				"name": adminv1.Tool(d), "description": "The method " + string(d.FullName()) + ".",
				"inputSchema": map[string]any{"type": "object"}, "annotations": map[string]any{"readOnlyHint": m.readOnly},
			})
			if err != nil {
				return err
			}
			return f.AddTool(definition, m.run)
		}
	}
	return fmt.Errorf("admin.v1 has no method %s.%s", m.service, m.name)
}
