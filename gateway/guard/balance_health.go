package guard

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// Health says when an endpoint gets no calls. Zero values take the defaults
// named with each field.
type Health struct {
	Failures int           // calls that fail in a row until it gets none for a while; 5, negative for never
	Eject    time.Duration // for how long the first time; each time in a row twice as long; 10 seconds
	MaxEject time.Duration // and the longest; 5 minutes
	Interval time.Duration // how often it is asked whether it is there, with [Endpoint.Probe]; 10 seconds
	Timeout  time.Duration // how long that may take; 2 seconds
}

func (h *Health) setDefaults() {
	if h.Failures == 0 {
		h.Failures = 5
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&h.Eject, 10 * time.Second}, {&h.MaxEject, 5 * time.Minute}, {&h.Interval, 10 * time.Second}, {&h.Timeout, 2 * time.Second}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
}

// An outlier is an endpoint that fails more often than it should.
type outlier struct {
	mu        sync.Mutex
	failures  int
	ejections int
	end       atomic.Int64 // Unix nanoseconds; 0 for none
}

// settle notes an outcome. It returns until when the endpoint gets no calls,
// where it has just come to that.
func (o *outlier) settle(ok bool, h *Health) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ok {
		o.failures, o.ejections = 0, 0
		o.end.Store(0)
		return time.Time{}
	}
	now := time.Now()
	if o.failures++; h.Failures < 0 || o.failures < h.Failures || now.Before(o.until()) {
		return time.Time{}
	}
	for_ := min(float64(h.Eject)*math.Exp2(float64(min(o.ejections, 30))), float64(h.MaxEject))
	until := now.Add(time.Duration(for_))
	o.ejections++
	o.failures = h.Failures - 1 // The next call is a trial.
	o.end.Store(until.UnixNano())
	return until
}

// until returns when the endpoint gets calls again, zero where it does.
func (o *outlier) until() time.Time {
	if at := o.end.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// A said is what an endpoint offers now, or why it cannot say.
type said struct {
	at      int
	catalog gateway.Catalog
	err     error
}

// Watch yields what the first stable endpoint that is there offers, and a canary's
// where no other is. How others differ is noted. The source is away when every
// endpoint is. While it runs, so do probes and copies.
func (e *Endpoints) Watch(ctx context.Context) iter.Seq2[gateway.Catalog, error] {
	return func(yield func(gateway.Catalog, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var tasks sync.WaitGroup
		defer tasks.Wait()
		defer cancel()
		news := make(chan said)
		for i, p := range e.all {
			tasks.Go(func() { p.follow(ctx, i, news) })
			if p.Probe != nil {
				tasks.Go(func() { e.probe(ctx, p) })
			}
		}
		for range copiers {
			tasks.Go(func() { e.copier(ctx) })
		}
		last := make([]*said, len(e.all))
		for {
			select {
			case s := <-news:
				last[s.at] = &s
				e.all[s.at].learn(&s)
			case <-ctx.Done():
				return
			}
			if c, err, ok := e.merge(last); ok && !yield(c, err) {
				return
			}
		}
	}
}

// follow passes on what the endpoint says.
func (p *endpoint) follow(ctx context.Context, at int, news chan<- said) {
	w, _ := p.Up.(gateway.Watcher) // NewEndpoints has looked.
	for c, err := range w.Watch(ctx) {
		select {
		case news <- said{at, c, err}:
		case <-ctx.Done():
			return
		}
	}
}

// learn notes whether the endpoint is there, and what it has.
func (p *endpoint) learn(s *said) {
	p.absent.Store(s.err != nil)
	if s.err != nil {
		return
	}
	offers := map[string]bool{}
	for c := range capabilities(&s.catalog) {
		offers[offered(c)] = true
	}
	p.offers.Store(&offers)
}

func capabilities(c *gateway.Catalog) iter.Seq[*gateway.Capability] {
	return func(yield func(*gateway.Capability) bool) {
		for _, t := range c.Tools {
			if !yield(&t.Capability) {
				return
			}
		}
		for _, r := range c.Resources {
			if !yield(&r.Capability) {
				return
			}
		}
		for _, t := range c.Templates {
			if !yield(&t.Capability) {
				return
			}
		}
		for _, p := range c.Prompts {
			if !yield(&p.Capability) {
				return
			}
		}
	}
}

// merge returns what the source offers, or why it is away. It reports false
// where nobody that serves has said anything yet.
func (e *Endpoints) merge(last []*said) (gateway.Catalog, error, bool) {
	var from *said
	var away error
	waiting := false
	for _, role := range []Role{Stable, Canary} {
		for i, s := range last {
			switch {
			case e.all[i].Role != role || from != nil:
			case s == nil:
				waiting = true
			case s.err == nil:
				from = s
			case away == nil:
				away = fmt.Errorf("endpoint %s: %w", e.all[i].Name, s.err)
			}
		}
	}
	if from == nil {
		return gateway.Catalog{}, away, away != nil && !waiting
	}
	c := from.catalog
	c.Notes = append([]gateway.Note(nil), c.Notes...)
	for i, s := range last {
		if s != nil && s != from && s.err == nil {
			c.Notes = differences(c.Notes, e.all[i].Name, &from.catalog, &s.catalog)
		}
	}
	return c, nil, true
}

// maxDifferences bounds the notes on how endpoints differ.
const maxDifferences = 1000

// differences appends how what an endpoint offers is not what is offered.
func differences(notes []gateway.Note, name string, have, other *gateway.Catalog) []gateway.Note {
	before := len(notes)
	add := func(c *gateway.Capability, reason string) {
		if len(notes)-before < maxDifferences {
			notes = append(notes, gateway.Note{Subject: c.Kind.String() + " " + c.Origin, Change: gateway.NoteApproximated, Reason: "endpoint " + name + " " + reason})
		}
	}
	at := map[string]*gateway.Capability{}
	for c := range capabilities(other) {
		at[offered(c)] = c
	}
	for c := range capabilities(have) {
		switch o := at[offered(c)]; {
		case o == nil:
			add(c, "does not have it")
		case string(o.Definition) != string(c.Definition):
			add(c, "defines it otherwise")
		}
		delete(at, offered(c))
	}
	for c := range capabilities(other) {
		if at[offered(c)] != nil {
			add(c, "alone has it, so that it is not offered")
		}
	}
	return notes
}

// probe asks an endpoint now and then whether it is there.
func (e *Endpoints) probe(ctx context.Context, p *endpoint) {
	tick := time.NewTicker(e.o.Health.Interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		within, cancel := context.WithTimeout(ctx, e.o.Health.Timeout)
		err := p.Probe(within)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if was := p.silent.Swap(err != nil); was != (err != nil) {
			e.o.Logger.InfoContext(ctx, "an endpoint has come or gone", slog.String("source", e.o.Source), slog.String("endpoint", p.Name),
				slog.Bool("present", err == nil), slog.Any("cause", err))
		}
	}
}
