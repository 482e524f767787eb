package config

import (
	"reflect"
	"time"
)

// Guard says how the calls of a source are protected from its bad days, and
// its callers with them. The defaults suit most sources.
type Guard struct {
	// Longest time that a call may take, with every attempt and wait. By default
	// `limits.call_timeout`. The time that a caller takes to answer a question
	// does not count.
	Timeout time.Duration `yaml:"timeout" min:"100ms" max:"24h"`

	// Whether the annotations of this source's tools (`readOnlyHint`,
	// `idempotentHint`) are believed when it comes to what may be repeated: `auto`
	// where the gateway made them itself from what the protocol says, which an MCP
	// server's are not.
	TrustAnnotations string `yaml:"trust_annotations" default:"auto" enum:"auto always never"`

	// Keeping answers of read-only calls for the next that asks the same. Without it
	// none are kept.
	Cache *Cache `yaml:"cache"`

	// Trying again, of what can be repeated: reads, prompts, completions, and tools
	// that are known to be read-only or idempotent. A call of which the caller has
	// seen anything, such as progress, is not repeated.
	Retry Retry `yaml:"retry"`

	// Making a read-only call that takes long a second time beside the first, and
	// taking the faster answer. Without it none is.
	Hedge *Hedge `yaml:"hedge"`

	// Leaving the source alone while it fails, so that callers learn at once.
	Breaker Breaker `yaml:"breaker"`

	// How many calls may be under way at once.
	Concurrency Concurrency `yaml:"concurrency"`

	// What is different for some tools. The first entry that matches a tool holds.
	// A section that an entry has replaces the source's for its tools, with
	// defaults for what it leaves out, and has a state of its own.
	Tools []ToolGuard `yaml:"tools" max:"100"`
}

// DefaultGuard returns the guard of a source whose configuration says nothing of
// it.
func DefaultGuard() Guard {
	var g Guard
	setDefaults(reflect.ValueOf(&g).Elem())
	return g
}

// ToolGuard is what is different for some tools of a source.
type ToolGuard struct {
	// Tools, as patterns over the names that the source gives them; patterns are
	// those of toolsets.
	Match []string `yaml:"match" format:"pattern" required:"true" max:"100"`

	// What the tools do, as the operator knows: nothing to anything (`read_only`),
	// the same once or twice (`idempotent`), or something each time (`changes`).
	// `annotations` leaves it to `trust_annotations`.
	Effect string `yaml:"effect" default:"annotations" enum:"annotations read_only idempotent changes"`

	// As for the source.
	Timeout time.Duration `yaml:"timeout" min:"100ms" max:"24h"`

	// What answers when the source fails or is away.
	Fallback *Fallback `yaml:"fallback"`

	// As for the source.
	Cache *Cache `yaml:"cache"`

	// As for the source.
	Retry *Retry `yaml:"retry"`

	// As for the source.
	Hedge *Hedge `yaml:"hedge"`

	// As for the source.
	Breaker *Breaker `yaml:"breaker"`

	// As for the source.
	Concurrency *Concurrency `yaml:"concurrency"`
}

// Retry says how often and when a call that failed is tried again: the source was
// away or late, or has said when it has room again.
type Retry struct {
	// Attempts that a call has in all; 1 for no retries.
	Attempts int `yaml:"attempts" default:"3" min:"1" max:"10"`

	// Longest time that one attempt may take. By default as long as the call.
	Timeout time.Duration `yaml:"timeout" min:"10ms" max:"24h"`

	// Longest wait before the second attempt. The wait is random, and its longest
	// doubles with each attempt.
	Backoff time.Duration `yaml:"backoff" default:"100ms" min:"1ms" max:"1m"`

	// Longest wait before any attempt. A source that asks for a longer one
	// (`Retry-After`) is not called again.
	MaxBackoff time.Duration `yaml:"max_backoff" default:"2s" min:"1ms" max:"5m"`

	// Retries in a hundred calls, beyond a first ten.
	Budget int `yaml:"budget" default:"20" min:"0" max:"100"`
}

// Breaker says when a source that fails is left alone. It fails when it is away,
// late or broken; what callers do wrong, and callers who leave, do not count.
type Breaker struct {
	// Whether there is a breaker.
	Enabled bool `yaml:"enabled" default:"true"`

	// Failures among the last `window` outcomes that open it.
	Failures int `yaml:"failures" default:"8" min:"1" max:"1000"`

	// Outcomes that it looks at.
	Window int `yaml:"window" default:"10" min:"1" max:"1000"`

	// How long it stays open the first time. Then one call tries whether the
	// source is back, and where it is not, the time doubles.
	Open time.Duration `yaml:"open" default:"1s" min:"10ms" max:"1h"`

	// How long it stays open at most.
	MaxOpen time.Duration `yaml:"max_open" default:"30s" min:"10ms" max:"1h"`

	// Whether each tool has a breaker of its own.
	PerTool bool `yaml:"per_tool" default:"false"`
}

// Concurrency bounds the calls that are under way at once. Subscriptions, tasks,
// and calls that wait for an answer of their caller do not count.
type Concurrency struct {
	// Calls that run at once.
	Max int `yaml:"max" default:"1024" min:"1" max:"100000"`

	// Whether the number is found, between `min` and `max`, by how long calls take:
	// it shrinks when more calls at once make each take longer.
	Adaptive bool `yaml:"adaptive" default:"false"`

	// Fewest that `adaptive` lets run at once.
	Min int `yaml:"min" default:"4" min:"1" max:"100000"`

	// Calls that wait for their turn. One more is refused.
	Queue int `yaml:"queue" default:"1024" min:"0" max:"100000"`

	// How long a call waits for its turn at most.
	Wait time.Duration `yaml:"wait" default:"1s" min:"1ms" max:"5m"`
}

// Hedge says when a read-only call is made once more beside the first.
type Hedge struct {
	// How long the first call has, and each after it, before the next begins.
	After time.Duration `yaml:"after" required:"true" min:"1ms" max:"1h"`

	// Calls beside the first.
	Max int `yaml:"max" default:"1" min:"1" max:"5"`

	// Calls beside the first in a hundred calls, beyond a first ten.
	Budget int `yaml:"budget" default:"10" min:"0" max:"100"`
}

// Cache keeps answers of read-only calls: not of tools that failed, nor of calls
// that asked their caller something. The policy is asked about every call all the
// same. A source may say in a result how long it is good (`ttlMs`, `cacheScope` of
// MCP 2026-07-28).
type Cache struct {
	// How long an answer is good where the source does not say. By default it is
	// not kept.
	TTL time.Duration `yaml:"ttl" min:"10ms" max:"24h"`

	// Longest time that the source can say.
	MaxTTL time.Duration `yaml:"max_ttl" default:"1h" min:"10ms" max:"24h"`

	// How long after that an answer is still better than none, while the source
	// fails or is away. By default it is not.
	Stale time.Duration `yaml:"stale" min:"10ms" max:"168h"`

	// Who gets an answer: only the `principal` who asked before, or everybody
	// (`shared`) unless the source says that it is private. Only share what is the
	// same for all callers.
	Scope string `yaml:"scope" default:"principal" enum:"principal shared"`

	// Memory for answers. Those that were not used for longest make room.
	Size Size `yaml:"size" default:"16MiB" min:"64KiB" max:"16GiB"`

	// Largest answer that is kept.
	MaxEntry Size `yaml:"max_entry" default:"1MiB" min:"1KiB" max:"64MiB"`
}

// Fallback is what answers in place of a source that fails or is away. Exactly
// one is set.
type Fallback struct {
	// Another tool, by its full name, which is called with the same arguments for
	// the same caller, who must be allowed to. It has an audit record of its own.
	// Where the first call may have changed something, the other is only called if
	// the first never reached its source.
	Tool string `yaml:"tool" format:"not-empty" oneof:"fallback"`

	// A text.
	Text string `yaml:"text" format:"not-empty" oneof:"fallback"`
}
