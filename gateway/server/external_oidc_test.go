//go:build external

package server_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/server"
)

// public is the URL of the gateway under test, as callers would know it.
const public = "https://gateway.example.test"

// An idp is npm's oidc-provider, with what a client of it needs.
type idp struct {
	url    string
	client *http.Client // that follows nothing
}

func startIDP(t *testing.T) *idp {
	t.Helper()
	dir := install(t, "testdata/idp")
	cmd := exec.CommandContext(t.Context(), "node", "idp.mjs")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }) // It ends in no other way.
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the identity provider did not start: %v", err)
	}
	return &idp{strings.TrimSpace(line), &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// send makes a request to the provider, with a form if there is one.
func (p *idp) send(t *testing.T, address string, form url.Values, edit func(*http.Request)) (*http.Response, string) {
	t.Helper()
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	if strings.HasPrefix(address, "/") {
		address = p.url + address
	}
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if edit != nil {
		edit(req)
	}
	res, err := p.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body strings.Builder
	if _, err := bufio.NewReader(res.Body).WriteTo(&body); err != nil {
		t.Fatal(err)
	}
	return res, body.String()
}

// token returns the access token of a token response.
func (p *idp) token(t *testing.T, form url.Values, edit func(*http.Request)) string {
	t.Helper()
	res, body := p.send(t, "/token", form, edit)
	var out struct {
		Token string `json:"access_token"`
		ID    string `json:"id_token"`
	}
	if err := json.Unmarshal([]byte(body), &out); err != nil || res.StatusCode != http.StatusOK || out.Token == "" {
		t.Fatalf("no token: %s %s", res.Status, body)
	}
	if form.Get("want") == "id_token" {
		return out.ID
	}
	return out.Token
}

// service returns a token of the client credentials grant for a resource.
func (p *idp) service(t *testing.T, resource string, edit ...func(*http.Request)) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"mcp:tools.call"}, "resource": {resource}}
	return p.token(t, form, func(r *http.Request) {
		r.SetBasicAuth("svc", "svc-secret")
		for _, e := range edit {
			e(r)
		}
	})
}

// user returns a token that a user got by logging in: authorization code and
// PKCE, through the pages that a browser would show.
func (p *idp) user(t *testing.T, name, want string) string {
	t.Helper()
	const callback = "http://127.0.0.1/callback"
	verifier := rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	at := "/auth?" + url.Values{
		"client_id": {"browser"}, "response_type": {"code"}, "redirect_uri": {callback}, "scope": {"openid mcp:tools.call"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
		"state": {"s"}, "nonce": {"n"}, "resource": {public + "/mcp"},
	}.Encode()
	back := p.pages(t, at, name)
	return p.token(t, url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {callback}, "client_id": {"browser"},
		"code_verifier": {verifier}, "resource": {public + "/mcp"}, "want": {want},
	}, nil)
}

// pages goes through the pages that a browser would show, as that user, and
// returns where the provider sends it then.
func (p *idp) pages(t *testing.T, at, name string) *url.URL {
	t.Helper()
	jar, err := cookiejar.New(nil) // Nobody is logged in yet.
	if err != nil {
		t.Fatal(err)
	}
	p.client.Jar = jar
	next := func(form url.Values) {
		t.Helper()
		res, body := p.send(t, at, form, nil)
		where, err := res.Location()
		if err != nil {
			t.Fatalf("no redirect from %s: %s %s", at, res.Status, body)
		}
		at = where.String()
	}
	next(nil)
	next(url.Values{"prompt": {"login"}, "login": {name}, "password": {"any"}})
	next(nil)
	next(url.Values{"prompt": {"consent"}})
	next(nil)
	back, err := url.Parse(at)
	if err != nil || back.Query().Get("code") == "" || back.Query().Get("iss") != p.url {
		t.Fatalf("no code in %s", at)
	}
	return back
}

// proveTo returns an edit that adds a DPoP proof by the key, for a request to
// the URL with the token; "" is one that asks for a token.
func proveTo(t *testing.T, key *ecdsa.PrivateKey, target, token string) func(*http.Request) {
	t.Helper()
	c := jwt.MapClaims{"jti": rand.Text(), "htm": http.MethodPost, "htu": target, "iat": time.Now().Unix()}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		c["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	proof := jwt.NewWithClaims(jwt.SigningMethodES256, c)
	proof.Header["typ"], proof.Header["jwk"] = "dpop+jwt", jose.JSONWebKey{Key: key.Public()}
	text, err := proof.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return func(r *http.Request) { r.Header.Set("DPoP", text) }
}

// callWith calls a tool with a token and returns the status.
func (r *rig) callWith(t *testing.T, authorization string, edit ...func(*http.Request)) int {
	t.Helper()
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"demo.add","arguments":{"a":1,"b":2},` +
		`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.Addr()+"/mcp", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]string{
		"Authorization": authorization, "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "demo.add",
	} {
		req.Header.Set(k, v)
	}
	for _, e := range edit {
		e(req)
	}
	code, h, answer := roundTrip(t, req)
	if code == http.StatusOK && !strings.Contains(answer, `"sum":3`) {
		t.Errorf("%d %v %s", code, h, answer)
	}
	return code
}

// TestExternalOIDC holds the gateway against a certified provider: every grant
// and every kind of token that it can issue.
func TestExternalOIDC(t *testing.T) {
	p := startIDP(t)
	gateway := func(edit func(*config.Issuer)) *rig {
		policy := withPolicy(t, "p, group:eng, acme, tool/demo/*, call, allow\np, group:bots, acme, tool/demo/*, call, allow\np, user:"+p.url+"|svc, *, tool/demo/*, call, allow\n")
		return startWith(t, server.Options{LookEnv: func(name string) (string, bool) { return "gateway-secret", name == "SECRET" }}, func(cfg *config.Config) {
			policy(cfg)
			cfg.Limits.CallTimeout = time.Minute
			cfg.Listen.PublicURL = public
			cfg.Auth.Scopes = []config.ScopeRule{{Scopes: []string{"mcp:tools.call"}}}
			issuer := config.Issuer{
				Name: "idp", Issuer: p.url, RequireTyp: true, RequireScope: true, GroupsClaim: "groups", RolesClaim: "roles", TenantClaim: "tenant",
				Introspection: &config.Introspection{ClientID: "gateway", ClientSecret: "${env:SECRET}"},
			}
			for _, name := range []string{"mcp", "RS256", "PS256", "ES256", "Ed25519", "opaque"} {
				issuer.Audiences = append(issuer.Audiences, public+"/"+name)
			}
			edit(&issuer)
			cfg.Auth.Issuers = []config.Issuer{issuer}
		})
	}
	r := gateway(func(*config.Issuer) {})
	want := func(t *testing.T, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("status %d, want %d", got, want)
		}
	}

	t.Run("client credentials", func(t *testing.T) {
		for _, alg := range []string{"RS256", "PS256", "ES256", "Ed25519"} {
			token := p.service(t, public+"/"+alg)
			if got := r.callWith(t, "Bearer "+token); got != 200 {
				t.Errorf("%s: %d", alg, got)
			}
		}
		want(t, r.callWith(t, "Bearer "+p.service(t, "https://elsewhere.example.test/")), 401)
	})
	t.Run("code and PKCE", func(t *testing.T) {
		want(t, r.callWith(t, "Bearer "+p.user(t, "alice", "")), 200)
	})
	t.Run("ID token", func(t *testing.T) {
		want(t, r.callWith(t, "Bearer "+p.user(t, "alice", "id_token")), 401)
	})
	t.Run("introspection", func(t *testing.T) {
		token := p.service(t, public+"/opaque")
		want(t, r.callWith(t, "Bearer "+token), 200)
		never := p.service(t, public+"/opaque")
		res, body := p.send(t, "/token/revocation", url.Values{"token": {never}}, func(r *http.Request) { r.SetBasicAuth("svc", "svc-secret") })
		if res.StatusCode != 200 {
			t.Fatalf("%s %s", res.Status, body)
		}
		want(t, r.callWith(t, "Bearer "+never), 401)
		want(t, r.callWith(t, "Bearer "+token+"x"), 401)
	})
	t.Run("DPoP", func(t *testing.T) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		for _, resource := range []string{"/mcp", "/opaque"} {
			token := p.service(t, public+resource, proveTo(t, key, p.url+"/token", ""))
			proof := proveTo(t, key, public+"/mcp", token)
			want(t, r.callWith(t, "DPoP "+token, proof), 200)
			want(t, r.callWith(t, "DPoP "+token, proof), 401) // Again.
			want(t, r.callWith(t, "DPoP "+token, proveTo(t, key, "http://"+r.Addr()+"/mcp", token)), 401)
			want(t, r.callWith(t, "DPoP "+token, proveTo(t, other, public+"/mcp", token)), 401)
			want(t, r.callWith(t, "Bearer "+token), 401)
		}
	})
	t.Run("like Dex", func(t *testing.T) {
		token := p.service(t, public+"/dex")
		want(t, r.callWith(t, "Bearer "+token), 401)
		dex := gateway(func(i *config.Issuer) { i.Audiences, i.RequireTyp, i.RequireScope = []string{"svc"}, false, false })
		want(t, dex.callWith(t, "Bearer "+token), 200)
		want(t, dex.callWith(t, "Bearer "+p.user(t, "alice", "id_token")), 401)
	})
	t.Run("browser login", func(t *testing.T) {
		own := startWith(t, server.Options{}, func(cfg *config.Config) {
			withPolicy(t, "p, group:eng, acme, tool/demo/*, call, allow\n")(cfg)
			cfg.Auth.Issuers = []config.Issuer{{
				Name: "idp", Issuer: p.url, Audiences: []string{public + "/short"}, RequireTyp: true, RequireScope: true, GroupsClaim: "groups", RolesClaim: "roles", TenantClaim: "tenant",
			}}
			cfg.Auth.Login = &config.BrowserLogin{Issuer: "idp", ClientID: "console", Resource: public + "/short", Idle: time.Hour, Life: time.Hour}
		})
		b := own.tab(t)
		_, _, to := b.ask("GET", "/auth/login?return=/v1/tools", "")
		back := p.pages(t, strings.TrimPrefix(to, p.url), "alice")
		if code, text, at := b.ask("GET", back.String(), ""); code != http.StatusSeeOther || at != "/v1/tools" {
			t.Fatalf("the way back: %d %s %s", code, at, text)
		}
		for range 2 { // Each renews a token that is good for seconds.
			code, text, _ := b.ask("POST", "/v1/tools/demo.add:call", `{"a":1,"b":2}`)
			want(t, code, 200)
			if !strings.Contains(text, `"sum":3`) {
				t.Errorf("%d %s", code, text)
			}
		}
		code, _, _ := b.ask("POST", "/auth/logout", "", "Origin", own.URL())
		want(t, code, 200)
		code, _, _ = b.ask("GET", "/v1/tools", "")
		want(t, code, 401)
	})
	t.Run("key rotation", func(t *testing.T) {
		before := p.service(t, public+"/ES256")
		want(t, r.callWith(t, "Bearer "+before), 200)
		if res, body := p.send(t, "/_test/rotate", url.Values{}, nil); res.StatusCode != 200 {
			t.Fatalf("%s %s", res.Status, body)
		}
		want(t, r.callWith(t, "Bearer "+p.service(t, public+"/ES256")), 200)
		want(t, r.callWith(t, "Bearer "+before), 401) // Its key is gone, and what was known of it with it.
	})
}
