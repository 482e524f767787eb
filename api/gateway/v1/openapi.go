// Package gatewayv1 is the contract of the registry's API, generated from
// gateway.proto: messages, the gRPC service, and its REST routes. It holds no
// behaviour; protocols/grpc serves it.
package gatewayv1

import _ "embed"

//go:embed gateway.openapi.json
var openAPI string

// OpenAPI returns the OpenAPI 3.1 document that is generated from gateway.proto. It describes the messages as
// the protocol buffers JSON mapping has them; protocols/grpc shapes it into what REST really speaks.
func OpenAPI() string { return openAPI }
