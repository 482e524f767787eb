// Package config is the configuration of the gateway: a YAML file as typed
// data.
//
// The types in config.go, auth.go, rate.go, source.go, remote.go, guard.go and toolset.go
// are the one declaration. From their field tags and comments come the parser, the
// problems with line and column, the reference ([Reference]) and the JSON Schema
// ([JSONSchema]).
//
//	file ──[Load]──▶ *Config  or  [Problems], all of them at once
//	  └────[Watch]─▶ the next *Config, or the Problems of a bad edit
//	                   └──[Changes]──▶ what differs, and what needs a restart
//
// The package starts nothing, dials nothing and reads no environment variable.
// It reads the file, looks whether the files named in it exist, and leaves
// secrets as references until [Secret.Resolve] is called.
package config

import (
	"log/slog"
	"path/filepath"
	"time"
)

// Config is the whole configuration. The zero value is not useful: start from
// [Default], [Load] or [Parse]. A Config is not changed after it was made, so
// it may be read by many goroutines.
//
// The comments of the fields here and in the types below are the text of the
// reference and of the JSON Schema. They speak to operators, of keys in the
// file rather than of Go names. The tags are explained at type field.
type Config struct {
	// Where the gateway listens, and the address by which others know it.
	Listen Listen `yaml:"listen" reload:"restart"`

	// Directory of everything that the gateway keeps: the state engine lives in
	// `state` and the audit log in `audit` below it. It is made when missing.
	Data string `yaml:"data" default:"data" format:"path" reload:"restart"`

	// The state engine. Without keys here it runs inside the gateway.
	State State `yaml:"state" reload:"restart"`

	// Who may ask: the issuers whose tokens are accepted.
	Auth Auth `yaml:"auth" reload:"restart"`

	// What they may do.
	Policy Policy `yaml:"policy" reload:"hot"`

	// The record of every call, admitted or refused. It cannot be switched off.
	Audit Audit `yaml:"audit" reload:"restart"`

	// Bounds on what callers can use up.
	Limits Limits `yaml:"limits" reload:"restart"`

	// The GraphQL door.
	GraphQL GraphQLDoor `yaml:"graphql" reload:"restart"`

	// The services whose tools, resources and prompts the gateway offers.
	Sources []Source `yaml:"sources" max:"1000" reload:"hot"`

	// Selections of what the gateway offers, each with an MCP endpoint of its own
	// at `/mcp/<name>`. The policy holds there as everywhere: a toolset can only
	// leave out.
	Toolsets []Toolset `yaml:"toolsets" max:"100" reload:"hot"`

	// The gRPC door.
	GRPC GRPC `yaml:"grpc" reload:"restart"`

	// The log of the gateway itself, written to standard error.
	Log Log `yaml:"log" reload:"restart"`
}

// Listen says where the gateway listens.
type Listen struct {
	// Address of the HTTP doors (MCP, GraphQL, REST), as `host:port`.
	// Port 0 lets the kernel choose.
	HTTP string `yaml:"http" default:"127.0.0.1:8080" format:"address"`

	// Address of the gRPC door, as `host:port`.
	GRPC string `yaml:"grpc" default:"127.0.0.1:9090" format:"address"`

	// URL by which callers reach the HTTP doors, for example behind a proxy. It
	// is the resource identifier in OAuth metadata, so it is never guessed from
	// a request. Required off loopback; by default it is made from `http`.
	PublicURL string `yaml:"public_url" format:"base-url"`

	// Origin by which callers reach the gRPC door, for example behind a proxy:
	// `https` where TLS is spoken there, `http` for plain text. It is shown to
	// people and programs. By default the port of `grpc` at the host of
	// `public_url`, with TLS where `tls` is set.
	PublicGRPCURL string `yaml:"public_grpc_url" format:"origin"`

	// Web origins beside `public_url` whose pages may call the gateway, such as
	// `https://app.example.com`. A request from any other origin is refused.
	AllowedOrigins []string `yaml:"allowed_origins" format:"origin" max:"100"`

	// Certificate for the HTTP and gRPC doors. Without it they speak plain text.
	TLS *TLS `yaml:"tls"`

	// Permit plain text on an address off loopback, because something in front
	// of the gateway ends TLS. Without TLS and without this such an address is
	// a problem.
	AllowPlaintext bool `yaml:"allow_plaintext"`
}

// TLS names a certificate and its key.
type TLS struct {
	// File with the certificate chain in PEM.
	Cert string `yaml:"cert" format:"file" required:"true"`

	// File with the private key in PEM.
	Key string `yaml:"key" format:"file" required:"true"`

	// File with the certificates, in PEM, of those who issue client certificates.
	// With it clients are asked for one, and one that does not verify ends the
	// connection. It is read at the start.
	ClientCA string `yaml:"client_ca" format:"file"`
}

// GRPC configures the gRPC door.
type GRPC struct {
	// Give each source a typed service, such as
	// `trilith.petstore.v1.PetstoreService`, with a method for each of its tools and
	// prompts.
	Typed bool `yaml:"typed" default:"true"`

	// Who may ask by reflection what services there are: nobody (`off`), callers
	// with a credential (`authenticated`), or everybody (`open`). Of the typed
	// services everybody sees what they may use and nothing else.
	Reflection string `yaml:"reflection" default:"authenticated" enum:"off authenticated open"`
}

// State says which NATS JetStream keeps the state.
type State struct {
	// URL of an external NATS cluster with JetStream. Empty runs one embedded in
	// the gateway.
	NATSURL string `yaml:"nats_url" format:"nats-url"`

	// NATS credentials file (`.creds`) for the external cluster.
	Credentials string `yaml:"credentials" format:"file" with:"nats_url"`

	// Copies that the cluster keeps of everything: 1, 3 or 5. More than 1 needs
	// `nats_url`.
	Replicas int `yaml:"replicas" default:"1" enum:"1 3 5"`
}

// Policy says where the policy comes from.
type Policy struct {
	// Casbin policy in CSV, one rule a line. It is reloaded when it changes, and
	// each text is recorded as a version. While it is set nobody can change the
	// policy otherwise. Without it the version in force in the shared state is
	// the policy, and without any every call is refused.
	File string `yaml:"file" format:"file"`
}

// Audit configures the audit log.
type Audit struct {
	// Directory of the audit log. By default `audit` in the data directory.
	Dir string `yaml:"dir" format:"path"`

	// A segment of the log is sealed and a new one begun at this size.
	SegmentBytes Size `yaml:"segment_bytes" default:"64MiB" min:"1MiB" max:"4GiB"`

	// Keep the arguments of calls out of the log: records then say that a tool
	// was called, by whom and with what outcome, but not with what.
	RedactArguments bool `yaml:"redact_arguments" default:"true"`

	// What records hold of calls, by rules of which the first that names the
	// object counts. Calls that no rule names are recorded as `redact_arguments`
	// says.
	Redaction []Redaction `yaml:"redaction" max:"1000"`

	// Remove segments whose newest record is older than this. Checkpoints stay.
	// Without it they are kept however old they are.
	RetainAge time.Duration `yaml:"retain_age" min:"1h"`

	// Remove the oldest segments when all together are larger than this, as they
	// are on disk. Without it they are kept however large they are.
	RetainBytes Size `yaml:"retain_bytes" min:"1MiB"`

	// Other places that records are sent to as they come, each at least once.
	Exports []AuditExport `yaml:"exports" max:"16"`

	// What an action waits for, by the kind of action. With `strict`, a record of
	// the intent is on disk before the service is asked, and the action is refused
	// where that fails. With `wal`, its record is written before the caller gets
	// the answer, and on disk within 100 ms. With `async`, nobody waits, and
	// records are dropped and counted when too many come at once. Calls of tools
	// that say that they are destructive, and what administrators do, are
	// always strict.
	Modes AuditModes `yaml:"modes"`
}

// AuditExport is a place that records are sent to.
type AuditExport struct {
	// Name of the export. How far it has come is kept under it.
	Name string `yaml:"name" format:"name" required:"true"`

	// Address of a syslog server, which gets messages of RFC 5424 over TLS.
	Syslog string `yaml:"syslog" format:"address" oneof:"target"`

	// Send to the syslog server over plain TCP.
	Plain bool `yaml:"plain" with:"syslog"`

	// URL of a collector of OpenTelemetry logs over HTTP, such as
	// `https://collector:4318/v1/logs`.
	OTLP string `yaml:"otlp" format:"url" oneof:"target"`

	// Headers sent to the collector.
	Headers map[string]Secret `yaml:"headers" with:"otlp" keys:"header" max:"64"`

	// Certificates of the authorities that the server's certificate may come
	// from. By default those that the system trusts.
	CAFile string `yaml:"ca_file" format:"file"`

	// File that records are appended to.
	File string `yaml:"file" format:"path" oneof:"target"`

	// Form of a line in the file: as in the log, or events of the Open
	// Cybersecurity Schema Framework.
	Format string `yaml:"format" default:"jsonl" enum:"jsonl ocsf"`
}

// Redaction says what the records of some calls hold.
type Redaction struct {
	// Objects, as patterns such as `tool/payroll/*`, in which `*` stands for any
	// text and `?` for one character.
	Objects []string `yaml:"objects" required:"true" max:"100"`

	// What is recorded. `none`: lengths. `metadata`: besides, an HMAC of the
	// arguments, by which equal ones can be found. `request`: besides, the
	// arguments. `request_response`: besides, the result. What looks like a
	// secret is left out in any case.
	Level string `yaml:"level" required:"true" enum:"none metadata request request_response"`

	// The members of arguments and results that are kept, as JSON Pointers such as
	// `/employee/id`. None of them can lead into a list. Without any, all are kept.
	Keep []string `yaml:"keep" max:"100"`
}

// AuditModes says what actions wait for, by their kind.
type AuditModes struct {
	// Calls of tools.
	Call string `yaml:"call" default:"wal" enum:"strict wal"`

	// Reads of resources, prompts, completions and subscriptions.
	Read string `yaml:"read" default:"wal" enum:"strict wal async"`

	// Lists of what there is.
	List string `yaml:"list" default:"async" enum:"strict wal async"`
}

// Limits bounds what callers can use up.
type Limits struct {
	// Longest body of one request.
	BodyBytes Size `yaml:"body_bytes" default:"1MiB" min:"1KiB" max:"256MiB"`

	// Deepest nesting of JSON in a request.
	JSONDepth int `yaml:"json_depth" default:"64" min:"4" max:"1000"`

	// Most JSON tokens (names, values and brackets) in a request.
	JSONTokens int `yaml:"json_tokens" default:"100000" min:"100" max:"10000000"`

	// Longest time that one call may take, from the door to the answer.
	CallTimeout time.Duration `yaml:"call_timeout" default:"1m" min:"100ms" max:"24h"`

	// Most MCP sessions that one principal may hold open.
	SessionsPerPrincipal int `yaml:"sessions_per_principal" default:"100" min:"1" max:"100000"`

	// Most streams (SSE, WebSocket, gRPC) that one principal may hold open.
	StreamsPerPrincipal int `yaml:"streams_per_principal" default:"100" min:"1" max:"100000"`

	// How many calls may come in a time: token buckets. A call takes a token from
	// the bucket of every rule that counts it, or, where one of them is empty, from
	// none, and is refused until there is one. Lists count as calls do; calls that
	// the policy refuses, and administration, do not.
	Rates []RateLimit `yaml:"rates" max:"64" reload:"hot"`
}

// Log configures the gateway's own log.
type Log struct {
	// Least severity that is written.
	Level slog.Level `yaml:"level" default:"info" enum:"debug info warn error"`

	// Form of a line.
	Format string `yaml:"format" default:"text" enum:"text json"`
}

// Default returns the configuration of an empty file: listeners on loopback,
// state below the directory data, no source, and nobody admitted. Relative
// paths in it are relative to the working directory.
func Default() *Config {
	c, _ := Parse("", nil)
	return c
}

// StateDir returns the directory of the embedded state engine.
func (c *Config) StateDir() string { return filepath.Join(c.Data, "state") }

// AuditDir returns the directory of the audit log.
func (c *Config) AuditDir() string {
	if c.Audit.Dir != "" {
		return c.Audit.Dir
	}
	return filepath.Join(c.Data, "audit")
}
