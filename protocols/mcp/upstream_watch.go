package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/egress"
	"github.com/trilith-gateway/trilith/schema"
)

// Bounds on what one server may offer.
const (
	maxOffered     = 10_000   // capabilities
	maxPages       = 1_000    // of one list
	maxDefinitions = 64 << 20 // bytes of definitions
)

const (
	settleTime = 100 * time.Millisecond // changes of lists come in bursts
	// refreshEvery is how often a server behind HTTP is listed anew, since it
	// may have been replaced without a word.
	refreshEvery = 5 * time.Minute
)

// Watch connects and yields what the server offers, again whenever that changes,
// and an error whenever the connection is lost or cannot be made; it then tries
// again by itself. A definition that is not valid is left out and logged. The
// sequence ends with the context or with Close.
func (u *Upstream) Watch(ctx context.Context) iter.Seq2[gateway.Catalog, error] {
	return func(yield func(gateway.Catalog, error) bool) {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		defer context.AfterFunc(u.ctx, stop)() // The upstream's own life.
		u.mu.Lock()
		if u.watched = true; u.shared.isOpen() {
			u.fill() // Or else once it is known whether there are sessions.
		}
		u.mu.Unlock()
		for {
			served, err := u.serve(ctx, yield)
			if ctx.Err() != nil || errors.Is(err, errStopped) {
				return
			}
			if served && errors.Is(err, errSessionEnded) {
				continue // A new session is not worth a word.
			}
			if !yield(gateway.Catalog{}, err) || u.await(ctx) != nil {
				return
			}
		}
	}
}

var errStopped = errors.New("nobody reads the sequence any more")

// await waits until the next attempt to connect is due.
func (u *Upstream) await(ctx context.Context) error {
	u.mu.Lock()
	l := u.shared
	if l.conn != nil && l.conn.ctx.Err() != nil {
		l.lost(l.conn)
	}
	wait := time.Until(l.retryAt)
	if l.conn != nil {
		wait = 0
	}
	u.mu.Unlock()
	return sleep(ctx, wait)
}

// serve yields the catalogs of one connection and returns why it ended, and
// whether it ever yielded one.
func (u *Upstream) serve(ctx context.Context, yield func(gateway.Catalog, error) bool) (served bool, err error) {
	c, err := u.shared.client(ctx, time.Time{})
	if err != nil {
		return false, err
	}
	defer func() {
		if err != nil && ctx.Err() == nil && !errors.Is(err, errStopped) {
			c.cancel(err) // Whoever needs it connects anew.
		}
	}()
	changes, stop := context.WithCancel(ctx)
	defer stop()
	if err := c.hear(changes); err != nil {
		return false, err
	}
	var last gateway.Catalog
	for {
		began := time.Now()
		catalog, err := u.list(ctx, c)
		if err != nil {
			return served, err
		}
		if !served || !sameCatalog(last, catalog) {
			if !yield(catalog, nil) {
				return true, errStopped
			}
			last, served = catalog, true
		}
		if err := c.untilChanged(ctx, began); err != nil {
			return served, err
		}
	}
}

// Refresh has a server elsewhere list its capabilities again soon, for who has
// heard from another that they changed. A program that the upstream started
// itself has no other listener.
func (u *Upstream) Refresh() {
	u.mu.Lock()
	c := u.shared.conn
	u.mu.Unlock()
	if c == nil || c.isProcess() {
		return
	}
	select {
	case c.changes <- struct{}{}:
	default: // It is about to.
	}
}

// untilChanged returns nil when it is time to list again, or why there is
// nothing more to list.
func (c *client) untilChanged(ctx context.Context, listed time.Time) error {
	refresh := time.NewTimer(refreshEvery)
	defer refresh.Stop()
	due := refresh.C
	if c.isProcess() {
		due = nil
	}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.ctx.Done():
			return context.Cause(c.ctx) // The connection's own life.
		case <-due:
			return nil
		case <-c.changes:
			err := sleep(ctx, max(settleTime, c.u.o.listEvery-time.Since(listed)))
			select {
			case <-c.changes: // The same burst.
			default:
			}
			return err
		case <-c.doubts:
			if err := c.ping(ctx); err != nil {
				return err
			}
		}
	}
}

// hear begins to listen for changes of the lists, where the server tells them.
func (c *client) hear(ctx context.Context) error {
	tools := c.caps.Tools != nil && c.caps.Tools.ListChanged
	prompts := c.caps.Prompts != nil && c.caps.Prompts.ListChanged
	resources := c.caps.Resources != nil && c.caps.Resources.ListChanged
	if !tools && !prompts && !resources {
		return nil
	}
	if !c.modern() {
		timed, cancel := context.WithTimeoutCause(ctx, c.u.o.Timeout, errUpstreamSlow)
		defer cancel()
		return c.stand(timed)
	}
	filter, err := json.Marshal(struct {
		Tools     bool `json:"toolsListChanged,omitempty"`
		Prompts   bool `json:"promptsListChanged,omitempty"`
		Resources bool `json:"resourcesListChanged,omitempty"`
	}{tools, prompts, resources})
	if err != nil {
		return err
	}
	first := make(chan struct{})
	if !c.spawn(func() { c.hearLists(ctx, filter, first) }) {
		return &lostError{context.Cause(c.ctx)}
	}
	t := time.NewTimer(c.u.o.Timeout)
	defer t.Stop()
	select {
	case <-first:
	case <-t.C: // Nothing is missed for ever: lists are refreshed.
	case <-ctx.Done():
	}
	return context.Cause(ctx)
}

// hearLists keeps a subscription to the lists open. It closes first when it is
// open, or will not be soon.
func (c *client) hearLists(ctx context.Context, filter []byte, first chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	ready := first
	for wait := firstRetry; ; wait = min(2*wait, longRetry) {
		opened := time.Now()
		l := &listening{params: filter, ready: ready}
		one, end := context.WithCancel(ctx)
		c.mu.Lock()
		c.rehear = end
		c.mu.Unlock()
		err := c.listen(one, l)
		anew := one.Err() != nil
		end()
		l.once.Do(func() { close(ready) })
		if ctx.Err() != nil {
			return
		}
		if !anew {
			c.doubtful(err)
		}
		if e, ok := errors.AsType[*rpcError](err); ok && (e.code == codeMethodNotFound || e.code == codeInvalidParams) {
			c.u.o.Logger.WarnContext(ctx, "the server announces changes but does not tell them", slog.String("source", c.u.o.Name), slog.Any("error", err))
			return
		}
		if time.Since(opened) >= stableAfter {
			wait = firstRetry
		}
		if sleep(ctx, wait) != nil {
			return
		}
		ready = make(chan struct{})
		signal(c.changes) // Something may have been missed.
	}
}

// list asks for everything that the server offers.
func (u *Upstream) list(ctx context.Context, c *client) (gateway.Catalog, error) {
	l := &lister{u: u, c: c, bound: map[*schema.Schema][]binding{}}
	var cat gateway.Catalog
	var err error
	if c.caps.Tools != nil {
		err = listAll(ctx, l, "tools/list", "tools", &cat.Tools, l.tool)
	}
	if err == nil && c.caps.Resources != nil {
		err = listAll(ctx, l, "resources/list", "resources", &cat.Resources, gateway.ParseResource)
		if err == nil {
			err = listAll(ctx, l, "resources/templates/list", "resourceTemplates", &cat.Templates, gateway.ParseTemplate)
		}
	}
	if err == nil && c.caps.Prompts != nil {
		err = listAll(ctx, l, "prompts/list", "prompts", &cat.Prompts, gateway.ParsePrompt)
	}
	if err != nil {
		return gateway.Catalog{}, err
	}
	u.bound.Store(&l.bound)
	return cat, nil
}

// A lister makes one catalog.
type lister struct {
	u     *Upstream
	c     *client
	count int
	bytes int
	bound map[*schema.Schema][]binding
}

// listAll asks for all pages of a list and parses what is in it.
func listAll[T any](ctx context.Context, l *lister, method, member string, into *[]*T, parse func(json.RawMessage) (*T, error)) error {
	names, cursors := map[string]struct{}{}, map[string]struct{}{}
	cursor := ""
	for range maxPages {
		items, next, err := l.page(ctx, method, member, cursor)
		if e, ok := errors.AsType[*rpcError](err); ok && e.code == codeMethodNotFound {
			return nil // Announced with others of its kind, but there is none.
		}
		if err != nil {
			return fmt.Errorf("%s: %w", method, err)
		}
		for _, item := range items {
			v, err := parse(item)
			if err == nil {
				err = once(names, keyOf(v))
			}
			if err != nil {
				l.u.leaveOut(ctx, method, err)
				continue
			}
			*into = append(*into, v)
		}
		if next == "" {
			return nil
		}
		if err := once(cursors, next); err != nil {
			return fmt.Errorf("%s: the pages go round in a circle: %w", method, err)
		}
		cursor = next
	}
	return fmt.Errorf("%s: more than %d pages", method, maxPages)
}

func once(seen map[string]struct{}, key string) error {
	if _, twice := seen[key]; twice {
		return fmt.Errorf("%q is listed twice", egress.OneLine(key, 128))
	}
	seen[key] = struct{}{}
	return nil
}

// keyOf returns what a definition is called by the server.
func keyOf(v any) string {
	switch v := v.(type) {
	case *gateway.Tool:
		return v.Origin
	case *gateway.Resource:
		return v.Origin
	case *gateway.Template:
		return v.Origin
	case *gateway.Prompt:
		return v.Origin
	default:
		return ""
	}
}

// page asks for one page and returns what is on it and the next one's cursor.
func (l *lister) page(ctx context.Context, method, member, cursor string) (items []json.RawMessage, next string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, l.u.o.Timeout, errUpstreamSlow)
	defer cancel()
	r := l.c.begin(method)
	if cursor != "" {
		r.body = append(quote(append(r.body, `"cursor":`...), cursor), ',')
	}
	raw, err := l.c.request(ctx, r)
	if err != nil {
		return nil, "", err
	}
	if value := lookup(raw, []string{"nextCursor"}); !isNull(value) {
		var ok bool
		if next, ok = unquote(value); !ok {
			return nil, "", badAnswer("nextCursor is not a string")
		}
	}
	if list := lookup(raw, []string{member}); !isNull(list) {
		if err := jsonv2.Unmarshal(list, &items, halves()); err != nil {
			return nil, "", badAnswer(err.Error())
		}
	}
	for _, item := range items {
		l.count, l.bytes = l.count+1, l.bytes+len(item)
	}
	if l.count > maxOffered || l.bytes > maxDefinitions {
		return nil, "", fmt.Errorf("the server offers more than %d capabilities or %d bytes of them", maxOffered, maxDefinitions)
	}
	return items, next, nil
}

// tool parses a tool. Over HTTP, one whose mirrored parameters are not valid
// must not be offered.
func (l *lister) tool(def json.RawMessage) (*gateway.Tool, error) {
	t, err := gateway.ParseTool(def)
	if err != nil {
		return nil, err
	}
	t.Waits = l.c.caps.tasksExtension() || supportIn(def) != taskForbidden
	if t.Input == nil {
		return t, nil
	}
	bound, err := bindingsOf(t.Input)
	if err != nil && !l.c.isProcess() && l.c.modern() {
		return nil, fmt.Errorf("tool %q: %w", t.Name, err)
	}
	l.bound[t.Input] = bound
	return t, nil
}

// leaveOut logs, once, that a definition is not offered.
func (u *Upstream) leaveOut(ctx context.Context, method string, err error) {
	text := method + ": " + egress.OneLine(err.Error(), maxErrorText)
	u.mu.Lock()
	if len(u.told) >= maxOffered {
		clear(u.told)
	}
	_, told := u.told[text]
	u.told[text] = struct{}{}
	u.mu.Unlock()
	if !told {
		u.o.Logger.WarnContext(ctx, "a definition is left out", slog.String("source", u.o.Name), slog.String("error", text))
	}
}

func sameCatalog(a, b gateway.Catalog) bool {
	return slices.Equal(definitions(a), definitions(b))
}

func definitions(c gateway.Catalog) []string {
	all := map[string]struct{}{}
	for _, t := range c.Tools {
		all["t"+strconv.FormatBool(t.Waits)+string(t.Definition)] = struct{}{}
	}
	for _, r := range c.Resources {
		all["r"+string(r.Definition)] = struct{}{}
	}
	for _, t := range c.Templates {
		all["m"+string(t.Definition)] = struct{}{}
	}
	for _, p := range c.Prompts {
		all["p"+string(p.Definition)] = struct{}{}
	}
	return slices.Sorted(maps.Keys(all))
}
