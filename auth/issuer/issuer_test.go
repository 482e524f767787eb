package issuer

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	base = "http://127.0.0.1:8080"
	iss  = base + "/dev/issuer"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// claimsOf verifies a token by the issuer's public keys alone.
func claimsOf(t *testing.T, keys json.RawMessage, token string) (head map[string]any, claims jwt.MapClaims) {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(keys, &set); err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.Parse(token, func(tok *jwt.Token) (any, error) { return set.Key(tok.Header["kid"].(string))[0].Key, nil },
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(iss), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Header, parsed.Claims.(jwt.MapClaims)
}

func TestMint(t *testing.T) {
	i := must(Open(Options{URL: iss}))
	now := time.Now()
	head, claims := claimsOf(t, i.PublicKeys(), must(i.Mint("dev", base, time.Hour)))
	if head["typ"] != "at+jwt" || head["alg"] != "ES256" {
		t.Errorf("header %v", head)
	}
	exp, iat := must(claims.GetExpirationTime()), must(claims.GetIssuedAt())
	if exp.Sub(iat.Time) != time.Hour || iat.Sub(now).Abs() > 10*time.Second {
		t.Errorf("issued %v, expires %v", iat, exp)
	}
	if id, _ := claims["jti"].(string); len(id) < 20 {
		t.Errorf("jti %q", id)
	}
	for _, name := range []string{"exp", "iat", "jti"} {
		delete(claims, name)
	}
	want := jwt.MapClaims{
		"iss": iss, "sub": "dev", "aud": []any{base}, "client_id": "trilith-dev", "name": "Dee Developer",
		"roles": []any{"dev"}, "groups": []any{"developers"},
	}
	if d := cmp.Diff(want, claims); d != "" {
		t.Errorf("claims: -want +got\n%s", d)
	}
	for _, c := range []struct {
		persona, audience string
		ttl               time.Duration
	}{{"root", base, time.Hour}, {"dev", "", time.Hour}, {"dev", base, 0}, {"dev", base, MaxTTL + 1}} {
		if _, err := i.Mint(c.persona, c.audience, c.ttl); err == nil {
			t.Errorf("minted %+v", c)
		}
	}
	if d := cmp.Diff([]string{"admin", "dev", "guest"}, Personas()); d != "" {
		t.Error(d)
	}
}

func TestOnlyOnLoopback(t *testing.T) {
	for u, ok := range map[string]bool{
		"http://127.0.0.1:1/x": true, "http://localhost/x": true, "http://[::1]:80": true, "https://127.0.0.1": true,
		"http://10.0.0.1/x": false, "https://gw.example.test": false, "http://localhost.evil.example": false,
		"http://0.0.0.0/": false, "ftp://localhost": false, "localhost": false, "": false, "http://localhost/?a=b": false,
	} {
		if _, err := Open(Options{URL: u}); (err == nil) != ok {
			t.Errorf("%s: %v, want accepted %v", u, err, ok)
		}
	}
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "key.pem")
	if _, err := Open(Options{URL: iss, KeyFile: path, Existing: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key that must exist: %v", err)
	}
	// Several processes at once agree on one key.
	var wg sync.WaitGroup
	keys := make([]string, 8)
	for n := range keys {
		wg.Go(func() { keys[n] = string(must(Open(Options{URL: iss, KeyFile: path})).PublicKeys()) })
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] {
			t.Fatal("two keys were made")
		}
	}
	again := must(Open(Options{URL: iss, KeyFile: path, Existing: true}))
	claimsOf(t, json.RawMessage(keys[0]), must(again.Mint("guest", base, time.Minute)))
	if names := must(os.ReadDir(filepath.Dir(path))); len(names) != 1 {
		t.Errorf("left over: %v", names)
	}
	if must(Open(Options{URL: iss})).kid == again.kid {
		t.Error("a key in memory equals that of the file")
	}
}

func TestKeyFileOpenToOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.pem")
	must(Open(Options{URL: iss, KeyFile: path}))
	if runtime.GOOS == "windows" { // There modes say nothing.
		must(Open(Options{URL: iss, KeyFile: path}))
		return
	}
	if mode := must(os.Stat(path)).Mode().Perm(); mode != 0o600 {
		t.Errorf("mode %#o", mode)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{URL: iss, KeyFile: path}); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others may read: %v", err)
	}
}

func TestBadKeyFile(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "no key": "hello", "cut off": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		bad := filepath.Join(t.TempDir(), "bad.pem")
		if err := os.WriteFile(bad, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(Options{URL: iss, KeyFile: bad}); err == nil {
			t.Errorf("%s: was taken for a key", name)
		} else if got := string(must(os.ReadFile(bad))); got != content {
			t.Errorf("%s: was overwritten", name)
		}
	}
}

// ask sends a form to the issuer's handler, mounted as a server would.
func (i *Issuer) ask(method, path string, form url.Values) (*httptest.ResponseRecorder, map[string]any) {
	r := httptest.NewRequest(method, "/dev/issuer"+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	http.StripPrefix("/dev/issuer", i.Handler()).ServeHTTP(w, r)
	var body map[string]any
	_ = json.Unmarshal(w.Body.Bytes(), &body) // Nil where the answer is no object.
	return w, body
}

func TestMetadata(t *testing.T) {
	i := must(Open(Options{URL: iss}))
	_, metadata := i.ask("GET", "/.well-known/openid-configuration", nil)
	if metadata["issuer"] != iss || metadata["jwks_uri"] != iss+"/jwks" || metadata["token_endpoint"] != iss+"/token" {
		t.Errorf("metadata %v", metadata)
	}
	_, keys := i.ask("GET", "/jwks", nil)
	if k := keys["keys"].([]any)[0].(map[string]any); k["d"] != nil || k["kid"] != i.kid {
		t.Errorf("keys %v", keys)
	}
}

func TestToken(t *testing.T) {
	i := must(Open(Options{URL: iss}))
	secret := must(i.Secret("guest"))
	if raw := must(base64.RawURLEncoding.DecodeString(secret)); len(raw) != 32 {
		t.Errorf("secret of %d bytes", len(raw))
	}
	form := func(changes ...string) url.Values {
		f := url.Values{"grant_type": {"client_credentials"}, "client_id": {"guest"}, "client_secret": {secret}}
		for n := 0; n < len(changes); n += 2 {
			f.Set(changes[n], changes[n+1])
		}
		return f
	}
	for _, c := range []struct {
		name   string
		form   url.Values
		status int
		want   string // an audience, or an error
	}{
		{"default audience", form(), 200, base},
		{"an endpoint", form("resource", base+"/mcp"), 200, base + "/mcp"},
		{"a resource elsewhere", form("resource", "https://other.example"), 400, "invalid_target"},
		{"a resource with our address as a prefix", form("resource", base+"1/mcp"), 400, "invalid_target"},
		{"two resources", url.Values{"grant_type": {"client_credentials"}, "client_id": {"guest"}, "client_secret": {secret}, "resource": {base, base}}, 400, "invalid_target"},
		{"wrong secret", form("client_secret", "x"), 401, "invalid_client"},
		{"another's secret", form("client_id", "admin"), 401, "invalid_client"},
		{"no secret", form("client_secret", ""), 401, "invalid_client"},
		{"nobody", form("client_id", "root"), 401, "invalid_client"},
		{"another grant", form("grant_type", "password"), 400, "unsupported_grant_type"},
		{"too large", form("x", strings.Repeat("x", maxForm)), 400, "invalid_request"},
	} {
		resp, body := i.ask("POST", "/token", c.form)
		if resp.Code != c.status || resp.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v %v", c.name, resp.Code, body, resp.Header())
			continue
		}
		if c.status != 200 {
			if body["error"] != c.want {
				t.Errorf("%s: %v, want %s", c.name, body, c.want)
			}
			continue
		}
		_, claims := claimsOf(t, i.PublicKeys(), body["access_token"].(string))
		if aud := must(claims.GetAudience()); aud[0] != c.want || claims["sub"] != "guest" || claims["client_id"] != "guest" {
			t.Errorf("%s: claims %v", c.name, claims)
		}
	}
	if resp, _ := i.ask("GET", "/token?client_id=guest&client_secret="+secret, nil); resp.Code != 405 {
		t.Errorf("a secret in the query: %d", resp.Code)
	}
	q := form()
	q.Del("client_secret")
	if resp, _ := i.ask("POST", "/token?client_secret="+secret, q); resp.Code != 401 {
		t.Errorf("a secret in the query of a POST: %d", resp.Code)
	}
}

// TestChooser: whoever made the link to the chooser does not choose.
func TestChooser(t *testing.T) {
	i := must(Open(Options{URL: iss}))
	w := httptest.NewRecorder()
	i.page(w, url.Values{"persona": {"admin"}, "state": {"s"}}, nil)
	if page := w.Body.String(); strings.Contains(page, `type="hidden" name="persona"`) || !strings.Contains(page, `type="hidden" name="state" value="s"`) {
		t.Error(page)
	}
}
