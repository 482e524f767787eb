package state

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The failures callers tell apart, by errors.Is. Messages and wrapped causes are for the operator, never for a caller
// on the wire.
var (
	// ErrNotFound: the key has no value: it was never written, was deleted or has expired.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the key exists already, its revision is no longer the one the caller saw, or the topic is served.
	ErrConflict = errors.New("revision conflict")
	// ErrTooLarge: a key or value is longer than its bound. Repeating is useless.
	ErrTooLarge = errors.New("too large")
	// ErrInvalid: an option, key or topic is malformed. Repeating is useless.
	ErrInvalid = errors.New("invalid")
	// ErrCorrupt: a stored value does not decode into the bucket's type.
	ErrCorrupt = errors.New("stored value does not decode")
	// ErrUnavailable: the engine is away, busy or closed. A write that ended so may or may not have been stored.
	ErrUnavailable = errors.New("state engine unavailable")
	// ErrGone: entries of a log that follow the one the caller named may have been dropped, or it never existed.
	ErrGone = errors.New("entries dropped")
	// ErrNoNode: no running State has the instance, it does not serve the topic, or its node has lost the
	// engine. A node that started anew has another instance.
	ErrNoNode = errors.New("no such node")
	// ErrLocked: another process, or another State of this one, uses the same directory.
	ErrLocked = errors.New("state directory is in use")

	errDisabled = fmt.Errorf("%w: JetStream is not enabled on the NATS server", ErrUnavailable)

	errClosed = fmt.Errorf("%w: closed", ErrUnavailable)
)

// Error codes of the JetStream API that nats.go gives no constant for.
const (
	codeNoPeers             = 10005 // no suitable peers for placement, e.g. while a cluster forms
	codeReplicasUnclustered = 10074 // replicas > 1 on a server without a cluster
)

// fail names the operation and adds the sentinel that fits the engine's error; ctx is the caller's.
func fail(ctx context.Context, op string, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("state: %s: %w", op, context.Cause(ctx))
	}
	if sentinel := classify(err); sentinel != nil && !errors.Is(err, sentinel) {
		return fmt.Errorf("state: %s: %w: %w", op, sentinel, err)
	}
	return fmt.Errorf("state: %s: %w", op, err)
}

// classify returns the sentinel for an error of the client library; nil when the engine refused the request itself,
// which only a change of configuration can mend.
func classify(err error) error {
	var api *jetstream.APIError
	switch {
	case isOurs(err):
		return nil
	case errors.Is(err, jetstream.ErrKeyNotFound), errors.Is(err, jetstream.ErrKeyDeleted):
		return ErrNotFound
	case errors.Is(err, jetstream.ErrKeyExists), errors.Is(err, jetstream.ErrKeyRevisionMismatch):
		return ErrConflict
	case errors.Is(err, nats.ErrMaxPayload):
		return ErrTooLarge
	case !errors.As(err, &api):
		return ErrUnavailable // No answer at all: timeout, no responders, connection closed or lost.
	}
	switch {
	case api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence,
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		return ErrConflict
	case api.ErrorCode == jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return ErrTooLarge
	case api.ErrorCode == jetstream.JSErrCodeStreamNotFound, api.ErrorCode == codeNoPeers:
		return ErrUnavailable
	case api.Code >= 500 && api.ErrorCode != codeReplicasUnclustered:
		return ErrUnavailable
	}
	return nil
}

// isOurs tells whether err carries one of the package's sentinels already, or is another node's word.
func isOurs(err error) bool {
	if remote := new(RemoteError); errors.As(err, &remote) {
		return true
	}
	for _, s := range []error{
		ErrNotFound, ErrConflict, ErrTooLarge, ErrInvalid, ErrCorrupt, ErrUnavailable, ErrGone, ErrNoNode, ErrLocked,
	} {
		if errors.Is(err, s) {
			return true
		}
	}
	return false
}
