package config_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway/config"
)

// TestCheck changes good configurations, as flags do.
func TestCheck(t *testing.T) {
	anonymous := "auth: {anonymous: {}}"
	for _, c := range []struct {
		name, file string
		change     func(*config.Config)
		want       []string // paths with a problem
	}{
		{"nothing", "", func(*config.Config) {}, nil},
		{"another port", anonymous, func(c *config.Config) { c.Listen.HTTP = "127.0.0.1:1" }, nil},
		{"off loopback", "", func(c *config.Config) { c.Listen.HTTP = "0.0.0.0:1" }, []string{"listen.http", "listen.public_url"}},
		{"anonymous off loopback", anonymous, func(c *config.Config) { c.Listen.GRPC = ":1" }, []string{"listen.grpc", "auth.anonymous"}},
		{"plain text is permitted", "listen: {allow_plaintext: true}", func(c *config.Config) { c.Listen.GRPC = ":1" }, nil},
		{"no address", "", func(c *config.Config) { c.Listen.GRPC = "http://127.0.0.1:1" }, []string{"listen.grpc"}},
		{"one address for both", "", func(c *config.Config) { c.Listen.GRPC = c.Listen.HTTP }, []string{"listen.grpc"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, ps := config.Parse("gateway.yaml", []byte(c.file))
			if len(ps) > 0 {
				t.Fatal(ps)
			}
			c.change(cfg)
			var got []string
			err := cfg.Check()
			if problems, ok := errors.AsType[config.Problems](err); ok {
				for _, p := range problems {
					got = append(got, p.Path)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
