package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A request is what is sent again and again. Check looks at each answer.
type request struct {
	url    string
	header http.Header
	body   []byte
	check  func([]byte) bool
}

// A requester opens what makes one call after another, for that many callers at
// once.
type requester interface {
	open(ctx context.Context, conns int) (call func(context.Context) error, end func(), err error)
}

func (r request) open(_ context.Context, conns int) (func(context.Context) error, func(), error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: conns}}
	return func(ctx context.Context) error { return call(ctx, client, r) }, client.CloseIdleConnections, nil
}

// load says how a subject is measured.
type load struct {
	length time.Duration
	conns  int
}

// A sample is what one call cost in one round.
type sample struct {
	cpu, allocs, p50, p99 float64
	rss                   int64
}

// warm is how long a subject is loaded before it is measured.
const warm = 500 * time.Millisecond

func (l load) measure(ctx context.Context, p *process, r requester) (sample, error) {
	call, end, err := r.open(ctx, l.conns)
	if err != nil {
		return sample{}, err
	}
	defer end()
	if _, err := l.drive(ctx, call, warm); err != nil {
		return sample{}, err
	}
	before, err := p.usage()
	if err != nil {
		return sample{}, err
	}
	times, err := l.drive(ctx, call, l.length)
	if err != nil {
		return sample{}, err
	}
	after, err := p.usage()
	if err != nil {
		return sample{}, err
	}
	slices.Sort(times)
	n := float64(len(times))
	ms := func(q float64) float64 {
		return float64(times[int(q*float64(len(times)-1))]) / float64(time.Millisecond)
	}
	return sample{
		cpu: float64(after.CPU-before.CPU) / n, allocs: float64(after.Mallocs-before.Mallocs) / n,
		p50: ms(0.50), p99: ms(0.99), rss: after.RSS,
	}, nil
}

// drive calls with every connection until the time is over and returns how
// long each call took.
func (l load) drive(ctx context.Context, call func(context.Context) error, length time.Duration) ([]time.Duration, error) {
	end := time.Now().Add(length)
	each := make([][]time.Duration, l.conns)
	errs := make([]error, l.conns)
	var all sync.WaitGroup
	for i := range l.conns {
		all.Go(func() {
			for time.Now().Before(end) {
				start := time.Now()
				if errs[i] = call(ctx); errs[i] != nil {
					return
				}
				each[i] = append(each[i], time.Since(start))
			}
		})
	}
	all.Wait()
	times := slices.Concat(each...)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(times) == 0 {
		return nil, errors.New("no call was answered")
	}
	return times, nil
}

func call(ctx context.Context, client *http.Client, r request) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(r.body))
	if err != nil {
		return err
	}
	req.Header = r.header
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close() // It has been read.
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK || !r.check(body) {
		return fmt.Errorf("status %d: %.200s", res.StatusCode, body)
	}
	return nil
}
