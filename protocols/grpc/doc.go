// Package grpc is the door for services: the registry as the gRPC service
// gateway.v1.GatewayService, and the same service as REST, made of its
// google.api.http rules by grpc-gateway.
//
//	gRPC ─ Door ─┐
//	             ├─ service ─ gateway.Do, gateway.View
//	REST ─ Door ─┘
//
// Both meet in one implementation, so they cannot answer differently: REST
// runs its methods in this process, without a connection in between. It is an
// API over the registry, not a transport for MCP.
//
// Payloads pass as JSON text and are never decoded here. Identity comes from
// the Door in front, by auth.From. What a caller may not use is neither listed
// nor found.
package grpc
