package mcp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/trilith-gateway/trilith/auth"
	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/gateway/park"
)

// A standing is a stream over HTTP that tells what a feed has to tell, for as
// long as its client wants and its credential lasts. While nothing changes it is
// parked: it has no goroutine and no buffers.
type standing struct {
	f         *Frontend
	principal *gateway.Principal
	feed      *feed
	out       *sseWriter
	result    func() []byte // modern: the response of a graceful end; nil for none
	free      func()        // what else ends with the stream

	ctx    context.Context    //nolint:containedctx // it ends the stream.
	cancel context.CancelFunc // of ctx
	noted  gateway.OpenSession
}

// life returns the context of a stream, which outlives the request that began it
// but not its credential.
func life(ctx context.Context, p *gateway.Principal) (context.Context, context.CancelFunc) {
	long := context.Background() //nolint:forbidigo // See above; and it holds nothing of the request but the token.
	return auth.Until(auth.WithToken(long, auth.Token(ctx)), p)
}

// note notes what a principal holds open, and how it is ended.
func (f *Frontend) note(p *gateway.Principal, kind string, end func(*gateway.Error)) gateway.OpenSession {
	return f.o.Sessions.Open(gateway.Session{Via: door, Kind: kind, Principal: p, End: end})
}

// announce says before an answer begins that its connection ends with it, where
// it is going to be parked.
func announce(w http.ResponseWriter, r *http.Request) {
	if parks(r) {
		w.Header().Set("Connection", "close")
	}
}

// parks reports whether an answer may be parked: not while net/http still has a
// body to read.
func parks(r *http.Request) bool {
	return park.Can(r) && (r.Method == http.MethodPost || r.Body == nil || r.Body == http.NoBody)
}

// serve tells until the end: it returns at once where the stream is parked. Hung
// ends the stream with its request until then; it is what AfterFunc returned.
func (s *standing) serve(w http.ResponseWriter, r *http.Request, hung func() bool) {
	s.noted = s.f.note(s.principal, "stream", func(*gateway.Error) { s.cancel() })
	if parks(r) && hung() && s.f.lot.Park(w, r, s.onto) {
		return
	}
	defer s.Ended(nil)
	context.AfterFunc(r.Context(), s.cancel)
	err := s.feed.run(s.ctx, s.principal, s.out, s.f.o.KeepAlive, s.f.streams.ending)
	if r.Context().Err() == nil && s.graceful(err) && s.out.send(s.result()) == nil {
		s.out.end()
	}
}

// onto makes the stream one that is parked.
func (s *standing) onto(p *park.Stream) park.Handler {
	s.out.park(p)
	s.feed.begin(p)
	context.AfterFunc(s.ctx, p.Wake)
	return s
}

// Next implements [park.Handler].
func (s *standing) Next(*park.Stream) bool {
	err := s.ctx.Err()
	select {
	case <-s.f.streams.ending:
	default:
		if err == nil {
			err = s.feed.deliver(s.principal, s.out)
		}
		if err == nil || errors.Is(err, errFull) {
			return true
		}
	}
	if s.graceful(err) {
		_ = s.out.named("", s.result()) // It is parked: the last message is taken even where no other would be.
	}
	return false
}

// slow tells the operator of a client that was given up because it did not read.
func (f *Frontend) slow(ctx context.Context, p *gateway.Principal, err error) {
	if errors.Is(err, park.ErrSlow) {
		f.o.Logger.InfoContext(ctx, "a stream was given up: its client did not read", slog.String("principal", p.ID))
	}
}

// graceful reports whether the client is told of the end by a response: the
// server closes, which is no error, the credential has expired, or a resource
// can no longer be followed.
func (s *standing) graceful(err error) bool {
	return s.result != nil && (err == nil || errors.Is(err, errFollowLost) || s.ctx.Err() != nil)
}

// Ended implements [park.Handler].
func (s *standing) Ended(err error) {
	s.f.slow(s.ctx, s.principal, err)
	s.out.detach()
	s.feed.leave()
	s.cancel()
	s.noted.Close()
	s.free()
}
