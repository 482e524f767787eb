package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/egress"
)

// errCancelled is the cause of a context that the client cancelled by name.
var errCancelled = errors.New("cancelled by the client")

// errSessionOver is the cause of a context whose client ended its session.
var errSessionOver = errors.New("the client ended the session")

// A request is one JSON-RPC request on its way to the gateway, from any
// transport and era.
type request struct {
	message
	params    params
	meta      requestMeta
	about     string // what subject has found; "" for nothing yet
	rev       string
	principal *gateway.Principal
	key       sessionKey        // legacy: names the session
	session   *session          // legacy: what the session holds, or nil for nothing yet
	at        string            // where it arrived, which stands for it in records while it has no method
	body      *buffer           // what the message is a part of, given back by free; nil where another owns it
	can       ability           // legacy: which questions the client answers
	detach    func()            // lets the client go while the call runs, and come back for the answer; nil where it would not
	notify    func([]byte)      // sends a notification about this request, never blocks; nil where the client cannot read it
	send      func([]byte) bool // legacy: sends a request to the client on the stream of this one, and reports whether there is one; nil where there is none
	life      context.Context   //nolint:containedctx // modern, stdio: what a call that waits for its client to come back ends with; nil for none
	scopes    []string          // that its credential lacks, once it was refused for that
	task      []byte            // modern: what the client is told of the task that its call became; nil for none
}

func (r *request) modern() bool { return isModern(r.rev) }

// A method serves a request and appends the result, a JSON object, to out.
type method func(f *Frontend, ctx context.Context, r *request, out *buffer) *wireError

// methodOf returns what serves a method in an era, or nil. The methods that
// open a stream or a session belong to the transports.
func methodOf(name string, modern bool) method {
	switch name {
	case "tools/call":
		return (*Frontend).callTool
	case "tools/list", "resources/list", "resources/templates/list", "prompts/list":
		return (*Frontend).list
	case "resources/read":
		return (*Frontend).readResource
	case "prompts/get":
		return (*Frontend).getPrompt
	case "completion/complete":
		return (*Frontend).complete
	}
	if modern {
		switch name {
		case "server/discover":
			return (*Frontend).serverDiscover
		case "tasks/get":
			return (*Frontend).getTask
		case "tasks/update":
			return (*Frontend).updateTask
		case "tasks/cancel":
			return (*Frontend).cancelTask
		}
		return nil
	}
	switch name {
	case "ping":
		return (*Frontend).ping
	case "logging/setLevel":
		return (*Frontend).setLevel
	case "resources/subscribe":
		return (*Frontend).subscribe
	case "resources/unsubscribe":
		return (*Frontend).unsubscribe
	}
	return nil
}

// subject returns the name or URI that a request is about, which Mcp-Name
// mirrors, and false where the method needs one and the params have none.
func (r *request) subject() (string, bool) {
	var value json.RawMessage
	switch r.Method {
	case "tools/call", "prompts/get":
		value = r.params.name
	case "resources/read":
		value = r.params.uri
	case "tasks/get", "tasks/update", "tasks/cancel":
		return r.taskID()
	default:
		return "", true
	}
	if r.about == "" {
		r.about, _ = unquote(value) // What is no text names nothing.
	}
	return r.about, r.about != ""
}

func (f *Frontend) serverDiscover(_ context.Context, _ *request, out *buffer) *wireError {
	out.b = append(out.b, f.discover...)
	return nil
}

func (f *Frontend) ping(_ context.Context, _ *request, out *buffer) *wireError {
	out.b = append(out.b, "{}"...)
	return nil
}

// list serves the four lists: what the principal may see, page by page.
func (f *Frontend) list(ctx context.Context, r *request, out *buffer) *wireError {
	k := listOf(r.Method)
	var after string
	if !isNull(r.params.cursor) {
		text, ok := unquote(r.params.cursor)
		if ok {
			after, ok = readCursor(text, byte(k))
		}
		if !ok {
			return invalidParams("not a cursor of this list")
		}
	}
	of := k
	if k == listTools && !r.modern() {
		of = listLegacyTools
	}
	definitions, count, last := of.list(f.gw.View(r.principal)).page(after, f.o.PageSize)
	if err := f.gw.Listed(ctx, gateway.Listing{Principal: r.principal, Via: "mcp", Kind: k.kind(), Count: count}); err != nil {
		refused := refusal(gateway.AsError(err), nil, r.modern())
		refused.recorded = true
		return refused
	}
	out.b = append(append(append(out.b, `{"`...), k.member()...), `":[`...)
	out.b = append(append(out.b, definitions...), ']')
	if last != "" {
		out.b = append(appendCursor(append(out.b, `,"nextCursor":"`...), byte(k), last), '"')
	}
	if r.modern() {
		out.b = append(out.b, f.tail...)
	} else {
		out.b = append(out.b, '}')
	}
	return nil
}

func (f *Frontend) callTool(ctx context.Context, r *request, out *buffer) *wireError {
	name, ok := r.subject()
	if !ok {
		return invalidParams("name must be a string")
	}
	args := r.params.arguments
	if isNull(args) {
		args = nil
	} else if !isObject(args) {
		return invalidParams("arguments must be an object")
	}
	if f.lacksTasks(r, name) {
		return refusal(missingTasks(), nil, r.modern())
	}
	return f.do(ctx, r, &gateway.Call{Op: gateway.OpCall, Name: name, Args: args}, out)
}

func (f *Frontend) readResource(ctx context.Context, r *request, out *buffer) *wireError {
	uri, ok := r.subject()
	if !ok {
		return invalidParams("uri must be a string")
	}
	return f.do(ctx, r, &gateway.Call{Op: gateway.OpRead, Name: uri}, out)
}

func (f *Frontend) getPrompt(ctx context.Context, r *request, out *buffer) *wireError {
	name, ok := r.subject()
	if !ok {
		return invalidParams("name must be a string")
	}
	args := r.params.arguments
	if isNull(args) {
		args = nil
	} else if !isObject(args) {
		return invalidParams("arguments must be an object")
	}
	o, _ := openObject(args) // Absent arguments have no members.
	for o.next() {
		if o.value[0] != '"' {
			return invalidParams("arguments of a prompt must be strings")
		}
	}
	return f.do(ctx, r, &gateway.Call{Op: gateway.OpGet, Name: name, Args: args}, out)
}

// complete serves completion/complete. The call has the params without the
// reference, which becomes its target (server, completion).
func (f *Frontend) complete(ctx context.Context, r *request, out *buffer) *wireError {
	ref := readReference(r.params.ref)
	call := &gateway.Call{Op: gateway.OpComplete}
	var ok bool
	switch ref.kind {
	case "ref/prompt":
		call.Kind = gateway.KindPrompt
		call.Name, ok = unquote(ref.name)
	case "ref/resource":
		call.Kind = gateway.KindTemplate
		call.Name, ok = unquote(ref.uri)
	}
	if !ok {
		return invalidParams("ref must name a prompt or a resource template")
	}
	if !isObject(r.params.argument) {
		return invalidParams("argument must be an object")
	}
	call.Args = append(append(json.RawMessage(`{"argument":`), r.params.argument...), '}')
	if isObject(r.params.context) {
		call.Args = append(append(call.Args[:len(call.Args)-1], `,"context":`...), r.params.context...)
		call.Args = append(call.Args, '}')
	}
	return f.do(ctx, r, call, out)
}

type reference struct {
	kind      string
	name, uri json.RawMessage
}

func readReference(raw json.RawMessage) reference {
	var ref reference
	o, _ := openObject(raw) // No object names nothing.
	for o.next() {
		switch string(o.name) {
		case "type":
			ref.kind, _ = unquote(o.value)
		case "name":
			ref.name = o.value
		case "uri":
			ref.uri = o.value
		}
	}
	return ref
}

// do sends a call down the road and appends its result in the form of the
// request's revision.
func (f *Frontend) do(ctx context.Context, r *request, call *gateway.Call, out *buffer) *wireError {
	call.Principal, call.Via, call.Meta = r.principal, "mcp", r.meta.rest
	call.Detach = r.detach
	if r.notify != nil {
		f.listenTo(r, call)
	}
	res, waiting, err := f.carry(ctx, r, call)
	if r.task != nil {
		f.appendTask(out, r.task)
		return nil
	}
	if err == nil && res.Input != nil && r.modern() {
		refused := f.appendInput(r, res.Input, waiting, out)
		if refused == nil {
			return nil
		}
		err = f.gw.Refuse(ctx, call, refused)
	}
	var raw json.RawMessage
	if err == nil {
		if raw = res.Raw[skipSpace(res.Raw, 0):]; !isObject(raw) {
			err = errors.New("upstream's result is not an object")
		}
	}
	if err != nil {
		e := gateway.AsError(err)
		if call.Op != gateway.OpCall || e.Code != gateway.InvalidArgument || e.By != "arguments" || r.rev < rev20251125 {
			return r.refusal(e, call)
		}
		// The model that made the arguments can mend them, so it is told
		// (2025-11-25, server, tools, error handling).
		raw = gateway.ErrorResult(e.Msg).Raw
	}
	bare := err == nil && res.Bare
	out.b = f.appendResult(out.b, r, raw, call.Op, bare)
	return nil
}

// appendResult appends a result in the form of the request's revision. Bare says
// that its structured content is no object.
func (f *Frontend) appendResult(b []byte, r *request, raw json.RawMessage, op gateway.Op, bare bool) []byte {
	if r.modern() {
		return appendModern(b, raw, f.info, op == gateway.OpRead)
	}
	if bare {
		raw = legacyResult(raw)
	}
	return append(b, raw...)
}

// refusal is that of a call. Where somebody must visit a URL before the call is
// made again, only revision 2025-11-25 has an error that says so, for clients
// that can show the URL (client features, elicitation, URL elicitation required).
func (r *request) refusal(e *gateway.Error, call *gateway.Call) *wireError {
	w := refusal(e, call, r.modern())
	if wantsVisit(e.Err) &&
		r.rev == rev20251125 && r.can&canElicitURL != 0 && !isNull(lookup(e.Data, []string{"elicitations"})) {
		w.code = codeURLElicitation
	}
	return w
}

// wantsVisit reports whether a call failed because somebody must first visit a
// URL.
func wantsVisit(err error) bool {
	_, ours := errors.AsType[*egress.NeedsConnection](err)
	own, ok := errors.AsType[*rpcError](err)
	return ours || ok && own.code == codeURLElicitation
}

// carry sends a call down the road, with the way to ask its client that the
// request's era has. Where the call waits for answers it returns where.
func (f *Frontend) carry(ctx context.Context, r *request, call *gateway.Call) (*gateway.Result, place, error) {
	switch {
	case asks(call.Op) && r.modern():
		return f.doModern(ctx, r, call)
	case asks(call.Op) && r.send != nil:
		res, err := f.doLegacy(ctx, r, call)
		return res, place{}, err
	default:
		res, err := f.gw.Do(ctx, call)
		return res, place{}, err
	}
}

// listenTo lets a call report progress and log lines where its client asked
// for them (basic, progress; server, logging).
func (f *Frontend) listenTo(r *request, call *gateway.Call) {
	if token := bytes.Clone(r.meta.progress); token != nil {
		call.Progress = func(p gateway.Progress) {
			if n := progressNotification(token, p); n != nil {
				r.notify(flatten(n))
			}
		}
	}
	level := severity(r.meta.level)
	if !r.modern() {
		level = severity(f.levelOf(r))
	}
	if level >= 0 {
		call.Log = func(m gateway.LogMessage) {
			if s := severity(m.Level); s >= level || s < 0 && level <= severity("info") {
				r.notify(flatten(logNotification(m)))
			}
		}
	}
}
