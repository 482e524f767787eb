package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"code.dny.dev/ssrf"

	"github.com/trilith-gateway/trilith/protocols/http1"
)

// checkURL returns the address of a server.
func checkURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("the URL is not valid") // The error would repeat it, with what may be secret in it.
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("the URL must begin with https:// or http://")
	case u.Host == "" || u.Opaque != "":
		return nil, errors.New("the URL has no host")
	case u.User != nil:
		return nil, errors.New("the URL must not hold credentials; use headers")
	case u.Fragment != "":
		return nil, errors.New("the URL must not have a fragment")
	}
	return u, nil
}

// checkHeaders refuses headers that HTTP itself sets, or who uses the client.
func checkHeaders(h http.Header, reserved func(string) bool) error {
	for name, values := range h {
		canonical := http.CanonicalHeaderKey(name)
		if ofHTTP(canonical) || reserved != nil && reserved(canonical) {
			return fmt.Errorf("header %q cannot be set", canonical)
		}
		if _, err := http1.AppendField(nil, name, ""); err != nil {
			return errors.New("a header's name is not valid")
		}
		for _, v := range values {
			if _, err := http1.AppendField(nil, name, v); err != nil {
				return fmt.Errorf("the value of header %q is not valid", canonical)
			}
		}
	}
	return nil
}

// ofHTTP reports whether a header is one that HTTP itself sets: those that say
// where a message ends or what becomes of the connection.
func ofHTTP(canonical string) bool {
	switch canonical {
	case "Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// A dialFunc opens connections.
type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// guardedDial dials public addresses only, and those that are allowed. The
// address is checked when it is dialled, after the name has been resolved, so
// that no name can lead elsewhere later.
func guardedDial(allow []netip.Prefix) dialFunc {
	var v4, v6 []netip.Prefix
	for _, p := range allow {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	guard := ssrf.New(ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...))
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second, Control: guard.Safe}
	return dialer.DialContext
}

// Bounds on connections to a server.
const (
	maxIdle          = 64
	idleTimeout      = 90 * time.Second
	handshakeTimeout = 10 * time.Second
	maxHead          = 64 << 10
)

// guardedClient returns a client for what is not said to the server itself, and
// for servers that speak HTTP/2 alone. It asks no proxy, follows no redirect,
// and keeps no cookie.
func guardedClient(dial dialFunc) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            dial,
			ForceAttemptHTTP2:      true,
			HTTP2:                  &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
			MaxIdleConnsPerHost:    maxIdle,
			IdleConnTimeout:        idleTimeout,
			TLSHandshakeTimeout:    handshakeTimeout,
			MaxResponseHeaderBytes: maxHead,
			// A small answer must not become a large one here.
			DisableCompression: true,
		},
	}
}

// guardedWire returns the client for what is said to the server. As guardedClient
// does, it goes nowhere but to the server itself.
func guardedWire(server *url.URL, dial dialFunc, other http.RoundTripper) *http1.Client {
	return http1.New(server, http1.Options{
		Dial: dial, HandshakeTimeout: handshakeTimeout, MaxIdle: maxIdle, IdleTimeout: idleTimeout, MaxHead: maxHead, Other: other,
	})
}
