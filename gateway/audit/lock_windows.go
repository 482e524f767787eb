package audit

import (
	"fmt"
	"os"
	"syscall"
)

// lockDir takes the lock file, for as long as it stays open, or fails where
// another process has it. The system lets go of it when the process dies.
func lockDir(path string) (*os.File, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, fmt.Errorf("lock audit log: %w", err)
	}
	const unshared = 0
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, unshared, nil, syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, fmt.Errorf("lock audit log: another process writes it: %w", err)
	}
	return os.NewFile(uintptr(h), path), nil
}
