//go:build !unix

package http1

func (e *edge) readNow(p []byte) (int, error) { return e.readSoon(p) }

func (e *edge) tryRead(uintptr) bool { return true }
