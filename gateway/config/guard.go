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

	// Trying again, of what can be repeated: reads, prompts, completions, and tools
	// that are known to be read-only or idempotent. A call of which the caller has
	// seen anything, such as progress, is not repeated.
	Retry Retry `yaml:"retry"`

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

	// As for the source.
	Retry *Retry `yaml:"retry"`

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

	// Calls that wait for their turn. One more is refused.
	Queue int `yaml:"queue" default:"1024" min:"0" max:"100000"`

	// How long a call waits for its turn at most.
	Wait time.Duration `yaml:"wait" default:"1s" min:"1ms" max:"5m"`
}
