package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/auth/connect"
	"github.com/trilith-gateway/trilith/gateway/config"
	"github.com/trilith-gateway/trilith/gateway/server"
)

// A people is an OpenID provider whose users sign in by saying who they are. Its
// codes hold what the authorization request said.
type people struct {
	*httptest.Server
	signer jose.Signer
}

func newPeople(t *testing.T) *people {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &people{}
	p.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, (&jose.SignerOptions{}).WithType("at+jwt"))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	reply := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/auth", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"ES256"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		asked, who, ok := readCode(r)
		if !ok || asked.Get("client_id") != "login" {
			http.Error(w, "{}", http.StatusBadRequest)
			return
		}
		reply(w, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": p.sign(t, map[string]any{
			"iss": p.URL, "sub": who, "aud": "login", "nonce": asked.Get("nonce"), "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
		})})
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

// codeFor returns the code that an authorization request comes to.
func codeFor(who, target string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(who + " " + target))
}

// readCode returns the request that a code came of, where the verifier is that
// of its challenge and the redirect is to the same place.
func readCode(r *http.Request) (asked url.Values, who string, ok bool) {
	text, err := base64.RawURLEncoding.DecodeString(r.FormValue("code"))
	who, target, ok := strings.Cut(string(text), " ")
	to, err2 := url.Parse(target)
	if err != nil || err2 != nil || !ok {
		return nil, "", false
	}
	asked = to.Query()
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	return asked, who, asked.Get("code_challenge") == base64.RawURLEncoding.EncodeToString(sum[:]) &&
		asked.Get("code_challenge_method") == "S256" && asked.Get("redirect_uri") == r.FormValue("redirect_uri")
}

func (p *people) sign(t *testing.T, claims map[string]any) string {
	text, err := json.Marshal(claims)
	if err != nil {
		t.Error(err)
	}
	signed, err := p.signer.Sign(text)
	if err != nil {
		t.Error(err)
		return ""
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Error(err)
	}
	return token
}

// token returns an access token for a user at a gateway.
func (p *people) token(t *testing.T, who, audience string) string {
	return p.sign(t, map[string]any{
		"iss": p.URL, "sub": who, "aud": audience, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "client_id": "agent", "jti": who,
	})
}

// A browser keeps the gateway's cookie and follows no redirect by itself.
type browser struct {
	t      *testing.T
	r      *rig
	cookie string
}

var setCookie = regexp.MustCompile(`^__Host-trilith=([^;]+); Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax$`)

// visit returns the status, the body and where the answer redirects to.
func (b *browser) visit(method, target, form string) (int, string, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, target, strings.NewReader(form))
	if err != nil {
		b.t.Fatal(err)
	}
	if form != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	if b.cookie != "" {
		req.Header.Set("Cookie", "__Host-trilith="+b.cookie)
	}
	res, err := alone(nil).Transport.RoundTrip(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if set := res.Header.Get("Set-Cookie"); set != "" {
		m := setCookie.FindStringSubmatch(set)
		if m == nil {
			b.t.Fatalf("the cookie is %s", set)
		}
		b.cookie = m[1]
	}
	for name, want := range map[string]string{"Content-Security-Policy": "frame-ancestors 'none'", "Cache-Control": "no-store", "Referrer-Policy": "same-origin"} {
		if got := res.Header.Get(name); !strings.Contains(got, want) {
			b.t.Errorf("%s: %s is %q", target, name, got)
		}
	}
	return res.StatusCode, string(body), res.Header.Get("Location")
}

// comeBack returns where an authorization server sends the browser of a user who
// agrees to the request.
func comeBack(who, target string) string {
	to, _ := url.Parse(target) // Checked by whoever reads the answer.
	q := to.Query()
	return q.Get("redirect_uri") + "?" + url.Values{"state": {q.Get("state")}, "code": {codeFor(who, target)}}.Encode()
}

// signIn opens a page and signs in as that user.
func (b *browser) signIn(who, page string) (int, string) {
	b.t.Helper()
	code, body, to := b.visit("GET", page, "")
	if code != http.StatusSeeOther {
		b.t.Fatalf("%d %s", code, body)
	}
	code, body, back := b.visit("GET", comeBack(who, to), "")
	if code != http.StatusSeeOther || b.r.URL()+back != page {
		b.t.Fatalf("%d to %q: %s", code, back, body)
	}
	code, body, _ = b.visit("GET", page, "")
	return code, body
}

var formToken = regexp.MustCompile(`name="token" value="([^"]+)"`)

// TestConnect has a user connect an upstream that acts for its users, and others
// try to do that in their place.
func TestConnect(t *testing.T) {
	idp, e, log := newPeople(t), newExchange(t), &lockedBuffer{}
	edit := withPolicy(t, "p, authenticated, *, **, *, allow\np, authenticated, *, admin/sessions, *, allow\n")
	var live *config.Config
	r := startWith(t, server.Options{
		LookEnv: func(name string) (string, bool) { return "s3cr3t", name == "SECRET" },
		Logger:  slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}, func(cfg *config.Config) {
		edit(cfg)
		live = cfg
		cfg.Auth.Issuers = []config.Issuer{{
			Name: "people", Issuer: idp.URL, Audiences: []string{"gateway"}, Algorithms: []string{"ES256"}, RequireTyp: true,
			GroupsClaim: "groups", RolesClaim: "roles", TenantClaim: "tenant", Login: &config.Login{ClientID: "login"},
		}}
		cfg.Sources = []config.Source{{Name: "who", Prefix: true, MCP: &config.MCP{
			URL: e.URL + "/mcp", Timeout: 30 * time.Second, Era: "auto", Sessions: "shared", MaxSessions: 8, Idle: time.Minute,
			AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
			OAuth:        &config.OAuth{ClientID: "gateway", ClientSecret: "${env:SECRET}", Issuer: e.URL, Users: true, Scopes: []string{"read"}},
		}}}
	})
	alice := idp.token(t, "alice", "gateway")
	call := func(token, capabilities, resume string) string {
		_, answer := r.with(t, token, "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"who.whoami","arguments":{}`+resume+`,`+
			`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":`+capabilities+`}}}`)
		return answer
	}
	link := regexp.MustCompile(regexp.QuoteMeta(r.URL()) + `/connect/[\w-]{43}`)

	refused := call(alice, `{}`, "")
	page := link.FindString(refused)
	if page == "" || !strings.Contains(refused, `"elicitations":[{"mode":"url"`) {
		t.Fatalf("a client that cannot be asked: %s", refused)
	}
	if _, rest := r.with(t, alice, "/v1/tools/who.whoami:call", `{}`); !strings.Contains(rest, page) {
		t.Errorf("through REST: %s", rest)
	}
	asked := call(alice, `{"elicitation":{"url":{}}}`, "")
	var question struct {
		Result struct {
			ResultType   string `json:"resultType"`
			RequestState string `json:"requestState"`
		} `json:"result"`
	}
	if err := json.Unmarshal([]byte(asked), &question); err != nil || question.Result.ResultType != "input_required" || !strings.Contains(asked, page) {
		t.Fatalf("a client that can: %s", asked)
	}

	mallory := &browser{t: t, r: r}
	if code, body := mallory.signIn("mallory", page); code != http.StatusForbidden || strings.Contains(body, "form") {
		t.Errorf("mallory opens alice's link: %d %s", code, body)
	}
	if code, _, _ := mallory.visit("POST", page, "token=x"); code != http.StatusForbidden {
		t.Errorf("mallory agrees in alice's place: %d", code)
	}

	b := &browser{t: t, r: r}
	code, body := b.signIn("alice", page)
	form := formToken.FindStringSubmatch(body)
	if code != 200 || form == nil || !strings.Contains(body, "<b>who</b>") || !strings.Contains(body, "<li>read</li>") || !strings.Contains(body, e.URL) {
		t.Fatalf("the page: %d %s", code, body)
	}
	if code, _, _ := b.visit("POST", page, "token=forged"); code != http.StatusForbidden {
		t.Errorf("a form from elsewhere: %d", code)
	}
	code, body, to := b.visit("POST", page, "token="+form[1])
	target, err := url.Parse(to)
	if err != nil || code != http.StatusSeeOther || !strings.HasPrefix(to, e.URL+"/authorize?") {
		t.Fatalf("%d %s %s", code, to, body)
	}
	if q := target.Query(); q.Get("redirect_uri") != r.URL()+"/connect/done" || q.Get("resource") != e.URL+"/mcp" || q.Get("scope") != "read" {
		t.Errorf("the request: %s", to)
	}
	back := comeBack("alice", to)
	for name, attack := range map[string]struct {
		who *browser
		url string
	}{
		"another browser":         {mallory, back},
		"no cookie":               {&browser{t: t, r: r}, back},
		"a state made up":         {b, r.URL() + "/connect/done?code=x&state=y"},
		"a state for the sign-in": {b, strings.Replace(back, "/done", "/login", 1)},
	} {
		if code, body, _ := attack.who.visit("GET", attack.url, ""); code != http.StatusForbidden && code != http.StatusNotFound {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
	if code, body, _ := b.visit("GET", back, ""); code != 200 || !strings.Contains(body, "is connected") {
		t.Fatalf("%d %s", code, body)
	}
	if code, _, _ := b.visit("GET", back, ""); code != http.StatusNotFound {
		t.Errorf("the state, again: %d", code)
	}

	if got := call(alice, `{}`, ""); !strings.Contains(got, "I am alice") {
		t.Errorf("the connected user: %s", got)
	}
	state, err := json.Marshal(question.Result.RequestState)
	if err != nil {
		t.Fatal(err)
	}
	resume := fmt.Sprintf(`,"requestState":%s,"inputResponses":{"connect":{"action":"accept"}}`, state)
	if got := call(alice, `{"elicitation":{"url":{}}}`, resume); !strings.Contains(got, "I am alice") {
		t.Errorf("the call that was asked: %s", got)
	}
	if got := call(idp.token(t, "bob", "gateway"), `{}`, ""); strings.Contains(got, "I am") {
		t.Errorf("a user who is not connected: %s", got)
	}

	// The source becomes another one by the same name, which is not given her token, and itself again.
	moved := *live
	moved.Sources = slices.Clone(live.Sources)
	elsewhere := *live.Sources[0].MCP
	credentials, other := *elsewhere.OAuth, newExchange(t)
	elsewhere.URL, credentials.Issuer = other.URL+"/mcp", other.URL
	elsewhere.OAuth, moved.Sources[0].MCP = &credentials, &elsewhere
	for _, now := range []struct {
		cfg  *config.Config
		want string
	}{{&moved, "connect the upstream first"}, {live, "I am alice"}} {
		if err := r.Reload(t.Context(), now.cfg); err != nil {
			t.Fatal(err)
		}
		got := ""
		poll(t, func() bool {
			got = call(alice, `{}`, "")
			return strings.Contains(got, "connect the upstream first") || strings.Contains(got, "I am")
		})
		if !strings.Contains(got, now.want) {
			t.Errorf("at %s: %s", now.cfg.Sources[0].MCP.URL, got)
		}
	}

	kept := r.Connections()
	all, err := kept.All(t.Context())
	if err != nil || len(all) != 1 || all[0].Upstream != "who" || all[0].User != idp.URL+"|user|alice" {
		t.Fatalf("%+v, %v", all, err)
	}
	const one = `principal:\"%s\",source:\"who\"`
	mine := fmt.Sprintf(one, all[0].User)
	if _, got := r.with(t, alice, "/graphql", `{"query":"{admin{connections(`+mine+`){nodes{source principal} totalCount}}}"}`); !strings.Contains(got, `"totalCount":1`) || !strings.Contains(got, `"source":"who"`) {
		t.Errorf("listed: %s", got)
	}
	for _, want := range []string{`{"revoked":true}`, `"NOT_FOUND"`} {
		if _, got := r.with(t, alice, "/graphql", `{"query":"mutation{endConnection(`+mine+`){revoked}}"}`); !strings.Contains(got, want) {
			t.Errorf("ended: %s, want %s", got, want)
		}
	}
	if _, err := kept.Forget(t.Context(), all[0].Owner); !errors.Is(err, connect.ErrNotConnected) {
		t.Errorf("forgotten twice: %v", err)
	}
	if got := call(alice, `{}`, ""); !strings.Contains(got, "connect the upstream first") {
		t.Errorf("after it was forgotten: %s", got)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if diff := cmp.Diff([]string{"refresh-alice"}, e.revoked); diff != "" {
		t.Errorf("the authorization server was told of (-want +got):\n%s", diff)
	}
	for name, secret := range map[string]string{"token": alice, "upstream token": "for-alice", "refresh token": "refresh-alice", "cookie": b.cookie, "code": codeFor("alice", to)} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log shows the %s", name)
		}
	}
}
