//go:build unix

package http1

import (
	"errors"
	"io"
	"syscall"
)

// readNow reads what has come.
func (e *edge) readNow(p []byte) (int, error) {
	if e.raw == nil {
		return e.readSoon(p)
	}
	e.into = p
	err := e.raw.Read(e.try)
	e.into = nil
	switch {
	case err != nil:
		return 0, err
	case errors.Is(e.err, syscall.EAGAIN):
		return 0, errNothing
	case e.err != nil:
		return 0, e.err
	case e.n == 0:
		return 0, io.EOF
	}
	return e.n, nil
}

func (e *edge) tryRead(fd uintptr) bool {
	for {
		e.n, e.err = syscall.Read(int(fd), e.into)
		if !errors.Is(e.err, syscall.EINTR) {
			return true
		}
	}
}
