package upstream

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/formatter"

	"github.com/trilith-gateway/trilith/gateway"
)

// How it is looked again after a failure: soon, then less and less often. The
// source is away when it has failed so often in a row.
const (
	firstRetry  = time.Second
	maxRetry    = time.Minute
	maxFailures = 3
)

// Watch yields the catalog when the schema has been read, and whenever the
// schema or the documents have changed. A server that stops telling its schema
// is away once it has failed several times; until then the last catalog holds.
func (u *Upstream) Watch(ctx context.Context) iter.Seq2[gateway.Catalog, error] {
	return func(yield func(gateway.Catalog, error) bool) {
		timer := time.NewTimer(0)
		defer timer.Stop()
		away, failures := true, 0
		for u.due(ctx, timer.C) {
			c, err := u.load(ctx)
			switch {
			case ctx.Err() != nil || u.ctx.Err() != nil:
				return
			case err != nil:
				failures++
				timer.Reset(min(firstRetry<<min(failures-1, 10), maxRetry))
				if !away && failures < maxFailures {
					u.o.HTTP.Logger.WarnContext(ctx, "read the schema of a source", slog.String("source", u.o.HTTP.Name), slog.Any("cause", err))
					continue
				}
				if away = true; !yield(gateway.Catalog{}, err) {
					return
				}
				continue
			}
			failures = 0
			timer.Reset(u.o.Interval)
			if old := u.catalog.Swap(c); !away && old == c {
				continue
			}
			if away = false; !yield(c.offer(), nil) {
				return
			}
		}
	}
}

// due waits until it is time to look again, and reports false when that will
// not be.
func (u *Upstream) due(ctx context.Context, at <-chan time.Time) bool {
	select {
	case <-at:
	case <-u.wake:
	case <-ctx.Done():
		return false
	case <-u.ctx.Done():
		return false
	}
	return true
}

// offer returns the catalog as the registry has it.
func (c *catalog) offer() gateway.Catalog {
	out := gateway.Catalog{Notes: c.notes.all}
	for _, o := range c.operations {
		out.Tools = append(out.Tools, o.tool)
	}
	slices.SortFunc(out.Tools, func(a, b *gateway.Tool) int { return cmp.Compare(a.Origin, b.Origin) })
	return out
}

// load reads the schema and the documents, and makes the catalog of them unless
// it has it.
func (u *Upstream) load(ctx context.Context) (*catalog, error) {
	var text []byte
	var docs *ast.QueryDocument
	var err error
	digest := sha256.New()
	if u.o.Documents != "" {
		if docs, err = readDocuments(u.o.Documents); err != nil {
			return nil, err
		}
		formatter.NewFormatter(digest, formatter.WithComments()).FormatQueryDocument(docs)
	}
	if u.o.Schema != "" {
		s, err := readFile(u.o.Schema, maxSchemaBytes)
		if err != nil {
			return nil, fmt.Errorf("schema: %w", err)
		}
		text = []byte(s)
	} else if text, err = u.introspect(ctx); err != nil {
		return nil, fmt.Errorf("introspection: %w", err)
	}
	_, _ = digest.Write(text) // It never fails.
	c := &catalog{notes: &notes{}, of: [sha256.Size]byte(digest.Sum(nil))}
	if old := u.catalog.Load(); old != nil && old.of == c.of {
		return old, nil
	}
	var s *ast.Schema
	if u.o.Schema != "" {
		s, err = parseSDL(u.o.Schema, string(text))
	} else {
		s, err = parseIntrospection(text, c.notes)
	}
	if err != nil {
		return nil, err
	}
	if docs != nil {
		c.operations = u.fromDocuments(s, docs, c.notes)
	} else {
		c.operations = u.fromFields(s, c.notes)
	}
	return c, nil
}

// introspect returns the data of the answer to an introspection query.
func (u *Upstream) introspect(ctx context.Context) ([]byte, error) {
	data, err := u.ask(ctx, introspectionAbility)
	var can ability
	if err == nil {
		can = parseAbility(data)
	}
	if data, err = u.ask(ctx, introspectionQuery(can)); err != nil {
		return nil, err
	}
	return data, nil
}

// ask sends a query of the gateway's own and returns its data.
func (u *Upstream) ask(ctx context.Context, query string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, max(u.o.HTTP.Timeout, time.Minute), errors.New("the server did not answer in time"))
	defer cancel()
	body, err := jsonv2.Marshal(struct {
		Query string `json:"query"`
	}{query})
	if err != nil {
		return nil, err
	}
	a, err := u.exchange(ctx, body, maxSchemaBytes)
	switch {
	case err != nil:
		return nil, err
	case a.other != nil:
		return nil, a.other
	case len(a.errors) > 0:
		return nil, fmt.Errorf("the server answers %s; where it does not tell its schema, set schema", quote(a.messages()))
	}
	return a.data, nil
}
