package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
)

// serve answers a topic until the end of the test.
func serve(t testing.TB, s *State, topic string, handle func(ctx context.Context, data []byte) ([]byte, error)) {
	t.Helper()
	if err := s.Serve(t.Context(), topic, handle); err != nil {
		t.Fatal(err)
	}
}

func echo(_ context.Context, data []byte) ([]byte, error) { return data, nil }

// hang waits for the end of its context and tells when it began.
func hang(began chan<- struct{}) func(context.Context, []byte) ([]byte, error) {
	return func(ctx context.Context, _ []byte) ([]byte, error) {
		began <- struct{}{}
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
}

func testRequests(t *testing.T, s *State) {
	ctx := t.Context()
	serve(t, s, "echo. *", echo)
	serve(t, s, "fail", func(_ context.Context, data []byte) ([]byte, error) { return nil, errors.New(string(data)) })
	serve(t, s, "panic", func(context.Context, []byte) ([]byte, error) { panic("handler") })
	for _, want := range []string{"", "hello", strings.Repeat("x", s.maxMessage())} {
		got, err := s.Request(ctx, s.Instance(), "echo. *", []byte(want))
		if err != nil || string(got) != want {
			t.Errorf("%d bytes came back as %d, %v", len(want), len(got), err)
		}
	}
	for text, want := range map[string]string{
		"broken":                                 "broken",
		"line\r\nTrilith-Status: x":              "line\r\nTrilith-Status: x",
		strings.Repeat("é", MaxErrorBytes):       strings.Repeat("é", MaxErrorBytes/2-2) + "…",
		"x" + strings.Repeat("é", MaxErrorBytes): "x" + strings.Repeat("é", MaxErrorBytes/2-2) + "…",
	} {
		_, err := s.Request(ctx, s.Instance(), "fail", []byte(text))
		var remote *RemoteError
		if !errors.As(err, &remote) || remote.Text != want || errors.Is(err, ErrUnavailable) {
			t.Errorf("failing with %.20q: %.200v", text, err)
		}
	}
	_, err := s.Request(ctx, s.Instance(), "panic", nil)
	if remote := new(RemoteError); !errors.As(err, &remote) || remote.Text != "panic" {
		t.Errorf("panic: %v", err)
	}

	start := time.Now()
	wantErr(t, ErrNoNode, "unknown instance", errOf(s.Request(ctx, "NOBODY", "echo. *", nil)))
	wantErr(t, ErrNoNode, "wildcard as instance", errOf(s.Request(ctx, "*", "echo. *", nil)))
	wantErr(t, ErrNoNode, "unknown topic", errOf(s.Request(ctx, s.Instance(), "other", nil)))
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("three requests to nobody took %v", d)
	}
	wantErr(t, ErrInvalid, "no instance", errOf(s.Request(ctx, "", "echo. *", nil)))
	wantErr(t, ErrInvalid, "no topic", errOf(s.Request(ctx, s.Instance(), "", nil)))
	wantErr(t, ErrConflict, "second Serve", s.Serve(ctx, "fail", echo))
}

func testRequestBounds(t *testing.T, s *State) {
	ctx := t.Context()
	serve(t, s, "large", func(context.Context, []byte) ([]byte, error) { return make([]byte, s.maxMessage()+1), nil })
	wantErr(t, ErrTooLarge, "large answer", errOf(s.Request(ctx, s.Instance(), "large", nil)))
	wantErr(t, ErrTooLarge, "large request", errOf(s.Request(ctx, s.Instance(), "large", make([]byte, s.maxMessage()+1))))

	began := make(chan struct{}, MaxServing+1)
	serve(t, s, "busy", hang(began))
	short, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for range MaxServing {
		wg.Go(func() { _, _ = s.Request(short, s.Instance(), "busy", nil) })
	}
	for range MaxServing {
		receive(t, began)
	}
	wantErr(t, ErrUnavailable, "one request too many", errOf(s.Request(ctx, s.Instance(), "busy", nil)))
	cancel()
	wg.Wait()

	subject, err := requestSubject(s.Instance(), "busy")
	must(t, err)
	for _, junk := range []string{"x", "0", "-1", "9223372036854775807"} {
		reply, err := s.nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: subject, Header: nats.Header{headerTimeout: {junk}}})
		must(t, err)
		wantErr(t, ErrInvalid, "timeout "+junk, errOf(answerOf(reply)))
	}
}

// testRequestEnds: a request ends with its deadline, its context and the service, and so does the handler's context
// with the first and the last.
func testRequestEnds(t *testing.T, s *State) {
	began := make(chan struct{}, 1)
	causes := make(chan error, 1)
	service, endService := context.WithCancel(t.Context())
	defer endService()
	must(t, s.Serve(service, "ends", func(ctx context.Context, _ []byte) ([]byte, error) {
		_, err := hang(began)(ctx, nil)
		causes <- err
		return nil, err
	}))
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := s.Request(short, s.Instance(), "ends", nil)
	var remote *RemoteError // Whichever of the two notices first.
	if !errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &remote) || errors.Is(err, ErrUnavailable) {
		t.Errorf("deadline: %v", err)
	}
	<-began
	wantErr(t, context.DeadlineExceeded, "the handler's deadline", receive(t, causes))

	results := make(chan error, 1)
	request := func(ctx context.Context) {
		go func() { results <- errOf(s.Request(ctx, s.Instance(), "ends", nil)) }()
		receive(t, began)
	}
	leaving, leave := context.WithTimeout(t.Context(), 2*time.Second)
	defer leave()
	request(leaving)
	leave()
	wantErr(t, context.Canceled, "the requester's end", receive(t, results))
	wantErr(t, context.DeadlineExceeded, "the handler, which is not told", receive(t, causes))
	request(t.Context())
	endService()
	wantErr(t, ErrNoNode, "the service's end", receive(t, results))
	wantErr(t, context.Canceled, "the handler of a service that ends", receive(t, causes))
	eventually(t, "the topic is free", func() bool { return s.Serve(t.Context(), "ends", echo) == nil })
}

// testRequestAcrossNodes sends requests from one node to another and closes the latter.
func testRequestAcrossNodes(t *testing.T, a, b *State) {
	if a.Instance() == b.Instance() {
		t.Fatal("two instances of one id")
	}
	for _, s := range []*State{a, b} {
		serve(t, s, "who", func(context.Context, []byte) ([]byte, error) { return []byte(s.Name()), nil })
	}
	for _, from := range []*State{a, b} {
		for _, to := range []*State{a, b} {
			eventually(t, "the cluster knows of the topic", func() bool {
				got, err := from.Request(t.Context(), to.Instance(), "who", nil)
				return err == nil && string(got) == to.Name()
			})
		}
	}
	began := make(chan struct{}, 1)
	serve(t, b, "hang", hang(began))
	results := make(chan error, 1)
	eventually(t, "the cluster knows of the topic", func() bool {
		go func() { results <- errOf(a.Request(t.Context(), b.Instance(), "hang", nil)) }()
		select {
		case <-began:
			return true
		case <-results:
			return false
		}
	})
	must(t, b.Close())
	wantErr(t, ErrNoNode, "the node closed during the request", receive(t, results))
	wantErr(t, ErrNoNode, "a closed node", errOf(a.Request(t.Context(), b.Instance(), "who", nil)))
}

// TestNodeDies cuts a node off without a word while it handles a request.
func TestNodeDies(t *testing.T) {
	t.Parallel()
	url := startNATS(t).url
	a, b := open(t, Options{URL: url, Name: "a"}), open(t, Options{URL: url, Name: "b"})
	began := make(chan struct{}, 1)
	serve(t, b, "hang", hang(began))
	results := make(chan error, 1)
	go func() { results <- errOf(a.Request(t.Context(), b.Instance(), "hang", nil)) }()
	<-began
	b.nc.Close()                                                                   // As the end of the process would.
	wantErr(t, ErrNoNode, "the node died during the request", receive(t, results)) // At the deadline it is another error.
}

// TestRequesterEnds: neither the end of the server nor that of its own State leaves a requester waiting.
func TestRequesterEnds(t *testing.T) {
	t.Parallel()
	n := startNATS(t)
	a, b := open(t, Options{URL: n.url, Name: "a"}), open(t, Options{URL: n.url, Name: "b"})
	began := make(chan struct{}, 1)
	serve(t, b, "hang", hang(began))
	results := make(chan error, 1)
	request := func() {
		go func() { results <- errOf(a.Request(t.Context(), b.Instance(), "hang", nil)) }()
		receive(t, began)
	}
	request()
	n.stop(t)
	wantErr(t, ErrUnavailable, "the server ended during the request", receive(t, results))
	wantErr(t, ErrUnavailable, "a request without a server", errOf(a.Request(t.Context(), b.Instance(), "hang", nil)))
	n.start(t)
	eventually(t, "the topic is served again", func() bool {
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, _ = a.Request(short, b.Instance(), "hang", nil)
		return len(began) > 0
	})
	receive(t, began)
	request()
	must(t, a.Close())
	wantErr(t, ErrUnavailable, "Close during the request", receive(t, results))
}

// TestRequestsAreConcurrent: a slow handler holds up nobody.
func TestRequestsAreConcurrent(t *testing.T) {
	s := open(t, Options{})
	const n = 100
	var running atomic.Int32
	all := make(chan struct{})
	serve(t, s, "together", func(ctx context.Context, data []byte) ([]byte, error) {
		if running.Add(1) == n {
			close(all)
		}
		select {
		case <-all:
			return bytes.ToUpper(data), nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			got, err := s.Request(t.Context(), s.Instance(), "together", fmt.Append(nil, "k", i))
			if err != nil || string(got) != fmt.Sprint("K", i) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	wg.Wait()
}

func FuzzParseTimeout(f *testing.F) {
	for _, s := range []string{"1", "3600000", "3600001", "0", "-1", "", "1e3", "99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, ok := parseTimeout(s); ok != (d > 0) || d > MaxRequestTime {
			t.Errorf("%q: %v, %t", s, d, ok)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add("", []byte("data"))
	f.Add(statusFailed, []byte("text\xff"))
	f.Add("other", []byte(nil))
	f.Fuzz(func(t *testing.T, status string, data []byte) {
		got, err := answerOf(&nats.Msg{Header: nats.Header{headerStatus: {status}}, Data: data})
		var remote *RemoteError
		switch {
		case err == nil && (status != "" || !bytes.Equal(got, data)):
			t.Errorf("status %q: %q", status, got)
		case errors.As(err, &remote) && (len(remote.Text) > MaxErrorBytes || !utf8.ValidString(remote.Text)):
			t.Errorf("error of %d bytes", len(remote.Text))
		case err != nil && !isOurs(err):
			t.Error(err)
		}
	})
}
