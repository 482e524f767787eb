package config

import "time"

// GraphQLDoor configures the GraphQL door.
type GraphQLDoor struct {
	// Roles, those that the policy adds among them, whose callers may ask for the
	// schema. `*` is everybody.
	Introspection []string `yaml:"introspection" default:"*" format:"not-empty" max:"100"`

	// Longest time that a query or mutation may take, with all its calls.
	// Subscriptions may take as long as their calls.
	Timeout time.Duration `yaml:"timeout" default:"5m" min:"100ms" max:"24h"`

	// Longest response to one operation, and to one event of a subscription. The
	// results of the calls that it is made of may have as many bytes together.
	Response Size `yaml:"response" default:"32MiB" min:"64KiB" max:"1GiB"`

	// Bounds on a document.
	Limits GraphQLLimits `yaml:"limits"`

	// The documents that clients may send.
	Documents GraphQLDocuments `yaml:"documents"`
}

// GraphQLLimits bounds what a document of GraphQL may ask for. The bounds on its
// form are fixed; they are in the guide.
type GraphQLLimits struct {
	// What becomes of a document that exceeds a limit: with `enforce` it is
	// refused, with `measure` it is answered, counted (`gateway traffic`) and logged.
	// Measuring is for finding out what clients send: somebody who means harm can then keep a
	// processor busy for minutes.
	Mode string `yaml:"mode" default:"enforce" enum:"enforce measure"`

	// Limits that are only measured although the others are enforced.
	Measure []string `yaml:"measure" enum:"bytes tokens depth nesting fields expanded aliases root_fields directives operations fragments inline_fragments comparisons cost" max:"14"`

	// Cost of one operation. A field costs 1, a call of a tool 100, and the fields
	// below a list of the gateway's own as often as the list may be long.
	Cost int `yaml:"cost" default:"20000" min:"1" max:"1000000000"`

	// The cost for callers with a role. Of several the largest counts.
	Roles []GraphQLBudget `yaml:"roles" max:"100"`

	// What a call of some tools costs. The first that names the tool counts.
	Tools []GraphQLToolCost `yaml:"tools" max:"1000"`
}

// GraphQLBudget is the cost that one role may spend.
type GraphQLBudget struct {
	// The role, also where the policy gives it.
	Role string `yaml:"role" format:"not-empty" required:"true"`

	// Cost of one operation.
	Cost int `yaml:"cost" required:"true" min:"1" max:"1000000000"`
}

// GraphQLToolCost is what calls of some tools cost.
type GraphQLToolCost struct {
	// Patterns over names of tools, as those of toolsets, such as `github.*`.
	Match []string `yaml:"match" format:"pattern" required:"true" max:"100"`

	// Cost of one call.
	Cost int `yaml:"cost" required:"true" min:"1" max:"1000000"`
}

// GraphQLDocuments says which documents are trusted.
type GraphQLDocuments struct {
	// With `audit` every document is answered, and one that is not trusted counted
	// and logged. With `enforce` it is refused.
	Mode string `yaml:"mode" default:"off" enum:"off audit enforce"`

	// File with the trusted documents: a JSON object of texts by their SHA-256 in
	// hex, or a manifest of Apollo's persisted queries. It is read at the start.
	File string `yaml:"file" format:"file"`

	// Roles whose callers may send any document, such as developers.
	Except []string `yaml:"except" format:"not-empty" max:"100"`
}
