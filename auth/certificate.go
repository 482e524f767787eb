package auth

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/trilith-gateway/trilith/gateway"
)

// CertificateIssuer is the Issuer of the principals of client certificates.
const CertificateIssuer = "certificate"

// Certificates let clients in that show a certificate in the TLS handshake,
// which the listener has verified, and no other credential. They are safe for
// concurrent use as long as nobody changes them.
type Certificates struct {
	// Subject is the part of a certificate that names the client: "uri", "dns" or
	// "email", of which the certificate must have exactly one, or "common_name".
	// Required.
	Subject string

	// What every such client is given.
	Tenant        string
	Groups, Roles []string

	Revocations *Revocations // consulted for each request; nil revokes nothing
}

// check refuses what names nobody.
func (c *Certificates) check() error {
	if c == nil {
		return nil
	}
	switch c.Subject {
	case "uri", "dns", "email", "common_name":
		return nil
	}
	return fmt.Errorf("certificates: %q is none of uri, dns, email and common_name", c.Subject)
}

// name returns what a certificate calls its client.
func (c *Certificates) name(cert *x509.Certificate) (string, error) {
	var names []string
	switch c.Subject {
	case "uri":
		for _, u := range cert.URIs {
			names = append(names, u.String())
		}
	case "dns":
		names = cert.DNSNames
	case "email":
		names = cert.EmailAddresses
	default:
		names = []string{cert.Subject.CommonName}
	}
	if len(names) != 1 || names[0] == "" || !printable(names[0]) {
		return "", fmt.Errorf("the client's certificate has not one name of kind %s", c.Subject)
	}
	return names[0], nil
}

// authenticate returns the client of a certificate. That the handshake has
// verified it may be long ago.
func (c *Certificates) authenticate(cert *x509.Certificate) (*gateway.Principal, error) {
	now := time.Now()
	if now.After(cert.NotAfter) || now.Before(cert.NotBefore) {
		return nil, invalid(errors.New("the client's certificate is not valid now"))
	}
	name, err := c.name(cert)
	if err != nil {
		return nil, invalid(err)
	}
	p := &gateway.Principal{
		ID: CertificateIssuer + "|client|" + name, Issuer: CertificateIssuer, Subject: name, Kind: "client", Name: name,
		Tenant: c.Tenant, Groups: c.Groups, Roles: c.Roles,
		Expiry: cert.NotAfter, Credential: CertificateIssuer + "|" + fingerprint(cert), Issued: cert.NotBefore,
	}
	if c.Revocations.Revoked(p) {
		return nil, invalid(fmt.Errorf("the certificate of %q is revoked", p.ID))
	}
	return p, nil
}
