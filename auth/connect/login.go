package connect

import "github.com/trilith-gateway/trilith/auth/browser"

// A Login is an issuer at which users sign in with a browser: the gateway is a
// client of its own there.
type Login struct {
	Issuer       string // as in the principals of its users
	ClientID     string
	ClientSecret string // "" for a public client
}

// The paths below the public URL that authorization servers redirect to.
const (
	loginPath = "/connect/login"
	donePath  = "/connect/done"
)

func newLogin(l Login, base string) *browser.Client {
	return browser.NewClient(browser.ClientOptions{Issuer: l.Issuer, ID: l.ClientID, Secret: l.ClientSecret, Redirect: base + loginPath})
}
