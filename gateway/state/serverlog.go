package state

import (
	"fmt"
	"log/slog"
	"sync/atomic"
)

// serverLog hands the embedded server's messages to slog and keeps the last complaint, because the server reports a
// failed start in its log only. It implements server.Logger.
type serverLog struct {
	log       *slog.Logger
	complaint atomic.Pointer[string]
}

func (l *serverLog) complain(format string, v []any) {
	msg := fmt.Sprintf(format, v...)
	l.complaint.Store(&msg)
	l.log.Error("state engine", slog.String("message", msg))
}

func (l *serverLog) last() string {
	if msg := l.complaint.Load(); msg != nil {
		return *msg
	}
	return "no message"
}

// Errorf and the methods below implement server.Logger; what the server calls fatal must not end this process.
func (l *serverLog) Errorf(format string, v ...any) { l.complain(format, v) }
func (l *serverLog) Fatalf(format string, v ...any) { l.complain(format, v) }
func (l *serverLog) Warnf(format string, v ...any) {
	l.log.Warn("state engine", slog.String("message", fmt.Sprintf(format, v...)))
}

func (l *serverLog) Noticef(format string, v ...any) {
	l.log.Debug("state engine", slog.String("message", fmt.Sprintf(format, v...)))
}
func (l *serverLog) Debugf(string, ...any) {}
func (l *serverLog) Tracef(string, ...any) {}
