//go:build !linux

package park

import (
	"errors"
	"syscall"
)

// A poller needs epoll.
type poller struct{}

func newPoller() (*poller, error) { return nil, errors.ErrUnsupported }

func (*poller) add(syscall.RawConn, uint64) error { return errors.ErrUnsupported }

func (*poller) wait(func(id uint64, gone bool)) {}

func (*poller) close() {}

func write(syscall.RawConn, []byte) (int, error) { return 0, errors.ErrUnsupported }

func writable(syscall.RawConn) bool { return true }
