package gatewaytest

import (
	"testing"

	"github.com/trilith-gateway/trilith/gateway"
)

// TestUpstream holds an upstream against the contract of [gateway.Upstream] and
// [gateway.Watcher]. Open returns a new upstream with a new fixture ([NewFixture])
// behind it, and releases with t.Cleanup whatever it opened besides; the suite
// closes the upstream where it is an io.Closer.
//
// An upstream whose protocol cannot carry something says so with Unimplemented
// where the suite subscribes and completes; what else it cannot carry is named
// in lacks, and everything else it must do.
func TestUpstream(t *testing.T, open func(t *testing.T) gateway.Upstream, lacks ...Lack) {
	t.Helper()
	for _, tt := range []struct {
		name string
		run  func(*testing.T, *road)
	}{
		{"Catalog", testCatalog},
		{"Call", testCall},
		{"Exact", testExact},
		{"Failures", testFailures},
		{"Progress", testProgress},
		{"Cancel", testCancel},
		{"Deadline", testDeadline},
		{"Read", testRead},
		{"Prompt", testPrompt},
		{"Unknown", testUnknown},
		{"Concurrent", testConcurrent},
		{"Changes", testChanges},
		{"Subscribe", testSubscribe},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := connect(t, open(t))
			r.lacks = lacks
			tt.run(t, r)
		})
	}
	t.Run("Close", func(t *testing.T) { testClose(t, open, lacks) })
}

// A Lack is something of MCP that another protocol has no form for.
type Lack uint8

// What a protocol may lack.
const (
	// Prompts: none are offered.
	LacksPrompts Lack = iota + 1
	// Resources: none are offered under the URIs of the fixture.
	LacksResources
	// Results as they are: a tool answers with one value, which arrives as
	// structured content, or as text where it is text. A text may be the member
	// "text" of an object, and that of an error may have more around it.
	LacksContent
	// Refusals: the tool [ToolRefuse] fails in a way of the protocol's own.
	LacksRefusals
	// Arguments side by side: those of the fixture are the members of one
	// argument, "body".
	LacksArguments
	// Numbers of progress: a report has a message that holds that of the fixture.
	LacksTotals
	// Numbers as they are written: structured content arrives with the same
	// meaning, but perhaps with integers as strings.
	LacksNumbers
)
