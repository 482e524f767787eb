// Package adminv1 is the contract of the gateway's administration: policy, API
// keys, sessions, sources and the audit log. It is generated from the .proto
// files beside it and holds no behaviour; gateway/admin answers, protocols/grpc
// serves it over gRPC and REST.
//
// A failed call ends with the status codes of gRPC, with the details that
// gateway.v1 names.
package adminv1
