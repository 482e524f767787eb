//go:build !unix

package mcp

import (
	"os"
	"syscall"
)

func ownGroup() *syscall.SysProcAttr { return nil }

// terminateGroup does nothing: there is no way to ask.
func terminateGroup(int) {}

// killGroup kills the program. Without process groups, what it started has to
// notice by itself.
func killGroup(leader int) {
	if p, err := os.FindProcess(leader); err == nil {
		_ = p.Kill() // It may have ended.
	}
}
