package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway/config"
)

func TestParseRate(t *testing.T) {
	for text, want := range map[string]config.Rate{
		"1/s": {1, time.Second}, "100/m": {100, time.Minute}, "1000/h": {1000, time.Hour}, "5/d": {5, 24 * time.Hour}, "1000000/s": {1_000_000, time.Second},
	} {
		got, err := config.ParseRate(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "1", "/s", "0/s", "-1/s", "+1/s", "01/s", "1.5/s", "1/S", "1/10s", "1 /s", "1000001/s", "99999999999999999999/s", "100000000000/h"} {
		if got, err := config.ParseRate(bad); err == nil {
			t.Errorf("%q is %v", bad, got)
		}
	}
}

func TestRates(t *testing.T) {
	c, problems := config.Parse("gateway.yaml", []byte(`limits:
  rates:
  - {name: each, per: principal, match: {roles: [agent], tools: ["a.*"], sources: [a], actions: [call]}, rate: 100/m, burst: 5}
`))
	want := []config.RateLimit{{
		Name: "each", Per: "principal", Rate: config.Rate{Calls: 100, Per: time.Minute}, Burst: 5,
		Match: config.RateMatch{Roles: []string{"agent"}, Tools: []string{"a.*"}, Sources: []string{"a"}, Actions: []string{"call"}},
	}}
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if diff := cmp.Diff(want, c.Limits.Rates); diff != "" {
		t.Error(diff)
	}
	faster, _ := config.Parse("gateway.yaml", []byte(`limits: {rates: [{name: each, per: principal, rate: 200/m}]}`))
	slower, _ := config.Parse("gateway.yaml", []byte(`limits: {rates: [{name: each, per: principal, rate: 1/h}]}`))
	if got := config.Changes(faster, slower); len(got) != 1 || got[0].String() != "limits.rates[each].rate: 200/m → 1/h" {
		t.Errorf("changes: %v", got)
	}
	for yaml, want := range map[string]string{
		`{name: a, per: moon, rate: 1/s}`:                                        `unknown value "moon"`,
		`{name: a, per: global}`:                                                 "rate is required",
		`{name: a, per: global, rate: often}`:                                    "want a rate such as",
		`{name: a, per: global, rate: 5}`:                                        "want a rate such as",
		`{name: a, per: global, rate: 1/s, burst: 0}`:                            "must be at least 1",
		`{name: a, per: tool, rate: 1/s, match: {actions: [read]}}`:              "counts calls only",
		`{name: a, per: source, rate: 1/s, match: {actions: [list]}}`:            "no single source",
		`{name: a, per: global, rate: 1/s, match: {tools: ["["]}}`:               "has no meaning in a pattern",
		`{name: a, per: global, rate: 1/s}, {name: a, per: tenant, rate: 1/s}`:   "stands in item [0] already",
		`{name: a, per: principal, rate: 1/s, match: {sources: [a], role: [b]}}`: `did you mean "roles"?`,
	} {
		_, problems := config.Parse("gateway.yaml", []byte("limits: {rates: ["+yaml+"]}"))
		if len(problems) != 1 || !strings.Contains(problems[0].String(), want) {
			t.Errorf("%s: %v, want %q", yaml, problems, want)
		}
	}
}
