//go:build unix

package mcp

import "syscall"

func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// terminateGroup asks a group to stop. One that is gone has stopped.
func terminateGroup(leader int) { _ = syscall.Kill(-leader, syscall.SIGTERM) }

// killGroup kills a group. Right after its leader was waited for the number is
// still the group's, or nobody's.
func killGroup(leader int) { _ = syscall.Kill(-leader, syscall.SIGKILL) }
