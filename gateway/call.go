package gateway

import (
	"context"
	"encoding/json"
	"time"
)

// An Op is what a call wants done with a capability.
type Op uint8

// The operations, each with the kind of capability that it applies to.
const (
	OpCall      Op = iota + 1 // run a tool
	OpRead                    // read a resource
	OpGet                     // render a prompt
	OpComplete                // suggest values for an argument of a prompt or a template
	OpSubscribe               // follow a resource until the context ends

	// On tools of administration, and only on those. A door asks for OpAdmin; Do
	// makes it OpInspect where the tool is read-only.
	OpAdmin   // change what an area of administration holds
	OpInspect // see it
)

// String returns the action's name in policies and audit records.
func (o Op) String() string {
	return [...]string{"", "call", "read", "get", "complete", "subscribe", "admin", "read"}[o]
}

// A Kind is a kind of capability.
type Kind uint8

// The kinds.
const (
	KindTool Kind = iota + 1
	KindResource
	KindTemplate
	KindPrompt
)

// String returns the kind's name: "tool", "resource", "template" or "prompt".
func (k Kind) String() string {
	return [...]string{"", "tool", "resource", "template", "prompt"}[k]
}

// A Principal is an authenticated caller. It is carried by each request and
// never changed once made, so it may be shared.
type Principal struct {
	ID      string    // issuer|kind|subject: unique across issuers, and across users and clients
	Issuer  string    // who vouches for the principal
	Subject string    // as the issuer knows it
	Kind    string    // "user", "client" or "anonymous"
	Name    string    // for people to read; never for decisions
	Groups  []string  // as claimed by the issuer
	Roles   []string  // as claimed by the issuer; policy adds more
	Scopes  []string  // the upper bound that the credential sets, or nil for none
	Tenant  string    // "" where there is only one
	Expiry  time.Time // when the credential ends, with every stream it opened; zero is never

	// What revocation goes by. A principal of configuration has none of them.
	Credential string    // names the credential: issuer|jti of a token, key|id of an API key; "" where it has no name
	Session    string    // the issuer's session that the credential belongs to (sid), or ""
	Issued     time.Time // when the credential was issued; zero when that is unknown
	Login      string    // the session of a browser at the gateway that the caller was admitted by, or ""
}

// A Call is one request to use one capability. A door makes it, Do resolves
// it, and from then on no one changes it.
type Call struct {
	Op        Op
	Kind      Kind            // only for OpComplete: KindPrompt or KindTemplate; Do sets it otherwise
	Name      string          // the tool's or prompt's name, the resource's URI, the template's URI template
	Args      json.RawMessage // a JSON object that the door has checked with schema.Check; empty is {}
	Meta      json.RawMessage // MCP's _meta members to pass on, an object, or nil
	Principal *Principal      // who asks; nil is refused
	Via       string          // the door: "mcp", "graphql", "grpc" or "rest"

	// Into is what the door makes of the tool's structured content, where it shows
	// that and nothing else of a result: a message, as a *transcode.Plan. An
	// upstream that has its answer in a like form may answer with such a message,
	// as [MessageResult]. Nil is for JSON.
	Into any

	// Progress and Log are nil where the door cannot show them. They may be
	// called by any goroutine until Do returns, and never block for long: a
	// door drops what a slow reader does not take, and says so.
	Progress func(Progress)
	Log      func(LogMessage)

	// Feed is Log for a reader that is to miss nothing, as who writes can read
	// again later what it says now: it waits until the door has room for the
	// message, or ctx ends, whose cause it then returns. The number is how many
	// messages were left out before it. Feed is nil where the door has no such
	// way; it may be called until Do returns, by one goroutine at a time.
	Feed func(ctx context.Context, m LogMessage, leftOut int64) error

	// Detach tells the door that the call will take long, so that it may end the
	// caller's connection and keep the result until the caller comes back for it.
	// It is nil where the protocol has no such way, and may be called by any
	// goroutine until Do returns, more than once.
	Detach func()

	// Ask puts a question to the caller while the call runs and waits for the
	// answer, the client's result object. It is nil where the caller cannot be
	// asked anything. Capabilities say which questions the client can answer:
	// the ClientCapabilities object of MCP as the client declared it, or nil. A
	// question that it cannot answer fails with [NeedsCapability]. Questions are
	// asked one after another; Ask may be called by any goroutine until Do
	// returns.
	Ask          func(context.Context, Question) (json.RawMessage, error)
	Capabilities json.RawMessage

	// Resume continues a call that ended with [Result.Input]; nil for a new one.
	Resume *Resume

	// Task says that the caller comes back for the result, however late: the
	// call may take as long as its context lets it, and no other deadline holds.
	Task bool

	// Began is told, before Do returns, how the upstream names what it began for
	// a call with Task that it keeps running by itself: text that only the
	// upstream understands. Who has kept it can make the same call again with
	// Rejoin, which goes on with what was begun, even after a restart. Began is
	// nil where nobody keeps it; Rejoin is nil for a call that begins.
	Began  func(handle json.RawMessage)
	Rejoin json.RawMessage

	Subscription *Subscription // only for OpSubscribe

	// ID names the call in the audit log; set by the observer that records it, ""
	// before and where nobody does. It gives no access.
	ID string

	// Set by Do.
	Object string      // the policy's name for the target: "tool/<source>/<name>"
	Target *Capability // what Name resolved to
	Tool   *Tool       // for OpCall

	Policy string // version of the policy that decided; set by the gate that did, "" before
	Rule   string // the rule of the policy that allowed it; set by the same gate
}

// Progress is how far a call has come. The numbers keep the text that the
// upstream wrote.
type Progress struct {
	Progress json.Number // grows with each report
	Total    json.Number // "" when unknown
	Message  string      // "" for none
}

// A LogMessage is a line that an upstream wrote about a call.
type LogMessage struct {
	Level  string          // as syslog's: debug, info, notice, warning, error, critical, alert, emergency
	Logger string          // "" for none
	Data   json.RawMessage // any JSON value
}

// A Question is what an upstream wants to know from the caller's client, in
// MCP's form: the method is elicitation/create, sampling/createMessage or
// roots/list, and the parameters are passed on as they are.
type Question struct {
	Method string
	Params json.RawMessage // an object, or nil
}

// Capability returns the name of the client capability that answers the
// question: "elicitation", "sampling" or "roots"; "" for an unknown method.
func (q Question) Capability() string {
	switch q.Method {
	case "elicitation/create":
		return "elicitation"
	case "sampling/createMessage":
		return "sampling"
	case "roots/list":
		return "roots"
	}
	return ""
}

// An InputRequest is what a call that cannot wait needs before it can go on
// (MCP 2026-07-28, multi round-trip requests): questions by keys of the
// upstream's choice, and a state that only the upstream understands. At least
// one of the two is there.
type InputRequest struct {
	Questions map[string]Question
	State     string // "" for none
}

// A Resume carries the answers to an [InputRequest] back, with its state. The
// answers come from the caller's client and may be incomplete or wrong; the
// state is the upstream's own, unchanged.
type Resume struct {
	Answers map[string]json.RawMessage
	State   string
}

// A Subscription receives what happens to a resource while its call runs.
// Upstream.Do calls Ready once, when updates are being watched, then Updated
// at each change, and returns when the context ends.
type Subscription struct {
	Ready   func()
	Updated func(uri string) // the resource or a part of it
}

// Func is an [Upstream] that answers in this process.
type Func func(context.Context, *Call) (*Result, error)

// Do calls f.
func (f Func) Do(ctx context.Context, call *Call) (*Result, error) { return f(ctx, call) }

// CanAnswer reports whether the client declared that it answers the question.
func (c *Call) CanAnswer(q Question) bool {
	var declared map[string]json.RawMessage
	if len(c.Capabilities) == 0 || json.Unmarshal(c.Capabilities, &declared) != nil {
		return false
	}
	_, ok := declared[q.Capability()]
	return ok && q.Capability() != ""
}
