package adminv1

import _ "embed"

var (
	//go:embed audit.openapi.json
	auditOpenAPI string
	//go:embed keys.openapi.json
	keysOpenAPI string
	//go:embed limits.openapi.json
	limitsOpenAPI string
	//go:embed policy.openapi.json
	policyOpenAPI string
	//go:embed sessions.openapi.json
	sessionsOpenAPI string
	//go:embed sources.openapi.json
	sourcesOpenAPI string
	//go:embed traffic.openapi.json
	trafficOpenAPI string
)

// OpenAPI returns the OpenAPI 3.1 documents that are generated from the .proto files, one for each service. They
// describe the messages as the protocol buffers JSON mapping has them; protocols/grpc shapes them into what REST
// really speaks.
func OpenAPI() []string {
	return []string{auditOpenAPI, keysOpenAPI, limitsOpenAPI, policyOpenAPI, sessionsOpenAPI, sourcesOpenAPI, trafficOpenAPI}
}
