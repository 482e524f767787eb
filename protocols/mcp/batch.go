package mcp

import (
	"context"
	"net/http"
	"sync"

	"github.com/trilith-gateway/trilith/schema"
)

// Bounds on one batch.
const (
	maxBatch     = 100 // messages in it
	batchWorkers = 8   // of its requests running at once
)

// isBatch reports whether a text begins as a JSON array does.
func isBatch(data []byte) bool {
	at := skipSpace(data, 0)
	return at < len(data) && data[at] == '['
}

// splitBatch returns the elements of an array, as parts of its text. It reports
// false as soon as it has met more than most of them. On a text that is no JSON
// it ends early.
func splitBatch(data []byte, most int) (entries [][]byte, ok bool) {
	at := skipSpace(data, 0) + 1
	for {
		at = skipSpace(data, at)
		end := skipValue(data, at)
		if end < 0 {
			return entries, true
		}
		if len(entries) == most {
			return nil, false
		}
		entries = append(entries, data[at:end:end])
		if at = skipSpace(data, end); at >= len(data) || data[at] != ',' {
			return entries, true
		}
		at++
	}
}

// An entry is one message of a batch.
type entry struct {
	req *request
	err *wireError
	out *buffer // the response; nil where there is none
	legacyCall
}

// postBatch serves a batch, which only sessions of 2025-03-26 know (2025-03-26,
// transports, sending messages). Its requests run side by side. The responses
// come together, as one array, when the last is there; what is reported
// meanwhile comes before them on a stream.
func (f *Frontend) postBatch(w http.ResponseWriter, r *http.Request, req *request) {
	texts, err := f.admitBatch(r, req)
	if err != nil {
		f.fail(w, r, req, err)
		return
	}
	x := exchange{f: f, w: w}
	entries := make([]entry, len(texts))
	requests := 0
	for i, text := range texts {
		f.beginEntry(r, req, &entries[i], text)
		if e := &entries[i]; e.err != nil || e.serve != nil {
			requests++
		}
		if accepts(r.Header, "text/event-stream") {
			entries[i].req.notify, entries[i].req.send = x.notify, x.send
		}
	}
	if requests == 0 {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	f.runBatch(r.Context(), entries)
	out := f.buffer()
	defer f.release(out)
	out.b = append(out.b, '[')
	for _, e := range entries {
		if e.out == nil {
			continue
		}
		if len(out.b) > 1 {
			out.b = append(out.b, ',')
		}
		out.b = append(out.b, e.out.b...)
		f.release(e.out)
	}
	out.b = append(out.b, ']')
	x.finish(http.StatusOK, out.b)
}

// admitBatch decides whether a batch is served at all, without a look at more
// of it than that takes, and returns the texts of its messages. It completes
// req with what they have in common.
func (f *Frontend) admitBatch(r *http.Request, req *request) ([][]byte, *wireError) {
	const only = "only sessions of " + rev20250326 + " send batches"
	version, ok := one(r.Header, headerVersion)
	switch {
	case !ok:
		return nil, invalidRequest("MCP-Protocol-Version stands more than once")
	case isModern(version), version != "" && version != rev20250326, r.Header.Get(headerSession) == "":
		return nil, invalidRequest(only)
	}
	t, err := f.ticket(r, req.principal)
	if err != nil {
		return nil, err
	}
	if t.rev != rev20250326 {
		return nil, invalidRequest(only)
	}
	texts, ok := splitBatch(req.body.b, maxBatch)
	if !ok {
		return nil, invalidRequest("too many messages in one batch")
	}
	if err := schema.Check(req.body.b, f.o.Bounds); err != nil {
		return nil, malformed(err)
	}
	if len(texts) == 0 {
		return nil, invalidRequest("a batch must not be empty")
	}
	f.join(req, t)
	return texts, nil
}

// beginEntry reads one message of a batch and decides what is to be done with
// it. Notifications and responses are done at once.
func (f *Frontend) beginEntry(r *http.Request, batch *request, e *entry, text []byte) {
	shared := *batch
	shared.body = nil // It is the batch's.
	e.req = &shared
	if e.req.message, e.err = readMessage(text); e.err != nil {
		return
	}
	e.req.params = readParams(e.req.Params)
	e.req.meta = readMeta(e.req.params.meta)
	if !e.req.isRequest() {
		e.err = f.noteLegacy(r.Context(), e.req)
		return
	}
	if e.req.Method == "initialize" {
		e.err = invalidRequest("initialize is no part of a batch")
		return
	}
	e.legacyCall, e.err = f.beginLegacy(r, e.req)
}

// runBatch serves the requests of a batch, a few at a time.
func (f *Frontend) runBatch(ctx context.Context, entries []entry) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, batchWorkers)
	for i := range entries {
		e := &entries[i]
		switch {
		case e.err != nil:
			e.out = f.buffer()
			e.out.b = f.refuse(ctx, e.out.b, e.req, e.err)
		case e.serve != nil:
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				defer e.done()
				e.out = f.buffer()
				f.respond(e.ctx, e.req, e.serve, e.out)
			})
		}
	}
	wg.Wait()
}
