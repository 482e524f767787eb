package config

import "time"

// GraphQL says how a GraphQL server is reached, and what of it becomes tools:
// the fields of its queries and mutations, or named operations of documents.
type GraphQL struct {
	Remote `required:"url"`

	// File with the server's schema in the schema definition language (SDL), for a
	// server that does not answer introspection queries. By default it is asked.
	Schema string `yaml:"schema" format:"file"`

	// Folder of documents (`*.graphql`, `*.gql`). Each named operation in them is a
	// tool, described by the comment in front of it, and fields by themselves are
	// not. By default each field of the query and mutation types is a tool.
	Documents string `yaml:"documents" format:"dir"`

	// Levels of fields that are selected below a field that is a tool.
	Depth int `yaml:"depth" default:"3" min:"1" max:"10"`

	// Most fields that are selected below a field that is a tool.
	Fields int `yaml:"fields" default:"100" min:"1" max:"1000"`

	// How subscriptions reach the server: by `websocket` (graphql-transport-ws, at
	// `url`) or `sse` (GraphQL over server-sent events, distinct connections). Each
	// is a tool that reports events as progress and returns them together. With
	// `off` they are no tools.
	Subscriptions string `yaml:"subscriptions" default:"off" enum:"off websocket sse"`

	// Events after which a call of a subscription ends.
	MaxEvents int `yaml:"max_events" default:"100" min:"1" max:"10000"`

	// Time after which a call of a subscription ends. It ends before the call times
	// out in any case.
	MaxTime time.Duration `yaml:"max_time" default:"30s" min:"100ms" max:"24h"`

	// How often the schema and the documents are read anew.
	Refresh time.Duration `yaml:"refresh" default:"5m" min:"1s" max:"168h"`
}
