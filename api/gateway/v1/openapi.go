package gatewayv1

import _ "embed"

//go:embed gateway.openapi.json
var openAPI string

// OpenAPI returns the OpenAPI 3.1 document that is generated from gateway.proto. It describes the messages as
// the protocol buffers JSON mapping has them; protocols/grpc shapes it into what REST really speaks.
func OpenAPI() string { return openAPI }
