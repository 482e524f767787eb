package config_test

import (
	"fmt"

	"github.com/trilith-gateway/trilith/gateway/config"
)

// All problems of a file come at once, each with its place and a way out.
func ExampleParse() {
	_, problems := config.Parse("gateway.yaml", []byte(`
listen:
  http: 0.0.0.0:8080
  public_url: https://gateway.example.com
sources:
  - name: tickets
    mcp:
      ulr: https://tickets.example.com/mcp
      timeout: 30
`))
	for _, p := range problems {
		fmt.Println(p)
	}
	// Output:
	// gateway.yaml:3:9: listen.http: 0.0.0.0:8080 is off loopback and has no TLS (set listen.tls, or allow_plaintext when something in front of the gateway ends TLS)
	// gateway.yaml:8:7: sources[0].mcp: unknown key "ulr" (did you mean "url"?)
	// gateway.yaml:9:16: sources[0].mcp.timeout: want a duration such as 500ms, 30s or 5m, not a number
}

// Changes tells what a new file would do to a running gateway.
func ExampleChanges() {
	old := config.Default()
	updated, _ := config.Parse("gateway.yaml", []byte("limits: {call_timeout: 30s}\nsources: [{name: demo, demo: true}]"))
	for _, c := range config.Changes(old, updated) {
		fmt.Println(c)
	}
	// Output:
	// limits.call_timeout: 1m0s → 30s (needs a restart)
	// sources[demo]: nothing → …
}
