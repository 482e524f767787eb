package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// check finds what is wrong with values that are right by themselves.
func (r *report) check(c *Config) {
	r.checkListen(c)
	r.checkAuth(c)
	if c.State.Replicas > 1 && c.State.NATSURL == "" {
		r.add("state.replicas", "the embedded state engine keeps one copy", "set nats_url, or leave replicas at 1")
	}
	r.checkSources(c.Sources)
	r.checkExports(c.Audit.Exports)
	r.checkToolsets(c)
	r.checkRates(c.Limits.Rates)
}

// checkListen refuses addresses off loopback that are not protected.
func (r *report) checkListen(c *Config) {
	l := c.Listen
	for _, a := range []struct{ key, addr string }{{"listen.http", l.HTTP}, {"listen.grpc", l.GRPC}} {
		if !offLoopback(a.addr) {
			continue
		}
		if l.TLS == nil && !l.AllowPlaintext {
			r.add(a.key, a.addr+" is off loopback and has no TLS",
				"set listen.tls, or allow_plaintext when something in front of the gateway ends TLS")
		}
		if c.Auth.Anonymous != nil {
			r.add("auth.anonymous", "anonymous callers are permitted on loopback only, and "+a.key+" is "+a.addr, "")
			r.bad["auth.anonymous"] = true // One such problem is enough.
		}
	}
	if l.HTTP == l.GRPC && !isAnyPort(l.HTTP) {
		r.add("listen.grpc", "listen.http has the same address", "")
	}
	if l.TLS != nil && l.AllowPlaintext {
		r.add("listen.allow_plaintext", "allow_plaintext contradicts tls", "keep one of them")
	}
	if offLoopback(l.HTTP) && l.PublicURL == "" {
		r.add("listen.public_url", "public_url is required when listen.http is off loopback", "the URL that callers use")
	}
}

// checkAuth finds issuers that stand for each other.
func (r *report) checkAuth(c *Config) {
	if k := c.Auth.APIKeys; k != nil {
		switch strings.ToLower(k.Header) {
		case "authorization", "proxy-authorization", "cookie", "dpop", "host", "origin", "upgrade", "content-type":
			r.add("auth.api_keys.header", "the header "+k.Header+" has another meaning", "such as X-API-Key")
		}
	}
	if c.Auth.Certificates != nil && (c.Listen.TLS == nil || c.Listen.TLS.ClientCA == "") {
		r.add("auth.certificates", "clients are not asked for certificates", "set listen.tls.client_ca")
	}
	if l := c.Auth.Login; l != nil && l.Issuer != "" && !slices.ContainsFunc(c.Auth.Issuers, func(i Issuer) bool { return i.Name == l.Issuer }) {
		var names []string
		for _, i := range c.Auth.Issuers {
			names = append(names, i.Name)
		}
		r.add("auth.login.issuer", "no issuer is named "+show(l.Issuer), oneOf(l.Issuer, names))
	}
	names, urls, asked := map[string]int{}, map[string]int{}, -1
	for i, issuer := range c.Auth.Issuers {
		path := fmt.Sprintf("auth.issuers[%d]", i)
		r.distinct(names, issuer.Name, i, path, "name")
		r.distinct(urls, issuer.Issuer, i, path, "issuer")
		if issuer.Introspection != nil {
			if asked >= 0 {
				r.add(path+".introspection", fmt.Sprintf("item [%d] has introspection already, and opaque tokens do not say whose they are", asked), "keep one of them")
			}
			asked = i
		}
	}
}

// distinct records that the value of key stands in an earlier item already.
func (r *report) distinct(seen map[string]int, value string, i int, item, key string) {
	if value == "" {
		return
	}
	if first, dup := seen[value]; dup {
		r.add(joinPath(item, key), fmt.Sprintf("%s %s stands in item [%d] already", key, show(value), first), "")
		return
	}
	seen[value] = i
}

// checkExports finds exports of the audit log that share a name.
func (r *report) checkExports(exports []AuditExport) {
	names := map[string]int{}
	for i, e := range exports {
		r.distinct(names, e.Name, i, fmt.Sprintf("audit.exports[%d]", i), "name")
	}
}

// checkSources finds sources that no call could reach.
func (r *report) checkSources(sources []Source) {
	names := map[string]int{}
	for i, s := range sources {
		path := fmt.Sprintf("sources[%d]", i)
		r.distinct(names, s.Name, i, path, "name")
		overridden := map[string]int{}
		for j, o := range s.Overrides {
			r.distinct(overridden, o.Of, j, fmt.Sprintf("%s.overrides[%d]", path, j), "of")
		}
		r.checkEndpoints(path, &s)
		r.checkGuard(path+".guard", &sources[i])
		if s.MCP != nil {
			r.checkPool(path+".mcp", s.MCP)
		}
		if s.OpenAPI != nil {
			r.checkOpenAPI(path+".openapi", s.OpenAPI)
		}
		if s.HTTP != nil {
			r.checkHTTP(path+".http", s.HTTP)
		}
		if s.GRPC != nil {
			r.checkGRPC(path+".grpc", s.GRPC)
		}
		if kind, remote := s.Remote(); remote != nil {
			r.checkRemote(joinPath(path, kind), remote)
		}
	}
}

// checkRemote finds addresses that would be refused, and credentials that would
// not be sent.
func (r *report) checkRemote(path string, c *Remote) {
	r.checkPrivate(path, c)
	if c.OAuth != nil {
		r.checkOAuth(path, c)
	}
}

// checkPrivate finds an address that would be refused.
func (r *report) checkPrivate(path string, c *Remote) {
	if ip, private := privateHost(c.URL); private && !slices.ContainsFunc(c.AllowPrivate, func(p netip.Prefix) bool { return p.Contains(ip) }) {
		hint := fmt.Sprintf("allow_private: [%s]", netip.PrefixFrom(ip, ip.BitLen()))
		if ip.IsLinkLocalUnicast() {
			hint = "link-local addresses hand out the credentials of cloud machines"
		}
		r.add(path+".url", ip.String()+" is not on the public internet and would be refused", hint)
	}
}

// checkGuard finds guards that contradict themselves, or show a caller what is
// for another.
func (r *report) checkGuard(path string, s *Source) {
	g := &s.Guard
	r.checkRetry(path+".retry", &g.Retry)
	r.checkBreaker(path+".breaker", &g.Breaker)
	r.checkConcurrency(path+".concurrency", &g.Concurrency)
	r.checkCache(path+".cache", g.Cache, s)
	for i, t := range g.Tools {
		item := fmt.Sprintf("%s.tools[%d]", path, i)
		r.checkRetry(item+".retry", t.Retry)
		r.checkBreaker(item+".breaker", t.Breaker)
		r.checkConcurrency(item+".concurrency", t.Concurrency)
		r.checkCache(item+".cache", t.Cache, s)
	}
}

func (r *report) checkConcurrency(path string, c *Concurrency) {
	if c != nil && c.Adaptive && c.Min > c.Max {
		r.add(path+".min", fmt.Sprintf("min is more than max, which is %d", c.Max), "")
	}
}

func (r *report) checkCache(path string, c *Cache, s *Source) {
	if c == nil {
		return
	}
	if c.MaxEntry > c.Size {
		r.add(path+".max_entry", fmt.Sprintf("max_entry is more than size, which is %v", c.Size), "")
	}
	if c.Scope == "shared" && s.perCaller() {
		r.add(path+".scope", "callers have credentials or sessions of their own at this source, so that its answers are theirs alone", "scope: principal")
	}
}

// perCaller tells whether the source knows which caller it answers.
func (s *Source) perCaller() bool {
	if s.MCP != nil && s.MCP.Sessions == "principal" {
		return true
	}
	_, remote := s.Remote()
	return remote != nil && remote.OAuth != nil && (remote.OAuth.Users || remote.OAuth.TokenExchange != nil)
}

func (r *report) checkRetry(path string, p *Retry) {
	if p != nil && p.Backoff > p.MaxBackoff {
		r.add(path+".backoff", fmt.Sprintf("backoff is more than max_backoff, which is %v", p.MaxBackoff), "")
	}
}

func (r *report) checkBreaker(path string, b *Breaker) {
	switch {
	case b == nil:
	case b.Failures > b.Window:
		r.add(path+".failures", fmt.Sprintf("failures is more than window, which is %d: it would never open", b.Window), "")
	case b.Open > b.MaxOpen:
		r.add(path+".open", fmt.Sprintf("open is more than max_open, which is %v", b.MaxOpen), "")
	}
}

// checkPool finds numbers of sessions that cannot be.
func (r *report) checkPool(path string, m *MCP) {
	switch {
	case m.MinSessions > 0 && m.Sessions != "principal":
		r.add(path+".min_sessions", "min_sessions has no meaning where callers share a session", "sessions: principal")
	case m.MinSessions > m.MaxSessions:
		r.add(path+".min_sessions", fmt.Sprintf("min_sessions is more than max_sessions, which is %d", m.MaxSessions), "")
	case m.MinSessions > 0 && m.OAuth != nil && (m.OAuth.TokenExchange != nil || m.OAuth.Users):
		r.add(path+".min_sessions", "no sessions are kept for callers to come with token_exchange or users", "leave min_sessions out")
	}
}

// checkOAuth finds credentials that would not be sent.
func (r *report) checkOAuth(path string, c *Remote) {
	for name := range c.Headers {
		if strings.EqualFold(name, "Authorization") {
			r.add(path+".oauth", "the header Authorization contradicts oauth", "keep one of them")
		}
	}
	o := c.OAuth
	r.checkClient(path+".oauth", o)
	type address struct{ key, value string }
	urls := []address{{"url", c.URL}, {"oauth.issuer", o.Issuer}, {"oauth.token_url", o.TokenURL}}
	if idp := o.IdentityProvider; idp != nil {
		urls = append(urls, address{"oauth.identity_provider.issuer", idp.Issuer}, address{"oauth.identity_provider.token_url", idp.TokenURL})
	}
	for _, u := range urls {
		parsed, err := url.Parse(u.value)
		if err != nil || parsed.Scheme != "http" || isLoopback(parsed.Hostname()) {
			continue
		}
		r.add(path+"."+u.key, "credentials do not go over http", "use https")
	}
}

// checkClient finds credentials of which one must or may not be there.
func (r *report) checkClient(path string, o *OAuth) {
	exclude := func(path string, a, b Secret) {
		if a != "" && b != "" {
			r.add(path+".private_key", "client_secret and private_key exclude each other", "keep one of them")
		}
	}
	exclude(path, o.ClientSecret, o.PrivateKey)
	r.checkUsers(path, o)
	r.checkExchange(path, o)
	idp := o.IdentityProvider
	if idp == nil {
		if o.Assertion == "" && o.ClientSecret == "" && o.PrivateKey == "" && !o.Users {
			r.add(path, "one of client_secret, private_key, assertion, identity_provider is required", "")
		}
		return
	}
	exclude(path+".identity_provider", idp.ClientSecret, idp.PrivateKey)
	if o.Assertion != "" {
		r.add(path+".identity_provider", "assertion and identity_provider exclude each other", "keep one of them")
	}
	if o.TokenURL != "" && o.Issuer == "" {
		r.add(path+".issuer", "issuer is required with token_url and identity_provider", "the issuer is whom the assertion is for")
	}
}

// checkUsers finds what does not go with credentials that users consent to.
func (r *report) checkUsers(path string, o *OAuth) {
	if o.Users {
		if o.Assertion != "" || o.IdentityProvider != nil || o.TokenExchange != nil || o.TokenURL != "" || o.DPoP == "always" {
			r.add(path+".users", "users goes with none of assertion, identity_provider, token_exchange, token_url, dpop: always", "")
		}
		if o.Issuer == "" {
			r.add(path+".issuer", "issuer is required with users", "the upstream's word is not taken for where users consent")
		}
	}
}

// checkExchange finds what does not go with tokens that are exchanged.
func (r *report) checkExchange(path string, o *OAuth) {
	if o.TokenExchange != nil {
		if o.Assertion != "" || o.IdentityProvider != nil {
			r.add(path+".token_exchange", "token_exchange needs client_secret or private_key, not assertion or identity_provider", "")
		}
		if o.Issuer == "" && o.TokenURL == "" {
			r.add(path+".issuer", "issuer or token_url is required with token_exchange", "the upstream's word is not taken for who may see the tokens of callers")
		}
	}
}

// privateHost returns the address that a URL names, if it names one that is
// refused by default. Other host names are judged when they are dialled.
func privateHost(raw string) (netip.Addr, bool) {
	u, err := url.Parse(raw)
	if err != nil {
		return netip.Addr{}, false
	}
	host := u.Hostname()
	if host == "localhost" {
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	ip = ip.Unmap()
	return ip, err == nil && (ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified())
}

// offLoopback tells whether a valid address can be reached from elsewhere.
func offLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && !isLoopback(host)
}

// isAnyPort tells whether the kernel chooses the port of an address.
func isAnyPort(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	return err != nil || port == "0"
}
