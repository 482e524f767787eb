package browser

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"
)

const maxForm = 4 << 10

// Page serves pages that no other page may frame, whose forms go nowhere else,
// and that nobody caches. What is longer than a form is not read.
func Page(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		h := w.Header()
		h.Set("Content-Security-Policy", Policy("'self'"))
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin") // With no-referrer a browser sends its forms with the origin "null".
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Type", "text/html; charset=utf-8")
		next.ServeHTTP(w, r)
	})
}

// Policy returns the content security policy of a page whose forms go to these
// places, and to where those redirect to.
func Policy(forms string) string {
	return "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action " + forms
}

// SetCookie gives the browser a cookie. Its name begins with __Host-, so that
// browsers take it from this very host alone, over TLS (RFC 6265bis, section
// 4.1.3.2). With no life it takes the cookie away.
func SetCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	age := int(life.Seconds())
	if age <= 0 {
		age = -1
	}
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: age,
	})
}

// Cookie returns the value of the browser's cookie, or "" where it has none or
// more than one of that name.
func Cookie(r *http.Request, name string) string {
	all := r.CookiesNamed(name)
	if len(all) != 1 {
		return ""
	}
	return all[0].Value
}

// Digest is under what a secret is stored: who reads the state learns none.
func Digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
