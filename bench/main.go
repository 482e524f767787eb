// Command bench compares the gateway with a bare handler and with peers, side
// by side in one run: alternating rounds on the same machine, every subject in
// a process of its own with one CPU, the load in this one. It reports ratios
// of CPU per call, which hold on a noisy machine, where times do not.
//
// It is a module of its own, so that peers never enter the product's go.mod.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"time"
)

func main() {
	subject := flag.String("subject", "", "internal: serve as this subject")
	out := flag.String("out", "", "file to write the results to, as JSON")
	doc := flag.String("doc", "", "file to write the results to, as a page for people")
	rounds := flag.Int("rounds", 5, "rounds, each with every subject in turn")
	length := flag.Duration("length", 2*time.Second, "measured load on one subject in one round")
	conns := flag.Int("conns", 32, "connections that call at once")
	streams := flag.Int("streams", 5000, "standing streams of each kind")
	only := flag.String("only", "", "the comparison to run alone; streams for those of standing streams, inside for parts by themselves")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if *subject != "" {
		err = serve(ctx, *subject)
	} else {
		err = compare(ctx, os.Stdout, *only, *out, *doc, *rounds, *streams, load{*length, *conns})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// compare runs all comparisons and reports them.
func compare(ctx context.Context, w io.Writer, only, out, doc string, rounds, streams int, l load) error {
	var results []result
	for _, c := range comparisons() {
		if only != "" && c.name != only {
			continue
		}
		fmt.Fprintf(w, "\n%s\n", c.name)
		r, err := c.run(ctx, rounds, l)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		table(w, r)
		results = append(results, r...)
	}
	var held []streamResult
	for _, s := range standings() {
		if only != "" && s.name != only && only != "streams" {
			continue
		}
		r, err := s.run(ctx, streams, rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		streamTable(w, r)
		held = append(held, r)
	}
	inner, err := measureInsides(ctx, w, only)
	if err != nil {
		return err
	}
	if doc != "" {
		if err := os.WriteFile(doc, page(results, held, inner, rounds, l), 0o644); err != nil {
			return err
		}
	}
	if out == "" {
		return nil
	}
	var all []any // Of all kinds, by name.
	for _, r := range results {
		all = append(all, r)
	}
	for _, r := range held {
		all = append(all, r)
	}
	for _, r := range inner {
		all = append(all, r)
	}
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(b, '\n'), 0o644)
}

// page is the results for people.
func page(results []result, held []streamResult, inner []insideResult, rounds int, l load) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# Benchmarks

Written by `+"`make bench`"+`: %d alternating rounds of %v for each subject, every subject in a process of its own with one
CPU, %d connections, medians. The ratio is CPU per call against the control in the same round; it holds on a noisy
machine, where times do not. The control, `+"`bare`"+`, is net/http with one parse of the envelope that answers the same
bytes, with no identity, policy or audit. `+"`trilith`"+` is the whole gateway with all of them on. `+"`go-sdk`"+` is the official
SDK's handler with none of them. In `+"`mcp/proxy`"+` a bare server stands behind both subjects, and its cost does not
count: the control is httputil.ReverseProxy, which decides and records nothing. `+"`direct`"+` is that server without anything
in front of it: its times are what those of the others compare with. In `+"`grpc/proxy`"+` the server behind is generated code
of grpc-go, the control passes bytes on through grpc-go, and the gateway has that server as a source, found by
reflection and typed at its gRPC door.

| subject | ratio | CPU µs per call | allocations | RSS KiB | p50 ms | p99 ms |
|---|---|---|---|---|---|---|
`, rounds, l.length, l.conns)
	for _, r := range results {
		fmt.Fprintf(&b, "| %s | %.2f | %.1f | %.0f | %d | %.2f | %.2f |\n", r.Name, r.Ratio, r.CPU, r.Allocs, r.RSS, r.P50, r.P99)
	}
	b.Write(streamPage(held))
	b.Write(insidePage(inner))
	fmt.Fprintf(&b, "\n%s, %s/%s, %d CPUs.\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	return b.Bytes()
}

// direct is the subject that is the server behind the others itself.
const direct = "direct"

// A comparison puts the same request to several subjects. The first one is the
// control that the others are measured against.
type comparison struct {
	name     string
	upstream string // the subject that serves behind all others, or ""
	subjects []string
	request  func(endpoint) requester
}

// A result is what one subject cost in one comparison: medians over rounds.
type result struct {
	Name   string  `json:"name"`
	Ratio  float64 `json:"ratio"`   // CPU per call, against the control in the same round
	CPU    float64 `json:"cpu_us"`  // microseconds per call
	Allocs float64 `json:"allocs"`  // per call
	RSS    int64   `json:"rss_kib"` // after the last round
	P50    float64 `json:"p50_ms"`
	P99    float64 `json:"p99_ms"`
}

func (c comparison) run(ctx context.Context, rounds int, l load) ([]result, error) {
	var started []*process
	defer func() {
		for _, p := range started {
			p.stop()
		}
	}()
	open := func(subject, behind string) (*process, error) {
		p, err := start(ctx, subject, behind, 1)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", subject, err)
		}
		started = append(started, p)
		return p, nil
	}
	var upstream *process
	behind := ""
	if c.upstream != "" {
		var err error
		if upstream, err = open(c.upstream, ""); err != nil {
			return nil, err
		}
		behind = upstream.endpoint.URL
	}
	procs := make([]*process, len(c.subjects))
	for i, s := range c.subjects {
		var err error
		if procs[i] = upstream; s != direct {
			procs[i], err = open(s, behind)
		}
		if err != nil {
			return nil, err
		}
	}
	samples := make([][]sample, len(procs))
	for range rounds {
		for i, p := range procs {
			s, err := l.measure(ctx, p, c.request(p.endpoint))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.subjects[i], err)
			}
			samples[i] = append(samples[i], s)
		}
	}
	var out []result
	for i, name := range c.subjects {
		ratio := func(round int) float64 { return samples[i][round].cpu / samples[0][round].cpu }
		out = append(out, result{
			Name:   c.name + "/" + name,
			Ratio:  median(rounds, ratio),
			CPU:    median(rounds, func(r int) float64 { return samples[i][r].cpu }),
			Allocs: median(rounds, func(r int) float64 { return samples[i][r].allocs }),
			P50:    median(rounds, func(r int) float64 { return samples[i][r].p50 }),
			P99:    median(rounds, func(r int) float64 { return samples[i][r].p99 }),
			RSS:    samples[i][rounds-1].rss,
		})
	}
	return out, nil
}

func median(n int, at func(int) float64) float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = at(i)
	}
	slices.Sort(v)
	return v[n/2]
}

func table(w io.Writer, results []result) {
	fmt.Fprintf(w, "%-34s %8s %10s %8s %9s %8s %8s\n", "subject", "ratio", "CPU µs", "allocs", "RSS KiB", "p50 ms", "p99 ms")
	for _, r := range results {
		fmt.Fprintf(w, "%-34s %8.2f %10.1f %8.0f %9d %8.2f %8.2f\n", r.Name, r.Ratio, r.CPU, r.Allocs, r.RSS, r.P50, r.P99)
	}
}
