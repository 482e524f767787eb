package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"

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
