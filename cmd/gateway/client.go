package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
	"github.com/trilith-gateway/trilith/protocols/mcp"
)

// callTimeout bounds one request of a command that calls a gateway.
const callTimeout = 24 * time.Hour

// base returns the URL that --addr means, without a slash at the end.
func (a *app) base() string {
	if strings.Contains(a.addr, "://") {
		return strings.TrimRight(a.addr, "/")
	}
	return "http://" + a.addr
}

// token returns the caller's token for an address that a flag names, or "". It
// is not sent in plain text to another machine unless --addr asks for http.
func (a *app) token(addr string) (string, error) {
	token := os.Getenv(tokenVariable)
	if token == "" || strings.Contains(a.addr, "://") {
		return token, nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return token, nil
	}
	return "", usageError{fmt.Errorf("the token in %s would go to %s in plain text: give --addr https://…, or http://… if that is meant", tokenVariable, addr)}
}

// bearer returns the headers of a request with a token, if there is one.
func bearer(token string) http.Header {
	h := http.Header{}
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	return h
}

// door returns the MCP door of the gateway at --addr as an upstream.
func (a *app) door() (*mcp.Upstream, error) {
	token, err := a.token(a.addr)
	if err != nil {
		return nil, err
	}
	return remote(a.base()+"/mcp", token)
}

// remote returns the gateway at a URL as an upstream. The user names it, so it
// may be anywhere.
func remote(url, token string) (*mcp.Upstream, error) {
	return mcp.NewUpstream(mcp.UpstreamOptions{
		Name: "gateway", URL: url, Headers: bearer(token), Version: version(), Timeout: callTimeout,
		AllowPrivate: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
	})
}

// catalog asks the gateway for all that the caller may use.
func (a *app) catalog(ctx context.Context) (gateway.Catalog, error) {
	up, err := a.door()
	if err != nil {
		return gateway.Catalog{}, err
	}
	defer up.Close() //nolint:errcheck // Nothing was written.
	for c, err := range up.Watch(ctx) {
		return c, a.explain(ctx, err)
	}
	return gateway.Catalog{}, a.explain(ctx, errors.New("the gateway did not answer"))
}

// explain says a failure in words for the person at the terminal, and what
// they can do about it.
func (a *app) explain(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return errInterrupted
	}
	var refusal *gateway.Error
	refused := errors.As(err, &refusal)
	status := httpStatus(err)
	dial, _ := errors.AsType[*net.OpError](err)
	broken := connectionError(err)
	switch {
	case errors.As(err, new(usageError)):
		return err
	case refused && refusal.Code == gateway.Unauthenticated || status == http.StatusUnauthorized:
		return unauthenticated()
	case dial != nil && dial.Op == "dial":
		return fmt.Errorf("cannot reach the gateway at %s: %w", a.addr, dial.Err)
	case broken != nil:
		return notGateway{a.addr, "HTTP", broken}
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
		return notGateway{a.addr, "HTTP", err}
	case refused && (refusal.Code != gateway.Unavailable || refusal.Err == nil):
		return fmt.Errorf("%s (%s)", refusal.Msg, refusal.Code)
	}
	return err
}

// connectionError returns what went wrong with the connection, or nil where
// something else did.
func connectionError(err error) error {
	if lost, ok := errors.AsType[*url.Error](err); ok {
		return lost.Err
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op
	}
	return nil
}

// unauthenticated says what to do about a token that is missing or not accepted.
func unauthenticated() error {
	if os.Getenv(tokenVariable) == "" {
		return fmt.Errorf("the gateway wants a token: set %s (for gateway dev: export %s=$(gateway token --as dev))", tokenVariable, tokenVariable)
	}
	return fmt.Errorf("the gateway does not accept the token in %s (a token of gateway dev is good for the --addr and --data that it was made with)", tokenVariable)
}

// httpStatus returns the HTTP status that is the reason of an error, or 0.
func httpStatus(err error) int {
	var status interface{ HTTPStatus() int }
	if errors.As(err, &status) {
		return status.HTTPStatus()
	}
	return 0
}

// notGateway is what answers, but not as a gateway does.
type notGateway struct {
	addr, protocol string
	cause          error
}

// Error returns the cause, and asks what is probably the question.
func (e notGateway) Error() string {
	return fmt.Sprintf("no proper answer from %s (is this the %s address of a gateway?): %v", e.addr, e.protocol, e.cause)
}
