package server

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/trilith-gateway/trilith/auth/issuer"
	"github.com/trilith-gateway/trilith/gateway/config"
)

// Dev is the development mode: loopback only, with a small built-in issuer,
// three personas, a built-in policy where none is configured, and the demo
// toolset.
type Dev struct {
	// Conformance serves the fixtures of MCP's official conformance suite to
	// anybody, instead of the demo toolset to the personas.
	Conformance bool
}

// issuerPath is where the built-in issuer is served.
const issuerPath = "/dev/issuer"

// DevTokenTTL is how long a printed token works.
const DevTokenTTL = 12 * time.Hour

// devPolicy is what the personas may do where no policy is configured.
func devPolicy(d *Dev) []byte {
	if d.Conformance {
		return []byte("p, role:conformance, *, **, *, allow\n")
	}
	return []byte(`# The built-in policy of gateway dev.
p, role:admin, *, **,               *,    allow
p, role:admin, *, admin/**,         *,    allow
p, role:dev,   *, tool/demo/*,      call, allow
p, role:dev,   *, resource/demo/**, *,    allow
p, role:dev,   *, prompt/demo/*,    *,    allow
p, role:guest, *, tool/demo/echo,   call, allow
`)
}

// DevSources adds what the development mode serves to a configuration: the
// demo toolset, unless the configuration has a source of that name.
func DevSources(cfg *config.Config) {
	for _, s := range cfg.Sources {
		if s.Name == "demo" {
			return
		}
	}
	cfg.Sources = append(cfg.Sources, config.Source{Name: "demo", Prefix: true, Guard: config.DefaultGuard(), Demo: true})
}

// Token returns an access token of the built-in issuer for a persona.
func (s *Server) Token(persona string) (string, error) {
	if s.issuer == nil {
		return "", fmt.Errorf("there is no built-in issuer: tokens come from the configured ones")
	}
	return s.issuer.Mint(persona, s.base, DevTokenTTL)
}

// Personas are the names that [Server.Token] knows, most powerful first.
func Personas() []string { return issuer.Personas() }

// Welcome writes the addresses and, for every door, one call that works as it
// is pasted into a shell. The command is how a shell starts the program, such as
// "gateway", and flags, each with a space before it, are those by which the
// program finds this gateway when it makes a token; both as a shell reads them.
func (s *Server) Welcome(w io.Writer, command, flags string) error {
	token, err := s.Token("dev")
	if err != nil {
		return err
	}
	text := strings.NewReplacer("{base}", s.base, "{grpc}", s.GRPCAddr(), "{token}", token, "{personas}", strings.Join(Personas(), ", "), "{gateway}", command, "{flags}", flags).Replace(`Trilith is up. The console, for people with a browser, is at {base}/console/. The same tool through every door:

export TOKEN={token}

# MCP (agents)
curl -s {base}/mcp -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' -H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: tools/call' -H 'Mcp-Name: demo.add' -d '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"demo.add","arguments":{"a":1,"b":2},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}'

# GraphQL (web apps); GraphiQL is at {base}/graphql/ui/
curl -s {base}/graphql -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"query":"mutation { callTool(name: \"demo.add\", arguments: {a: 1, b: 2}) { structured isError } }"}'

# gRPC (services)
GATEWAY_TOKEN=$TOKEN {gateway} call demo.add --json '{"a":1,"b":2}' --via grpc --grpc-addr {grpc}

# REST (scripts); the API reference is at {base}/docs/
curl -s {base}/v1/tools/demo.add:call -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"a":1,"b":2}'

Tokens for the personas {personas}: {gateway} token --as NAME{flags}
`)
	_, err = io.WriteString(w, text)
	return err
}

// DevToken returns a token for a persona of a gateway in development mode
// that runs, or will run, with this data directory and base URL.
func DevToken(data, base, persona string) (string, error) {
	is, err := issuer.Open(issuer.Options{URL: base + issuerPath, KeyFile: issuerKey(data), Existing: true})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("no gateway dev has run with data directory %s: start \"gateway dev\", or give its --data", data)
	case err != nil:
		return "", err
	}
	return is.Mint(persona, base, DevTokenTTL)
}
