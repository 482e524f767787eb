package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// subscribers are the clients' ends of streams. They cost little, so that what
// is measured is the server: sockets that one goroutine watches through epoll.
// Of streams over TLS they see only that something has come.
type subscribers struct {
	client *http.Client // for what is not a stream
	secure *tls.Config  // nil for plain connections
	epoll  int

	mu  sync.Mutex
	all []net.Conn
	fds []int32
}

func newSubscribers(secure bool) (*subscribers, error) {
	s := &subscribers{}
	if secure {
		s.secure = &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}} //nolint:gosec // The certificate was made just now.
	}
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: s.secure, MaxIdleConnsPerHost: openers}}
	var err error
	s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	return s, err
}

func (s *subscribers) close() {
	s.client.CloseIdleConnections()
	for _, c := range s.all {
		_ = c.Close() // It was only read from.
	}
	_ = unix.Close(s.epoll) // As above.
}

// openers are how many streams are opened at once.
const openers = 8

func (s standing) openMany(ctx context.Context, subs *subscribers, e endpoint, n int) error {
	var all sync.WaitGroup
	errs := make([]error, openers)
	for i := range openers {
		all.Go(func() {
			for j := i; j < n && errs[i] == nil; j += openers {
				errs[i] = s.open(ctx, subs, e)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// subscribe sends a request and reads its answer until the first event that has
// an end.
func (s *subscribers) subscribe(ctx context.Context, method, target string, h http.Header, body string) (string, error) {
	u, err := url.Parse(target)
	if err != nil {
		return "", err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	s.all = append(s.all, conn)
	s.mu.Unlock()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return "", err
	}
	through := conn
	if s.secure != nil {
		through = tls.Client(conn, s.secure)
	}
	var req bytes.Buffer
	fmt.Fprintf(&req, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", method, u.RequestURI(), u.Host, len(body))
	if method == http.MethodGet {
		req.Reset()
		fmt.Fprintf(&req, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, u.RequestURI(), u.Host)
	}
	if err := h.Write(&req); err != nil {
		return "", err
	}
	req.WriteString("\r\n" + body)
	if _, err := through.Write(req.Bytes()); err != nil {
		return "", err
	}
	var got []byte
	for b := make([]byte, 4096); !bytes.Contains(got, []byte("data:")) || !bytes.HasSuffix(got, []byte("\n\n\r\n")); {
		n, err := through.Read(b)
		if got = append(got, b[:n]...); err != nil {
			return "", fmt.Errorf("%w after %.500q", err, got)
		}
	}
	if !bytes.HasPrefix(got, []byte("HTTP/1.1 200 ")) {
		return "", fmt.Errorf("answer: %.500s", got)
	}
	return string(got), s.watch(conn)
}

// watch lets told know when something comes.
func (s *subscribers) watch(c net.Conn) error {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
		s.mu.Lock()
		defer s.mu.Unlock()
		s.fds = append(s.fds, int32(fd))
	})
	return errors.Join(err, failed)
}

// drain reads what has come.
func (s *subscribers) drain() error {
	events, b := make([]unix.EpollEvent, 512), make([]byte, 64<<10)
	for {
		n, err := unix.EpollWait(s.epoll, events, 0)
		if n == 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		for _, e := range events[:max(n, 0)] {
			if n, err := unix.Read(int(e.Fd), b); n <= 0 {
				return fmt.Errorf("a stream has ended: %w", err)
			}
		}
	}
}

// told returns how long after a change something came on each stream, sorted.
func (s *subscribers) told(ctx context.Context, change func() (time.Time, error)) ([]time.Duration, error) {
	came := map[int32]time.Time{}
	done := make(chan error, 1)
	go func() {
		events, b := make([]unix.EpollEvent, 512), make([]byte, 64<<10)
		for end := time.Now().Add(10 * time.Second); len(came) < len(s.fds); {
			if time.Now().After(end) {
				done <- fmt.Errorf("%d of %d streams were told", len(came), len(s.fds))
				return
			}
			n, err := unix.EpollWait(s.epoll, events, 100)
			if err != nil && !errors.Is(err, unix.EINTR) {
				done <- err
				return
			}
			now := time.Now()
			for _, e := range events[:max(n, 0)] {
				if n, err := unix.Read(int(e.Fd), b); n <= 0 {
					done <- fmt.Errorf("a stream has ended: %w", err)
					return
				}
				if s.secure == nil && !bytes.Contains(b, []byte("list_changed")) {
					continue
				}
				if _, known := came[e.Fd]; !known {
					came[e.Fd] = now
				}
			}
		}
		done <- nil
	}()
	at, err := change()
	if err = errors.Join(err, <-done); err != nil {
		return nil, err
	}
	var out []time.Duration
	for _, t := range came {
		out = append(out, t.Sub(at))
	}
	slices.Sort(out)
	return out, ctx.Err()
}

// grow lets the server's list change and returns when it did.
func grow(ctx context.Context, e endpoint) (time.Time, error) {
	r := echo(e)
	subs, err := newSubscribers(e.URL[:5] == "https")
	if err != nil {
		return time.Time{}, err
	}
	defer subs.close()
	text, err := subs.post(ctx, r)
	if err != nil {
		return time.Time{}, err
	}
	m := regexp.MustCompile(`"text":"(\d+)"`).FindStringSubmatch(text)
	if m == nil {
		return time.Time{}, fmt.Errorf("answer: %.500s", text)
	}
	at, err := strconv.ParseInt(m[1], 10, 64)
	return time.Unix(0, at), err
}

// post sends a request and returns the body of its answer.
func (s *subscribers) post(ctx context.Context, r request) (string, error) {
	res, err := s.do(ctx, r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

func (s *subscribers) do(ctx context.Context, r request) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	req.Header = r.header
	return s.client.Do(req)
}

func openBare(ctx context.Context, s *subscribers, e endpoint) error {
	_, err := s.subscribe(ctx, http.MethodGet, e.URL, http.Header{}, "")
	return err
}

// openSession begins a session of 2025-11-25 and opens its stream.
func openSession(ctx context.Context, s *subscribers, e endpoint) error {
	h := http.Header{"Authorization": {"Bearer " + e.Token}, "Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}}
	res, err := s.do(ctx, request{url: e.URL, header: h, body: []byte(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`)})
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	h.Del("Content-Type")
	h.Set("Mcp-Session-Id", res.Header.Get("Mcp-Session-Id"))
	h.Set("Mcp-Protocol-Version", "2025-11-25")
	_, err = s.subscribe(ctx, http.MethodGet, e.URL, h, "")
	return err
}

// openSSE begins a session over HTTP+SSE.
func openSSE(ctx context.Context, s *subscribers, e endpoint) error {
	u, err := url.Parse(e.URL)
	if err != nil {
		return err
	}
	u.Path = "/sse"
	h := http.Header{"Authorization": {"Bearer " + e.Token}, "Accept": {"text/event-stream"}}
	first, err := s.subscribe(ctx, http.MethodGet, u.String(), h, "")
	if err != nil {
		return err
	}
	m := regexp.MustCompile(`data: (/messages\S+)`).FindStringSubmatch(first)
	if m == nil {
		return fmt.Errorf("answer: %.500s", first)
	}
	to, err := u.Parse(m[1])
	if err != nil {
		return err
	}
	h.Set("Content-Type", "application/json")
	h.Del("Accept")
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`,
		`{"jsonrpc":"2.0","method":"notifications/initialized"}`,
	} {
		if _, err := s.post(ctx, request{url: to.String(), header: h, body: []byte(body)}); err != nil {
			return err
		}
	}
	return nil
}

// openListen listens to changes of tools.
func openListen(ctx context.Context, s *subscribers, e endpoint) error {
	h := echo(e).header.Clone()
	h.Set("Mcp-Method", "subscriptions/listen")
	h.Del("Mcp-Name")
	meta, err := json.Marshal(map[string]any{
		"io.modelcontextprotocol/protocolVersion": revision, "io.modelcontextprotocol/clientCapabilities": struct{}{},
	})
	if err != nil {
		return err
	}
	_, err = s.subscribe(ctx, http.MethodPost, e.URL, h,
		`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},"_meta":`+string(meta)+`}}`)
	return err
}

// news is something that is replaced.
type news struct {
	mu  sync.Mutex
	now *edition
}

type edition struct{ replaced chan struct{} }

func (n *news) get() *edition {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.now == nil {
		n.now = &edition{make(chan struct{})}
	}
	return n.now
}

func (n *news) replace() {
	old := n.get()
	n.mu.Lock()
	n.now = &edition{make(chan struct{})}
	n.mu.Unlock()
	close(old.replaced)
}
