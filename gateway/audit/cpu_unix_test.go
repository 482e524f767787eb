//go:build unix

package audit

import (
	"syscall"
	"testing"
)

// processTime returns the CPU time of this process so far, in nanoseconds.
func processTime(tb testing.TB) int64 {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
