//go:build unix

package audit

import (
	"fmt"
	"os"
	"syscall"
)

// lockDir takes the lock file, for as long as it stays open, or fails where
// another process has it. The system lets go of it when the process dies.
func lockDir(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator names the directory.
	if err != nil {
		return nil, fmt.Errorf("lock audit log: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock audit log: another process writes it: %w", err)
	}
	return f, nil
}
