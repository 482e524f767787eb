package auth

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/trilith-gateway/trilith/gateway"
)

// An origin is what a browser sends in the Origin header (RFC 6454), in its
// canonical form: lower case, default port left out.
type origin struct{ scheme, host string }

func (o origin) String() string { return o.scheme + "://" + o.host }

func parseOrigin(s string) (origin, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || len(s) > 512 {
		return origin{}, false
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	switch scheme {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	case "https":
		host = strings.TrimSuffix(host, ":443")
	}
	return origin{scheme, host}, true
}

// hostName returns the name or address of a Host header's value, in lower case
// and without port and brackets.
func hostName(host string) string {
	if inner, ok := strings.CutPrefix(host, "["); ok { // An IPv6 address.
		host, _, _ = strings.Cut(inner, "]")
	} else if i := strings.IndexByte(host, ':'); i >= 0 && i == strings.LastIndexByte(host, ':') {
		host = host[:i]
	}
	return strings.ToLower(host)
}

// isLoopback reports whether a host name or address can only mean this machine.
func isLoopback(name string) bool {
	if name == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(name)
	return err == nil && a.Unmap().IsLoopback()
}

// onLoopback reports whether the server accepted the request on a loopback
// address. A request that no server accepted counts as such: the strict case.
func onLoopback(ctx context.Context) bool {
	addr, ok := ctx.Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return true
	}
	tcp, ok := addr.(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}

// checkHost refuses a Host header by which a web page may have rebound its own
// name to the gateway's address (MCP 2026-07-28, Transports, security warning).
func (d *Door) checkHost(host string, loopback bool) error {
	name := hostName(host)
	if d.hosts[name] || d.hosts[strings.ToLower(host)] || d.own.host != "" && name == hostName(d.own.host) {
		return nil
	}
	if len(d.hosts) == 0 && (!loopback || isLoopback(name)) {
		return nil
	}
	return refuse(gateway.PermissionDenied, "host not allowed", nil)
}

// checkOrigin refuses requests that a web page of another origin made. It must
// follow checkHost.
func (d *Door) checkOrigin(values []string, host string, loopback bool) error {
	if len(values) == 0 {
		return nil
	}
	if len(values) == 1 && d.allows(values[0], host, loopback) {
		return nil
	}
	return refuse(gateway.PermissionDenied, "origin not allowed", nil)
}

// checkSite refuses what a page of another site has embedded, such as an image:
// browsers send no Origin with that, but say where it comes from (Fetch Metadata
// Request Headers). Following a link is not refused.
func checkSite(h http.Header) error {
	if h.Get("Sec-Fetch-Site") == "cross-site" && h.Get("Sec-Fetch-Mode") != "navigate" {
		return refuse(gateway.PermissionDenied, "origin not allowed", errors.New("embedded in a page of another site"))
	}
	return nil
}

func (d *Door) allows(value, host string, loopback bool) bool {
	if d.origins[value] {
		return true
	}
	o, ok := parseOrigin(value)
	switch {
	case !ok:
		return false
	case d.origins[o.String()], o == d.own:
		return true
	case o.scheme != "http" && o.scheme != "https":
		return false
	case loopback && isLoopback(hostName(o.host)):
		return true
	}
	// The same origin, where the Host header proves something: behind a proxy
	// the scheme is not known, and without a list any host passes.
	return (loopback || len(d.hosts) > 0) && o.host == strings.ToLower(host)
}
