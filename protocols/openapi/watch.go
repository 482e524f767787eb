package openapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/egress"
)

const (
	lookEvery = 2 * time.Second        // at a file, which costs little
	backoff   = 500 * time.Millisecond // after the first failure, doubling to Refresh
)

// Watch reads the document and yields what it offers, again whenever it changes.
// While there is none that can be read it yields why, and tries again. A document
// that turns bad later is reported and changes nothing: what was offered stays.
// The sequence ends with the context or with Close.
func (u *Upstream) Watch(ctx context.Context) iter.Seq2[gateway.Catalog, error] {
	return func(yield func(gateway.Catalog, error) bool) {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		defer context.AfterFunc(u.ctx, stop)() //nolint:contextcheck // the upstream's own life.
		var have version
		for failures := 0; ctx.Err() == nil; {
			next, err := u.refresh(ctx, &have)
			switch {
			case ctx.Err() != nil:
				return
			case err == nil && next != nil:
				if failures = 0; !yield(next.catalog, nil) {
					return
				}
			case err == nil:
				failures = 0
			case have.served:
				failures++
				u.o.Logger.WarnContext(ctx, "the document is not taken; the one before stays",
					slog.String("source", u.o.Name), slog.Any("cause", err))
			default:
				if failures++; !yield(gateway.Catalog{}, err) {
					return
				}
			}
			u.await(ctx, failures)
		}
	}
}

// Refresh has Watch look at the document soon.
func (u *Upstream) Refresh() {
	select {
	case u.look <- struct{}{}:
	default: // It is about to.
	}
}

// await waits until it is time to look again.
func (u *Upstream) await(ctx context.Context, failures int) {
	wait := u.o.Refresh
	if u.from == nil {
		wait = min(wait, lookEvery)
	}
	if failures > 0 {
		wait = min(u.o.Refresh, backoff<<min(failures-1, 16))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	due := timer.C
	if len(u.o.Calls) > 0 && failures == 0 {
		due = nil // They do not change.
	}
	select {
	case <-ctx.Done():
	case <-due:
	case <-u.look:
	}
}

// A version tells whether a document has changed.
type version struct {
	served bool // some was taken
	sum    [sha256.Size]byte
	etag   string
	since  string // Last-Modified
	size   int64
	time   time.Time // of the file
	read   time.Time
}

// refresh reads the document and takes it, where it has changed; else it returns
// nil. A document that was not taken is not tried again until it changes.
func (u *Upstream) refresh(ctx context.Context, have *version) (*imported, error) {
	data, changed, err := u.fetch(ctx, have)
	if err != nil || !changed {
		return nil, err
	}
	sum := sha256.Sum256(data)
	if sum == have.sum {
		return nil, nil //nolint:nilnil // As the comment says.
	}
	have.sum = sum
	next, err := u.load(ctx, data)
	if err != nil {
		return nil, err
	}
	if err := u.take(next); err != nil {
		return nil, err
	}
	have.served = true
	return next, nil
}

// load is load for untrusted text: whatever goes wrong in reading it is an error.
func (u *Upstream) load(ctx context.Context, data []byte) (im *imported, err error) {
	defer func() {
		if p := recover(); p != nil {
			im, err = nil, fmt.Errorf("the document cannot be read: %v", p)
		}
	}()
	return load(ctx, data, &u.o, u.from)
}

// take makes a document the one that calls go by.
func (u *Upstream) take(next *imported) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return egress.ErrClosed
	}
	if err := u.serve(next.base); err != nil {
		return err
	}
	u.now = next
	return nil
}

// fetch returns the document, unless it is the one that there is.
func (u *Upstream) fetch(ctx context.Context, have *version) (data []byte, changed bool, err error) {
	switch {
	case u.made != nil:
		return u.made, true, nil
	case u.from == nil:
		return u.fetchFile(have)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, u.o.Timeout, egress.ErrSlow)
	defer cancel()
	client := u.other
	if client == nil {
		u.mu.Lock()
		client = u.service
		u.mu.Unlock()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.from.String(), http.NoBody)
	if err != nil {
		return nil, false, errors.New("the URL of the document is not valid")
	}
	req.Header.Set("Accept", "application/json, application/yaml, */*;q=0.5")
	req.Header.Set("Accept-Encoding", "gzip")
	if have.etag != "" {
		req.Header.Set("If-None-Match", have.etag)
	} else if have.since != "" {
		req.Header.Set("If-Modified-Since", have.since)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, false, fmt.Errorf("fetch the document: %w", plain(err))
	}
	defer res.Body.Close() //nolint:errcheck // it has been read.
	if res.StatusCode == http.StatusNotModified {
		return nil, false, nil
	}
	a, err := read(res, u.o.MaxDocument)
	switch {
	case err != nil:
		return nil, false, fmt.Errorf("fetch the document: %w", plain(err))
	case res.StatusCode != http.StatusOK:
		return nil, false, fmt.Errorf("fetch the document: %w", &egress.StatusError{Status: res.StatusCode, Text: egress.OneLine(a.text(), 256)})
	}
	have.etag, have.since = res.Header.Get("Etag"), res.Header.Get("Last-Modified")
	return a.body, true, nil
}

// plain returns an error of a request without its URL, which may hold a secret.
func plain(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

func (u *Upstream) fetchFile(have *version) ([]byte, bool, error) {
	info, err := os.Stat(u.o.Document)
	switch {
	case err != nil:
		return nil, false, fmt.Errorf("read the document: %w", err)
	case !info.Mode().IsRegular():
		return nil, false, errors.New("read the document: it is not a file")
	case info.Size() == have.size && info.ModTime().Equal(have.time) && have.read.Sub(have.time) > lookEvery:
		return nil, false, nil // It was read when it was no longer being written.
	}
	f, err := os.Open(u.o.Document)
	if err != nil {
		return nil, false, fmt.Errorf("read the document: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read.
	have.read = time.Now()
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.LimitReader(f, int64(u.o.MaxDocument)+1)); err != nil {
		return nil, false, fmt.Errorf("read the document: %w", err)
	}
	have.size, have.time = info.Size(), info.ModTime()
	return b.Bytes(), true, nil
}
