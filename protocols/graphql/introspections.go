package graphql

import (
	"bytes"
	"compress/gzip"
	"context"
	"net/http"
	"strings"
	"sync"
	"weak"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/keep"
)

// maxBodies bounds the answers to introspection that are kept of one view: clients send few different questions.
const maxBodies = 4

// introspectionsMost bounds the bytes of all answers to introspection that are kept, of all views.
const introspectionsMost = 256 << 20

// introspections are what is known of the introspection of a view. The zero value is ready to use.
type introspections struct {
	once   sync.Once
	turn   chan struct{} // holds one token while somebody writes
	mu     sync.Mutex
	bodies map[string]*introspected
}

// introspected is an answer, as it is sent.
type introspected struct {
	done     chan struct{} // closed when plain is there
	plain    []byte        // nil where there was an error, which is not kept
	compress sync.Once
	gzip     []byte
	item     *keep.Item // set with plain
}

func (i *introspections) enter(ctx context.Context) error {
	i.once.Do(func() { i.turn = make(chan struct{}, 1) })
	select {
	case i.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (i *introspections) leave() { <-i.turn }

// onlyIntrospects reports whether the answer to an operation depends on the view alone.
func onlyIntrospects(op *graphql.OperationContext) bool {
	p := preparationOf(op)
	if !p.document.introspect || op.Operation.Operation != ast.Query || len(op.Operation.VariableDefinitions) > 0 {
		return false
	}
	for _, f := range graphql.CollectFields(op, op.Operation.SelectionSet, []string{"Query"}) {
		if !strings.HasPrefix(f.Definition.Name, "__") {
			return false
		}
	}
	return true
}

// answer returns the answer to an operation that only introspects, or nil where it fails. Each question is answered once
// for each view: many who ask at once wait for the first.
func (f *Frontend) answer(ctx context.Context, p *gateway.Principal, op *graphql.OperationContext) *introspected {
	i := &preparationOf(op).view.introspection
	key := op.OperationName + "\x00" + op.RawQuery
	i.mu.Lock()
	known, ok := i.bodies[key]
	if !ok {
		if i.bodies == nil || len(i.bodies) >= maxBodies {
			f.forget(i.bodies)
			i.bodies = map[string]*introspected{}
		}
		known = &introspected{done: make(chan struct{})}
		i.bodies[key] = known
	}
	i.mu.Unlock()
	if ok {
		select {
		case <-known.done:
		case <-ctx.Done():
			return nil
		}
		if known.plain == nil {
			return nil
		}
		f.introspected.Use(known.item)
		return known
	}
	defer close(known.done)
	next, run, stop := f.start(context.WithoutCancel(ctx), p, op) // Others wait for it, too.
	defer stop()
	if resp := next(run); resp != nil && len(resp.Errors) == 0 {
		known.plain = appendResponse(make([]byte, 0, len(resp.Data)+16), resp.Data, nil)
		at := weak.Make(i)                                                                   // The view goes with who sees it.
		known.item = f.introspected.Add(int64(len(known.plain)+len(known.plain)/4), func() { // Compressed, it is less than that.
			if i := at.Value(); i != nil {
				i.drop(key)
			}
		})
		return known
	}
	i.mu.Lock()
	delete(i.bodies, key)
	i.mu.Unlock()
	return nil
}

// drop lets go of an answer.
func (i *introspections) drop(key string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.bodies, key)
}

// forget notes that answers are not kept any more.
func (f *Frontend) forget(bodies map[string]*introspected) {
	for _, known := range bodies {
		select {
		case <-known.done:
			f.introspected.Remove(known.item)
		default: // Nobody finds it when it is there; its room is lost until it has not been used for longest.
		}
	}
}

// serve sends the answer, compressed where the client takes that.
func (a *introspected) serve(w http.ResponseWriter, r *http.Request, as string) {
	w.Header().Set("Cache-Control", "private, no-cache")
	w.Header().Add("Vary", "Accept-Encoding")
	body := a.plain
	if acceptsGzip(r.Header.Values("Accept-Encoding")) {
		a.compress.Do(func() {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, _ = z.Write(a.plain) // A buffer does not fail.
			_ = z.Close()
			a.gzip = b.Bytes()
		})
		body = a.gzip
		w.Header().Set("Content-Encoding", "gzip")
	}
	write(w, as, http.StatusOK, body)
}

// acceptsGzip reports whether gzip is among the codings that a client takes (RFC 9110, section 12.5.3).
func acceptsGzip(header []string) bool {
	for coding := range strings.SplitSeq(strings.Join(header, ","), ",") {
		name, quality, _ := strings.Cut(coding, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if name == "gzip" || name == "x-gzip" || name == "*" {
			q := strings.ReplaceAll(quality, " ", "")
			return q != "q=0" && q != "q=0.0" && q != "q=0.00" && q != "q=0.000"
		}
	}
	return false
}
