//go:build external

package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestExternalScripts runs the stories that take too long for every day.
func TestExternalScripts(t *testing.T) {
	testscript.Run(t, params(testscript.Params{Dir: "testdata/external"}))
}
