package server_test

import (
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

const (
	sessionCookie = "__Host-trilith-session"
	pendingCookie = "__Host-trilith-login"
)

// A tab is a browser's: it keeps cookies and follows no redirect by itself.
type tab struct {
	*testing.T
	r       *rig
	cookies map[string]string
}

func (r *rig) tab(t *testing.T) *tab { return &tab{t, r, map[string]string{}} }

// ask makes a request as a page of the gateway's own does, but for the headers
// that are given, and returns the status, the body and where it redirects to.
func (b *tab) ask(method, target, body string, headers ...string) (status int, text, to string) {
	b.Helper()
	if strings.HasPrefix(target, "/") {
		target = b.r.URL() + target
	}
	req, err := http.NewRequestWithContext(b.Context(), method, target, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("Accept", "application/json")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Origin", b.r.URL())
	}
	for i := 0; i < len(headers); i += 2 {
		if req.Header.Del(headers[i]); headers[i+1] != "" {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	for name, value := range b.cookies {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	res, err := alone(nil).Transport.RoundTrip(req)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range res.Cookies() {
		if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || !strings.HasPrefix(c.Name, "__Host-") {
			b.Errorf("the cookie %s", c.Raw)
		}
		if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	return res.StatusCode, string(raw), res.Header.Get("Location")
}

var hidden = regexp.MustCompile(`type="hidden" name="([^"]+)" value="([^"]*)"`)

// authorize goes to the built-in issuer as that persona and returns where it sends
// the browser back to.
func (b *tab) authorize(persona, target string) string {
	b.Helper()
	code, page, _ := b.ask("GET", target, "")
	form := url.Values{"persona": {persona}}
	for _, m := range hidden.FindAllStringSubmatch(page, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	if code != http.StatusOK || len(form) < 6 {
		b.Fatalf("the issuer's page: %d %s", code, page)
	}
	code, page, back := b.ask("POST", target, form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	if code != http.StatusSeeOther || !strings.HasPrefix(back, b.r.URL()+"/auth/callback?") {
		b.Fatalf("the issuer answers %d %s %s", code, back, page)
	}
	return back
}

// signIn signs in and returns where the browser is then.
func (b *tab) signIn(persona, page string) string {
	b.Helper()
	code, text, to := b.ask("GET", page, "")
	if code != http.StatusSeeOther {
		b.Fatalf("%s: %d %s", page, code, text)
	}
	code, text, back := b.ask("GET", b.authorize(persona, to), "")
	if code != http.StatusSeeOther {
		b.Fatalf("signing in: %d %s", code, text)
	}
	return back
}

func (b *tab) query(query string, headers ...string) (int, string) {
	b.Helper()
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		b.Fatal(err)
	}
	code, text, _ := b.ask("POST", "/graphql", string(body), headers...)
	return code, text
}
