package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// An inside is a part of the gateway that is measured by itself, by a benchmark
// of the package that it belongs to.
type inside struct {
	name string
	pkg  string // below the product's module
	run  string // of the benchmark, as it is printed, without the number of CPUs
	unit string // what of its figures counts, such as "ns/op"
	goal string // for people
}

// insides are the parts that are measured by themselves.
func insides() []inside {
	return []inside{
		{"policy/decision", "auth/policy", "BenchmarkPolicy/Admit/rules=100000", "ns/op", "100 ns at 100,000 rules"},
		{"policy/principal", "auth/policy", "BenchmarkPrincipal/grant", "ns/op", "50 µs for a new principal"},
		{"policy/list", "auth/policy", "BenchmarkPolicy/View/new/rules=100000", "ns/op", "100 µs for 1,000 tools"},
		{"policy/activate", "auth/policy", "BenchmarkActivate", "ns/op", "1 s for 100,000 rules"},
		{"auth/token", "auth", "BenchmarkAuthenticate/ES256/cached", "ns/op", "2 µs on a hit of the cache"},
		{"audit/record", "gateway/audit", "BenchmarkCall/wal", "cpu-ns/op", "20 µs of CPU"},
		{"limits/call", "gateway/limits", "BenchmarkAdmit/three", "ns/op", "200 ns with three rules"},
		{"guard/call", "gateway/guard", "BenchmarkGuard/default", "ns/op", "1 µs with what is on by default"},
		{"rest/typed", "protocols/grpc", "BenchmarkRESTTyped", "ratio/bare", "1.5 times a bare JSON handler"},
		{"grpc/typed", "protocols/grpc", "BenchmarkTyped", "ratio", "1.5 times generated code without JSON"},
		{"grpc/source", "protocols/grpc/upstream", "BenchmarkUpstream/upstream", "cpu-ns/op", "1.5 times grpc/source-bare"},
		{"grpc/source-bare", "protocols/grpc/upstream", "BenchmarkUpstream/bare", "cpu-ns/op", "what a bare proxy of grpc-go sends"},
		{"graphql/typed", "protocols/graphql", "BenchmarkTyped/typed", "ns/op", "no more than graphql/gqlgen"},
		{"graphql/gqlgen", "protocols/graphql", "BenchmarkTyped/gqlgen", "ns/op", "a generated field of the same shape"},
		{"graphql/swap", "protocols/graphql", "BenchmarkViews/swap", "ns/op", "15 ms at 10,000 tools"},
		{"graphql/introspection", "protocols/graphql", "BenchmarkViews/introspection", "ns/op", "1 s at 10,000 tools, then cached"},
	}
}

// An insideResult is what one part cost: the median of several runs.
type insideResult struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Allocs float64 `json:"allocs"` // for each operation
	Goal   string  `json:"goal"`
}

// insideRuns is how often each benchmark runs.
const insideRuns = 3

// measureInsides runs the benchmarks of the parts whose name only gives; "" and
// "inside" are all of them.
func measureInsides(ctx context.Context, w io.Writer, only string) ([]insideResult, error) {
	var out []insideResult
	for _, in := range insides() {
		if only != "" && only != "inside" && only != in.name {
			continue
		}
		r, err := in.measure(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", in.name, err)
		}
		fmt.Fprintf(w, "%-34s %14.1f %-10s %6.0f allocs, goal %s\n", r.Name, r.Value, r.Unit, r.Allocs, r.Goal)
		out = append(out, r)
	}
	return out, nil
}

// cpus is what stands behind the name of a benchmark.
var cpus = regexp.MustCompile(`-[0-9]+$`)

func (in inside) measure(ctx context.Context) (insideResult, error) {
	var pattern []string
	for _, part := range strings.Split(in.run, "/") {
		pattern = append(pattern, "^"+regexp.QuoteMeta(part)+"$")
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", strings.Join(pattern, "/"), //nolint:gosec // They are constants.
		"-benchmem", "-count", strconv.Itoa(insideRuns), "./"+in.pkg)
	cmd.Dir = ".."
	output, err := cmd.CombinedOutput()
	if err != nil {
		return insideResult{}, fmt.Errorf("%w: %s", err, bytes.TrimSpace(output))
	}
	var values, allocs []float64
	lines := bufio.NewScanner(bytes.NewReader(output))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 4 || cpus.ReplaceAllString(f[0], "") != in.run {
			continue
		}
		for i := 3; i < len(f); i += 2 {
			v, err := strconv.ParseFloat(f[i-1], 64)
			if err != nil {
				return insideResult{}, fmt.Errorf("line %q: %w", lines.Text(), err)
			}
			switch f[i] {
			case in.unit:
				values = append(values, v)
			case "allocs/op":
				allocs = append(allocs, v)
			}
		}
	}
	if len(values) != insideRuns {
		return insideResult{}, fmt.Errorf("%d figures in %s, want %d: %s", len(values), in.unit, insideRuns, output)
	}
	r := insideResult{Name: in.name, Value: middle(values), Unit: in.unit, Goal: in.goal}
	if len(allocs) > 0 {
		r.Allocs = middle(allocs)
	}
	return r, nil
}

func middle(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// insidePage is the results for people.
func insidePage(results []insideResult) []byte {
	var b bytes.Buffer
	if len(results) == 0 {
		return nil
	}
	b.WriteString(`
## Inside

Parts of the gateway by themselves: the Go benchmarks of their packages, medians of ` + strconv.Itoa(insideRuns) + ` runs. Ratios are of two subjects that one benchmark runs in
turn.

| part | figure | unit | allocations | goal |
|---|---|---|---|---|
`)
	for _, r := range results {
		fmt.Fprintf(&b, "| %s | %s | %s | %.0f | %s |\n", r.Name, strconv.FormatFloat(r.Value, 'f', -1, 64), r.Unit, r.Allocs, r.Goal)
	}
	return b.Bytes()
}
