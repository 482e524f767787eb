package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
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

// header returns the headers of every request: the caller's token.
func (a *app) header() http.Header {
	h := http.Header{}
	if token := os.Getenv(tokenVariable); token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	return h
}

// remote returns the gateway at a URL as an upstream. The user names it, so it
// may be anywhere.
func (a *app) remote(url string) (*mcp.Upstream, error) {
	return mcp.NewUpstream(mcp.UpstreamOptions{
		Name: "gateway", URL: url, Headers: a.header(), Version: version(), Timeout: callTimeout,
		AllowPrivate: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
	})
}

// catalog asks the gateway for all that the caller may use.
func (a *app) catalog(ctx context.Context) (gateway.Catalog, error) {
	up, err := a.remote(a.base() + "/mcp")
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
	var http interface{ HTTPStatus() int }
	var refusal *gateway.Error
	found := errors.As(err, &refusal)
	if found && refusal.Code == gateway.Unauthenticated || errors.As(err, &http) && http.HTTPStatus() == 401 {
		if os.Getenv(tokenVariable) == "" {
			return fmt.Errorf("the gateway wants a token: set %s (for gateway dev: export %s=$(gateway token --as dev))", tokenVariable, tokenVariable)
		}
		return fmt.Errorf("the gateway does not accept the token in %s", tokenVariable)
	}
	if found && refusal.Code != gateway.Unavailable {
		return fmt.Errorf("%s (%s)", refusal.Msg, refusal.Code)
	}
	return err
}
