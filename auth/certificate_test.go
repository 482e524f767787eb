package auth

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trilith-gateway/trilith/gateway"
)

// certify returns a certificate of that CA, or a CA without one, with changes.
func certify(ca *tls.Certificate, change func(*x509.Certificate)) tls.Certificate {
	key := testKeys()["ES256"].(*ecdsa.PrivateKey)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(nextID.Add(1)), Subject: pkix.Name{CommonName: "svc"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour).Truncate(time.Second), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs: []*url.URL{{Scheme: "spiffe", Host: "example.test", Path: "/svc"}}, DNSNames: []string{"svc.example.test"},
	}
	if ca == nil {
		c.Subject.CommonName = "CA"
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
	}
	if change != nil {
		change(c)
	}
	parent := c
	if ca != nil {
		parent = ca.Leaf
	}
	der := must(x509.CreateCertificate(rand.Reader, c, parent, key.Public(), key))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: must(x509.ParseCertificate(der))}
}

// serveTLS serves what stands behind a door and returns how to ask it with a
// client certificate; nil shows none.
func serveTLS(t *testing.T, o DoorOptions, ca tls.Certificate) func(cert *tls.Certificate, change func(*http.Request)) (int, string) {
	t.Helper()
	srv := httptest.NewUnstartedServer(must(NewDoor(o)).Handler(http.HandlerFunc(behind)))
	pool := x509.NewCertPool()
	pool.AddCert(ca.Leaf)
	srv.TLS = &tls.Config{ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven, MinVersion: tls.VersionTLS12}
	srv.Config.ErrorLog = slog.NewLogLogger(quiet().Handler(), slog.LevelDebug)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return func(cert *tls.Certificate, change func(*http.Request)) (int, string) {
		t.Helper()
		tr := srv.Client().Transport.(*http.Transport).Clone()
		defer tr.CloseIdleConnections()
		if cert != nil { // Whatever the server asks for.
			tr.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
		}
		r := must(http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/mcp", nil))
		if change != nil {
			change(r)
		}
		resp, err := tr.RoundTrip(r)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		var body strings.Builder
		_ = resp.Write(&body)
		_, text, _ := strings.Cut(body.String(), "\r\n\r\n")
		return resp.StatusCode, text
	}
}

func TestCertificates(t *testing.T) {
	ca, stranger := certify(nil, nil), certify(nil, func(c *x509.Certificate) { c.Subject.CommonName = "another CA" })
	good, foreign, self := certify(&ca, nil), certify(&stranger, nil), certify(&ca, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	old := certify(&ca, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	two := certify(&ca, func(c *x509.Certificate) { c.URIs = append(c.URIs, c.URIs[0]) })
	none := certify(&ca, func(c *x509.Certificate) { c.URIs = nil })
	var log attempts
	o := doorOptions(&log)
	o.Certificates = &Certificates{Subject: "uri", Roles: []string{"dev"}}
	send := serveTLS(t, o, ca)
	const id = "certificate|client|spiffe://example.test/svc"
	for _, c := range []struct {
		name   string
		cert   *tls.Certificate
		change func(*http.Request)
		code   int
		body   string
	}{
		{"good", &good, nil, 200, id},
		{"none", nil, nil, 401, "no credential"},
		{"of another CA", &foreign, nil, 0, "certificate"},
		{"for servers", &self, nil, 0, "certificate"},
		{"expired", &old, nil, 0, "certificate"},
		{"with two names", &two, nil, 401, "invalid token"},
		{"without a name", &none, nil, 401, "invalid token"},
		{"with a good token, which counts", &good, with(), 200, alice().ID},
		{"with a bad token, which is final", &good, head("Authorization", "Bearer bad"), 401, "invalid token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if code, body := send(c.cert, c.change); code != c.code || !strings.Contains(body, c.body) {
				t.Errorf("%d %s, want %d %s", code, body, c.code, c.body)
			}
		})
	}
}

// TestCertificateNames takes the name from where the configuration says, and
// believes a certificate no longer than it is valid, however long the
// connection lasts.
func TestCertificateNames(t *testing.T) {
	ca := certify(nil, nil)
	cert := certify(&ca, func(c *x509.Certificate) { c.EmailAddresses = []string{"svc@example.test"} }).Leaf
	for kind, name := range map[string]string{
		"uri": "spiffe://example.test/svc", "dns": "svc.example.test", "email": "svc@example.test", "common_name": "svc",
	} {
		c := Certificates{Subject: kind, Tenant: "acme", Groups: []string{"g"}, Roles: []string{"r"}}
		got, err := c.authenticate(cert)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		want := &gateway.Principal{
			ID: "certificate|client|" + name, Issuer: "certificate", Subject: name, Kind: "client", Name: name, Tenant: "acme",
			Groups: []string{"g"}, Roles: []string{"r"}, Expiry: cert.NotAfter, Issued: cert.NotBefore, Credential: "certificate|" + fingerprint(cert),
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: -want +got\n%s", kind, d)
		}
	}
	c := Certificates{Subject: "uri"}
	for _, change := range []func(*x509.Certificate){
		func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) },
		func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) },
		func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "x", Opaque: strings.Repeat("x", 600)}} },
	} {
		_, err := c.authenticate(certify(&ca, change).Leaf)
		wantRefused(t, err)
	}
	if _, err := NewDoor(DoorOptions{Certificates: &Certificates{Subject: "serial"}, Logger: quiet()}); err == nil {
		t.Error("an unknown kind of name was accepted")
	}
}

// TestCertificateRevoked revokes a certificate, and then its client.
func TestCertificateRevoked(t *testing.T) {
	r, _, _ := newRevocations(t)
	ca := certify(nil, nil)
	first, second := certify(&ca, nil).Leaf, certify(&ca, nil).Leaf
	c := Certificates{Subject: "uri", Revocations: r}
	p := must(c.authenticate(first))
	if err := r.Revoke(t.Context(), Revocation{Issuer: CertificateIssuer, Token: fingerprint(first)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first is revoked", func() bool { _, err := c.authenticate(first); return err != nil })
	must(c.authenticate(second))
	if err := r.Revoke(t.Context(), Revocation{Principal: p.ID}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the client is revoked", func() bool { _, err := c.authenticate(second); return err != nil })
}

// TestCertificateBoundTokens presents tokens with and without the certificate
// that they are bound to (RFC 8705, section 3).
func TestCertificateBoundTokens(t *testing.T) {
	ca := certify(nil, nil)
	mine, other := certify(&ca, nil), certify(&ca, nil)
	i := newIDP()
	var log attempts
	o := doorOptions(&log)
	o.Auth = i.open(t)
	send := serveTLS(t, o, ca)
	token := i.sign("ES256", good(fields{"cnf": fields{"x5t#S256": fingerprint(mine.Leaf)}}), nil)
	both := i.sign("ES256", good(fields{"cnf": fields{"x5t#S256": fingerprint(mine.Leaf), "jkt": thumbprint("EdDSA")}}), nil)
	odd := i.sign("ES256", good(fields{"cnf": fields{"x5t#S256": fingerprint(mine.Leaf), "kid": "x"}}), nil)
	for _, c := range []struct {
		name  string
		cert  *tls.Certificate
		auth  []string
		code  int
		cause string
	}{
		{"with it", &mine, []string{"Authorization", "Bearer " + token}, 200, ""},
		{"with another", &other, []string{"Authorization", "Bearer " + token}, 401, "another certificate"},
		{"without", nil, []string{"Authorization", "Bearer " + token}, 401, "without it"},
		{"from a header", nil, []string{"Authorization", "Bearer " + token, "X-Client-Cert", string(mine.Leaf.Raw[:1])}, 401, "without it"},
		{"bound to a key too, with both", &mine, []string{"Authorization", "DPoP " + both, "DPoP", prove("EdDSA", both, nil, nil)}, 200, ""},
		{"bound to a key too, without the key", &mine, []string{"Authorization", "Bearer " + both}, 401, "without proof"},
		{"bound to a key too, without the certificate", nil, []string{"Authorization", "DPoP " + both, "DPoP", prove("EdDSA", both, nil, nil)}, 401, "without it"},
		{"bound in an unknown way too", &mine, []string{"Authorization", "Bearer " + odd}, 401, "not supported"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, body := send(c.cert, head(c.auth...))
			reports := log.take()
			if code != c.code || c.cause != "" && (len(reports) != 1 || !strings.Contains(reports[0].Reason, c.cause)) {
				t.Errorf("%d %s %+v, want %d because of %q", code, body, reports, c.code, c.cause)
			}
		})
	}
}
