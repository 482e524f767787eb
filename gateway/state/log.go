package state

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// DefaultMaxLogBytes is the bound of a whole log when LogOptions name none.
	DefaultMaxLogBytes = 64 << 20
	// DefaultMaxPerKey is how many entries a log keeps of a key when LogOptions name no number.
	DefaultMaxPerKey = 1000
	// logPrefix begins the subjects that logs are kept under, livePrefix those that new entries are repeated on.
	logPrefix  = "trilith.log."
	livePrefix = "trilith.live."
	// keyBytes is room for the subject that the engine counts as part of an entry.
	keyBytes = 4 << 10
)

// LogOptions describe a log. All nodes should open it with the same; the last one to open wins.
type LogOptions struct {
	// Name is 1 to 32 lower-case letters, digits, '-' and '_'. It need not differ from the names of buckets.
	Name string
	// MaxAge drops every entry so long after it was appended, at least 100 ms. 0 leaves that to the other bounds.
	MaxAge time.Duration
	// MaxBytes bounds the whole log, keys and some bookkeeping included, 0 means DefaultMaxLogBytes. The engine sets so
	// much of its storage aside. It holds at least one entry of MaxEntryBytes.
	MaxBytes int64
	// MaxPerKey is how many entries of a key are kept, 0 means DefaultMaxPerKey.
	MaxPerKey int
	// MaxEntryBytes bounds an entry, 0 means DefaultMaxValueBytes. It cannot exceed max_payload of the server, as
	// BucketOptions.MaxValueBytes cannot.
	MaxEntryBytes int
	// Async acknowledges an entry before it is synced to disk, with the effect of BucketOptions.Async.
	Async bool
}

// LogEntry is an entry of a log.
type LogEntry struct {
	// Seq grows with every entry of the log, so within a key as well, where it has gaps. Never 0.
	Seq uint64
	// Data is what was appended. It belongs to the receiver.
	Data []byte
}

// Log keeps the latest entries of many keys, for replay by any node. Each bound of LogOptions drops the oldest entries,
// of the key or of the whole log, so that those kept of a key have no gap among them. Keys are any strings of 1 to
// MaxKeyBytes bytes; one without entries costs nothing. Requests are bounded by five seconds or the caller's context,
// whichever ends first. Safe for concurrent use.
type Log struct {
	s        *State
	name     string
	maxEntry int
	buffer   int           // New entries held for each follower.
	look     time.Duration // The longest pause between two looks of a follower.
	stream   jetstream.Stream
}

// OpenLog creates the log when it is missing and adjusts its limits when they differ. While a cluster has no leader it
// retries until ctx ends, at most 30 seconds, and fails with ErrUnavailable then; with ErrInvalid it refuses options
// that cannot work.
func OpenLog(ctx context.Context, s *State, o LogOptions) (*Log, error) {
	op := fmt.Sprintf("open log %.40q", o.Name)
	if err := s.checkLog(&o); err != nil {
		return nil, fail(ctx, op, err)
	}
	l := &Log{s: s, name: o.Name, maxEntry: o.MaxEntryBytes, buffer: max(4, min(followBytes/o.MaxEntryBytes, 64)), look: lastLook}
	if o.MaxAge > 0 {
		l.look = min(lastLook, o.MaxAge/2)
	}
	err := s.retry(ctx, op, func(ctx context.Context) (err error) {
		l.stream, err = s.ensureStream(ctx, s.logConfig(o))
		return err
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// checkLog fills in defaults and refuses what cannot work.
func (s *State) checkLog(o *LogOptions) error {
	if err := checkName(o.Name); err != nil {
		return err
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxLogBytes
	}
	if o.MaxPerKey == 0 {
		o.MaxPerKey = DefaultMaxPerKey
	}
	if o.MaxEntryBytes == 0 {
		o.MaxEntryBytes = DefaultMaxValueBytes
	}
	if o.MaxAge < 0 || o.MaxAge > 0 && o.MaxAge < minTTL {
		return fmt.Errorf("%w: MaxAge %v, at least %v", ErrInvalid, o.MaxAge, minTTL)
	}
	if o.MaxPerKey < 0 {
		return fmt.Errorf("%w: MaxPerKey %d", ErrInvalid, o.MaxPerKey)
	}
	if limit := s.nc.MaxPayload(); o.MaxEntryBytes < 0 || int64(o.MaxEntryBytes) > limit {
		return fmt.Errorf("%w: MaxEntryBytes %d, the server's max_payload is %d", ErrInvalid, o.MaxEntryBytes, limit)
	}
	if least := int64(o.MaxEntryBytes) + keyBytes; o.MaxBytes < least {
		return fmt.Errorf("%w: MaxBytes %d, at least %d for one entry", ErrInvalid, o.MaxBytes, least)
	}
	return nil
}

// logConfig gives every key a subject of its own. The engine repeats each entry, once stored, on the key's live subject,
// together with the number of the key's entry before it: that is what followers tell a gap by.
func (s *State) logConfig(o LogOptions) jetstream.StreamConfig {
	cfg := jetstream.StreamConfig{
		Name:              "LOG_" + prefix + o.Name,
		Subjects:          []string{logPrefix + o.Name + ".>"},
		MaxAge:            o.MaxAge,
		MaxBytes:          o.MaxBytes,
		MaxMsgsPerSubject: int64(o.MaxPerKey),
		MaxMsgSize:        int32(o.MaxEntryBytes + headerBytes), //nolint:gosec // At most max_payload, an int32.
		Discard:           jetstream.DiscardOld,
		RePublish:         &jetstream.RePublish{Source: logPrefix + o.Name + ".>", Destination: livePrefix + o.Name + ".>"},
	}
	s.place(&cfg, o.Async)
	return cfg
}

// subject is where the key's entries are kept.
func (l *Log) subject(key string) (string, error) {
	enc, err := encodeKey(key)
	return logPrefix + l.name + "." + enc, err
}

// Append adds an entry to the key and returns its number. Of two calls that one caller makes one after the other the
// second gets the greater number; on ErrUnavailable the entry may or may not have been stored. It fails with ErrTooLarge
// when data is longer than MaxEntryBytes.
func (l *Log) Append(ctx context.Context, key string, data []byte) (uint64, error) {
	var seq uint64
	err := l.request(ctx, key, func(ctx context.Context, subject string) error {
		if len(data) > l.maxEntry {
			return fmt.Errorf("%w: entry of %d bytes, at most %d", ErrTooLarge, len(data), l.maxEntry)
		}
		ack, err := l.s.js.Publish(ctx, subject, data)
		if err == nil {
			seq = ack.Sequence
		}
		return err
	})
	if err != nil {
		return 0, fail(ctx, "append to "+l.name, err)
	}
	return seq, nil
}

// Read returns the key's entries after the one numbered after, in order, at most limit of them, which is 1 or more. When
// there are none the result is empty. It asks the engine once for each entry.
//
// As long as the entry numbered after is kept nothing behind it was dropped. Otherwise Read fails with ErrGone, and also
// when no such entry of the key ever existed, so that a replay never skips anything silently. After 0 means from the
// oldest entry that is kept: who must know of the first ones, too, reads after an entry made for the purpose.
func (l *Log) Read(ctx context.Context, key string, after uint64, limit int) ([]LogEntry, error) {
	var out []LogEntry
	err := l.request(ctx, key, func(ctx context.Context, subject string) (err error) {
		if limit < 1 {
			return fmt.Errorf("%w: limit %d", ErrInvalid, limit)
		}
		out, err = l.read(ctx, subject, after, limit)
		return err
	})
	if err != nil {
		return nil, fail(ctx, "read from "+l.name, err)
	}
	return out, nil
}

// Drop removes all entries of the key. Whoever follows it is not told, and is not told what it had not reached either.
func (l *Log) Drop(ctx context.Context, key string) error {
	err := l.request(ctx, key, func(ctx context.Context, subject string) error {
		return l.stream.Purge(ctx, jetstream.WithPurgeSubject(subject))
	})
	if err != nil {
		return fail(ctx, "drop from "+l.name, err)
	}
	return nil
}

// request runs one request about a key within its bounds.
func (l *Log) request(ctx context.Context, key string, run func(ctx context.Context, subject string) error) error {
	subject, err := l.subject(key)
	if err != nil {
		return err
	}
	return l.s.attempt(ctx, func(ctx context.Context) error { return run(ctx, subject) })
}

// read is Read within its bounds. Entries are dropped from the oldest on, also while it reads: it is the entry before
// the first one, looked for after all others, that vouches for them.
func (l *Log) read(ctx context.Context, subject string, after uint64, limit int) ([]LogEntry, error) {
	for {
		var out []LogEntry
		for last := after; len(out) < limit; {
			e, ok, err := l.next(ctx, subject, last)
			if err != nil {
				return nil, err
			}
			if !ok {
				break
			}
			out, last = append(out, e), e.Seq
		}
		if after > 0 {
			return out, l.kept(ctx, subject, after)
		}
		if len(out) < 2 {
			return out, nil
		}
		oldest, ok, err := l.next(ctx, subject, 0)
		if err != nil {
			return nil, err
		}
		for len(out) > 0 && (!ok || out[0].Seq < oldest.Seq) {
			out = out[1:]
		}
		if len(out) > 0 || !ok {
			return out, nil
		}
	}
}

// next returns the subject's first entry after a number, and whether there is one.
func (l *Log) next(ctx context.Context, subject string, after uint64) (LogEntry, bool, error) {
	msg, err := l.stream.GetMsg(ctx, after+1, jetstream.WithGetMsgSubject(subject))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return LogEntry{}, false, nil
	}
	if err != nil {
		return LogEntry{}, false, err
	}
	return LogEntry{Seq: msg.Sequence, Data: msg.Data}, true, nil
}

// kept fails with ErrGone unless the entry is there and the subject's.
func (l *Log) kept(ctx context.Context, subject string, seq uint64) error {
	msg, err := l.stream.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && msg.Subject != subject {
		return fmt.Errorf("%w: no entry %d", ErrGone, seq)
	}
	return err
}
