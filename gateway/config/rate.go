package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// RateLimit is a rule of [Limits.Rates].
type RateLimit struct {
	// Name of the rule, for administrators and in audit records.
	Name string `yaml:"name" format:"name" required:"true"`

	// What has a bucket of its own: each `principal`, each `tenant`, each `role` of
	// the caller, each `tool`, each `source`, or with `global` all together.
	Per string `yaml:"per" required:"true" enum:"principal tenant role tool source global"`

	// Which calls the rule counts. Without it all of them.
	Match RateMatch `yaml:"match"`

	// How fast a bucket fills: so many calls in a second, minute, hour or day, such
	// as `100/m`.
	Rate Rate `yaml:"rate" required:"true"`

	// How many calls a full bucket holds, which may come at once. By default as many
	// as `rate` says.
	Burst int `yaml:"burst" min:"1" max:"1000000000"`
}

// RateMatch says which calls a [RateLimit] counts: those for which each key that
// is set has an item that fits.
type RateMatch struct {
	// Roles of the caller, those that the policy adds among them.
	Roles []string `yaml:"roles" format:"not-empty" max:"100"`

	// Tools, as patterns over their names as those of toolsets, such as `github.*`.
	Tools []string `yaml:"tools" format:"pattern" max:"100"`

	// Sources, by name.
	Sources []string `yaml:"sources" format:"name" max:"100"`

	// What is done. Lists count unless the rule is about tools or sources.
	Actions []string `yaml:"actions" enum:"call read get complete subscribe list"`
}

// Rate is so many calls in a time. In the file it is a number, a slash and a unit,
// such as 5/s, 100/m, 1000/h or 10000/d.
type Rate struct {
	Calls int           // at least 1
	Per   time.Duration // a second, a minute, an hour or a day
}

// maxRate bounds a rate, in calls a second.
const maxRate = 1_000_000

// rateUnits are the units of a [Rate].
func rateUnits() map[string]time.Duration {
	return map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
}

// ParseRate reads a rate. The error says what form it wants.
func ParseRate(text string) (Rate, error) {
	digits, unit, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(digits)
	per, ok := rateUnits()[unit]
	if err != nil || !ok || n <= 0 || digits[0] == '+' || digits[0] == '0' {
		return Rate{}, errors.New("want a rate such as 5/s, 100/m, 1000/h or 10000/d")
	}
	if n > maxRate*int(per/time.Second) {
		return Rate{}, fmt.Errorf("a rate is at most %d/s", maxRate)
	}
	return Rate{n, per}, nil
}

// String returns the rate as it is written in the file, "" for the zero rate.
func (r Rate) String() string {
	for unit, per := range rateUnits() {
		if r.Per == per {
			return strconv.Itoa(r.Calls) + "/" + unit
		}
	}
	return ""
}

// MarshalText returns the rate as it is written in the file.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText is [ParseRate].
func (r *Rate) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRate(string(text))
	return err
}

// checkRates finds rules of rates that share a name or count nothing.
func (r *report) checkRates(rates []RateLimit) {
	names := map[string]int{}
	for i, l := range rates {
		path := fmt.Sprintf("limits.rates[%d]", i)
		r.distinct(names, l.Name, i, path, "name")
		aboutTools, lists := l.Per == "tool" || len(l.Match.Tools) > 0, false
		for j, a := range l.Match.Actions {
			lists = lists || a == "list"
			if aboutTools && a != "call" {
				r.add(fmt.Sprintf("%s.match.actions[%d]", path, j), "a rule about tools counts calls only", "")
			}
		}
		if lists && (l.Per == "source" || len(l.Match.Sources) > 0) {
			r.add(path+".match.actions", "a list is of no single source", "")
		}
	}
}
