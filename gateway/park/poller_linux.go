package park

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A poller finds out which connections were closed by the other side, and which
// have room again. The runtime does so too, but tells only who waits with a
// goroutine. It is itself waited for through the runtime, so that it takes no
// thread.
type poller struct {
	file *os.File // of the epoll instance
	raw  syscall.RawConn
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	_ = unix.SetNonblock(fd, true) // Where it fails, so does what follows.
	p := &poller{file: os.NewFile(uintptr(fd), "epoll")}
	err = p.file.SetDeadline(time.Time{}) // Fails where the runtime cannot wait for it.
	if err == nil {
		p.raw, err = p.file.SyscallConn()
	}
	if err != nil {
		return nil, errors.Join(err, p.file.Close())
	}
	return p, nil
}

// add watches a connection until it is closed.
func (p *poller) add(c syscall.RawConn, id uint64) error {
	event := &unix.EpollEvent{
		Events: unix.EPOLLRDHUP | unix.EPOLLOUT | unix.EPOLLET,
		Fd:     int32(id), Pad: int32(id >> 32), //nolint:gosec // The two halves of it.
	}
	var failed, closed error
	err := p.raw.Control(func(epoll uintptr) {
		closed = c.Control(func(fd uintptr) {
			failed = os.NewSyscallError("epoll_ctl", unix.EpollCtl(int(epoll), unix.EPOLL_CTL_ADD, int(fd), event))
		})
	})
	return errors.Join(err, closed, failed)
}

// wait calls ready with each connection that the other side has closed, or that
// has room now, until the poller is closed.
func (p *poller) wait(ready func(id uint64, gone bool)) {
	events := make([]unix.EpollEvent, 128)
	for {
		n := 0
		err := p.raw.Read(func(fd uintptr) bool {
			var err error
			n, err = unix.EpollWait(int(fd), events, 0)
			return n > 0 || err != nil
		})
		if err != nil {
			return
		}
		for _, e := range events[:max(n, 0)] {
			id := uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32 //nolint:gosec // As in add.
			ready(id, e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0)
		}
	}
}

func (p *poller) close() { _ = p.file.Close() } // It holds nothing.

// write writes what a socket takes without waiting. If that is nothing, the
// poller will say when it takes some.
func write(c syscall.RawConn, b []byte) (n int, err error) {
	closed := c.Write(func(fd uintptr) bool {
		for {
			if n, err = syscall.Write(int(fd), b); !errors.Is(err, syscall.EINTR) {
				return true
			}
		}
	})
	switch {
	case closed != nil:
		return 0, closed
	case errors.Is(err, syscall.EAGAIN):
		return 0, nil
	case err != nil:
		return max(n, 0), os.NewSyscallError("write", err)
	}
	return n, nil
}

// writable reports whether a socket takes some bytes without waiting, or fails.
// If not, the poller will say when it does.
func writable(c syscall.RawConn) bool {
	ok := true
	_ = c.Control(func(fd uintptr) { // If it is closed, writing says so.
		fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}} //nolint:gosec // Descriptors are small.
		if n, err := unix.Poll(fds[:], 0); err == nil {
			ok = n > 0
		}
	})
	return ok
}
