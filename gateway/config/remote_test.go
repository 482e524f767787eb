package config

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A service is a kind that is reached over HTTP.
type service struct {
	// Which of its methods.
	Method string `yaml:"method" default:"all"`

	Remote `required:"url"`
}

// TestEmbedded reads the keys of an embedded declaration as its own.
func TestEmbedded(t *testing.T) {
	read := func(text string) (service, []string) {
		var c service
		d := &decoder{report: &report{at: map[string]position{}, bad: map[string]bool{}}}
		root, problem := readYAML([]byte(text))
		if problem != nil {
			t.Fatal(problem.msg)
		}
		setDefaults(reflect.ValueOf(&c).Elem())
		d.object(reflect.ValueOf(&c).Elem(), root, "")
		var problems []string
		for _, p := range d.problems() {
			problems = append(problems, p.Msg)
		}
		return c, problems
	}
	c, problems := read("url: https://x.example\nheaders: {X-Key: \"${env:KEY}\"}\nallow_private: [10.0.0.0/8]\n")
	want := service{Method: "all", Remote: Remote{
		URL: "https://x.example", Headers: map[string]Secret{"X-Key": "${env:KEY}"}, Timeout: 30 * time.Second,
		AllowPrivate: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}}
	if diff := cmp.Diff(want, c, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" || problems != nil {
		t.Error(problems, diff)
	}
	if _, problems := read("timeout: 1m"); !slices.Equal(problems, []string{"url is required"}) {
		t.Error(problems)
	}
	docs, err := descriptions()
	if err != nil {
		t.Fatal(err)
	}
	if s := (schemaBuilder{docs: docs}).object(reflect.TypeFor[service]()); !slices.Equal(s.Required, []string{"url"}) ||
		!strings.Contains(s.Properties["headers"].Description, "every request") || len(s.Properties) != 6 {
		t.Errorf("%+v", s)
	}
	var changed differ
	other := c
	other.Timeout = time.Minute
	changed.fields(reflect.ValueOf(c), reflect.ValueOf(other), "", "hot")
	if len(changed.changes) != 1 || changed.changes[0].Path != "timeout" {
		t.Errorf("%+v", changed.changes)
	}
}
