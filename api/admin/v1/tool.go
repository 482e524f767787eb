package adminv1

import "google.golang.org/protobuf/reflect/protoreflect"

// Services returns the services of the package.
func Services() []protoreflect.ServiceDescriptor {
	var all []protoreflect.ServiceDescriptor
	for _, f := range []protoreflect.FileDescriptor{
		File_admin_v1_audit_proto, File_admin_v1_keys_proto, File_admin_v1_limits_proto, File_admin_v1_policy_proto,
		File_admin_v1_sessions_proto, File_admin_v1_sources_proto, File_admin_v1_traffic_proto,
	} {
		for i := range f.Services().Len() {
			all = append(all, f.Services().Get(i))
		}
	}
	return all
}

// Tool returns the name under which a method stands in the registry of
// administration: its area, a dot and the method's own name, such as
// "policy.ActivatePolicy".
func Tool(m protoreflect.MethodDescriptor) string {
	return area(m.Parent().Name()) + "." + string(m.Name())
}

// area is the area of administration that a service belongs to.
func area(service protoreflect.Name) string {
	switch service {
	case "AuditService":
		return "audit"
	case "KeyService":
		return "keys"
	case "LimitService":
		return "limits"
	case "SessionService":
		return "sessions"
	case "SourceService":
		return "sources"
	case "TrafficService":
		return "traffic"
	default:
		return "policy"
	}
}
